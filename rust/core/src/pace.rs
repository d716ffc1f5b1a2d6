//! How densely packets come, and how long whoever reads them lets them gather.

use std::time::Duration;

/// So many packets in so many milliseconds are a flow: then each pause takes in several of its events, and nobody is
/// woken for each.
const PACKETS: u64 = 32;
const WINDOW_MS: u64 = 16;

/// So many packets are worth a look: what it costs to wake up, and to find all memory in farther caches, is then little
/// beside what each of them costs.
const ENOUGH: u64 = 256;

/// A pause is not shorter, or a dense flow would be looked at too often; and not longer, since of processes that live for
/// a moment only those are found that still live after it.
const SHORTEST_MS: u64 = 4;
const LONGEST_MS: u64 = 20;

/// How densely packets came of late.
#[derive(Default)]
pub struct Pace {
    since_ms: u64,
    packets: u64,
    pause_ms: Option<u64>,
}

impl Pace {
    /// Takes in what one look at the socket found at a time. Returns how long to wait for the next packets of the flow;
    /// None where there is none.
    pub fn take(&mut self, packets: usize, now: u64) -> Option<Duration> {
        self.packets += packets as u64;
        let past = now.saturating_sub(self.since_ms);
        if past >= WINDOW_MS {
            // A look that comes late finds the packets of all that time.
            let flows = self.packets >= PACKETS * (past / WINDOW_MS);
            self.pause_ms = flows.then(|| {
                (ENOUGH * past)
                    .checked_div(self.packets)
                    .unwrap_or(LONGEST_MS)
                    .clamp(SHORTEST_MS, LONGEST_MS)
            });
            (self.packets, self.since_ms) = (0, now);
        }
        self.pause_ms.map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last pause of looks that each found so many packets after so many milliseconds.
    fn pause(looks: &[(usize, u64)]) -> Option<u64> {
        let mut pace = Pace::default();
        let mut now = 1_000_000;
        pace.take(0, now);
        let mut last = None;
        for (packets, later) in looks {
            now += later;
            last = pace.take(*packets, now);
        }
        last.map(|pause| u64::try_from(pause.as_millis()).unwrap())
    }

    #[test]
    fn what_comes_now_and_then_is_not_waited_for() {
        assert_eq!(pause(&[(7, 100), (7, 100)]), None);
        assert_eq!(pause(&[(7, 1), (7, 1)]), None, "a window has not passed");
        assert_eq!(pause(&[(31, 16)]), None);
    }

    #[test]
    fn the_denser_packets_come_the_shorter_is_the_pause() {
        assert_eq!(pause(&[(32, 16)]), Some(LONGEST_MS));
        assert_eq!(pause(&[(220, 20)]), Some(LONGEST_MS));
        assert_eq!(pause(&[(500, 20)]), Some(10));
        assert_eq!(pause(&[(6_000, 20)]), Some(SHORTEST_MS));
    }

    #[test]
    fn a_flow_ends_with_a_window_that_has_none() {
        assert_eq!(pause(&[(500, 20), (10, 8)]), Some(10), "not yet over");
        assert_eq!(pause(&[(500, 20), (0, 20)]), None);
    }

    #[test]
    fn a_look_that_comes_late_finds_the_packets_of_all_that_time() {
        assert_eq!(pause(&[(40, 160)]), None);
        assert_eq!(pause(&[(2_560, 160)]), Some(16));
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_is_no_window() {
        let mut pace = Pace::default();
        pace.take(1_000, 1_000);
        assert_eq!(pace.take(5_000, 900), pace.take(0, 1_000));
    }
}
