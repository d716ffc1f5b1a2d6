//! The process table: who acts, which program it runs, who started it, and how it came to be on the host.
//!
//! Kept from the events themselves; what they do not tell is asked of the system when a process is first seen, when it
//! runs another program, and once a minute, so that no number is taken for the process that had it before.
//! [`origin`] knows the doors by which a process comes in, [`lineage`] what it has from its parent.

pub mod entity;
mod entry;
mod joining;
mod learn;
pub mod lineage;
mod numbers;
pub mod origin;
pub mod program;
pub mod seen;
mod settle;
mod slots;

use std::sync::Arc;

use crate::container::Known;
use crate::json::Clock;
use crate::process::entity::Entities;
pub use crate::process::entry::{Cage, Entry, Session};
use crate::process::joining::Joining;
use crate::process::lineage::{Births, Lineage, Logins};
use crate::process::numbers::Numbers;
use crate::process::origin::{Door, kept_by};
use crate::process::program::Held;
use crate::process::seen::{Credentials, Seen, Turn};
use crate::process::slots::Slots;
use crate::system::{Stat, System};

/// Processes remembered, and the bytes that their programs (those of parents and leaders that are gone included) may
/// hold together.
const MOST_PROCESSES: usize = 16_384;
const MOST_BYTES: usize = 48 << 20;
/// A process that goes on is looked at again after so many seconds: its number may have passed to another.
const LOOK_AGAIN: u64 = 60;
/// A process that seems to have started so much after its event has its number only since, in milliseconds. Less is
/// a clock that was set.
const CLOCK_ERROR: u64 = 1_000;
/// How far up the line of parents is looked.
const MOST_ANCESTORS: usize = 32;

/// A state of a process, to be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    slot: usize,
    version: u64,
}

/// The processes of all hosts that events come from.
#[derive(Debug)]
pub struct Table {
    slots: Slots,
    births: Births,
    containers: Known,
    logins: Logins,
    joining: Joining,
    entities: Entities,
    clock: Clock,
    held: Held,
    versions: u64,
    numbers: Numbers,
    /// The time of the event at hand, in seconds since the epoch.
    now: u64,
    /// Programs are among what is audited: a program that was not seen to change did not.
    sees_programs: bool,
}

impl Table {
    /// An empty table. `host`, `boot`: this machine's ids, for its processes' names.
    #[must_use]
    pub fn new(host: &[u8], boot: &[u8]) -> Self {
        Self {
            slots: Slots::default(),
            births: Births::default(),
            containers: Known::default(),
            logins: Logins::default(),
            joining: Joining::default(),
            entities: Entities::new(host, boot),
            clock: Clock::default(),
            held: Held::default(),
            versions: 0,
            numbers: Numbers::default(),
            now: 0,
            sees_programs: false,
        }
    }

    /// Learns what runs now, parents before their children.
    pub fn seed(&mut self, system: &mut dyn System) {
        let mut pids = system.processes();
        pids.truncate(MOST_PROCESSES / 2);
        for pid in pids {
            self.meet((0, pid), 0, system);
        }
    }

    /// How many processes are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// The bytes of what they run.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Whether a state still holds, for an event of the host `node` at `seconds`.
    #[must_use]
    pub fn holds(&self, seat: Seat, node: u64, seconds: u64, system: &dyn System) -> bool {
        self.slots.get(seat.slot).is_some_and(|entry| {
            entry.version == seat.version
                && entry.key.0 == node
                && (!self.is_old(entry, seconds) || !system.sees_processes())
        })
    }

    /// Takes it that the newest process of this machine has the number `pid`, or had it when this was read; what came
    /// in before that is told from now on.
    pub fn number_given(&mut self, pid: u32) {
        self.numbers.given(pid);
    }

    /// Whether a process must be looked at: its number may have passed to another since that was last done.
    fn is_old(&self, entry: &Entry, seconds: u64) -> bool {
        seconds > entry.checked + LOOK_AGAIN
            || entry.key.0 == 0 && self.numbers.passed(entry.key.1, entry.place)
    }

    /// The process in a seat.
    #[must_use]
    pub fn get(&self, seat: Seat) -> Option<&Entry> {
        self.slots.get(seat.slot)
    }

    /// Takes it that the process acted once more, with `credentials`. Returns those that it acted with before.
    pub fn act(&mut self, seat: Seat, credentials: Option<Credentials>) -> Option<Credentials> {
        let entry = self.slots.get_mut(seat.slot)?;
        entry.used = true;
        match credentials {
            Some(now) => entry.credentials.replace(now),
            None => entry.credentials,
        }
    }

    /// What follows from an event for others than the one that acted, after it was written: a child, an end.
    pub fn turn(&mut self, seat: Seat, turn: Turn, time: u64) {
        let Some(entry) = self.slots.get_mut(seat.slot) else {
            return;
        };
        match turn {
            Turn::Exit => {
                entry.ended = Some(time);
                entry.place = self.numbers.place();
            }
            // In a container the number would be the container's own.
            Turn::Fork(pid) if entry.container.is_none() => {
                let key = (entry.key.0, pid);
                let lineage = Lineage {
                    time: Some(time),
                    ..Lineage::of(entry)
                };
                self.births.add(key, lineage);
            }
            _ => {}
        }
    }

    /// A host has started: who ran before does not any more.
    pub fn restart(&mut self, node: u64) {
        self.slots.forget_host(node);
    }

    /// Takes in what an event shows of the process that acted.
    pub fn observe(&mut self, seen: &Seen<'_>, system: &mut dyn System) -> Option<Seat> {
        let key = (seen.node.1, seen.pid);
        self.now = seen.when.0 / 1000;
        self.sees_programs |= seen.turn == Turn::Exec;
        self.keep_bounds();
        let slot = match self.slots.find(key) {
            Some(slot) => self.again(slot, seen, system),
            None => {
                let stat = stat(seen, system);
                self.first(key, seen, stat, system)
            }
        };
        let version = self.next_version();
        let entry = self.slots.get_mut(slot)?;
        // It is sshd also by what is known of it.
        let is_sshd = kept_by(entry.program.executable()) == Some(Door::Sshd);
        if let Some(peer) = seen.peer.filter(|_| is_sshd) {
            entry.peer = Some(peer);
            if let Some(login) = seen.login {
                self.logins.entry((key.0, login)).source = Some(peer);
            }
        }
        entry.terminal = seen.terminal.or(entry.terminal);
        entry.login = seen.login.or(entry.login);
        if entry.version == 0 {
            entry.version = version;
        }
        Some(Seat {
            slot,
            version: entry.version,
        })
    }

    /// Makes room, so that nothing moves while an event is taken in.
    fn keep_bounds(&mut self) {
        if self.held.bytes() > MOST_BYTES {
            self.births = Births::default();
            self.logins = Logins::default();
        }
        while self.slots.len() > 0
            && (self.slots.len() >= MOST_PROCESSES || self.held.bytes() > MOST_BYTES)
        {
            self.slots.forget_one();
        }
    }

    fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    /// A process whose number is known acts.
    fn again(&mut self, slot: usize, seen: &Seen<'_>, system: &mut dyn System) -> usize {
        let Some(entry) = self.slots.get(slot) else {
            return slot;
        };
        let (seconds, place) = (self.now, self.numbers.place());
        let exec = seen.turn == Turn::Exec;
        let moved = seen.parent.is_some_and(|parent| parent != entry.parent_pid);
        let other = seen.by_kernel
            && !seen.executable.is_empty()
            && seen.executable != entry.program.executable();
        let ended = entry.ended.is_some_and(|end| seen.when.0 > end);
        let old = system.sees_processes() && self.is_old(entry, seconds);
        let session = seen.turn == Turn::Session;
        if exec || moved || other || ended || old || session {
            let stat = stat(seen, system);
            let Some(entry) = self.slots.get(slot) else {
                return slot;
            };
            let passed = entry.key.0 == 0 && self.numbers.passed(entry.key.1, entry.place);
            let is_new = match (stat, entry.ticks) {
                (Some(stat), Some(ticks)) => stat.ticks != ticks,
                (Some(_), None) => true, // it was gone before
                (None, _) => {
                    let born = self.births.when(entry.key, seen.parent);
                    let after = ended && born >= entry.ended;
                    born.is_some() && (exec || moved || after)
                        || ended && (exec || moved || other || passed)
                        || moved && !self.is_orphan(slot, seen)
                }
            };
            if is_new {
                let key = entry.key;
                return self.first(key, seen, stat, system);
            }
            if let Some(entry) = self.slots.get_mut(slot) {
                entry.checked = seconds;
                entry.place = place;
            }
            if moved {
                self.adopt(slot, seen, system);
            }
            if exec || other {
                self.change_program(slot, seen, stat, system);
            }
            if exec || other || session {
                let leader = if session {
                    Some(seen.pid)
                } else {
                    stat.map(|stat| stat.session)
                };
                self.settle(slot, leader, 0, system);
            }
        }
        self.learn_source(slot);
        slot
    }

    /// Whether a process whose parent is another one now was left by it and taken up by an ancestor.
    fn is_orphan(&self, slot: usize, seen: &Seen<'_>) -> bool {
        let Some(wanted) = seen.parent.filter(|parent| *parent != 1) else {
            return true;
        };
        let mut at = self.slots.get(slot);
        for _ in 0..MOST_ANCESTORS {
            let Some(entry) = at else { return true };
            if entry.parent_pid == wanted {
                return true;
            }
            if entry.parent_pid <= 1 {
                return false;
            }
            at = self
                .slots
                .find((entry.key.0, entry.parent_pid))
                .and_then(|parent| self.slots.get(parent));
        }
        true
    }

    /// The process has another parent now.
    fn adopt(&mut self, slot: usize, seen: &Seen<'_>, system: &mut dyn System) {
        let parent = seen.parent.unwrap_or_default();
        let program = self
            .meet((seen.node.1, parent), 0, system)
            .and_then(|slot| self.slots.get(slot))
            .map(|entry| Arc::clone(&entry.program));
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.parent_pid = parent;
            entry.parent = program;
            entry.version = 0;
        }
    }
}

/// What /proc says of the process that acted, unless its number has passed to another since.
fn stat(seen: &Seen<'_>, system: &mut dyn System) -> Option<Stat> {
    if seen.node.1 != 0 || !system.sees_processes() {
        return None;
    }
    let stat = system.stat(seen.pid)?;
    (stat.start <= seen.when.0 + CLOCK_ERROR).then_some(stat)
}
