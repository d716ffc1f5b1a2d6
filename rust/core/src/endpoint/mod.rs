//! Both ends of every connection: the record holds one, the other is asked for where it can be known for certain.
//!
//! In this order, each named in `tsauditd.endpoint`: what earlier events of the same socket have shown; for accepted
//! sockets the kept address of the listening one; the kernel's tracepoints; the process's socket itself, at once when
//! the SYSCALL record is there; the kernel's broadcast of destroyed sockets. See [`kept`], [`trace`] and [`waiting`] for
//! what makes an answer certain.

mod address;
pub mod call;
pub mod destroyed;
mod early;
pub mod flow;
mod groups;
pub mod kept;
mod late;
pub mod looking;
mod open;
mod recent;
pub mod sample;
pub mod trace;
pub mod wait;
pub mod waiting;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::assemble::Event;
use crate::endpoint::address::{Address, address};
use crate::endpoint::call::{Call, Calls, Role, is_attempt};
use crate::endpoint::flow::{End, Flow, Origin};
use crate::endpoint::kept::Kept;
use crate::endpoint::trace::{Far, Trace};
use crate::endpoint::wait::{Wait, flow};
use crate::endpoint::waiting::Waiting;
use crate::event::View;
use crate::record::Stamp;
use crate::system::{Socket, System};

/// What an event's ends are.
#[derive(Debug)]
pub enum Answer {
    /// It has none: not about an internet socket.
    Nothing,
    /// These.
    Flow(Flow),
    /// It is known in a moment.
    Wait(Box<Wait>),
}

/// What an event's records say of the socket that its call is about; it follows from them alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    role: Role,
    address: Option<SocketAddr>,
    far: Far,
    /// `None`: which descriptor it was is not told.
    call: Option<Call>,
}

impl Question {
    /// The same about another address.
    #[must_use]
    pub fn about(self, address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            address: Some(address),
            far: Far::Inet(address.into()),
            ..self
        }
    }
}

/// How often which source knew the other end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shares {
    /// By the order of [`Origin::ALL`].
    pub origins: [u64; 6],
    /// Connections accepted, and those of them with both ends whole.
    pub accepts: [u64; 2],
    /// Connections made or begun, and those with both ends whole.
    pub connects: [u64; 2],
    /// There were connections at all.
    pub seen: bool,
    /// Sockets looked at.
    pub looks: u64,
    /// Sockets cannot be looked at (any more).
    pub blind: bool,
}

impl Shares {
    /// How often a source knew the other end.
    #[must_use]
    pub fn of(&self, origin: Origin) -> u64 {
        self.origins
            .get(origin as usize)
            .copied()
            .unwrap_or_default()
    }
}

/// Who asks for ends, and what is remembered for it.
#[derive(Debug, Default)]
pub struct Endpoints {
    calls: Calls,
    /// Sockets that were looked at before the rest of their event was there.
    early: VecDeque<(Stamp, Option<Socket>)>,
    kept: Kept,
    /// What the tracepoints tell, while they do.
    trace: Option<Trace>,
    /// Connections are accepted, or will be; and the tracepoints tell of those.
    accepting: bool,
    tells_accepts: bool,
    /// Events that the kernel had lost when it was last asked, and when that was.
    lost: (Option<u64>, u64),
    /// Until when its answer is not waited for, as it had none to the last question.
    impatient: u64,
    waiting: Waiting,
    shares: Shares,
    now: u64,
}

impl Endpoints {
    /// What an event asks, if its call is about a socket's ends.
    pub fn question(&mut self, view: &View<'_>) -> Option<Question> {
        let role = view.operation().and_then(|call| Role::of(call.name()))?;
        let (address, far) = match address(view) {
            Address::Inet(address) => (Some(address), Far::Inet(address.into())),
            Address::Missing => (None, Far::Missing),
            Address::Other => (None, Far::Other),
        };
        // An io_uring request or a socketcall does not tell which descriptor it was.
        let call = view
            .syscall()
            .and_then(|part| self.calls.read(view.event.at(view.part(part).body)))
            .filter(|call| call.role == role);
        Some(Question {
            role,
            address,
            far,
            call,
        })
    }

    /// The ends of an event's connection; nothing where it asks for none.
    pub fn answer_to(
        &mut self,
        question: Option<&Question>,
        event: &Event,
        system: &mut dyn System,
    ) -> Answer {
        question.map_or(Answer::Nothing, |question| {
            self.answer(question, event, system)
        })
    }

    fn answer(&mut self, question: &Question, event: &Event, system: &mut dyn System) -> Answer {
        let &Question {
            role, address, far, ..
        } = question;
        if far == Far::Other && !(role == Role::Connect && self.trace.is_some()) {
            return Answer::Nothing;
        }
        let plain = || match far {
            Far::Other => Answer::Nothing,
            _ => plain(role, address),
        };
        // Who cannot look at sockets did not look at the SYSCALL record either.
        self.shares.seen |= role.opens();
        self.accepting |= role == Role::Accept;
        let Some(call) = question.call else {
            return plain();
        };
        if call.result < 0 && !(role == Role::Connect && is_attempt(call.result)) {
            return plain();
        }
        let claim = self.claim(event, &call, far);
        if far == Far::Other {
            return Answer::Nothing;
        }
        if role == Role::Bind {
            self.kept.renewed((call.pid, call.fd));
        }
        self.waiting.supersede(&call, address);
        let answer = self.open(event.stamp, &call, address, claim, system);
        if let Answer::Flow(flow) = &answer {
            self.count(&call, flow);
        }
        answer
    }

    /// What was counted.
    #[must_use]
    pub fn shares(&self) -> Shares {
        self.shares
    }

    fn count(&mut self, call: &Call, flow: &Flow) {
        if let Some(origin) = flow.origin
            && let Some(count) = self.shares.origins.get_mut(origin as usize)
        {
            *count += 1;
        }
        let whole = flow.source.whole().is_some() && flow.destination.whole().is_some();
        let [all, known] = match call.role {
            Role::Accept => &mut self.shares.accepts,
            Role::Connect => &mut self.shares.connects,
            _ => return,
        };
        *all += 1;
        *known += u64::from(whole);
    }
}

/// What the record alone says, where nothing more is asked for.
fn plain(role: Role, address: Option<SocketAddr>) -> Answer {
    let Some(address) = address else {
        return Answer::Nothing;
    };
    let (near, far) = if role.names_near_end() {
        (address.into(), End::default())
    } else {
        (End::default(), address.into())
    };
    Answer::Flow(Flow {
        origin: None,
        ..flow(role, near, far, 0, Origin::Unknown)
    })
}

#[cfg(test)]
mod tests;
