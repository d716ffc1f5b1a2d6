//! A queue of calls that have returned, and how many of them went to one place.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::endpoint::flow::End;
use crate::mix::Table;

/// Of so many calls it is counted where they went; fewer are looked through.
const MANY: usize = 16;

/// What an event's record says of the place that its call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Far {
    /// An internet address, as far as it says one.
    Inet(End),
    /// An address of another kind.
    Other,
    /// No address.
    Missing,
}

impl Far {
    /// Whether a call may have gone there that began a connection to `peer`, or none that a tracepoint tells of.
    pub fn admits(self, peer: Option<SocketAddr>) -> bool {
        match (self, peer) {
            (_, None) | (Self::Missing, _) => true,
            (Self::Inet(end), Some(peer)) => end.admits(peer),
            (Self::Other, Some(_)) => false,
        }
    }

    fn whole(self) -> Option<SocketAddr> {
        match self {
            Self::Inet(end) => end.whole(),
            _ => None,
        }
    }
}

/// A connection begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    pub time: u64,
    pub peer: SocketAddr,
    pub local: Option<SocketAddr>,
    /// An event has it already.
    pub claimed: bool,
}

/// A call that has returned, when, and the socket and connection that it began: none if it was another kind of socket.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub time: u64,
    pub begun: Option<(u64, Begun)>,
}

impl Done {
    pub fn peer(&self) -> Option<SocketAddr> {
        self.begun.map(|(_, begun)| begun.peer)
    }

    /// When it began, at the latest.
    pub fn began(&self) -> u64 {
        self.begun.map_or(self.time, |(_, begun)| begun.time)
    }
}

/// Calls in the order of their returns.
#[derive(Debug, Default)]
pub struct Calls {
    queue: VecDeque<Done>,
    /// How many went where, while there are many.
    places: Table<Option<SocketAddr>, u32>,
    is_counted: bool,
}

impl Calls {
    /// Adds the last.
    pub fn push(&mut self, done: Done) {
        self.queue.push_back(done);
        if self.is_counted {
            *self.places.entry(done.peer()).or_default() += 1;
        } else if self.queue.len() >= MANY {
            self.is_counted = true;
            for call in &self.queue {
                *self.places.entry(call.peer()).or_default() += 1;
            }
        }
    }

    /// The first.
    pub fn front(&self) -> Option<&Done> {
        self.queue.front()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether one of the last began a connection and returned at `since` or after it.
    pub fn has_connection(&self, since: u64) -> bool {
        let mut calls = self.queue.iter().rev().take(MANY);
        calls.any(|call| call.begun.is_some() && call.time >= since)
    }

    /// Takes one out.
    pub fn remove(&mut self, at: usize) -> Option<Done> {
        let done = self.queue.remove(at)?;
        if self.is_counted {
            if let Some(count) = self.places.get_mut(&done.peer()) {
                *count -= 1;
                if *count == 0 {
                    self.places.remove(&done.peer());
                }
            }
            self.is_counted = !self.queue.is_empty();
        }
        Some(done)
    }

    /// Where the first is that `far` admits, and whether there are more.
    pub fn fitting(&self, far: Far) -> Option<(usize, bool)> {
        let mut fitting = (self.queue.iter().enumerate())
            .filter(|(_, call)| far.admits(call.peer()))
            .map(|(at, _)| at);
        let first = fitting.next()?;
        let is_several = match far.whole() {
            Some(peer) if self.is_counted => {
                let count = |place| self.places.get(&place).copied().unwrap_or_default();
                count(Some(peer)) + count(None) > 1
            }
            _ => fitting.next().is_some(),
        };
        Some((first, is_several))
    }
}
