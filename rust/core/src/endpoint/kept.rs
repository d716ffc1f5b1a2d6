//! What earlier events and look-ups said of a process's descriptors, and how long it may be believed.

use std::net::SocketAddr;

use crate::endpoint::flow::Flow;
use crate::mix::Table;
use crate::system::{Ask, Socket, System};

/// A listening socket is looked at again after this, in milliseconds.
const RECHECK: u64 = 1_000;
/// How long a connection that an event showed answers for later events of its socket, in milliseconds.
const BELIEVED: u64 = 1_000;
/// Listening sockets, connections, and sockets seen. Beyond, each table is emptied and fills again.
const MOST: usize = 8_192;

/// A descriptor of a process.
pub type Place = (u32, u32);

#[derive(Debug)]
struct Listener {
    address: Option<Socket>,
    /// When it was looked at last.
    at: u64,
}

/// Everything that is kept of descriptors.
#[derive(Debug, Default)]
pub struct Kept {
    listeners: Table<Place, Listener>,
    bound: Table<Place, SocketAddr>,
    flows: Table<Place, (Flow, u64)>,
    seen: Table<Place, (u64, u64)>,
}

impl Kept {
    /// The socket that listens behind a descriptor. Looked up once, and again when it was last looked at a second ago;
    /// forgotten when the process calls bind or listen on it, and when the kernel says that a listening socket of that
    /// port is gone. What is not there is not asked for again within the second either.
    pub fn listener(&mut self, place: Place, now: u64, system: &mut dyn System) -> Option<Socket> {
        if let Some(known) = self.listeners.get(&place)
            && now < known.at.saturating_add(RECHECK)
        {
            return known.address;
        }
        self.look(place, now, system)
    }

    fn look(&mut self, place: Place, now: u64, system: &mut dyn System) -> Option<Socket> {
        let address = system.socket(place.0, place.1, Ask::Listener);
        make_room(&mut self.listeners);
        self.listeners.insert(place, Listener { address, at: now });
        address
    }

    /// Whether the socket `cookie` still listens behind a descriptor, at a moment after `since`: looks again unless
    /// that was done since. With [`Self::held_since`], it was that socket in between.
    pub fn listens_still(
        &mut self,
        place: Place,
        cookie: u64,
        since: u64,
        now: u64,
        system: &mut dyn System,
    ) -> bool {
        let known = self.listeners.get(&place).filter(|known| known.at > since);
        let address = match known {
            Some(known) => known.address,
            None => self.look(place, now, system),
        };
        address.is_some_and(|socket| socket.cookie == cookie)
    }

    /// A bind or listen on the descriptor: what was known of it before is over.
    pub fn renewed(&mut self, place: Place) {
        self.listeners.remove(&place);
        self.flows.remove(&place);
    }

    /// A listening socket with this port is gone.
    pub fn port_gone(&mut self, port: u16) {
        self.listeners.retain(|_, known| {
            known
                .address
                .is_some_and(|socket| socket.local.port() != port)
        });
    }

    /// A bind that went well.
    pub fn bind(&mut self, place: Place, address: SocketAddr) {
        make_room(&mut self.bound);
        self.bound.insert(place, address);
    }

    /// Where the descriptor was bound to, once: what it is used for next may be another socket.
    pub fn take_bound(&mut self, place: Place) -> Option<SocketAddr> {
        self.bound.remove(&place)
    }

    /// A connection that an event has shown whole.
    pub fn flow(&mut self, place: Place, flow: Flow, now: u64) {
        if flow.source.whole().is_some() && flow.destination.whole().is_some() {
            make_room(&mut self.flows);
            self.flows.insert(place, (flow, now));
        }
    }

    /// The connection behind a descriptor, if one of its ends is `address` and it was shown within the last second: an
    /// end with both address and port does not come back within that time on the same descriptor for another
    /// connection without a connect or accept, which would have been shown too.
    pub fn flow_with(&self, place: Place, address: SocketAddr, now: u64) -> Option<Flow> {
        let (flow, at) = self.flows.get(&place)?;
        let ends = [flow.source.whole(), flow.destination.whole()];
        (now < at.saturating_add(BELIEVED) && ends.contains(&Some(address))).then_some(*flow)
    }

    /// The descriptor held the socket `cookie` at `time` (milliseconds since the epoch). Returns whether it did so
    /// before `since` already: then it was that socket in between, too.
    pub fn held_since(&mut self, place: Place, cookie: u64, time: u64, since: u64) -> bool {
        match self.seen.get(&place) {
            Some((known, first)) if *known == cookie => *first < since,
            _ => {
                make_room(&mut self.seen);
                self.seen.insert(place, (cookie, time));
                false
            }
        }
    }
}

fn make_room<T>(table: &mut Table<Place, T>) {
    if table.len() >= MOST {
        table.clear();
    }
}
