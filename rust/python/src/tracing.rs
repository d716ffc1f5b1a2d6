//! When the tracepoints are open, where that is allowed: from the first connection on, or before it where the rules name
//! connections.

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
    /// Reads what they have told into the engine, to be called before it reads the records that came meanwhile. `now`:
    /// milliseconds of the monotonic clock.
    pub fn read(&mut self, engine: &mut Engine, now: u64) {
        let Self::Open(tracepoints) = self else {
            return;
        };
        match tracepoints.read(now, |sample| engine.endpoints().sample(sample)) {
            Traced::All => {}
            Traced::Lost => engine.endpoints().uncertain(realtime_ms()),
            Traced::Stale => self.open(engine),
        }
    }

    /// Opens them once connections come, and for more once any is accepted.
    pub fn want(&mut self, engine: &mut Engine) {
        let is_wanted = match self {
            Self::Unwanted => engine.shares().seen,
            Self::Open(_) => engine.endpoints().wants_accepts(),
            Self::Refused => false,
        };
        if is_wanted {
            self.open(engine);
        }
    }

    /// Opens them.
    pub fn open(&mut self, engine: &mut Engine) {
        let accepts = engine.endpoints().accepts();
        *self = match Tracepoints::open(accepts) {
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
