//! Lines whose ends are known in a moment, and what makes them known.

use crate::ecs::OpenLine;
use crate::endpoint::flow::{Flow, Origin};
use crate::endpoint::waiting::Wait;
use crate::endpoint::{Endpoints, destroyed};
use crate::system::System;

/// How long the kernel may take to say what it has lost, and how often it is looked for that, in milliseconds.
const ANSWER: u64 = 100;
const AGAIN: u64 = 2;

impl Endpoints {
    /// Keeps the line of an event whose ends are known in a moment. Returns the oldest when there are too many.
    pub fn keep(&mut self, wait: Wait, line: OpenLine) -> Option<(Flow, OpenLine)> {
        self.waiting.keep(wait, line)
    }

    /// The next line whose ends are known, or will not be. Call it with everything received that was there.
    pub fn over(&mut self, now: u64, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
        if let Some(kept) = self.waiting.kept_by_order(now)
            && kept >= self.lost.1
        {
            // What was lost before the line was kept must have been counted after.
            let ends = now == u64::MAX;
            match system.losses(now, ends) {
                Some((lost, asked)) if asked > kept => {
                    if Some(lost) != self.lost.0 {
                        self.uncertain(system.time());
                    }
                    self.lost = (Some(lost), asked);
                }
                _ if !ends && now < kept + ANSWER => {
                    self.waiting.put_off(now + AGAIN);
                    return None;
                }
                _ => self.waiting.doubt_order(),
            }
        }
        let kept = &mut self.kept;
        let (flow, line, call) = self.waiting.over(now, |wait, cookie| {
            let place = (wait.call.pid, wait.call.given);
            kept.listens_still(place, cookie, wait.kept, now, system)
        })?;
        if !matches!(flow.origin, Some(Origin::Unknown | Origin::Event)) {
            self.kept.flow((call.pid, call.fd), flow, now);
        }
        self.count(&call, &flow);
        Some((flow, line))
    }

    /// When [`Self::over`] has the next one.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.waiting.next()
    }

    /// The kernel's broadcast: sockets that are gone. `time`: milliseconds since the epoch; `now`: the engine's clock.
    pub fn destroyed(&mut self, datagram: &[u8], time: u64, now: u64) {
        for socket in destroyed::destroyed(datagram) {
            if socket.peer.port() == 0 {
                self.kept.port_gone(socket.local.port());
            } else {
                self.waiting.destroyed(socket, time, now);
            }
        }
    }

    /// Broadcasts were missed.
    pub fn missed(&mut self) {
        self.waiting.blur();
    }

    /// Whether a broadcast may tell what an event waits for.
    #[must_use]
    pub fn wants_destroyed(&self) -> bool {
        self.waiting.wants_destroyed()
    }

    /// Whether the broadcasts are wanted from now on.
    #[must_use]
    pub fn wants_broadcasts(&self) -> bool {
        self.waiting.wants_broadcasts()
    }

    /// Whether [`Self::settle`] is wanted.
    #[must_use]
    pub fn wants_settling(&self) -> bool {
        self.waiting.wants_settling()
    }

    /// The records of everything that has happened by now were read.
    pub fn settle(&mut self) {
        self.waiting.settle();
    }
}
