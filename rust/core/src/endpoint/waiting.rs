//! Lines that wait a few milliseconds for the end that their record does not hold.
//!
//! A descriptor may be another socket by the time that it is looked at: closed, and opened again for the next
//! connection to the same place. So what was found there counts only when everything that had happened by then has been
//! read ([`Waiting::settle`]) and no later event of that descriptor was there. What was not found may still be told by
//! the kernel's broadcast of destroyed sockets, when it can be one event's alone: an event which it could belong to as
//! well would be here by then.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;

use crate::ecs::OpenLine;
use crate::endpoint::call::{Call, Role};
use crate::endpoint::destroyed::Destroyed;
use crate::endpoint::flow::{End, Flow, Origin};
use crate::endpoint::groups::Groups;
use crate::endpoint::trace::Ticket;
use crate::endpoint::wait::{Gone, Wait, admits, joined, may_match};

/// How long a line waits, in milliseconds.
pub const PATIENCE: u64 = 20;
/// Lines that may wait, and their bytes; destroyed sockets not looked at, and ends that are known (twice that).
const MOST_LINES: usize = 4_096;
const MOST_BYTES: usize = 16 << 20;
const MOST_GONE: usize = 4_096;
const MOST_KNOWN: usize = 8_192;
/// Events remembered that are out without their end, and for how long, in milliseconds.
const MOST_MISSED: usize = 512;
const LATE: u64 = 10_000;

/// All that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    lines: VecDeque<(Wait, OpenLine)>,
    bytes: usize,
    /// Lines that ever waited; those of them when it was last found out that no record was on its way; and those of
    /// which is known that whatever had happened when they came was read.
    number: u64,
    marked: u64,
    settled: u64,
    /// The last of them whose answer may come from its descriptor.
    looked: u64,
    /// Events that are out without their end: a destroyed socket that comes late may still be theirs.
    missed: VecDeque<Wait>,
    /// Destroyed sockets that were not looked at yet.
    gone: VecDeque<Gone>,
    /// Connections whose event is out, until they are gone: the newer and the older ones. Their end is not another
    /// event's.
    known: [HashSet<(End, End)>; 2],
    groups: Groups,
}

impl Waiting {
    /// An event on a descriptor: whatever waits with an answer from that descriptor may have found this one's socket. A
    /// name that was asked for and is the one found is no other socket's.
    pub fn supersede(&mut self, call: &Call, remote: Option<SocketAddr>) {
        let looked = self.looked;
        for (wait, _) in (self.lines.iter_mut()).take_while(|(wait, _)| wait.number <= looked) {
            // What a listening socket or the order of calls says does not come from this descriptor.
            let by_look = (wait.found).is_some_and(|flow| flow.origin != Some(Origin::Listener));
            if (wait.call.pid, wait.call.fd) != (call.pid, call.fd)
                || !by_look
                || wait.by_order.is_some()
            {
                continue;
            }
            let reopened = match (call.role, wait.ends(), remote) {
                (Role::Connect, ..) => {
                    wait.remote.is_none() || wait.remote == remote || !wait.call.role.opens()
                }
                (Role::Accept | Role::Bind, ..) => true,
                (Role::Name, Some((near, _)), Some(name)) if near == name.into() => false,
                (Role::Peer, Some((_, far)), Some(name)) if far == name.into() => false,
                _ => wait.fragile,
            };
            if reopened {
                wait.found = None;
            }
        }
    }

    /// Decides what the order of calls told: `holds` says whether a ticket does, `None` leaves it open.
    pub fn decide_order(&mut self, holds: impl Fn(Ticket) -> Option<bool>) {
        self.looked = self.number;
        for (wait, _) in &mut self.lines {
            if let Some(ticket) = wait.by_order
                && let Some(holds) = holds(ticket)
            {
                wait.decide(holds);
            }
        }
    }

    /// Whether the order of calls told the end of the next line, or a listening socket did: records that are still to
    /// come change neither.
    #[must_use]
    pub fn is_told(&self) -> bool {
        let told = |flow: Flow| flow.origin == Some(Origin::Listener);
        (self.lines.front())
            .is_some_and(|(wait, _)| wait.by_order.is_some() || wait.found.is_some_and(told))
    }

    /// The next line, if it is over but for whether its end is right: by the order of calls, or by a look.
    pub fn open(&mut self, now: u64) -> Option<(&mut Wait, Option<Ticket>)> {
        let settled = self.settled;
        let (wait, _) = self.lines.front_mut()?;
        let ticket = wait.by_order;
        let is_looked = wait.until <= now && wait.is_looked() && wait.number > settled;
        (ticket.is_some() || is_looked).then_some((wait, ticket))
    }

    /// Keeps a line. See [`Self::is_crowded`].
    pub fn keep(&mut self, mut wait: Wait, line: OpenLine) {
        self.bytes += line.bytes();
        self.number += 1;
        wait.number = self.number;
        if wait.found.is_some() && wait.by_order.is_none() {
            self.looked = self.number;
        }
        self.lines.push_back((wait, line));
    }

    /// A socket is gone; `time` in milliseconds since the epoch.
    pub fn destroyed(&mut self, socket: Destroyed, time: u64, now: u64) {
        let ends = (End::from(socket.local), End::from(socket.peer));
        let mut lines = self.lines.iter_mut();
        if let Some((wait, _)) = lines.find(|(wait, _)| wait.ends() == Some(ends)) {
            wait.is_gone = true;
            return;
        }
        if self.known.iter_mut().any(|known| known.remove(&ends)) {
            return;
        }
        if self.gone.len() >= MOST_GONE {
            self.blur();
        }
        self.gone.push_back(Gone {
            socket,
            at: time,
            until: now + PATIENCE,
        });
    }

    /// Destroyed sockets were missed: which of those seen belongs to whom is open.
    pub fn blur(&mut self) {
        self.gone.clear();
        for (wait, _) in &mut self.lines {
            wait.ambiguous = true;
        }
    }

    /// Whether events wait for a destroyed socket.
    #[must_use]
    pub fn wants_destroyed(&self) -> bool {
        self.lines
            .iter()
            .any(|(wait, _)| wait.found.is_none() && may_match(wait, &self.groups))
    }

    /// Whether events wait whose end a listening socket has not told: a destroyed socket may come to be wanted.
    #[must_use]
    pub fn wants_broadcasts(&self) -> bool {
        let told = |flow: Flow| flow.origin == Some(Origin::Listener);
        self.lines
            .iter()
            .any(|(wait, _)| !wait.found.is_some_and(told))
    }

    /// Whether a look at what came may answer something.
    #[must_use]
    pub fn wants_settling(&self, now: u64) -> bool {
        let is_open = self.lines.front().is_some_and(|(wait, _)| {
            wait.until <= now && wait.is_looked() && wait.number > self.settled
        });
        is_open || (!self.gone.is_empty() && self.wants_destroyed())
    }

    /// No record of what has happened by now is on its way, all are where they are received.
    pub fn mark(&mut self) {
        self.marked = self.number;
    }

    /// All that was there has been received since [`Self::mark`]: whatever had happened then has been read. A look at a
    /// socket before that counts if no event of its descriptor has come.
    ///
    /// Gives each destroyed socket to the event that it must be of, and forgets it: what fits nobody who was read belongs
    /// to nobody who will be.
    ///
    /// What fits several makes them a group, whose ends stay unknown; once as many sockets as events were of the group,
    /// the next socket is another's.
    pub fn settle(&mut self) {
        self.settled = self.marked;
        self.looked = self.number;
        for gone in std::mem::take(&mut self.gone) {
            let Self {
                lines,
                missed,
                groups,
                ..
            } = self;
            let waiting = lines.iter_mut().map(|(wait, _)| wait);
            let mut fitting: Vec<&mut Wait> = (missed.iter_mut().chain(waiting))
                .filter(|wait| {
                    wait.found.is_none() && may_match(wait, groups) && admits(wait, &gone)
                })
                .collect();
            match fitting.as_mut_slice() {
                [] => {
                    // Two sockets for one event: either may be it.
                    for (wait, _) in lines {
                        if wait.matched && admits(wait, &gone) {
                            wait.found = None;
                            wait.matched = false;
                            wait.ambiguous = true;
                        }
                    }
                }
                [only] if only.group.is_none() => {
                    // Of an event that is out, this is only no longer looked for.
                    only.found = Some(joined(only, &gone.socket));
                    only.matched = true;
                    only.is_gone = true;
                }
                several => {
                    let group = groups.create();
                    for wait in several {
                        groups.join(&mut wait.group, group);
                    }
                    groups.count(group);
                }
            }
        }
    }

    /// The lines that have waited long enough, oldest first. `listens`: whether the listening socket of an accept still
    /// does.
    pub fn over(
        &mut self,
        now: u64,
        listens: impl FnOnce(&Wait, u64) -> bool,
    ) -> Option<(Flow, OpenLine, Call)> {
        while self.gone.front().is_some_and(|gone| gone.until <= now) {
            self.gone.pop_front();
        }
        while (self.missed.front()).is_some_and(|wait| wait.until <= now) {
            self.missed.pop_front();
        }
        if self.lines.front()?.0.until > now {
            return None;
        }
        let (mut wait, line) = self.take_first()?;
        if wait.goes_by_listener()
            && let Some(cookie) = wait.listener
            && !listens(&wait, cookie)
        {
            wait.forget_listener();
        }
        let call = wait.call;
        Some((self.let_go(wait, now), line, call))
    }

    /// Whether too many wait.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES
    }

    /// Waits no longer for the oldest line: what is known of its end but not certain yet does not count.
    pub fn hasten(&mut self) {
        let certain = |flow: &Flow| matches!(flow.origin, Some(Origin::Listener | Origin::Trace));
        if let Some((wait, _)) = self.lines.front_mut() {
            wait.until = 0;
            wait.found = wait.found.filter(certain);
        }
    }

    fn take_first(&mut self) -> Option<(Wait, OpenLine)> {
        let (wait, line) = self.lines.pop_front()?;
        self.bytes = self.bytes.saturating_sub(line.bytes());
        Some((wait, line))
    }

    /// What is told of an event, which is out then.
    fn let_go(&mut self, wait: Wait, now: u64) -> Flow {
        if self.lines.is_empty() && self.missed.is_empty() {
            self.groups = Groups::default();
        }
        let flow = wait.found.unwrap_or(wait.otherwise);
        if wait.call.role != Role::Connect {
            return flow;
        }
        if wait.found.is_none() {
            if self.missed.len() >= MOST_MISSED {
                self.missed.pop_front();
            }
            self.missed.push_back(Wait {
                until: now.saturating_add(LATE),
                ..wait
            });
        } else if !wait.is_gone {
            let [newer, older] = &mut self.known;
            if newer.len() >= MOST_KNOWN {
                std::mem::swap(newer, older);
                newer.clear();
            }
            newer.insert((flow.source, flow.destination));
        }
        flow
    }

    /// When the next line has waited long enough.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.lines.front().map(|(wait, _)| wait.until)
    }
}
