//! Connections that were taken for some accept(2) to come: their own ends, by the other one.

use std::net::SocketAddr;

use crate::endpoint::flow::End;
use crate::endpoint::recent::Recent;

/// Own ends remembered for one other end, but for one.
const MOST_ALIKE: usize = 7;

/// Those that no event has claimed.
#[derive(Debug, Default)]
pub struct Taken(Recent<SocketAddr, From>);

/// The own ends of connections from one place, each once.
#[derive(Debug, Default)]
struct From {
    one: Option<SocketAddr>,
    others: Vec<SocketAddr>,
    /// There were more.
    too_many: bool,
}

impl Taken {
    /// A connection was taken.
    pub fn add(&mut self, local: SocketAddr, peer: SocketAddr) {
        let mut from = self.0.remove(&peer).unwrap_or_default();
        if !from.ends().any(|known| known == local) {
            match from.one {
                None => from.one = Some(local),
                Some(_) if from.others.len() < MOST_ALIKE => from.others.push(local),
                Some(_) => from.too_many = true,
            }
        }
        self.0.insert(peer, from);
    }

    /// The own end of an accepted connection, once, if there was but one that `near` admits: one that is taken is here
    /// before it can be accepted.
    pub fn take(&mut self, peer: SocketAddr, near: End) -> Option<SocketAddr> {
        let from = self.0.get_mut(&peer)?;
        let local = from.only(near)?;
        if from.others.is_empty() {
            self.0.remove(&peer);
        } else {
            from.one = from.one.filter(|one| *one != local);
            from.others.retain(|other| *other != local);
        }
        Some(local)
    }
}

impl From {
    fn ends(&self) -> impl Iterator<Item = SocketAddr> {
        self.one.iter().chain(&self.others).copied()
    }

    /// The only one that `near` admits.
    fn only(&self, near: End) -> Option<SocketAddr> {
        let mut fitting = self.ends().filter(|local| near.admits(*local));
        let local = fitting.next()?;
        (fitting.next().is_none() && !self.too_many).then_some(local)
    }
}
