//! The listener's counters: written by its thread alone, read by anyone at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// What is counted.
        #[derive(Clone, Copy)]
        pub enum Count { $($variant),* }

        /// The name of each, in the order of `Count`.
        const NAMES: &[&str] = &[$($name),*];

        const COUNTS: usize = [$($name),*].len();
    };
}

counts! {
    Packets = "packets",
    Records = "records",
    Events = "events",
    Overruns = "overruns",
    Rejected = "rejected",
    Truncated = "truncated",
    Control = "control",
    Unreadable = "unreadable",
    Incomplete = "incomplete",
    Late = "late",
    Gaps = "gaps",
    Stalls = "stalls",
    Wakeups = "wakeups",
    Pauses = "pauses",
    Receives = "receives",
    BytesIn = "bytes_in",
    BytesOut = "bytes_out",
    RawCut = "raw_cut",
    EndsEvent = "ends_event",
    EndsListener = "ends_listener",
    EndsTrace = "ends_trace",
    EndsPidfd = "ends_pidfd",
    EndsDestroyed = "ends_destroyed",
    EndsUnknown = "ends_unknown",
    Accepts = "accepts",
    AcceptsKnown = "accepts_known",
    Connects = "connects",
    ConnectsKnown = "connects_known",
    Looks = "looks",
    LooksOff = "looks_off",
    TraceOff = "trace_off",
    Doubts = "doubts",
    Ended = "ended",
    CpuNs = "cpu_ns",
}

/// One cell for each `Count`.
pub struct Counters([AtomicU64; COUNTS]);

impl Default for Counters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Counters {
    /// Adds to a count. Only the listener's thread writes, so a load and a store do; no locked instruction is needed.
    pub fn add(&self, count: Count, more: u64) {
        let cell = &self.0[count as usize];
        cell.store(cell.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Sets a count that is kept elsewhere.
    pub fn set(&self, count: Count, value: u64) {
        self.0[count as usize].store(value, Relaxed);
    }

    /// All of them with their names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES
            .iter()
            .zip(&self.0)
            .map(|(name, cell)| (*name, cell.load(Relaxed)))
    }
}
