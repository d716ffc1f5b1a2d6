//! How densely packets come.

use std::time::Duration;

/// So many packets in so many milliseconds are a flow that goes on: then each pause takes in several of its events, and
/// nobody is woken for each. Longer pauses would find fewer of the processes that live for a moment only.
const PACKETS: usize = 32;
const WINDOW_MS: u64 = 16;
pub const PAUSE: Duration = Duration::from_millis(4);

/// How densely packets came of late.
#[derive(Default)]
pub struct Flow {
    since_ms: u64,
    packets: usize,
    goes_on: bool,
}

impl Flow {
    /// Takes in what one look at the socket found. Returns whether there is a flow.
    pub fn goes_on(&mut self, packets: usize, now: u64) -> bool {
        self.packets += packets;
        if now >= self.since_ms + WINDOW_MS {
            // A look that comes late finds the packets of all that time.
            let windows = (now - self.since_ms) / WINDOW_MS;
            self.goes_on = self.packets as u64 >= PACKETS as u64 * windows;
            (self.packets, self.since_ms) = (0, now);
        }
        self.goes_on
    }
}
