//! Lines kept to be written again, with what is another event's own.

use std::ops::Range;

use crate::decode::address::write_decimal;
use crate::ecs::line;
use crate::ecs::network::{self, Named};
use crate::ecs::pen::Related;
use crate::endpoint::flow::Flow;
use crate::json::{self, Clock, Object};
use crate::record::Stamp;

/// What differs from event to event, as lines have it: a part of the stamp, or of what is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The time in ISO 8601.
    Time,
    /// `SECONDS.MILLIS:SERIAL`.
    Id,
    /// The serial.
    Serial,
    /// The internet address that a record names.
    Address,
    /// Its port.
    Port,
}

/// Where a line has these, in ascending order.
#[derive(Debug, Default)]
pub struct Marks {
    places: Vec<(Mark, Range<usize>)>,
}

impl Marks {
    /// Forgets them, and keeps the room.
    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// Notes where one was written.
    pub fn add(&mut self, mark: Mark, place: Range<usize>) {
        self.places.push((mark, place));
    }
}

/// Writes `SECONDS.MILLIS:SERIAL`, which is how ausearch names an event.
pub fn write_id(out: &mut Vec<u8>, stamp: Stamp) {
    json::number(out, stamp.seconds);
    out.push(b'.');
    json::millis(out, stamp.millis);
    out.push(b':');
    json::number(out, stamp.serial);
}

/// What is an event's own, of those with the same line: its stamp, and the address that it names.
pub type Own = (Stamp, Option<Named>);

/// A line as it was written, whole or up to the ends of a connection.
#[derive(Debug, Default)]
pub struct Head {
    text: Vec<u8>,
    marks: Vec<(Mark, Range<usize>)>,
    /// What ends it, if it is not whole: `tsauditd`, still open, as if the text ended at 0, and what was gathered.
    ending: Option<(Object, Related)>,
    /// A session's timeline needs it.
    pub timeline: bool,
}

impl Head {
    /// A whole line, which began at `start`, as its marks count. `named`: what is named may be another's; if not, it stays
    /// as it is.
    pub fn new(text: &[u8], start: usize, marks: &Marks, named: bool, timeline: bool) -> Self {
        let moved = |at: usize| at.saturating_sub(start);
        let marks = (marks.places.iter())
            .filter(|(mark, _)| named || !matches!(mark, Mark::Address | Mark::Port))
            .map(|(mark, at)| (*mark, moved(at.start)..moved(at.end)))
            .collect();
        Self {
            text: text.to_vec(),
            marks,
            ending: None,
            timeline,
        }
    }

    /// It is not whole: `extra`, behind all marks, is still open, as of a text that ended at `end`.
    pub fn open(&mut self, extra: &Object, end: usize, gathered: &Related) {
        let mut related = Related::default();
        related.set(gathered);
        self.ending = Some((extra.moved(end, 0), related));
    }

    /// Whether the ends of a connection are to follow.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending.is_some()
    }

    /// The bytes of its text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Writes the line with another stamp and address, and the ends of the connection where those are to follow.
    /// `scratch` is room for `related`.
    pub fn write(
        &self,
        (stamp, named): Own,
        clock: &mut Clock,
        scratch: &mut Related,
        flow: Option<&Flow>,
        out: &mut Vec<u8>,
    ) {
        let mut from = 0;
        for (mark, at) in &self.marks {
            out.extend_from_slice(self.text.get(from..at.start).unwrap_or_default());
            match mark {
                Mark::Time => clock.write(out, stamp.seconds, stamp.millis),
                Mark::Id => write_id(out, stamp),
                Mark::Serial => json::number(out, stamp.serial),
                Mark::Address => named
                    .iter()
                    .for_each(|named| network::write_ip(out, named.address.ip())),
                Mark::Port => named
                    .iter()
                    .for_each(|named| write_decimal(out, named.address.port())),
            }
            from = at.end;
        }
        out.extend_from_slice(self.text.get(from..).unwrap_or_default());
        if let Some((extra, related)) = &self.ending {
            scratch.set(related);
            line::end(out, extra.moved(0, out.len()), scratch, flow);
        }
    }
}
