//! Whether sockets are being looked at, which wants to be done before their processes close them.

/// Looks of so many milliseconds are counted together.
const WINDOW_MS: u64 = 100;

/// So few in a window leave room to be quick: then nothing is gathered.
const FEW: u64 = 100;

/// One look for more packets than this is the odd one out of a stream: it is not worth a wake-up for each of them. A
/// connection has five or six packets.
const PACKETS: u64 = 256;

/// What was looked at of late.
#[derive(Debug, Default)]
pub struct Looking {
    since_ms: u64,
    looks: u64,
    packets: u64,
    /// Whether the window before had looks worth being quick for.
    before: bool,
    now: bool,
    few: bool,
}

impl Looking {
    /// Takes in that so many `packets` came since the last time, and how many `looks` there were ever.
    pub fn take(&mut self, looks: u64, packets: usize, now_ms: u64) {
        self.packets += packets as u64;
        let since = looks.saturating_sub(self.looks);
        let worth = since > 0 && since.saturating_mul(PACKETS) >= self.packets;
        if now_ms >= self.since_ms + WINDOW_MS {
            *self = Self {
                since_ms: now_ms,
                looks,
                packets: 0,
                before: worth,
                now: worth,
                few: true,
            };
        } else {
            self.now = worth || (self.before && self.packets < PACKETS);
            self.few = since < FEW;
        }
    }

    /// Whether it is worth coming soon.
    #[must_use]
    pub fn wants_haste(&self) -> bool {
        self.now
    }

    /// Whether each is better looked at at once than together with others.
    #[must_use]
    pub fn wants_each(&self) -> bool {
        self.now && self.few
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(u64, usize, u64)]) -> Looking {
        let mut looking = Looking::default();
        for (looks, packets, now) in steps {
            looking.take(*looks, *packets, *now);
        }
        looking
    }

    #[test]
    fn a_connection_now_and_then_is_looked_at_at_once() {
        let looking = after(&[(0, 6, 1_000), (1, 6, 1_001)]);
        assert!(looking.wants_haste() && looking.wants_each());
        let looking = after(&[(0, 6, 1_000), (1, 6, 1_001), (1, 0, 1_102), (1, 0, 1_150)]);
        assert!(looking.wants_each(), "the next may follow");
        let looking = after(&[(0, 6, 1_000), (1, 6, 1_001), (1, 0, 1_102), (1, 0, 1_203)]);
        assert!(!looking.wants_haste());
    }

    #[test]
    fn many_are_looked_at_together_but_soon() {
        let looking = after(&[(0, 0, 1_000), (400, 2_000, 1_050)]);
        assert!(looking.wants_haste() && !looking.wants_each());
    }

    #[test]
    fn one_look_among_thousands_of_packets_hurries_nobody() {
        let looking = after(&[(0, 0, 1_000), (1, 5_000, 1_050)]);
        assert!(!looking.wants_haste() && !looking.wants_each());
        let looking = after(&[(0, 6, 1_000), (1, 6, 1_001), (1, 0, 1_102), (1, 300, 1_110)]);
        assert!(!looking.wants_haste(), "what followed was a stream");
    }
}
