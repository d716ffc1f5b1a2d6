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

    /// The oldest line while too many wait, with what is certain of its ends by now. What the order of calls or a
    /// listening socket tells is found out at once, for all that wait.
    pub fn crowded_out(&mut self, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
        if !self.waiting.is_crowded() {
            return None;
        }
        let now = self.now;
        if let Some((wait, Some(ticket))) = self.waiting.open(now) {
            let kept = wait.kept;
            let told = self.trace.as_ref().and_then(|trace| trace.holds(ticket));
            let holds = told.unwrap_or_else(|| {
                let counted = kept < self.lost.1;
                ticket.is_even() && (counted || self.has_lost_none(kept, now, true, system))
            });
            if let Some((wait, Some(_))) = self.waiting.open(now) {
                wait.decide(holds);
            }
        }
        self.waiting.hasten();
        self.let_out(now, system)
    }

    /// The next line if nothing that comes could change it: the order of calls told its end, and was right or not, or a
    /// listening socket did.
    pub fn decided(&mut self, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
        if !self.waiting.is_told() {
            return None;
        }
        self.over(self.now, system)
    }

    /// The next line whose ends are known, or will not be. Call it with everything received that was there.
    pub fn over(&mut self, now: u64, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
        if !self.decide(now, system) {
            return None;
        }
        self.let_out(now, system)
    }

    fn let_out(&mut self, now: u64, system: &mut dyn System) -> Option<(Flow, OpenLine)> {
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
            wait.until = now.saturating_add(AGAIN);
            if is_late {
                wait.decide(false);
            }
            return is_late;
        };
        if let Some(holds) = self.trace.as_ref().and_then(|trace| trace.holds(ticket)) {
            wait.decide(holds);
            return true;
        }
        let holds = ticket.is_even()
            && (kept < self.lost.1 || self.has_lost_none(kept, now, ends || is_late, system));
        let Some((wait, Some(_))) = self.waiting.open(now) else {
            return true;
        };
        if holds {
            wait.decide(true);
        } else if is_late {
            wait.decide(false);
        } else {
            wait.until = now.saturating_add(AGAIN);
            return false;
        }
        true
    }

    /// Whether the kernel is known to have lost no event until after `kept`: what was lost before must have been counted
    /// after. If it has lost any, nothing that the order of calls told holds. `waits`: for the kernel's answer.
    fn has_lost_none(&mut self, kept: u64, now: u64, waits: bool, system: &mut dyn System) -> bool {
        let waits = waits && now >= self.impatient;
        let answer = system.losses(now, waits);
        let Some((lost, asked)) = answer.filter(|(_, asked)| *asked > kept) else {
            if waits {
                self.impatient = now.saturating_add(ANSWER);
            }
            return false;
        };
        let before = std::mem::replace(&mut self.lost, (Some(lost), asked));
        if before.0 != Some(lost) {
            self.uncertain(system.time());
        }
        before.0 == Some(lost)
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
