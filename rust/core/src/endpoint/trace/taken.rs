//! Connections that were taken for some accept(2) to come: their own ends, by the other one.

use std::net::SocketAddr;

use crate::endpoint::flow::End;
use crate::endpoint::recent::Recent;

/// Own ends remembered for one other end, but for one.
const MOST_ALIKE: usize = 7;

/// Those that no event has claimed.
#[derive(Debug, Default)]
pub struct Taken(Recent<SocketAddr, From>);

/// The own ends of connections from one place, and of how many connections each is: a place may connect again before the
/// event of the first time was read.
#[derive(Debug, Default)]
struct From {
    one: Option<(SocketAddr, u32)>,
    others: Vec<(SocketAddr, u32)>,
    /// There were more.
    too_many: bool,
}

impl Taken {
    /// A connection was taken.
    pub fn add(&mut self, local: SocketAddr, peer: SocketAddr) {
        let mut from = self.0.remove(&peer).unwrap_or_default();
        let mut ends = from.one.iter_mut().chain(&mut from.others);
        if let Some((_, count)) = ends.find(|(known, _)| *known == local) {
            *count = count.saturating_add(1);
        } else {
            match from.one {
                None => from.one = Some((local, 1)),
                Some(_) if from.others.len() < MOST_ALIKE => from.others.push((local, 1)),
                Some(_) => from.too_many = true,
            }
        }
        self.0.insert(peer, from);
    }

    /// The own end of an accepted connection, once for each, if there was but one that `near` admits: one that is taken is
    /// here before it can be accepted.
    pub fn take(&mut self, peer: SocketAddr, near: End) -> Option<SocketAddr> {
        let from = self.0.get_mut(&peer)?;
        let local = from.only(near)?;
        for (known, count) in from.one.iter_mut().chain(&mut from.others) {
            *count -= u32::from(*known == local);
        }
        from.one = from.one.filter(|(_, count)| *count > 0);
        from.others.retain(|(_, count)| *count > 0);
        if from.one.is_none() && from.others.is_empty() {
            self.0.remove(&peer);
        }
        Some(local)
    }
}

impl From {
    fn ends(&self) -> impl Iterator<Item = SocketAddr> {
        self.one.iter().chain(&self.others).map(|(local, _)| *local)
    }

    /// The only one that `near` admits.
    fn only(&self, near: End) -> Option<SocketAddr> {
        let mut fitting = self.ends().filter(|local| near.admits(*local));
        let local = fitting.next()?;
        (fitting.next().is_none() && !self.too_many).then_some(local)
    }
}
