//! Lines whose ends are known in a moment, and what makes them known.

use crate::ecs::OpenLine;
use crate::endpoint::flow::{Flow, Origin};
use crate::endpoint::wait::Wait;
use crate::endpoint::{Endpoints, destroyed};
use crate::system::System;

/// How long it may take until it is known that an end is right, and how often it is looked for that, in milliseconds.
const ANSWER: u64 = 250;
const AGAIN: u64 = 2;

impl Endpoints {
    /// Keeps the line of an event whose ends are known in a moment.
    pub fn keep(&mut self, wait: Wait, line: OpenLine) {
        self.waiting.keep(wait, line);
    }

    /// The oldest line while too many wait, with what is certain of its ends by now.
    pub fn crowded_out(&mut self) -> Option<(Flow, OpenLine)> {
        let (flow, line, call) = self.waiting.crowded_out(self.now)?;
        self.count(&call, &flow);
        Some((flow, line))
    }

    /// The next line if nothing that comes could change it: the order of calls told its end, and was right or not.
    pub fn decided(&mut self, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
        if !self.waiting.is_by_order() {
            return None;
        }
        self.over(self.now, system)
    }

    /// The next line whose ends are known, or will not be. Call it with everything received that was there.
    pub fn over(&mut self, now: u64, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
        if !self.decide(now, system) {
            return None;
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

    /// Decides whether the end is right of the next line that is over. What the order of calls told is: because each
    /// call has its event, or because the kernel has lost none. What a look told would be settled. False while it is
    /// open.
    fn decide(&mut self, now: u64, system: &mut dyn System) -> bool {
        let Some((wait, ticket)) = self.waiting.open(now) else {
            return true;
        };
        let ends = now == u64::MAX;
        let kept = wait.kept;
        let is_late = ends || now >= kept + ANSWER;
        let Some(ticket) = ticket else {
            wait.until = now + AGAIN;
            if is_late {
                wait.decide(false);
            }
            return is_late;
        };
        if let Some(holds) = self.trace.as_ref().and_then(|trace| trace.holds(ticket)) {
            wait.decide(holds);
            return true;
        }
        // What was lost before the line was kept must have been counted after.
        if ticket.is_even()
            && kept >= self.lost.1
            && let Some((lost, asked)) = system.losses(now, ends)
            && asked > kept
        {
            let before = std::mem::replace(&mut self.lost, (Some(lost), asked));
            if before.0 != Some(lost) {
                self.uncertain(system.time());
                return true;
            }
        }
        let Some((wait, _)) = self.waiting.open(now) else {
            return true;
        };
        if ticket.is_even() && kept < self.lost.1 {
            wait.decide(true);
        } else if is_late {
            wait.decide(false);
        } else {
            wait.until = now + AGAIN;
            return false;
        }
        true
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
    pub fn wants_settling(&self, now: u64) -> bool {
        self.waiting.wants_settling(now)
    }

    /// The records of everything that has happened by now are where they are received.
    pub fn mark(&mut self) {
        self.waiting.mark();
    }

    /// All that was there when [`Self::mark`] was called has been read.
    pub fn settle(&mut self) {
        self.waiting.settle();
    }
}
