//! What an engine has seen, and what it could not read.

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines of a log.
    pub lines: u64,
    /// Audit records.
    pub records: u64,
    /// Events written.
    pub events: u64,
    /// Replies and pings among the packets.
    pub control: u64,
    /// Packets or lines that could not be read.
    pub unreadable: u64,
    /// Events written with a reason why they are not whole.
    pub incomplete: u64,
    /// Additions to events already written.
    pub late: u64,
    /// Serials that never came.
    pub gaps: u64,
    /// Records written as auditd does that were shortened.
    pub raw_cut: u64,
    /// Events outside the asked-for time.
    pub skipped: u64,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Line of its file, from 1; for packets their number.
    pub line: u64,
    /// Why.
    pub reason: &'static str,
    /// The beginning of it.
    pub text: Vec<u8>,
}
