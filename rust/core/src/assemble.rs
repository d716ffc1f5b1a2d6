//! Records to events: each record is filed under (node, time, serial) until the event is whole.
//!
//! Most events arrive in one piece, so the event of the record before is kept at hand (`current`) and nothing else is
//! touched. Events that others interrupt wait in `open`, and none of them holds back another. What ends an event is
//! in [`ends`]; what never ends is let go by the clock, or when the bounds are reached, and says so.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::assembled::Key;
pub use crate::assembled::{Event, Incomplete, Part, Span};
use crate::gaps::Gaps;
use crate::mix::Table;
use crate::record::{Record, kind};
use crate::titled::Titled;

/// Live: how long a silent socket means that an event for which no end marker is due gets nothing more, in
/// milliseconds. Also the most that passes for the assembler between two looks: while nobody looked nothing could come.
const QUIET: u64 = 80;
/// Live: how long an unfinished event waits while other records come, or its end marker is due, in milliseconds. A task
/// can be held between two records of its event: by the backlog, or because a virtual machine gets no processor.
const BUSY: u64 = 2_000;
/// Logs: an event is over when the log is this many records past it ...
const RECORDS_PAST: u64 = 4_096;
/// ... or this many seconds away from it, in either direction (auditd's `end_of_event_timeout`).
const SECONDS_PAST: u64 = 2;
/// Bounds of what is open at once, and of one event, in bytes of records.
const MOST_OPEN: usize = 8_192;
const MOST_BYTES: usize = 16 << 20;
const MOST_EVENT_BYTES: usize = 10 << 20;
/// How many finished events are remembered, to know a late record by. A power of two.
const REMEMBERED: usize = 8_192;
/// Hosts whose serials are watched for gaps.
const MOST_NODES: usize = 1_024;
/// Event buffers kept for reuse, and the size from which one is given back.
const MOST_SPARE: usize = 64;
const LARGEST_SPARE: usize = 64 << 10;

/// Where the records come from, which decides what ends an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The kernel: an end marker follows the records of a system call, unless they end with PROCTITLE anyway
    /// ([`Assembler::rules_read`]); `now` is a clock in milliseconds.
    Live,
    /// A log: no end markers; the log's own times and order are the clock.
    Log,
}

/// Whether a record of this type ends its event; `first`: it is the event's first.
///
/// Records from user space and the kernel's start message stand alone (`audit_receive_msg`, kernel/audit.c), unless
/// they came in the middle of something. auditd writes no end marker; there PROCTITLE, the last record of a system
/// call (`audit_log_exit`, kernel/auditsc.c), and the labelled-networking types stand for it, as in auparse.
fn ends(kind: u16, source: Source, first: bool) -> bool {
    match kind {
        kind::EOE => true,
        kind::USER | 1007..=1299 | kind::KERNEL | 2100.. => first,
        kind::PROCTITLE | 1406..=1419 => source == Source::Log,
        _ => false,
    }
}

/// Puts events together.
#[derive(Debug)]
pub struct Assembler {
    source: Source,
    current: Option<Event>,
    open: Table<Key, Event>,
    open_bytes: usize,
    /// The open events, oldest first; an entry whose event was touched since is moved back when it is reached.
    order: VecDeque<(Key, u64)>,
    finished: Vec<Key>,
    spare: Vec<Event>,
    /// The serials of the host that gives no name, and of those that do.
    own_gaps: Gaps,
    gaps: Table<u64, Gaps>,
    /// The name seen last, and its key.
    node: (Vec<u8>, u64),
    records: u64,
    /// Live: milliseconds in which it was looked, and the clock at the last look.
    watched: u64,
    looked: u64,
    last: u64,
    late: u64,
    titled: Titled,
}

impl Assembler {
    /// An assembler with nothing open.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            source,
            current: None,
            open: Table::default(),
            open_bytes: 0,
            order: VecDeque::new(),
            finished: vec![Key::default(); REMEMBERED],
            spare: Vec::new(),
            own_gaps: Gaps::default(),
            gaps: Table::default(),
            node: (Vec::new(), 0),
            records: 0,
            watched: 0,
            looked: 0,
            last: 0,
            late: 0,
            titled: Titled::default(),
        }
    }

    /// See [`Titled::rules_read`] (live). `now` as for [`Self::push`].
    pub fn rules_read(&mut self, titles: bool, doubts: u64, now: u64) {
        let now = self.watch(now);
        self.titled.rules_read(titles, doubts, now);
    }

    /// See [`Titled::doubts`].
    #[must_use]
    pub fn doubts(&self) -> u64 {
        self.titled.doubts()
    }

    /// Whether end markers tell nothing, so that they need not come: each event that has one ends with PROCTITLE.
    #[must_use]
    pub fn leaves_out_ends(&self) -> bool {
        self.titled.leaves_out_ends()
    }

    /// Files a record; events that are over are added to `done`. `now`: milliseconds of any steady clock (live).
    pub fn push(&mut self, record: &Record<'_>, now: u64, done: &mut Vec<Event>) {
        self.records += 1;
        let now = if self.source == Source::Live {
            self.watch(now)
        } else {
            self.records
        };
        self.last = now;
        let key = Key {
            node: self.node_key(record.node),
            stamp: record.stamp,
        };
        if self.current.as_ref().is_none_or(|event| event.key != key) {
            self.change_current(key, record, done);
        }
        let Some(event) = self.current.as_mut() else {
            return;
        };
        event.touched = now;
        event.ended |=
            ends(record.kind, self.source, event.parts.is_empty()) || self.titled.ends(record.kind);
        if record.kind == kind::EOE {
            self.titled.marked(event);
        } else {
            self.titled.see(record, now);
            event.add(record);
        }
        if event.bytes.len() > MOST_EVENT_BYTES {
            self.finish_current(Some(Incomplete::TooLarge), done);
        } else if event.ended && self.source == Source::Live {
            self.finish_current(None, done);
        }
        self.let_go_old(now, done);
    }

    /// Lets go what the clock says is over. Returns when to be called again, if anything is open (live only).
    pub fn tick(&mut self, now: u64, done: &mut Vec<Event>) -> Option<u64> {
        if self.source == Source::Log {
            return None;
        }
        let steady = now;
        let now = self.watch(now);
        let quiet = self.last.saturating_add(QUIET);
        if now >= quiet {
            self.let_go_quiet(now, done);
        }
        self.let_go_old(now, done);
        let wait = if now < quiet { quiet - now } else { QUIET };
        (self.current.is_some() || !self.open.is_empty()).then(|| steady.saturating_add(wait))
    }

    /// Ends the input: everything open comes out, oldest first.
    pub fn flush(&mut self, done: &mut Vec<Event>) {
        let reason = if self.source == Source::Live {
            Incomplete::EndOfInput
        } else {
            Incomplete::Timeout
        };
        while let Some((key, _)) = self.order.pop_front() {
            self.finish_open(key, reason, done);
        }
        self.finish_current(Some(reason), done);
        self.own_gaps.settle();
        self.gaps.values_mut().for_each(Gaps::settle);
    }

    /// Takes an event's buffers back for the next one.
    pub fn recycle(&mut self, mut event: Event) {
        if self.spare.len() < MOST_SPARE && event.bytes.capacity() <= LARGEST_SPARE {
            event.bytes.clear();
            event.parts.clear();
            self.spare.push(event);
        }
    }

    /// Serials that never came.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.own_gaps.missing() + self.gaps.values().map(Gaps::missing).sum::<u64>()
    }

    /// Events that came after their event had been emitted.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Goes on to the clock's `now`, by no more than a step. Returns the milliseconds in which it was looked.
    fn watch(&mut self, now: u64) -> u64 {
        self.watched += now.saturating_sub(self.looked).min(QUIET);
        self.looked = self.looked.max(now);
        self.watched
    }

    fn node_key(&mut self, node: &[u8]) -> u64 {
        if node.is_empty() {
            return 0;
        }
        if self.node.0 != node {
            let mut hasher = DefaultHasher::new();
            node.hash(&mut hasher);
            self.node = (node.to_vec(), hasher.finish().max(1));
        }
        self.node.1
    }

    /// Puts the current event away and takes up the one of `key`.
    fn change_current(&mut self, key: Key, record: &Record<'_>, done: &mut Vec<Event>) {
        if self.current.as_ref().is_some_and(|event| event.ended) {
            self.finish_current(None, done);
        } else if let Some(mut event) = self.current.take() {
            self.open_bytes += event.size();
            if !event.queued {
                event.queued = true;
                self.order.push_back((event.key, event.touched));
            }
            self.open.insert(event.key, event);
            self.keep_bounds(done);
        }
        // Most often nothing is open, and nothing need be hashed.
        if !self.open.is_empty()
            && let Some(event) = self.open.remove(&key)
        {
            self.open_bytes = self.open_bytes.saturating_sub(event.size());
            self.current = Some(event);
            return;
        }
        let addition = self.finished.get(Self::remembered(key)) == Some(&key);
        if addition && record.kind == kind::EOE {
            return; // the end of what was emitted already
        }
        if addition {
            self.late += 1;
        } else if (kind::DAEMON_FIRST..=kind::DAEMON_LAST).contains(&record.kind) {
            // Not of the kernel's count: auditd counts these from a random number (auditd-event.c).
        } else if key.node == 0 {
            self.own_gaps.observe(key.stamp.serial);
        } else if self.gaps.len() < MOST_NODES || self.gaps.contains_key(&key.node) {
            self.gaps
                .entry(key.node)
                .or_default()
                .observe(key.stamp.serial);
        }
        let mut event = self.spare.pop().unwrap_or_default();
        event.stamp = record.stamp;
        event.key = key;
        event.addition = addition;
        event.incomplete = None;
        event.ended = false;
        event.queued = false;
        event.node = event.keep(record.node);
        self.current = Some(event);
    }

    fn remembered(key: Key) -> usize {
        #[allow(clippy::cast_possible_truncation)] // only the low bits are wanted
        let place = key.stamp.serial.wrapping_add(key.node) as usize;
        place % REMEMBERED
    }

    fn finish_current(&mut self, reason: Option<Incomplete>, done: &mut Vec<Event>) {
        if let Some(event) = self.current.take() {
            self.finish(event, reason, done);
        }
    }

    fn finish_open(&mut self, key: Key, reason: Incomplete, done: &mut Vec<Event>) {
        if let Some(event) = self.open.remove(&key) {
            self.open_bytes = self.open_bytes.saturating_sub(event.size());
            self.finish(event, Some(reason), done);
        }
    }

    fn finish(&mut self, mut event: Event, reason: Option<Incomplete>, done: &mut Vec<Event>) {
        if let Some(place) = self.finished.get_mut(Self::remembered(event.key)) {
            *place = event.key;
        }
        if event.parts.is_empty() {
            self.recycle(event); // an end marker alone
            return;
        }
        event.by_clock = reason == Some(Incomplete::Timeout);
        event.incomplete = match reason {
            Some(Incomplete::Timeout | Incomplete::EndOfInput)
                if event.ended || !self.wants_end(&event) =>
            {
                None
            }
            other => other,
        };
        if event.incomplete == Some(Incomplete::Timeout) && self.leaves_out_ends() {
            self.titled.give_up(self.last);
        }
        done.push(event);
    }

    /// Whether the kernel sends an end marker: it does after the records of a system call or of an operation of
    /// io_uring, of which the first is one of these (`audit_log_exit`, kernel/auditsc.c).
    fn wants_end(&self, event: &Event) -> bool {
        let call = |part: &Part| {
            matches!(part.kind, kind::SYSCALL | kind::URINGOP)
                && !(self.titled).may_lack_end(part.kind, event.touched, BUSY)
        };
        self.source == Source::Live && event.parts.iter().any(call)
    }

    /// Lets the oldest open events go while there are too many or too large ones.
    fn keep_bounds(&mut self, done: &mut Vec<Event>) {
        if self.order.len() > 2 * self.open.len() + MOST_OPEN {
            self.order.retain(|(key, _)| self.open.contains_key(key));
        }
        while self.open.len() > MOST_OPEN || self.open_bytes > MOST_BYTES {
            let Some((key, _)) = self.order.pop_front() else {
                return;
            };
            self.finish_open(key, Incomplete::Evicted, done);
        }
    }

    /// Lets all unfinished events go, oldest first, but those whose end marker is still due.
    fn let_go_quiet(&mut self, now: u64, done: &mut Vec<Event>) {
        let over =
            |event: &Event| !self.wants_end(event) || self.is_old(event.key, event.touched, now);
        let current = self.current.as_ref().is_some_and(over);
        let keys = self.order.iter().map(|(key, _)| *key);
        let keys: Vec<Key> = keys
            .filter(|key| self.open.get(key).is_some_and(over))
            .collect();
        for key in keys {
            self.finish_open(key, Incomplete::Timeout, done);
        }
        if current {
            self.finish_current(Some(Incomplete::Timeout), done);
        }
    }

    /// Lets open events go that nothing came for in a while, and entries whose event is gone.
    fn let_go_old(&mut self, now: u64, done: &mut Vec<Event>) {
        while let Some(&(key, touched)) = self.order.front() {
            if self.current.as_ref().is_some_and(|event| event.key == key) {
                return; // its place is kept for when another interrupts it again
            }
            match self.open.get(&key).map(|event| event.touched) {
                Some(later) if later != touched => {
                    self.order.pop_front();
                    self.order.push_back((key, later));
                }
                Some(_) if !self.is_old(key, touched, now) => return,
                Some(_) => {
                    self.order.pop_front();
                    self.finish_open(key, Incomplete::Timeout, done);
                }
                None => {
                    self.order.pop_front();
                }
            }
        }
    }

    fn is_old(&self, key: Key, touched: u64, now: u64) -> bool {
        if self.source == Source::Live {
            return now >= touched.saturating_add(BUSY);
        }
        let elsewhere = self.current.as_ref().is_some_and(|event| {
            event.key.node == key.node
                && event.stamp.seconds.abs_diff(key.stamp.seconds) >= SECONDS_PAST
        });
        elsewhere || now >= touched.saturating_add(RECORDS_PAST)
    }
}
