//! Calls that no record tells from each other but by where they went and by their order, and which event has which.

use crate::endpoint::recent::Recent;
use crate::endpoint::trace::OWED;
use crate::endpoint::trace::calls::{Calls, Done, Far};

/// Events that were told by the order of calls and stand or fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) number: u64,
    /// Every call has its event, by the rules: they are right as well if no event was lost.
    even: bool,
}

impl Ticket {
    /// Whether it holds if no event was lost.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.even
    }
}

/// Which of the last tickets hold.
pub type Verdicts = Recent<u64, bool>;

/// Calls of one process, with the same arguments and result.
#[derive(Debug, Default)]
pub struct Alike {
    calls: Calls,
    /// A call may have gone by without an event.
    uneven: bool,
    /// What the events stand on that have their call by order, since they and the calls were last even.
    ticket: Option<Ticket>,
    /// Events that were here before their call had returned, and the time of the last.
    owed: u32,
    owed_at: u64,
    /// There were calls that connected no socket of TCP.
    is_mixed: bool,
}

impl Alike {
    /// Keeps a call that has returned; false if its event was here already. Calls that began until `uneven_until` may
    /// lack their event.
    pub fn add(&mut self, done: Done, uneven_until: u64) -> bool {
        if self.owed > 0 {
            self.owed -= 1;
            return false;
        }
        self.uneven |= done.began() <= uneven_until && uneven_until < done.time;
        self.calls.push(done);
        true
    }

    /// The calls that have returned and have no event.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Lets calls go that returned before `since`, when an event has come of a call that began then or later: theirs
    /// would have been on its way before they returned. Those after `uneven_until` should have had one.
    pub fn let_go(&mut self, since: u64, uneven_until: u64, verdicts: &mut Verdicts) {
        while let Some(early) = self.calls.front().filter(|call| call.time < since) {
            self.uneven |= early.time > uneven_until;
            self.calls.remove(0);
            self.decide(false, verdicts);
        }
    }

    /// Takes the oldest call that `far` admits, and says whether the event may be of another that is told of.
    pub fn take(&mut self, far: Far, open: usize) -> Option<(Done, bool)> {
        let (at, is_several) = self.calls.fitting(far)?;
        Some((self.calls.remove(at)?, is_several || open > 0))
    }

    /// There are calls of which only the return is told, as they connect no socket of TCP.
    pub fn mix(&mut self) {
        self.is_mixed = true;
    }

    /// Whether an event may be of a call of which nothing is told yet: a return may come after its event.
    pub fn is_mixed(&self) -> bool {
        self.is_mixed
    }

    /// The event is known for certain of a call that began at `began`, or later, and returned at `returned`. So all before
    /// it are over: what order told holds if none is left.
    pub fn settle(
        &mut self,
        began: u64,
        returned: u64,
        uneven_until: u64,
        verdicts: &mut Verdicts,
    ) {
        self.let_go(began, uneven_until, verdicts);
        if (self.calls.front()).is_some_and(|call| call.time < returned) {
            return;
        }
        self.decide(true, verdicts);
        if self.calls.is_empty() || began > uneven_until {
            self.uneven = false;
        }
    }

    /// Forgets the calls until `time`. Whether there were any.
    pub fn forget(&mut self, time: u64, verdicts: &mut Verdicts) -> bool {
        let mut any = false;
        while (self.calls.front()).is_some_and(|call| call.time <= time) {
            self.calls.remove(0);
            self.decide(false, verdicts);
            any = true;
        }
        any
    }

    /// An event whose call is not to be found: it has not returned, and will then be left over, if any is known.
    pub fn owe(&mut self, since: u64, is_open: bool) {
        if is_open || !self.calls.is_empty() {
            self.uneven = true;
        } else {
            self.owed += 1;
            self.owed_at = since;
        }
    }

    /// Whether the return of a call is still to come whose event was here.
    pub fn is_owed(&mut self, since: u64) -> bool {
        if self.owed_at.saturating_add(OWED) < since {
            self.owed = 0;
        }
        self.owed > 0
    }

    /// What an event stands on that is told by order. `is_even`: no call went by without its event by the rules.
    pub fn ticket(&mut self, next: &mut u64, is_even: bool) -> Ticket {
        let is_even = is_even && !self.uneven;
        let ticket = self.ticket.get_or_insert_with(|| {
            *next += 1;
            Ticket {
                number: *next,
                even: true,
            }
        });
        ticket.even &= is_even;
        *ticket
    }

    /// Says whether the events told by order until now are right.
    pub fn decide(&mut self, holds: bool, verdicts: &mut Verdicts) {
        if let Some(ticket) = self.ticket.take() {
            verdicts.insert(ticket.number, holds);
        }
    }
}
