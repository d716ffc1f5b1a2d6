//! Serials that never came: what the kernel numbered and nobody delivered.

/// How far behind the newest a serial may still come without counting as lost, in serials.
const WINDOW: usize = 4096;
/// A step further than this is a new count (a reboot, another host's records), not a loss.
const LARGEST_GAP: u32 = 1 << 24;

/// Watches the serials of one host. The kernel counts in 32 bits and wraps (kernel/audit.c, `audit_serial`).
#[derive(Debug)]
pub struct Gaps {
    newest: Option<u32>,
    seen: Vec<u64>,
    missing: u64,
}

impl Default for Gaps {
    fn default() -> Self {
        Self {
            newest: None,
            seen: vec![0; WINDOW / 64],
            missing: 0,
        }
    }
}

impl Gaps {
    /// Takes note of an event's serial, in any order, repeats included.
    pub fn observe(&mut self, serial: u64) {
        #[allow(clippy::cast_possible_truncation)]
        // the kernel's own width: a longer serial has wrapped
        let serial = serial as u32;
        let Some(newest) = self.newest else {
            self.restart(serial);
            return;
        };
        let ahead = serial.wrapping_sub(newest);
        let behind = newest.wrapping_sub(serial);
        if ahead == 0 {
        } else if ahead <= LARGEST_GAP {
            self.advance(newest, ahead);
            self.newest = Some(serial);
            self.mark(serial);
        } else if (behind as usize) < WINDOW {
            self.mark(serial);
        } else {
            self.settle();
            self.restart(serial);
        }
    }

    /// Serials known to be missing so far: those that the window has passed.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Ends the watch: what the window still lacks below the newest serial is missing too.
    pub fn settle(&mut self) {
        if let Some(newest) = self.newest {
            let unseen = self
                .seen
                .iter()
                .map(|word| u64::from(word.count_zeros()))
                .sum::<u64>();
            self.missing += unseen;
            self.restart(newest);
        }
    }

    /// Starts anew at `serial`: everything before it counts as seen.
    fn restart(&mut self, serial: u32) {
        self.newest = Some(serial);
        self.seen.fill(u64::MAX);
    }

    fn place(serial: u32) -> (usize, u64) {
        let bit = serial as usize % WINDOW;
        (bit / 64, 1 << (bit % 64))
    }

    fn mark(&mut self, serial: u32) {
        let (word, bit) = Self::place(serial);
        if let Some(word) = self.seen.get_mut(word) {
            *word |= bit;
        }
    }

    /// Moves the window: each serial that falls out of it unseen is missing, each that comes in is unseen.
    fn advance(&mut self, newest: u32, steps: u32) {
        let within = steps.min(u32::try_from(WINDOW).unwrap_or(u32::MAX));
        for step in 1..=within {
            let (word, bit) = Self::place(newest.wrapping_add(step));
            if let Some(word) = self.seen.get_mut(word) {
                self.missing += u64::from(*word & bit == 0);
                *word &= !bit;
            }
        }
        self.missing += u64::from(steps - within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(serials: impl IntoIterator<Item = u64>) -> u64 {
        let mut gaps = Gaps::default();
        serials.into_iter().for_each(|serial| gaps.observe(serial));
        gaps.settle();
        gaps.missing()
    }

    #[test]
    fn counts_what_never_came() {
        assert_eq!(missing(10..20), 0);
        assert_eq!(missing([10, 11, 14, 15]), 2);
        assert_eq!(
            missing((0..100_000).filter(|serial| serial % 10 != 3)),
            10_000
        );
        assert_eq!(missing([1, 10_001]), 9_999);
    }

    #[test]
    fn disorder_and_repeats_are_no_loss() {
        assert_eq!(missing([10, 12, 11, 13, 13, 12, 10]), 0);
        assert_eq!(missing([451, 452, 451, 452, 453]), 0);
        assert_eq!(missing((0..1000).map(|n| n ^ 7)), 0);
    }

    #[test]
    fn a_wrap_and_a_reboot_are_no_loss() {
        let top = u64::from(u32::MAX);
        assert_eq!(missing([top - 1, top, 0, 1, 2]), 0);
        assert_eq!(missing([5_000_000, 5_000_001, 1, 2, 3]), 0);
        assert_eq!(missing([1, 2, 3_000_000_000, 3_000_000_001]), 0);
        assert_eq!(missing([top - 1, 1]), 2);
    }
}
