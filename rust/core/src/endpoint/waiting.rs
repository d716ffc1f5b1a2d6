//! Lines that wait a few milliseconds for the end that their record does not hold.
//!
//! A descriptor may be another socket by the time that it is looked at: closed, and opened again for the next
//! connection to the same place. So what was found there counts only when no later event of that descriptor has come
//! by [`PATIENCE`] after; the kernel hands records over within that time. What was not found may still be told by the
//! kernel's broadcast of destroyed sockets. That counts only when it can be one event's alone: it is looked at when
//! everything that the kernel had to say has been read ([`Waiting::settle`]), so that an event which it could
//! belong to as well would be here.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;

use crate::ecs::OpenLine;
use crate::endpoint::call::{Call, Role};
use crate::endpoint::destroyed::Destroyed;
use crate::endpoint::flow::{End, Flow, Origin};

/// How long a line waits, in milliseconds.
pub const PATIENCE: u64 = 20;
/// Lines that may wait, destroyed sockets not looked at, and ends that are known (twice that).
const MOST_LINES: usize = 4_096;
const MOST_GONE: usize = 4_096;
const MOST_KNOWN: usize = 8_192;
/// Events remembered that are out without their end, and for how long, in milliseconds.
const MOST_MISSED: usize = 512;
const LATE: u64 = 10_000;
/// How long a connection may take to be made after a call that did not wait for it, in milliseconds.
const SLOW: u64 = 1_000;
/// What the clocks of records and of the kernel's timers may be apart: two ticks at HZ=100, in milliseconds.
const TICKS: u64 = 20;

/// An event that waits.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The call.
    pub call: Call,
    /// When it was called, and when its record was read, in milliseconds since the epoch.
    pub called: u64,
    /// See `called`.
    pub read: u64,
    /// The far end by the record.
    pub remote: Option<SocketAddr>,
    /// What is known of the near end beforehand: of an accepted socket the port that is listened on.
    pub near: End,
    /// What the process's socket said, as the flow that it would be.
    pub found: Option<Flow>,
    /// What is written when nobody knows more.
    pub otherwise: Flow,
    /// What was found was told by the order of calls.
    pub by_order: bool,
    /// The listening socket (SO_COOKIE) whose address this goes by: it counts if that socket still listens in the end.
    pub listener: Option<u64>,
    /// A later event of the same kind on the descriptor leaves open whose socket was found.
    pub fragile: bool,
    /// It was found among the destroyed sockets.
    pub matched: bool,
    /// What was found is destroyed by now.
    pub is_gone: bool,
    /// The events that it shares destroyed sockets with.
    pub group: Option<usize>,
    /// No destroyed socket can be told to be its.
    pub ambiguous: bool,
    /// Since when it waits, and until when, by the clock of the engine.
    pub kept: u64,
    /// See `kept`.
    pub until: u64,
}

impl Wait {
    fn goes_by_listener(&self) -> bool {
        self.found.unwrap_or(self.otherwise).origin == Some(Origin::Listener)
    }
}

#[derive(Debug)]
struct Gone {
    socket: Destroyed,
    /// When its end was read, in milliseconds since the epoch.
    at: u64,
    /// Until when its event may still come, by the clock of the engine.
    until: u64,
}

/// All that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    lines: VecDeque<(Wait, OpenLine)>,
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
    /// An event on a descriptor: whatever waits with an answer from that descriptor may have found this one's socket.
    pub fn supersede(&mut self, call: &Call, remote: Option<SocketAddr>) {
        for (wait, _) in &mut self.lines {
            // What a listening socket or the order of calls says does not come from this descriptor.
            let by_look = (wait.found).is_some_and(|flow| flow.origin != Some(Origin::Listener));
            if (wait.call.pid, wait.call.fd) != (call.pid, call.fd) || !by_look || wait.by_order {
                continue;
            }
            let reopened = match call.role {
                Role::Connect => {
                    wait.remote.is_none() || wait.remote == remote || !wait.call.role.opens()
                }
                Role::Accept | Role::Bind => true,
                _ => wait.fragile,
            };
            if reopened {
                wait.found = None;
            }
        }
    }

    /// The next line is over later.
    pub fn put_off(&mut self, until: u64) {
        if let Some((wait, _)) = self.lines.front_mut() {
            wait.until = until;
        }
    }

    /// The order of calls tells nothing.
    pub fn doubt_order(&mut self) {
        for (wait, _) in &mut self.lines {
            if wait.by_order {
                wait.found = None;
                wait.ambiguous = true;
            }
        }
    }

    /// Since when the next line that is over waits, if the order of calls told its end: an event that the kernel has
    /// lost would leave a call too many.
    #[must_use]
    pub fn kept_by_order(&self, now: u64) -> Option<u64> {
        let (wait, _) = self.lines.front()?;
        let told = wait.until <= now && wait.by_order && wait.found.is_some();
        told.then_some(wait.kept)
    }

    /// Keeps a line. Returns the oldest when there are too many.
    pub fn keep(&mut self, wait: Wait, line: OpenLine) -> Option<(Flow, OpenLine)> {
        self.lines.push_back((wait, line));
        (self.lines.len() > MOST_LINES)
            .then(|| self.lines.pop_front())?
            .map(|(wait, line)| (wait.otherwise, line))
    }

    /// A socket is gone; `time` in milliseconds since the epoch.
    pub fn destroyed(&mut self, socket: Destroyed, time: u64, now: u64) {
        let ends = (End::from(socket.local), End::from(socket.peer));
        let found = |wait: &Wait| {
            wait.found.is_some_and(|flow| {
                let seen = if wait.call.role.is_inward() {
                    (flow.destination, flow.source)
                } else {
                    (flow.source, flow.destination)
                };
                seen == ends
            })
        };
        if let Some((wait, _)) = self.lines.iter_mut().find(|(wait, _)| found(wait)) {
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
            .any(|(wait, _)| wait.found.is_none() && self.groups.is_open(wait))
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
    pub fn wants_settling(&self) -> bool {
        !self.gone.is_empty() && self.wants_destroyed()
    }

    /// Gives each destroyed socket to the event that it must be of, and forgets it. The records of everything that had
    /// happened by now have been read, so what fits nobody who was read belongs to nobody who will be.
    ///
    /// What fits several makes them a group, whose ends stay unknown; once as many sockets as events were of the group,
    /// the next socket is another's.
    pub fn settle(&mut self) {
        for gone in std::mem::take(&mut self.gone) {
            let Self {
                lines,
                missed,
                groups,
                ..
            } = self;
            let waiting = lines.iter_mut().map(|(wait, _)| wait);
            let mut fitting: Vec<&mut Wait> = (missed.iter_mut().chain(waiting))
                .filter(|wait| wait.found.is_none() && groups.is_open(wait) && admits(wait, &gone))
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
        let (mut wait, line) = self.lines.pop_front()?;
        if wait.goes_by_listener()
            && let Some(cookie) = wait.listener
            && !listens(&wait, cookie)
        {
            wait.found = None;
            let far = wait.remote.into();
            wait.otherwise = flow(wait.call.role, End::default(), far, 0, Origin::Unknown);
        }
        if self.lines.is_empty() && self.missed.is_empty() {
            self.groups = Groups::default();
        }
        if wait.found.is_none() && wait.call.role == Role::Connect {
            if self.missed.len() >= MOST_MISSED {
                self.missed.pop_front();
            }
            self.missed.push_back(Wait {
                until: now.saturating_add(LATE),
                ..wait
            });
        }
        let flow = wait.found.unwrap_or(wait.otherwise);
        if wait.call.role == Role::Connect && wait.found.is_some() && !wait.is_gone {
            let [newer, older] = &mut self.known;
            if newer.len() >= MOST_KNOWN {
                std::mem::swap(newer, older);
                newer.clear();
            }
            newer.insert((flow.source, flow.destination));
        }
        Some((flow, line, wait.call))
    }

    /// When the next line has waited long enough.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.lines.front().map(|(wait, _)| wait.until)
    }
}

/// Events that share destroyed sockets: for each group the one that it became part of, how many events it has, and how
/// many sockets.
#[derive(Debug, Default)]
struct Groups(Vec<(Option<usize>, usize, usize)>);

impl Groups {
    fn create(&mut self) -> usize {
        self.0.push((None, 0, 0));
        self.0.len() - 1
    }

    /// The group that a group is part of now.
    fn of(&self, mut group: usize) -> usize {
        while let Some((Some(larger), _, _)) = self.0.get(group) {
            group = *larger;
        }
        group
    }

    /// Puts an event, with those it shares a group with, into a group.
    fn join(&mut self, member: &mut Option<usize>, group: usize) {
        let (mut events, mut sockets) = (1, 0);
        if let Some(known) = member.map(|known| self.of(known)) {
            if known == group {
                return;
            }
            if let Some(old) = self.0.get_mut(known) {
                (events, sockets) = (old.1, old.2);
                old.0 = Some(group);
            }
        }
        if let Some(new) = self.0.get_mut(group) {
            new.1 += events;
            new.2 += sockets;
        }
        *member = Some(group);
    }

    fn count(&mut self, group: usize) {
        if let Some(group) = self.0.get_mut(group) {
            group.2 += 1;
        }
    }

    /// Whether a destroyed socket may still be the event's.
    fn is_open(&self, wait: &Wait) -> bool {
        let group = wait.group.and_then(|group| self.0.get(self.of(group)));
        !wait.ambiguous && group.is_none_or(|(_, events, sockets)| sockets < events)
    }
}

/// Whether a destroyed socket may have been the event's, by what the record says.
fn admits(wait: &Wait, gone: &Gone) -> bool {
    let Some(remote) = wait.remote else {
        return false;
    };
    if gone.socket.peer.port() != remote.port()
        || !(End::from(remote).admits(gone.socket.peer) && wait.near.admits(gone.socket.local))
    {
        return false;
    }
    match wait.call.role {
        // The other end's address and port are all but the whole connection.
        Role::Accept => true,
        // Nothing was sent since before the call: an older connection. Nothing was ever sent: its age is known.
        Role::Connect => gone.socket.idle.is_some_and(|idle| {
            let sent = gone.at.saturating_sub(idle);
            let made = wait.read + if wait.call.result == 0 { TICKS } else { SLOW };
            let young = gone.socket.used || sent <= made;
            gone.at >= wait.called && sent + TICKS >= wait.called && young
        }),
        _ => false,
    }
}

fn joined(wait: &Wait, socket: &Destroyed) -> Flow {
    flow(
        wait.call.role,
        socket.local.into(),
        socket.peer.into(),
        socket.protocol,
        Origin::Destroyed,
    )
}

/// The connection that a call is about, seen from its process.
#[must_use]
pub fn flow(role: Role, near: End, far: End, protocol: u8, origin: Origin) -> Flow {
    let (source, destination) = if role.is_inward() {
        (far, near)
    } else {
        (near, far)
    };
    Flow {
        source,
        destination,
        direction: role.direction(),
        protocol,
        origin: Some(origin),
    }
}
