//! What the kernel's tracepoints tell of connections: both ends, and which call of which process made them.
//!
//! `sock:inet_sock_set_state` fires in the caller's own context when connect(2) begins (CLOSE -> SYN_SENT, in
//! `tcp_v4_connect`), again with the port that was chosen (SYN_SENT -> anything), and for each connection taken
//! (SYN_RECV -> ESTABLISHED); `syscalls:sys_exit_connect` says what the call returned. With both come the caller's
//! registers, which are the `a0` to `a3` of its audit record. So an event finds its call by process, arguments, result
//! and where it went, and calls that are alike in all of that by their order.
//!
//! A call's samples are written before its records, but for the exit, which comes a moment later
//! (`syscall_exit_work`, include/linux/entry-common.h): a call that has begun and not returned is the event's if no
//! other is.

mod alike;
mod calls;
mod taken;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::endpoint::call::{Call, is_attempt};
use crate::endpoint::flow::End;
use crate::endpoint::recent::Recent;
use crate::endpoint::sample::{NO_ARGUMENTS, Sample, What};
pub use crate::endpoint::trace::alike::Ticket;
use crate::endpoint::trace::alike::{Alike, Verdicts};
pub use crate::endpoint::trace::calls::Far;
use crate::endpoint::trace::calls::{Begun, Done};
use crate::endpoint::trace::taken::Taken;
use crate::mix::Table;
use crate::record::Stamp;

/// Calls kept that no event has claimed, and threads within a call.
const MOST: usize = 8_192;
/// What a record's time may be ahead of a sample's: the two clocks are set against each other at each look, in ns.
const SLACK: u64 = 1_000_000;
/// So long after a change calls may still be of before it: the clock of records ticks at HZ=100 or more often, in ns.
const UNEVEN: u64 = 15_000_000;
/// So long a call's return may come after its event, in ns.
const OWED: u64 = 1_000_000_000;

/// A process and the arguments of its call.
type Within = (u32, [u64; 4]);

/// Which call of connect it was, as far as both a record and a sample say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    pid: u32,
    arguments: [u64; 4],
    result: i64,
}

impl Key {
    fn of(call: &Call) -> Self {
        Self {
            pid: call.pid,
            arguments: call.arguments,
            result: call.result,
        }
    }
}

/// What is known of an event's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing.
    Unknown,
    /// It connected no TCP socket.
    Other,
    /// This is its connection. Its own end may still be open.
    Found {
        /// The own end.
        local: Option<SocketAddr>,
        /// The other end.
        peer: SocketAddr,
        /// It was one of several calls alike, told by their order: true only if each of them has its event. See
        /// [`Trace::holds`].
        by_order: Option<Ticket>,
    },
}

/// All that the tracepoints have told.
#[derive(Debug, Default)]
pub struct Trace {
    /// By socket.
    begun: Recent<u64, Begun>,
    /// Threads in a call, and the sockets that those are at.
    within: Table<Within, Vec<(u32, u64)>>,
    /// When a thread's last call returned.
    returned: Recent<u32, u64>,
    calls: Table<Key, Alike>,
    /// Calls by age.
    order: VecDeque<(Key, u64)>,
    /// Connections taken that no event has claimed.
    taken: Taken,
    /// The time of the last sample.
    told_until: u64,
    /// Of calls until then not all is known, in nanoseconds since the epoch.
    blind_until: u64,
    /// Calls until then may lack their event.
    uneven_until: u64,
    /// The number of the next ticket, and which of the last ones hold.
    next_ticket: u64,
    verdicts: Verdicts,
}

impl Trace {
    /// From now on everything is told, and nothing of before counts; `time` in nanoseconds since the epoch.
    pub fn begin(&mut self, time: u64) {
        *self = Self {
            blind_until: time,
            uneven_until: time + UNEVEN,
            next_ticket: self.next_ticket,
            verdicts: std::mem::take(&mut self.verdicts),
            ..Self::default()
        };
    }

    /// Which calls have events changes about now, `time` in nanoseconds since the epoch.
    pub fn unsettle(&mut self, time: u64) {
        self.uneven_until = time + UNEVEN;
    }

    /// Takes in a sample. They come in order of time.
    pub fn add(&mut self, sample: &Sample) {
        self.told_until = self.told_until.max(sample.time);
        match sample.what {
            What::Begun { socket, peer } => self.begun(sample, socket, peer),
            What::Made {
                socket,
                local,
                peer,
            } => {
                if let Some(begun) = self.begun.get_mut(&socket)
                    && begun.time <= sample.time
                    && begun.peer == peer
                {
                    begun.local = Some(local);
                }
            }
            What::Taken { local, peer } => self.taken.add(local, peer),
            What::Returned(result) => self.returned(sample, result),
        }
    }

    fn begun(&mut self, sample: &Sample, socket: u64, peer: SocketAddr) {
        // Too late for its call, which was told without it.
        if self.returned.get(&sample.thread) > Some(&sample.time) || self.within.len() >= MOST {
            return self.begin(self.told_until);
        }
        if sample.arguments == NO_ARGUMENTS {
            return;
        }
        let begun = Begun {
            time: sample.time,
            peer,
            local: None,
            claimed: false,
        };
        self.begun.insert(socket, begun);
        let within = (self.within)
            .entry((sample.pid, sample.arguments))
            .or_default();
        within.retain(|(thread, _)| *thread != sample.thread);
        within.push((sample.thread, socket));
    }

    fn returned(&mut self, sample: &Sample, result: i64) {
        // Of the first return in a thread it is not known whether its call began before anything was told.
        let is_told = self.returned.get(&sample.thread).is_some();
        self.returned.insert(sample.thread, sample.time);
        let place = (sample.pid, sample.arguments);
        let mut begun = None;
        if let Some(within) = self.within.get_mut(&place) {
            if let Some(at) = (within.iter()).position(|(thread, _)| *thread == sample.thread) {
                let (_, socket) = within.swap_remove(at);
                begun = self.begun.get(&socket).map(|begun| (socket, *begun));
            }
            if within.is_empty() {
                self.within.remove(&place);
            }
        }
        if let Some((socket, begun)) = begun
            && begun.local.is_some()
        {
            // All is known.
            self.begun.remove(&socket);
        }
        let is_claimed = begun.is_some_and(|(_, begun)| begun.claimed);
        if is_claimed || !(result == 0 || is_attempt(result)) {
            return;
        }
        let key = Key {
            pid: sample.pid,
            arguments: sample.arguments,
            result,
        };
        let done = Done {
            time: sample.time,
            begun,
        };
        let alike = self.calls.entry(key).or_default();
        if begun.is_none() && is_told {
            alike.mix();
        }
        if alike.add(done, self.uneven_until) {
            self.remember(key, sample.time);
        }
    }

    fn remember(&mut self, key: Key, time: u64) {
        self.order.push_back((key, time));
        if self.order.len() > MOST {
            self.forget();
        }
    }

    /// Lets the oldest call go.
    fn forget(&mut self) {
        let Some((key, time)) = self.order.pop_front() else {
            return;
        };
        let Some(alike) = self.calls.get_mut(&key) else {
            return;
        };
        if alike.forget(time, &mut self.verdicts) {
            self.blind_until = self.blind_until.max(time);
        }
        if alike.calls().is_empty() {
            self.calls.remove(&key);
        }
    }

    /// The own end of an accepted connection, once, if there was but one that `near` admits.
    pub fn accepted(&mut self, peer: SocketAddr, near: End) -> Option<SocketAddr> {
        self.taken.take(peer, near)
    }

    /// Whether what was told by the order of calls is right; `None` while that is open.
    ///
    /// No event is without its call. So once no call alike is left over, each has its event, and all of them had their
    /// own: those come in the order of the calls. Once one is left over that is older than the last event, an event was
    /// missing, and which one is not known.
    #[must_use]
    pub fn holds(&self, ticket: Ticket) -> Option<bool> {
        self.verdicts.get(&ticket.number).copied()
    }

    /// Whether it is likely that the call of a record is known, before the rest of its event is here.
    #[must_use]
    pub fn expects(&self, call: &Call, stamp: Stamp) -> bool {
        let since = nanoseconds(stamp);
        let key = Key::of(call);
        since > self.blind_until
            && ((self.calls.get(&key)).is_some_and(|alike| alike.calls().has_connection(since))
                || self.within.contains_key(&(key.pid, key.arguments)))
    }

    /// Which connection the call of an event began. Events are to come in the order of the calls of each thread.
    ///
    /// The only call alike since then that went to the same place is the event's. Of several the oldest is, if each has
    /// its event ([`Self::holds`]); calls of one process on one descriptor come one after another, and so do their events.
    pub fn claim(&mut self, call: &Call, stamp: Stamp, far: Far) -> Claim {
        let since = nanoseconds(stamp);
        if since <= self.blind_until {
            return Claim::Unknown;
        }
        let (key, uneven_until) = (Key::of(call), self.uneven_until);
        let oldest = since.saturating_sub(SLACK);
        if !self.calls.contains_key(&key) {
            self.remember(key, since);
        }
        let within = self.within.get(&(key.pid, key.arguments));
        let mut open = (within.into_iter().flatten())
            .filter_map(|(_, socket)| Some((*socket, self.begun.get(socket)?)))
            .filter(|(_, begun)| !begun.claimed && begun.time >= oldest)
            .filter(|(_, begun)| far.admits(Some(begun.peer)));
        let (only, others) = (open.next().map(|(socket, _)| socket), open.count());
        let verdicts = &mut self.verdicts;
        let alike = self.calls.entry(key).or_default();
        alike.let_go(oldest, uneven_until, verdicts);
        let is_owed = alike.is_owed(since);
        // What was without an event only because of a change is gone by then.
        let is_even = oldest > uneven_until;
        let open = usize::from(only.is_some()) + others;
        let Some((done, is_several)) = (!is_owed).then(|| alike.take(far, open)).flatten() else {
            if let Some(socket) = only
                && let Some(begun) = self.begun.get_mut(&socket)
                && others == 0
                && !is_owed
            {
                begun.claimed = true;
                alike.settle(begun.time, u64::MAX, uneven_until, verdicts);
                return Claim::Found {
                    local: begun.local,
                    peer: begun.peer,
                    by_order: None,
                };
            }
            alike.owe(since, within.is_some());
            return Claim::Unknown;
        };
        let began = done.begun.map_or(oldest, |(_, begun)| begun.time);
        let is_certain = !is_several && !alike.is_mixed();
        if is_certain {
            alike.settle(began, done.time, uneven_until, verdicts);
        } else {
            alike.let_go(began, uneven_until, verdicts);
        }
        let Some((socket, then)) = done.begun else {
            return if is_several {
                Claim::Unknown
            } else {
                Claim::Other
            };
        };
        let next = &mut self.next_ticket;
        let ticket = (!is_certain).then(|| alike.ticket(next, is_even));
        let now = (self.begun.get(&socket)).filter(|now| now.time == then.time);
        Claim::Found {
            local: now.unwrap_or(&then).local,
            peer: then.peer,
            by_order: ticket,
        }
    }
}

/// The time of a record, in nanoseconds since the epoch.
fn nanoseconds(stamp: Stamp) -> u64 {
    stamp.time().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
