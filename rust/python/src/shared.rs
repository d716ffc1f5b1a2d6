//! What the reading thread shares with those who started it.

use std::io;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};

use tsauditd_core::talkers::Talkers;
use tsauditd_core::{RawFormat, Unreadable};

use crate::counters::{Count, Counters};
use crate::outbox::Outbox;
use crate::system::{self, Bell};

/// The settings that can change while it runs.
pub struct Change {
    pub original: bool,
    pub max_argument_bytes: usize,
    pub raw: RawFormat,
    pub timelines: bool,
}

/// What the kernel's rules, as they were read, say of PROCTITLE.
pub struct RulesRead {
    /// By them every call has it.
    pub titles: bool,
    /// The listener's count of doubts before they were read.
    pub doubts: u64,
}

/// What the reading thread shares with those who started it.
pub struct Shared {
    pub outbox: Outbox,
    /// The records as auditd writes them, where they are wanted.
    pub raw: Outbox,
    /// Who causes how many events.
    pub talkers: Arc<Mutex<Talkers>>,
    /// Records of the daemon's own, as packets, that are to go among the kernel's.
    own: Mutex<Vec<Vec<u8>>>,
    /// Other settings to go on by.
    change: Mutex<Option<Change>>,
    /// Other rules of the kernel's.
    rules: Mutex<Option<RulesRead>>,
    /// There are records of its own, other settings, or other rules.
    pub called: AtomicBool,
    /// The very last packet.
    farewell: Mutex<Vec<u8>>,
    /// What could not be read and was not yet asked for.
    pub unreadable: Mutex<Vec<Unreadable>>,
    pub counters: Counters,
    /// Rung to stop the thread, or when the outbox has room again.
    pub wake: Bell,
    pub stop: AtomicBool,
    /// The thread's CPU clock while it runs; 0 before and after.
    clock: AtomicI32,
    /// Time as the kernel's steady clock had it when the thread last looked, in milliseconds.
    pub now_ms: Arc<AtomicU64>,
}

impl Shared {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            outbox: Outbox::new()?,
            raw: Outbox::new()?,
            talkers: Arc::default(),
            own: Mutex::default(),
            change: Mutex::default(),
            rules: Mutex::default(),
            called: AtomicBool::new(false),
            farewell: Mutex::default(),
            unreadable: Mutex::default(),
            counters: Counters::default(),
            wake: Bell::new()?,
            stop: AtomicBool::new(false),
            clock: AtomicI32::new(0),
            now_ms: Arc::default(),
        })
    }

    /// Says that the thread runs, which calls it, until what is returned is let go.
    pub fn begin(self: &Arc<Self>) -> impl Drop + use<> {
        self.now_ms.store(system::monotonic_ms(), Relaxed);
        self.clock
            .store(system::thread_cpu_clock().unwrap_or(0), Release);
        Running(Arc::clone(self))
    }

    /// Puts a record of the daemon's own among the kernel's.
    pub fn add_own(&self, packet: Vec<u8>) {
        self.own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(packet);
        self.called.store(true, Release);
        self.wake.ring();
    }

    /// Has the engine go on by other settings.
    pub fn change(&self, change: Change) {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
        self.called.store(true, Release);
        self.wake.ring();
    }

    pub fn take_change(&self) -> Option<Change> {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        change.take()
    }

    /// Has the engine know what the kernel's rules say.
    pub fn set_rules(&self, rules: RulesRead) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = Some(rules);
        self.called.store(true, Release);
        self.wake.ring();
    }

    pub fn take_rules(&self) -> Option<RulesRead> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.take()
    }

    /// Puts a record of the daemon's own after everything else.
    pub fn set_farewell(&self, packet: Vec<u8>) {
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = packet;
    }

    pub fn take_farewell(&self) -> Vec<u8> {
        std::mem::take(&mut *self.farewell.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn take_own(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every counter with its name, the CPU time up to this moment.
    pub fn count(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let clock = self.clock.load(Acquire);
        let running = (clock != 0).then(|| system::cpu_ns(clock)).flatten();
        self.counters
            .all()
            .map(move |(name, value)| match (name, running) {
                ("cpu_ns", Some(now)) => (name, now),
                _ => (name, value),
            })
    }
}

/// Leaves the shared state true whichever way the thread ends.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        let shared = &self.0;
        let spent = system::cpu_ns(shared.clock.load(Relaxed)).unwrap_or(0);
        shared.counters.set(Count::CpuNs, spent);
        shared.counters.set(Count::Ended, 1);
        shared.clock.store(0, Release);
    }
}
