//! What the kernel's tracepoints tell of connections: both ends, and which call of which process made them.
//!
//! `sock:inet_sock_set_state` fires in the caller's own context when connect(2) begins (CLOSE -> SYN_SENT, in
//! `tcp_v4_connect`), again with the port that was chosen (SYN_SENT -> anything), and for each connection taken
//! (SYN_RECV -> ESTABLISHED); `syscalls:sys_exit_connect` says what the call returned. With both come the caller's
//! registers, which are the `a0` to `a3` of its audit record. So a record finds its call by process, arguments and
//! result, and calls that are alike in all of that by their order.
//!
//! A call's samples are written before its records, but for the exit, which comes a moment later
//! (`syscall_exit_work`, include/linux/entry-common.h): a call that has begun and not returned is the record's if no
//! other is.

mod taken;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::endpoint::call::{Call, is_attempt};
use crate::endpoint::flow::End;
use crate::endpoint::recent::Recent;
use crate::endpoint::sample::{NO_ARGUMENTS, Sample, What};
use crate::endpoint::trace::taken::Taken;
use crate::mix::Table;

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

/// A connection begun.
#[derive(Debug, Clone, Copy)]
struct Begun {
    time: u64,
    peer: SocketAddr,
    local: Option<SocketAddr>,
    /// An event has it already.
    claimed: bool,
}

/// A call that has returned, and the connection that it began: none if it was another kind of socket.
#[derive(Debug, Clone, Copy)]
struct Done {
    time: u64,
    begun: Option<(u64, Begun)>,
}

/// Calls that no record tells from each other.
#[derive(Debug, Default)]
struct Alike {
    calls: VecDeque<Done>,
    /// A call may have gone by without an event.
    uneven: bool,
    /// What the events stand on that have their call by order, since they and the calls were last even.
    ticket: Option<Ticket>,
    /// Events that were here before their call had returned, and the time of the last.
    owed: u32,
    owed_at: u64,
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

/// Events that were told by the order of calls and stand or fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    number: u64,
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
    /// Of calls until then not all is known, in nanoseconds since the epoch.
    blind_until: u64,
    /// Calls until then may lack their event.
    uneven_until: u64,
    /// The number of the next ticket, and which of the last ones hold.
    next_ticket: u64,
    verdicts: Recent<u64, bool>,
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
            return self.begin(sample.time);
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
        if self.order.len() >= MOST {
            self.forget();
        }
        let key = Key {
            pid: sample.pid,
            arguments: sample.arguments,
            result,
        };
        let time = sample.time;
        let alike = self.calls.entry(key).or_default();
        if alike.owed > 0 {
            alike.owed -= 1;
            return;
        }
        let began = begun.map_or(time, |(_, begun)| begun.time);
        alike.uneven |= began <= self.uneven_until && self.uneven_until < time;
        alike.calls.push_back(Done { time, begun });
        self.order.push_back((key, time));
    }

    /// Lets the oldest call go.
    fn forget(&mut self) {
        let Some((key, time)) = self.order.pop_front() else {
            return;
        };
        let Some(alike) = self.calls.get_mut(&key) else {
            return;
        };
        while (alike.calls.front()).is_some_and(|call| call.time <= time) {
            alike.calls.pop_front();
            decide(&mut self.verdicts, alike, false);
            self.blind_until = self.blind_until.max(time);
        }
        if alike.calls.is_empty() {
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

    /// Which connection the call of a record began. `stamp`: the record's time in milliseconds since the epoch.
    ///
    /// The only call alike since then is the event's. Of several the oldest is, if each has its event ([`Self::holds`]);
    /// calls of one process on one descriptor come one after another, and so do their records.
    pub fn claim(&mut self, call: &Call, stamp: u64) -> Claim {
        let since = stamp.saturating_mul(1_000_000);
        if since <= self.blind_until {
            return Claim::Unknown;
        }
        let key = Key {
            pid: call.pid,
            arguments: call.arguments,
            result: call.result,
        };
        let is_early = |time: u64| time + SLACK < since;
        let open = (self.within.get(&(key.pid, key.arguments)))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let open: Vec<u64> = (open.iter().map(|(_, socket)| *socket))
            .filter(|socket| {
                (self.begun.get(socket))
                    .is_some_and(|begun| !begun.claimed && !is_early(begun.time))
            })
            .collect();
        let alike = self.calls.entry(key).or_default();
        while let Some(early) = alike.calls.front().filter(|call| is_early(call.time)) {
            alike.uneven |= early.time > self.uneven_until;
            alike.calls.pop_front();
            decide(&mut self.verdicts, alike, false);
        }
        // What was without an event only because of that is gone by then.
        let is_even = !alike.uneven && since > self.uneven_until + SLACK;
        if alike.owed > 0 && alike.owed_at + OWED < since {
            alike.owed = 0;
        }
        let is_owed = alike.owed > 0;
        let is_several = alike.calls.len() + open.len() > 1;
        let Some(done) = alike.calls.pop_front() else {
            if let [socket] = open.as_slice()
                && let Some(begun) = self.begun.get_mut(socket).filter(|_| !is_owed)
            {
                begun.claimed = true;
                let found = Claim::Found {
                    local: begun.local,
                    peer: begun.peer,
                    by_order: None,
                };
                decide(&mut self.verdicts, alike, true);
                self.calls.remove(&key);
                return found;
            }
            alike.owed += 1;
            alike.owed_at = since;
            if self.order.len() >= MOST {
                self.forget();
            }
            self.order.push_back((key, since));
            return Claim::Unknown;
        };
        if is_owed {
            return Claim::Unknown;
        }
        if !is_several {
            alike.uneven = false;
            decide(&mut self.verdicts, alike, true);
        }
        match done.begun {
            None if is_several => Claim::Unknown,
            None => Claim::Other,
            Some((socket, then)) => {
                let now = (self.begun.get(&socket)).filter(|now| now.time == then.time);
                let next = &mut self.next_ticket;
                let ticket = is_several.then(|| alike.ticket(next, is_even));
                Claim::Found {
                    local: now.unwrap_or(&then).local,
                    peer: then.peer,
                    by_order: ticket,
                }
            }
        }
    }
}

impl Alike {
    /// What an event stands on that is told by order.
    fn ticket(&mut self, next: &mut u64, is_even: bool) -> Ticket {
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
}

/// Says whether the events told by order until now are right.
fn decide(verdicts: &mut Recent<u64, bool>, alike: &mut Alike, holds: bool) {
    if let Some(ticket) = alike.ticket.take() {
        verdicts.insert(ticket.number, holds);
    }
}

#[cfg(test)]
mod tests;
