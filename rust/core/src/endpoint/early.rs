//! What is found of a connection when its SYSCALL record comes, before the rest of the event.

use crate::assembled::Event;
use crate::endpoint::Endpoints;
use crate::endpoint::call::{Call, Role, is_attempt};
use crate::endpoint::flow::{End, Flow, Origin, TCP};
use crate::endpoint::open::ask;
use crate::endpoint::sample::Sample;
use crate::endpoint::trace::{Claim, Far, Ticket, Trace};
use crate::endpoint::wait::flow;
use crate::record::header;
use crate::system::System;

/// Sockets looked up before the rest of their event is there.
const MOST_EARLY: usize = 512;

impl Endpoints {
    /// A SYSCALL record has come, whose text begins with `audit(`: the socket of a connect or accept is looked at now,
    /// before anything else is done, for it may be closed in a moment. `now`: the engine's clock in milliseconds.
    pub fn glance(&mut self, text: &[u8], now: u64, system: &mut dyn System) {
        self.now = now;
        if self.trace.is_none() && !system.sees_sockets() {
            return;
        }
        let start = memchr::memchr(b')', text).map_or(text.len(), |end| end + 3);
        let Some(call) = text.get(start..).and_then(|body| self.calls.read(body)) else {
            return;
        };
        let Some((stamp, _)) = header(text) else {
            return;
        };
        self.shares.seen |= call.role.opens();
        self.accepting |= call.role == Role::Accept;
        let goes_on = call.result == 0 || is_attempt(call.result);
        if let Some(trace) = &self.trace
            && call.role == Role::Connect
            && goes_on
            && trace.expects(&call, stamp)
        {
            return;
        }
        // Of an address of another length the SOCKADDR record says first whether it is an internet one.
        let wanted = match call.role {
            Role::Connect => goes_on && matches!(call.arguments[2], 16 | 28 | 128),
            Role::Accept => call.result >= 0 && self.needs_look(&call, stamp.time(), system),
            _ => false,
        };
        if !wanted || !system.sees_sockets() {
            return;
        }
        self.shares.looks += 1;
        let early = ask(&call, system);
        if self.early.len() >= MOST_EARLY {
            self.early.pop_front();
        }
        self.early.push_back((stamp, early));
    }

    /// Whether neither the listening socket says all of the near end, nor the tracepoints do, which need the far one.
    fn needs_look(&mut self, call: &Call, since: u64, system: &mut dyn System) -> bool {
        if self.trace.is_some() && self.tells_accepts && call.arguments[1] != 0 {
            return false;
        }
        let listener = self.listener(call, since, system);
        listener.is_none_or(|(socket, held)| !held || socket.local.ip().is_unspecified())
    }

    /// Connections are to be expected that are accepted.
    pub fn expect_accepts(&mut self) {
        self.accepting = true;
    }

    /// Whether any is accepted.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.accepting
    }

    /// Whether tracepoints are wanted that tell of those, too: each costs as much as one that is made.
    #[must_use]
    pub fn wants_accepts(&self) -> bool {
        self.accepting && !self.tells_accepts
    }

    /// The tracepoints tell of all connections that are made from now on, and of those taken if any is accepted. `time`:
    /// milliseconds since the epoch.
    pub fn begin_trace(&mut self, time: u64, system: &mut dyn System) {
        self.tells_accepts = self.accepting;
        self.lost = (system.losses(self.now, true).map(|(lost, _)| lost), 0);
        let mut trace = Trace::default();
        trace.begin(nanoseconds(time));
        self.trace = Some(trace);
    }

    /// They do not any more.
    pub fn end_trace(&mut self) {
        self.waiting.decide_order(|_| Some(false));
        self.trace = None;
    }

    /// Whether they do.
    #[must_use]
    pub fn traces(&self) -> bool {
        self.trace.is_some()
    }

    /// A sample of the tracepoints. They are to come in order of time.
    pub fn sample(&mut self, sample: &Sample) {
        if let Some(trace) = &mut self.trace {
            trace.add(sample);
        }
    }

    /// Samples or events were lost: what was there until now tells nothing. `time`: milliseconds since the epoch.
    pub fn uncertain(&mut self, time: u64) {
        if let Some(trace) = &mut self.trace {
            trace.begin(nanoseconds(time));
            (self.waiting).decide_order(|ticket| trace.holds(ticket).or(Some(false)));
        }
    }

    /// The rules are other ones now. `time`: milliseconds since the epoch.
    pub fn rules_changed(&mut self, time: u64) {
        if let Some(trace) = &mut self.trace {
            trace.unsettle(nanoseconds(time));
        }
    }

    /// What the tracepoints tell of an event's call to connect to `far`. Each is to be asked for, also those that tell
    /// nothing: no call is two events'.
    pub(super) fn claim(&mut self, event: &Event, call: &Call, far: Far) -> Claim {
        match &mut self.trace {
            // Events without their end come when that was waited for, and not in the order of the calls.
            Some(trace)
                if call.role == Role::Connect
                    && event.incomplete.is_none()
                    && !(event.by_clock || event.addition) =>
            {
                trace.claim(call, event.stamp, far)
            }
            _ => Claim::Unknown,
        }
    }

    /// The connection that the tracepoints tell, and what it stands on if the order of calls tells it.
    pub(super) fn traced(
        &mut self,
        call: &Call,
        claim: Claim,
        near: End,
        far: End,
    ) -> Option<(Flow, Option<Ticket>)> {
        let (local, peer, by_order) = match (call.role, claim, far.whole()) {
            (
                Role::Connect,
                Claim::Found {
                    local: Some(local),
                    peer,
                    by_order,
                },
                _,
            ) => (local, peer, by_order),
            (Role::Accept, _, Some(peer)) => {
                let local = self.trace.as_mut()?.accepted(peer, near)?;
                (local, peer, None)
            }
            _ => return None,
        };
        let flow = flow(call.role, local.into(), peer.into(), TCP, Origin::Trace);
        Some((flow, by_order))
    }
}

fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}
