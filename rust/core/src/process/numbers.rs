//! Which numbers the kernel may have given to new processes since a moment. It gives them in ascending order, and begins
//! anew at the end (`alloc_pid`, kernel/pid.c): a process keeps its number for sure until the turn comes to it again.

/// How far numbers have been given: rounds in the upper half, the last number in the lower.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers(u64);

impl Numbers {
    /// The newest process has the number `pid`.
    pub fn given(&mut self, pid: u32) {
        #[allow(clippy::cast_possible_truncation)] // the lower half
        let again = pid < self.0 as u32;
        self.0 = ((self.0 >> 32) + u64::from(again)) << 32 | u64::from(pid);
    }

    /// The place that they have come to.
    #[must_use]
    pub fn place(self) -> u64 {
        self.0
    }

    /// Whether it was the turn of `pid` since `place`.
    #[must_use]
    pub fn passed(self, pid: u32, place: u64) -> bool {
        let turn = self.0 >> 32 << 32 | u64::from(pid);
        let last = if turn > self.0 {
            turn.checked_sub(1 << 32)
        } else {
            Some(turn)
        };
        last.is_some_and(|last| last > place)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn a_number_is_passed_when_its_turn_comes_again() {
        let mut numbers = Numbers::default();
        numbers.given(100);
        let at = numbers.place();
        assert!(!numbers.passed(100, at) && !numbers.passed(50, at) && !numbers.passed(200, at));
        numbers.given(100);
        assert!(!numbers.passed(100, at), "nobody was started");
        numbers.given(150);
        assert!(numbers.passed(101, at) && numbers.passed(150, at));
        assert!(!numbers.passed(100, at) && !numbers.passed(151, at));
        numbers.given(20);
        assert!(numbers.passed(151, at) && numbers.passed(10, at));
        assert!(!numbers.passed(21, at) && !numbers.passed(100, at));
        numbers.given(120);
        assert!(numbers.passed(100, at));
        let later = numbers.place();
        numbers.given(119);
        assert!(
            numbers.passed(119, later) && !numbers.passed(120, later),
            "nearly a whole round"
        );
    }
}
