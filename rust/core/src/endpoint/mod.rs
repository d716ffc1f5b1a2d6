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
mod recent;
pub mod sample;
pub mod trace;
pub mod wait;
pub mod waiting;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::endpoint::address::{Address, address};
use crate::endpoint::call::{Call, Calls, Role, is_attempt};
use crate::endpoint::early::Early;
use crate::endpoint::flow::{End, Flow, Origin, TCP};
use crate::endpoint::kept::Kept;
use crate::endpoint::trace::Trace;
use crate::endpoint::wait::{Wait, flow};
use crate::endpoint::waiting::{PATIENCE, Waiting};
use crate::event::View;
use crate::record::Stamp;
use crate::system::{Ask, Socket, System};

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
    early: VecDeque<(Stamp, Early)>,
    kept: Kept,
    /// What the tracepoints tell, while they do.
    trace: Option<Trace>,
    /// Events that the kernel had lost when it was last asked, and when that was.
    lost: (Option<u64>, u64),
    /// Until when its answer is not waited for, as it had none to the last question.
    impatient: u64,
    waiting: Waiting,
    shares: Shares,
    now: u64,
}

impl Endpoints {
    /// The ends of an event's connection.
    pub fn answer(&mut self, view: &View<'_>, system: &mut dyn System) -> Answer {
        let Some(role) = view.operation().and_then(|call| Role::of(call.name())) else {
            return Answer::Nothing;
        };
        let address = match address(view) {
            Address::Inet(address) => Some(address),
            Address::Missing => None,
            Address::Other => return Answer::Nothing,
        };
        self.shares.seen |= role.opens();
        let call = view
            .syscall()
            .and_then(|part| self.calls.read(view.event.at(view.part(part).body)))
            .filter(|call| call.role == role);
        let Some(call) = call else {
            // An io_uring request or a socketcall: which descriptor it was is not told.
            return plain(role, address);
        };
        if call.result < 0 && !(role == Role::Connect && is_attempt(call.result)) {
            return plain(role, address);
        }
        if role == Role::Bind {
            self.kept.renewed((call.pid, call.fd));
        }
        self.waiting.supersede(&call, address);
        let answer = self.open(view.event.stamp, &call, address, system);
        if let Answer::Flow(flow) = &answer {
            self.count(&call, flow);
        }
        answer
    }

    fn open(
        &mut self,
        stamp: Stamp,
        call: &Call,
        address: Option<SocketAddr>,
        system: &mut dyn System,
    ) -> Answer {
        let place = (call.pid, call.fd);
        let role = call.role;
        let (near, far) = if role.names_near_end() {
            (End::from(address), End::default())
        } else {
            (End::default(), End::from(address))
        };
        if role == Role::Bind
            && let Some(address) = address.filter(|address| address.port() != 0)
        {
            self.kept.bind(place, address);
            return plain(role, Some(address));
        }
        if !matches!(
            role,
            Role::Connect | Role::Accept | Role::Bind | Role::Listen
        ) && let Some(known) =
            address.and_then(|address| self.kept.flow_with(place, address, self.now))
        {
            let known = Flow {
                origin: Some(Origin::Event),
                ..known
            };
            // What comes has another source than what goes, on the same socket.
            let other = if known.source == far {
                known.destination
            } else {
                known.source
            };
            return Answer::Flow(match role.direction() {
                Some(_) => flow(role, other, far, known.protocol, Origin::Event),
                None => known,
            });
        }
        let mut otherwise = flow(role, near, far, 0, Origin::Unknown);
        let mut near = near;
        let mut may_be_near = near;
        let since = stamp.time();
        let mut listener = None;
        let mut is_traced = true;
        if role == Role::Accept
            && system.sees_sockets()
            && let Some((socket, held)) = self.listener(call, since, system)
        {
            may_be_near = socket.local.into();
            is_traced = matches!(socket.protocol, TCP | 0); // MPTCP's number has no place there
            if held {
                near = may_be_near;
                listener = Some(socket.cookie);
                otherwise = flow(role, near, far, socket.protocol, Origin::Listener);
            }
        }
        let wait = Wait {
            call: *call,
            called: since,
            read: 0,
            remote: address.filter(|_| !role.names_near_end()),
            near,
            found: None,
            otherwise,
            by_order: None,
            listener,
            fragile: !role.opens(),
            matched: false,
            is_gone: false,
            group: None,
            ambiguous: !role.opens(),
            number: 0,
            kept: self.now,
            until: self.now + PATIENCE,
        };
        let early = match self.early.iter().position(|(early, _)| *early == stamp) {
            Some(at) => self.early.remove(at).map(|(_, early)| early),
            None => None,
        };
        let traced = (is_traced.then(|| self.traced(call, early, may_be_near, far))).flatten();
        let is_listener_s = listener.is_some() && near.whole().is_some() && far.whole().is_some();
        if let Some((traced, None)) = traced {
            // What the listening socket said needs no proof then.
            let flow = if is_listener_s { otherwise } else { traced };
            self.kept.flow(place, flow, self.now);
            return Answer::Flow(flow);
        }
        if is_listener_s {
            return Answer::Wait(Box::new(Wait {
                found: Some(otherwise),
                ..wait
            }));
        }
        let nothing = otherwise.source == End::default() && otherwise.destination == End::default();
        if traced.is_none() && !system.sees_sockets() {
            // Without an address it may as well be another kind of socket.
            return if nothing {
                Answer::Nothing
            } else {
                Answer::Flow(otherwise)
            };
        }
        let socket = match early {
            Some(Early::Looked(socket)) => socket,
            _ if traced.is_some() => None,
            _ => {
                self.shares.looks += 1;
                ask(call, system)
            }
        };
        let wanted = if role.names_near_end() {
            End::default()
        } else {
            far
        };
        let read = system.time();
        let socket = socket.filter(|socket| is_it(socket, call, wanted, near));
        let looked = socket.map(|socket| {
            let far = End::from(socket.peer);
            let far = if far == End::default() { wanted } else { far };
            flow(
                role,
                socket.local.into(),
                far,
                socket.protocol,
                Origin::Pidfd,
            )
        });
        let found = traced.map(|(flow, _)| flow).or(looked);
        let steady =
            socket.is_some_and(|socket| self.kept.held_since(place, socket.cookie, read, since));
        if role == Role::Listen {
            self.kept.renewed(place);
            let bound = self.kept.take_bound(place);
            if let (None, Some(bound)) = (socket, bound) {
                otherwise = flow(role, bound.into(), End::default(), 0, Origin::Event);
            }
        }
        if found.is_none() && nothing && otherwise.origin != Some(Origin::Event) {
            return Answer::Nothing;
        }
        // Nothing else of this connection can be on that descriptor: the far end is only its.
        if let Some(found) = found
            && ((role == Role::Accept && far.whole().is_some()) || steady)
        {
            self.kept.flow(place, found, self.now);
            return Answer::Flow(found);
        }
        Answer::Wait(Box::new(Wait {
            read,
            found,
            otherwise,
            by_order: traced.and_then(|(_, ticket)| ticket),
            ..wait
        }))
    }

    /// The socket that listens behind an accept's descriptor, and whether it did so before the call already.
    fn listener(
        &mut self,
        call: &Call,
        since: u64,
        system: &mut dyn System,
    ) -> Option<(Socket, bool)> {
        let place = (call.pid, call.given);
        let socket = self.kept.listener(place, self.now, system)?;
        let read = system.time();
        Some((
            socket,
            self.kept.held_since(place, socket.cookie, read, since),
        ))
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

fn ask(call: &Call, system: &mut dyn System) -> Option<Socket> {
    let wanted = match call.role {
        Role::Accept => Ask::Connection,
        Role::Connect if call.result == 0 => Ask::Connection,
        Role::Connect => Ask::Attempt,
        Role::Listen => Ask::Listener,
        _ => Ask::Any,
    };
    system.socket(call.pid, call.fd, wanted)
}

/// Whether a socket may be the one that the record tells of.
fn is_it(socket: &Socket, call: &Call, far: End, near: End) -> bool {
    let peer = match socket.peer {
        Some(peer) => far.admits(peer),
        None => !call.role.opens(),
    };
    peer && near.admits(socket.local)
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
