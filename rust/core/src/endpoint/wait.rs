//! One event that waits for its end, and what may be told to be that.

use std::net::SocketAddr;

use crate::endpoint::call::{Call, Role};
use crate::endpoint::destroyed::Destroyed;
use crate::endpoint::flow::{End, Flow, Origin};
use crate::endpoint::groups::Groups;
use crate::endpoint::trace::Ticket;

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
    /// What was found was told by the order of calls, and stands or falls with this.
    pub by_order: Option<Ticket>,
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
    /// Its place among all that ever waited.
    pub number: u64,
    /// Since when it waits, and until when, by the clock of the engine.
    pub kept: u64,
    /// See `kept`.
    pub until: u64,
}

impl Wait {
    /// What was found was by a look at the process's socket, which may have been another by then.
    pub fn is_looked(&self) -> bool {
        self.found
            .is_some_and(|flow| flow.origin == Some(Origin::Pidfd))
    }

    /// What was found: the near end and the far one.
    pub fn ends(&self) -> Option<(End, End)> {
        self.found.map(|flow| {
            if self.call.role.is_inward() {
                (flow.destination, flow.source)
            } else {
                (flow.source, flow.destination)
            }
        })
    }

    /// What was found is right, or nobody knows whether it is.
    pub fn decide(&mut self, holds: bool) {
        self.by_order = None;
        self.until = 0;
        if !holds {
            self.found = None;
            self.ambiguous = true;
        }
    }

    /// The listening socket tells nothing.
    pub fn forget_listener(&mut self) {
        if self.goes_by_listener() {
            self.found = None;
            let far = self.remote.into();
            self.otherwise = flow(self.call.role, End::default(), far, 0, Origin::Unknown);
        }
    }

    /// Whether the listening socket tells its end.
    #[must_use]
    pub fn goes_by_listener(&self) -> bool {
        self.found.unwrap_or(self.otherwise).origin == Some(Origin::Listener)
    }
}

/// A destroyed socket.
#[derive(Debug)]
pub struct Gone {
    /// What the kernel said of it.
    pub socket: Destroyed,
    /// When its end was read, in milliseconds since the epoch.
    pub at: u64,
    /// Until when its event may still come, by the clock of the engine.
    pub until: u64,
}

/// Whether a destroyed socket may still be told to be the event's.
pub fn may_match(wait: &Wait, groups: &Groups) -> bool {
    !wait.ambiguous && groups.is_open(wait.group)
}

/// Whether a destroyed socket may have been the event's, by what the record says.
pub fn admits(wait: &Wait, gone: &Gone) -> bool {
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

/// The connection of an event that a destroyed socket was.
pub fn joined(wait: &Wait, socket: &Destroyed) -> Flow {
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
