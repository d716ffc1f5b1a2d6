//! Whether each event of a system call ends with PROCTITLE: then nobody need receive the end markers behind them.
//!
//! The kernel logs PROCTITLE last, and the marker right after it (`audit_log_exit`, kernel/auditsc.c). It leaves
//! PROCTITLE out where a rule of the exclude list says so, and for an operation of io_uring. So it is learned from
//! the first events, if by the kernel's rules there is none without, and given up for good when anything says that it is
//! not so, or not for sure any more. Of a process for which a new rule leaves it out, an event that ends before that is
//! known here may still be let go by the clock: its marker was left out, too.

use crate::assembled::{Event, Part};
use crate::record::{Record, kind};

/// So many events in a row that all have PROCTITLE before their marker tell that each has.
const ENOUGH: u32 = 256;

/// What is known of it.
#[derive(Debug, Default)]
pub struct Titled {
    state: State,
    /// Records that told of rules that may leave titles out.
    doubts: u64,
    /// PROCTITLE has been an end: of events whose markers were left out it still is.
    was_end: bool,
    /// When that was given up, by the clock of the assembler.
    given_up: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has said that by the rules it may be so.
    #[default]
    Unknown,
    /// It is not so, or not for sure.
    Off,
    /// It was so for this many events.
    Learning(u32),
    /// It is so.
    On,
}

impl Titled {
    /// The kernel's rules were read after [`Self::doubts`] was `doubts`: by them every call has its title, or not. Learns
    /// from now on whether it is so, if nothing has said otherwise since. `now`: the clock of the assembler.
    pub fn rules_read(&mut self, titles: bool, doubts: u64, now: u64) {
        match self.state {
            State::Unknown if titles && doubts == self.doubts => self.state = State::Learning(0),
            _ if !titles => self.doubt(now),
            _ => {}
        }
    }

    /// How many records have told of rules that may leave titles out, or that such may be made in silence.
    #[must_use]
    pub fn doubts(&self) -> u64 {
        self.doubts
    }

    /// Whether end markers tell nothing.
    #[must_use]
    pub fn leaves_out_ends(&self) -> bool {
        self.state == State::On
    }

    /// Whether a record of this type ends its event, though a marker would follow it.
    #[must_use]
    pub fn ends(&self, kind: u16) -> bool {
        self.was_end && kind == kind::PROCTITLE
    }

    /// Whether an event of such a kind of operation, whose last record came at `touched`, may lack its end: it had none
    /// but its marker, which was left out. That may be so until `late` milliseconds after it was given up; all by the
    /// clock of the assembler.
    #[must_use]
    pub fn may_lack_end(&self, operation: u16, touched: u64, late: u64) -> bool {
        let until = |given_up: u64| touched <= given_up.saturating_add(late);
        match operation {
            kind::URINGOP => self.was_end && self.given_up.is_none_or(until),
            _ => self.given_up.is_some_and(until),
        }
    }

    /// An event has ended with its marker.
    pub fn marked(&mut self, event: &Event) {
        let State::Learning(row) = self.state else {
            return;
        };
        let is_call = |part: &Part| matches!(part.kind, kind::SYSCALL | kind::URINGOP);
        if !event.parts.iter().any(is_call) {
            return;
        }
        self.state = match event.parts.last() {
            Some(last) if last.kind != kind::PROCTITLE => State::Off,
            _ if row < ENOUGH => State::Learning(row + 1),
            _ => State::On,
        };
        self.was_end = self.state == State::On;
    }

    /// A record has come, at `now`.
    pub fn see(&mut self, record: &Record<'_>, now: u64) {
        match record.kind {
            kind::URINGOP => self.give_up(now),
            kind::CONFIG_CHANGE if may_exclude(record.body) => {
                self.doubts += 1;
                self.doubt(now);
            }
            _ => {}
        }
    }

    /// The rules may leave titles out now. What is not known yet can be learned once they have been read.
    fn doubt(&mut self, now: u64) {
        match self.state {
            State::On => self.give_up(now),
            State::Learning(_) => self.state = State::Unknown,
            State::Unknown | State::Off => {}
        }
    }

    /// It is not so, as was found at `now`: an event of a system call has not ended in time, say.
    pub fn give_up(&mut self, now: u64) {
        if self.leaves_out_ends() {
            self.given_up = Some(now);
        }
        self.state = State::Off;
    }
}

/// Whether records may be missing from now on that were not: by a rule of the exclude list (5), or by one that is made
/// in silence as auditing is off now (`audit_log_rule_change`, kernel/auditfilter.c). That it is on again the kernel does
/// not tell, for the same reason (`audit_do_config_change`, kernel/audit.c).
fn may_exclude(change: &[u8]) -> bool {
    let has = |words: &[u8]| memchr::memmem::find(change, words).is_some();
    (has(b"op=add_rule") && has(b" list=5 ")) || has(b"audit_enabled=0 ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kinds: &[u16]) -> Event {
        let part = |kind: &u16| Part {
            kind: *kind,
            ..Part::default()
        };
        Event {
            parts: kinds.iter().map(part).collect(),
            ..Event::default()
        }
    }

    fn learned() -> Titled {
        let mut titled = Titled::default();
        titled.rules_read(true, 0, 0);
        learn(&mut titled);
        assert!(titled.leaves_out_ends() && titled.ends(kind::PROCTITLE));
        titled
    }

    /// Shows it as many events as it takes.
    fn learn(titled: &mut Titled) {
        for _ in 0..=ENOUGH {
            assert!(!titled.leaves_out_ends() && !titled.ends(kind::PROCTITLE));
            titled.marked(&event(&[kind::AVC, kind::SYSCALL, kind::PROCTITLE]));
            titled.marked(&event(&[kind::LOGIN]));
        }
    }

    fn see(titled: &mut Titled, kind: u16, body: &[u8]) {
        let record = Record {
            kind,
            body,
            ..Record::default()
        };
        titled.see(&record, 1_000);
    }

    #[test]
    fn nobody_learns_unasked() {
        let mut titled = Titled::default();
        learn(&mut titled);
        assert!(!titled.leaves_out_ends());
    }

    #[test]
    fn rules_that_may_leave_titles_out_keep_the_markers() {
        let mut titled = Titled::default();
        titled.rules_read(false, 0, 0);
        learn(&mut titled);
        assert!(!titled.leaves_out_ends());
        // They are found while it is learned, are gone, and nothing was lost by them.
        titled.rules_read(true, 0, 0);
        titled.rules_read(false, 0, 0);
        learn(&mut titled);
        assert!(!titled.leaves_out_ends());
        titled.rules_read(true, 0, 0);
        learn(&mut titled);
        assert!(titled.leaves_out_ends());
        // Once markers were left out it is for good.
        titled.rules_read(false, 0, 1_000);
        assert!(titled.may_lack_end(kind::SYSCALL, 1_000, 80));
        titled.rules_read(true, 0, 0);
        for _ in 0..=ENOUGH {
            titled.marked(&event(&[kind::SYSCALL, kind::PROCTITLE]));
        }
        assert!(!titled.leaves_out_ends());
    }

    #[test]
    fn what_was_read_before_a_rule_came_says_nothing_of_it() {
        let mut titled = Titled::default();
        titled.rules_read(true, 0, 0);
        let added = b"op=add_rule key=(null) list=5 res=1";
        see(&mut titled, kind::CONFIG_CHANGE, added);
        learn(&mut titled);
        titled.rules_read(true, 0, 0);
        learn(&mut titled);
        assert_eq!((titled.doubts(), titled.leaves_out_ends()), (1, false));
        titled.rules_read(true, 1, 0);
        learn(&mut titled);
        assert!(titled.leaves_out_ends());
    }

    #[test]
    fn one_without_a_title_says_that_markers_are_needed() {
        let mut titled = Titled::default();
        titled.rules_read(true, 0, 0);
        titled.marked(&event(&[kind::SYSCALL, kind::SOCKADDR]));
        titled.rules_read(true, 0, 0);
        for _ in 0..2 * ENOUGH {
            titled.marked(&event(&[kind::SYSCALL, kind::PROCTITLE]));
        }
        assert!(!titled.leaves_out_ends());
    }

    #[test]
    fn what_may_leave_titles_out_ends_it() {
        for (kind, body, ends) in [
            (kind::URINGOP, "uring_op=18", true),
            (
                kind::CONFIG_CHANGE,
                "op=add_rule key=\"x\" list=5 res=1",
                true,
            ),
            (
                kind::CONFIG_CHANGE,
                "op=set audit_enabled=0 old=1 auid=0 res=1",
                true,
            ),
            (
                kind::CONFIG_CHANGE,
                "op=add_rule key=\"x\" list=4 res=1",
                false,
            ),
            (
                kind::CONFIG_CHANGE,
                "op=remove_rule key=\"x\" list=5 res=1",
                false,
            ),
            (
                kind::CONFIG_CHANGE,
                "op=set audit_enabled=1 old=1 auid=0 res=1",
                false,
            ),
            (kind::SYSCALL, "a0=1", false),
        ] {
            let mut titled = learned();
            see(&mut titled, kind, body.as_bytes());
            assert_eq!(!titled.leaves_out_ends(), ends, "{body}");
        }
    }

    #[test]
    fn what_was_on_its_way_then_may_lack_its_marker() {
        let mut titled = learned();
        assert!(titled.may_lack_end(kind::URINGOP, 5_000, 80));
        assert!(!titled.may_lack_end(kind::SYSCALL, 5_000, 80));
        see(&mut titled, kind::URINGOP, b"");
        assert!(titled.ends(kind::PROCTITLE));
        for operation in [kind::URINGOP, kind::SYSCALL] {
            assert!(titled.may_lack_end(operation, 1_080, 80));
            assert!(!titled.may_lack_end(operation, 1_081, 80));
        }
    }
}
