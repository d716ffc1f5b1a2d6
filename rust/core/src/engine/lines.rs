//! Logs: bytes cut anywhere, a record a line.

use super::Engine;
use crate::line::{Line, line, lines_within};

/// A line longer than this is not an audit record: auditd's own end at 8,970 bytes. In bytes.
const LONGEST_LINE: usize = 1 << 20;

/// How far a log is read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// In the middle of a line that is too long.
    skipping: bool,
    /// Lines to pass over, which belong to the record before.
    within: usize,
    /// Line number within the current file.
    pub(super) line: u64,
    /// When the lines that are read came, by the steady clock; 0 for a log.
    now: u64,
}

impl Engine {
    /// Reads the next bytes of lines that another daemon hands on as it gets the records, end markers included. `now` as
    /// for [`Self::packet`].
    pub fn live_lines(&mut self, bytes: &[u8], now: u64) {
        self.reading.now = now;
        self.line_bytes(bytes);
    }

    /// Reads the next bytes of a log, cut anywhere.
    pub fn line_bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            if self.reading.skipping {
                self.reading.skipping = false;
            } else if self.reading.rest.is_empty() {
                self.line(head);
            } else {
                let mut whole = std::mem::take(&mut self.reading.rest);
                whole.extend_from_slice(head);
                self.line(&whole);
                whole.clear();
                self.reading.rest = whole;
            }
        }
        if self.reading.skipping {
            return;
        }
        self.reading.rest.extend_from_slice(rest);
        if self.reading.rest.len() > LONGEST_LINE {
            let long = std::mem::take(&mut self.reading.rest);
            self.line(&long);
            self.reading.skipping = true;
        }
    }

    /// Ends a file: its last line may lack a newline, and lines are counted anew.
    pub fn end_file(&mut self) {
        let last = std::mem::take(&mut self.reading.rest);
        if !last.is_empty() {
            self.line(&last);
        }
        self.reading.skipping = false;
        self.reading.within = 0;
        self.reading.line = 0;
    }

    fn line(&mut self, text: &[u8]) {
        self.counters.lines += 1;
        self.reading.line += 1;
        if text.len() > LONGEST_LINE {
            self.refuse("a line of more than a mebibyte", text);
            return;
        }
        if self.reading.within > 0 {
            self.reading.within -= 1;
            return;
        }
        match line(text, &mut self.headers) {
            Line::Record(record) => {
                self.reading.within = lines_within(&record);
                self.record(&record, self.reading.now);
            }
            Line::Nothing => {}
            Line::Unreadable(reason) => self.refuse(reason, text),
        }
    }
}
