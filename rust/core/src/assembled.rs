//! The records of one event, put together: what the assembler makes and everything after it reads.

use crate::record::{Record, Stamp};

/// Where in an event's bytes something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
}

/// One record within an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// Record type; [`kind::UNNAMED`] when only `name` is known.
    pub kind: u16,
    /// The type's name, where it has no number for us.
    pub name: Span,
    /// The fields.
    pub body: Span,
    /// The names that an ENRICHED log adds.
    pub enriched: Span,
}

/// Why an event is not all that the kernel wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// No end marker came before the time was up.
    Timeout,
    /// Too much was open at once.
    Evicted,
    /// The event itself is larger than is kept.
    TooLarge,
    /// The input ended.
    EndOfInput,
}

impl Incomplete {
    /// The reason in words, as `tsauditd.incomplete` gives it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Timeout => "no end of the event came in time",
            Self::Evicted => "too many unfinished events",
            Self::TooLarge => "the event is too large",
            Self::EndOfInput => "the input ended",
        }
    }
}

/// The records of one event.
#[derive(Debug, Default)]
pub struct Event {
    /// When, and which.
    pub stamp: Stamp,
    /// The host, empty if the log does not say.
    pub node: Span,
    /// Everything the spans point into.
    pub bytes: Vec<u8>,
    /// The records in the order they came, without the end marker.
    pub parts: Vec<Part>,
    /// Set when records of this event were emitted before: this is an addition to them.
    pub addition: bool,
    /// Set when the event was let go before its end.
    pub incomplete: Option<Incomplete>,
    /// The clock let it go: it may come after events of what happened later.
    pub(crate) by_clock: bool,
    pub(crate) key: Key,
    /// A record that ends it has come (in a log the next ones may still belong to it).
    pub(crate) ended: bool,
    /// It has its place in the order of the open events.
    pub(crate) queued: bool,
    /// Milliseconds (live) or records read (logs) at the last record.
    pub(crate) touched: u64,
}

impl Event {
    /// The bytes of a span.
    #[must_use]
    pub fn at(&self, span: Span) -> &[u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    pub(crate) fn keep(&mut self, text: &[u8]) -> Span {
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(text);
        Span {
            start,
            end: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn add(&mut self, record: &Record<'_>) {
        let name = if record.name.is_empty() {
            Span::default()
        } else {
            self.keep(record.name)
        };
        let body = self.keep(record.body);
        let enriched = if record.enriched.is_empty() {
            Span::default()
        } else {
            self.keep(record.enriched)
        };
        self.parts.push(Part {
            kind: record.kind,
            name,
            body,
            enriched,
        });
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity() + self.parts.capacity() * size_of::<Part>()
    }
}

/// What tells events apart: the host, as a number, and the stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Key {
    pub(crate) node: u64,
    pub(crate) stamp: Stamp,
}
