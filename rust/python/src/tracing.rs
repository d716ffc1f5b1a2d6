//! When the tracepoints are open: from the first connection on, where that is allowed.

use std::os::fd::BorrowedFd;

use tsauditd_core::Engine;

use crate::system::realtime_ms;
use crate::tracepoints::{Traced, Tracepoints};

/// The tracepoints.
pub enum Tracing {
    Unwanted,
    Open(Tracepoints),
    Refused,
}

impl Tracing {
    /// Reads what they have told into the engine, to be called before it reads the records that came meanwhile; opens
    /// them when connections come. `now`: milliseconds of the monotonic clock.
    pub fn read(&mut self, engine: &mut Engine, now: u64) {
        let open = match self {
            Self::Refused => return,
            Self::Unwanted => engine.shares().seen,
            Self::Open(tracepoints) => {
                match tracepoints.read(now, |sample| engine.endpoints().sample(sample)) {
                    Traced::All => false,
                    Traced::Lost => {
                        engine.endpoints().uncertain(realtime_ms());
                        false
                    }
                    Traced::Stale => true,
                }
            }
        };
        if !open {
            return;
        }
        *self = match Tracepoints::open() {
            Ok(tracepoints) => {
                engine.begin_trace();
                Self::Open(tracepoints)
            }
            Err(_) => {
                engine.endpoints().end_trace();
                Self::Refused
            }
        };
    }

    /// Readable when there is so much to be read that it should be.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Open(tracepoints) => Some(tracepoints.as_fd()),
            _ => None,
        }
    }
}
