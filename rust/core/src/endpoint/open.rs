//! What is known of an event's ends when it comes, and what it has to wait for.

use std::net::SocketAddr;

use crate::endpoint::call::{Call, Role};
use crate::endpoint::flow::{End, Flow, Origin, TCP};
use crate::endpoint::trace::Claim;
use crate::endpoint::wait::{Wait, flow};
use crate::endpoint::waiting::PATIENCE;
use crate::endpoint::{Answer, Endpoints, plain};
use crate::record::Stamp;
use crate::system::{Ask, Socket, System};

impl Endpoints {
    /// What is known of an event's ends when it comes.
    pub(super) fn open(
        &mut self,
        stamp: Stamp,
        call: &Call,
        address: Option<SocketAddr>,
        claim: Claim,
        system: &mut dyn System,
    ) -> Answer {
        let place = (call.pid, call.fd);
        let role = call.role;
        if role == Role::Bind
            && let Some(address) = address.filter(|address| address.port() != 0)
        {
            self.kept.bind(place, address);
            return plain(role, Some(address));
        }
        if let Some(flow) = self.shown(call, address) {
            return Answer::Flow(flow);
        }
        let (mut wait, may_be_near, is_traced) = self.beginning(stamp, call, address, system);
        let far = if role.names_near_end() {
            End::default()
        } else {
            address.into()
        };
        let early = match self.early.iter().position(|(early, _)| *early == stamp) {
            Some(at) => self.early.remove(at).map(|(_, early)| early),
            None => None,
        };
        let traced = (is_traced.then(|| self.traced(call, claim, may_be_near, far))).flatten();
        let is_listener_s =
            wait.listener.is_some() && wait.near.whole().is_some() && far.whole().is_some();
        if let Some((traced, None)) = traced {
            // What the listening socket said needs no proof then.
            let flow = if is_listener_s {
                wait.otherwise
            } else {
                traced
            };
            self.kept.flow(place, flow, self.now);
            return Answer::Flow(flow);
        }
        if is_listener_s {
            wait.found = Some(wait.otherwise);
            return Answer::Wait(Box::new(wait));
        }
        // Without an address it may as well be another kind of socket.
        let nothing = [wait.otherwise.source, wait.otherwise.destination] == [End::default(); 2];
        if traced.is_none() && !system.sees_sockets() {
            return match nothing {
                true => Answer::Nothing,
                false => Answer::Flow(wait.otherwise),
            };
        }
        let socket = match early {
            _ if traced.is_some() => None,
            Some(socket) => socket,
            None => {
                self.shares.looks += 1;
                ask(call, system)
            }
        };
        wait.read = system.time();
        let socket = socket.filter(|socket| is_it(socket, call, far, wait.near));
        wait.found =
            (traced.map(|(flow, _)| flow)).or(socket.map(|socket| looked(&socket, role, far)));
        wait.by_order = traced.and_then(|(_, ticket)| ticket);
        let steady = socket.is_some_and(|socket| {
            (self.kept).held_since(place, socket.cookie, wait.read, wait.called)
        });
        if role == Role::Listen {
            self.kept.renewed(place);
            let bound = self.kept.take_bound(place);
            if let (None, Some(bound)) = (socket, bound) {
                wait.otherwise = flow(role, bound.into(), End::default(), 0, Origin::Event);
            }
        }
        if wait.found.is_none() && nothing && wait.otherwise.origin != Some(Origin::Event) {
            return Answer::Nothing;
        }
        // Nothing else of this connection can be on that descriptor: the far end is only its.
        if let Some(found) = wait.found
            && ((role == Role::Accept && far.whole().is_some()) || steady)
        {
            self.kept.flow(place, found, self.now);
            return Answer::Flow(found);
        }
        Answer::Wait(Box::new(wait))
    }

    /// The connection that an earlier event of the same socket has shown.
    fn shown(&self, call: &Call, address: Option<SocketAddr>) -> Option<Flow> {
        let role = call.role;
        if matches!(
            role,
            Role::Connect | Role::Accept | Role::Bind | Role::Listen
        ) {
            return None;
        }
        let known = (self.kept).flow_with((call.pid, call.fd), address?, self.now)?;
        let known = Flow {
            origin: Some(Origin::Event),
            ..known
        };
        if role.direction().is_none() {
            return Some(known);
        }
        // What comes has another source than what goes, on the same socket.
        let far = if role.names_near_end() {
            End::default()
        } else {
            address.into()
        };
        let other = if known.source == far {
            known.destination
        } else {
            known.source
        };
        Some(flow(role, other, far, known.protocol, Origin::Event))
    }

    /// What the record tells, and of an accepted connection the socket that listens: what the near end may be by that,
    /// and whether the tracepoints may tell of it.
    fn beginning(
        &mut self,
        stamp: Stamp,
        call: &Call,
        address: Option<SocketAddr>,
        system: &mut dyn System,
    ) -> (Wait, End, bool) {
        let role = call.role;
        let (near, far) = if role.names_near_end() {
            (End::from(address), End::default())
        } else {
            (End::default(), End::from(address))
        };
        let mut wait = Wait {
            call: *call,
            called: stamp.time(),
            read: 0,
            remote: address.filter(|_| !role.names_near_end()),
            near,
            found: None,
            otherwise: flow(role, near, far, 0, Origin::Unknown),
            by_order: None,
            listener: None,
            fragile: !role.opens(),
            matched: false,
            is_gone: false,
            group: None,
            ambiguous: !role.opens(),
            number: 0,
            kept: self.now,
            until: self.now + PATIENCE,
        };
        if role == Role::Accept
            && system.sees_sockets()
            && let Some((socket, held)) = self.listener(call, wait.called, system)
        {
            if held {
                wait.near = socket.local.into();
                wait.listener = Some(socket.cookie);
                wait.otherwise = flow(role, wait.near, far, socket.protocol, Origin::Listener);
            }
            // MPTCP's number has no place there.
            let is_traced = matches!(socket.protocol, TCP | 0);
            return (wait, socket.local.into(), is_traced);
        }
        (wait, near, true)
    }

    /// The socket that listens behind an accept's descriptor, and whether it did so before the call already.
    pub(super) fn listener(
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
}

/// Looks at the socket that a call was about.
pub fn ask(call: &Call, system: &mut dyn System) -> Option<Socket> {
    let wanted = match call.role {
        Role::Accept => Ask::Connection,
        Role::Connect if call.result == 0 => Ask::Connection,
        Role::Connect => Ask::Attempt,
        Role::Listen => Ask::Listener,
        _ => Ask::Any,
    };
    system.socket(call.pid, call.fd, wanted)
}

/// The connection of a socket that was looked at; the far end is the one of the record where the socket has none.
fn looked(socket: &Socket, role: Role, wanted: End) -> Flow {
    let peer = End::from(socket.peer);
    let far = if peer == End::default() { wanted } else { peer };
    let near = socket.local.into();
    flow(role, near, far, socket.protocol, Origin::Pidfd)
}

/// Whether a socket may be the one that the record tells of.
fn is_it(socket: &Socket, call: &Call, far: End, near: End) -> bool {
    let peer = match socket.peer {
        Some(peer) => far.admits(peer),
        None => !call.role.opens(),
    };
    peer && near.admits(socket.local)
}
