//! Whole lines, kept as they were written: an event whose records say what another's said differs from it by its
//! stamp alone.
//!
//! That is what a storm is made of: a program that does one thing in a loop. What else an event's line depends on (the
//! process, names) is asked for before a line is written again;
//! only events of which that is all are kept.

use std::ops::Range;

use crate::assemble::{Event, Part, Span};
use crate::ecs::Written;
use crate::json::{self, Clock};
use crate::mix::{mix, place};
use crate::record::{Stamp, kind};

/// How many events are remembered; a new one takes the place of the one that has its number.
const PLACES: usize = 512;
/// The largest records and line kept of one, in bytes: 6 MB in all, if every one is so large.
const MOST_RECORDS: usize = 4 << 10;
const MOST_LINE: usize = 8 << 10;

/// A part of an event's stamp, as lines have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The time in ISO 8601.
    Time,
    /// `SECONDS.MILLIS:SERIAL`.
    Id,
    /// The serial.
    Serial,
}

/// Where a line has parts of its event's stamp, in ascending order.
#[derive(Debug, Default)]
pub struct Marks {
    places: Vec<(Mark, Range<usize>)>,
}

impl Marks {
    /// Forgets them, and keeps the room.
    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// Notes where a part of the stamp was written.
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

/// Who acted: where in the records that is said, and the number of what was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Who {
    /// The text.
    pub text: Span,
    /// The names for it.
    pub enriched: Span,
    /// The number of [`Told`](crate::ecs::memo::Told): a line that was written with another says something else.
    pub told: u64,
}

/// An event's records and the line they became.
#[derive(Debug, Default)]
struct Kept {
    /// Of the records; seen once, but not kept, while `parts` is empty.
    hash: Hash,
    generation: u64,
    parts: Vec<Part>,
    node: Span,
    bytes: Vec<u8>,
    who: Who,
    line: Vec<u8>,
    marks: Vec<(Mark, Range<usize>)>,
    timeline: bool,
}

/// The lines kept.
#[derive(Debug)]
pub struct Lines {
    places: Vec<Kept>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Kept::default()).collect(),
        }
    }
}

/// What finds an event's records again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash(u64);

impl Hash {
    fn place(self) -> usize {
        place(self.0, PLACES)
    }
}

/// Whether nothing but its records and who acted decides what an event's line says: a system call, whole, with no
/// address in it, whose ends would be looked for.
fn is_plain(event: &Event) -> bool {
    let usual = |part: &Part| {
        matches!(
            part.kind,
            kind::SYSCALL | kind::PATH | kind::CWD | kind::PROCTITLE
        )
    };
    event.bytes.len() <= MOST_RECORDS
        && !event.addition
        && event.incomplete.is_none()
        && event.parts.iter().all(usual)
}

impl Lines {
    /// What finds an event's records again; `None` for one that is not kept.
    #[must_use]
    pub fn hash(event: &Event) -> Option<Hash> {
        is_plain(event).then(|| Hash(mix(0, &event.bytes)))
    }

    /// Who acted in `event`, if a line for the same records is there.
    #[must_use]
    pub fn find(&self, hash: Hash, event: &Event, generation: u64) -> Option<Who> {
        let kept = self.places.get(hash.place())?;
        let same = kept.hash == hash
            && kept.generation == generation
            && kept.node == event.node
            && kept.parts == event.parts
            && kept.bytes == event.bytes;
        same.then_some(kept.who)
    }

    /// Writes the line that was found, with another stamp.
    pub fn write(&self, hash: Hash, stamp: Stamp, clock: &mut Clock, out: &mut Vec<u8>) -> Written {
        let mut timeline = false;
        if let Some(kept) = self.places.get(hash.place()) {
            let mut from = 0;
            for (mark, at) in &kept.marks {
                out.extend_from_slice(kept.line.get(from..at.start).unwrap_or_default());
                match mark {
                    Mark::Time => clock.write(out, stamp.seconds, stamp.millis),
                    Mark::Id => write_id(out, stamp),
                    Mark::Serial => json::number(out, stamp.serial),
                }
                from = at.end;
            }
            out.extend_from_slice(kept.line.get(from..).unwrap_or_default());
            timeline = kept.timeline;
        }
        Written {
            whole: true,
            timeline,
            waits: None,
        }
    }

    /// Keeps the line that begins at `start` of `out`, from the second time on that its records came: most never do.
    pub fn learn(&mut self, hash: Hash, event: &Event, who: Who, line: &Line<'_>) {
        let Some(kept) = self.places.get_mut(hash.place()) else {
            return;
        };
        kept.parts.clear();
        let again = kept.hash == hash;
        kept.hash = hash;
        if !again || !line.written.whole || line.text.len() > MOST_LINE {
            return;
        }
        (kept.generation, kept.node, kept.who) = (line.generation, event.node, who);
        kept.timeline = line.written.timeline;
        kept.parts.extend_from_slice(&event.parts);
        kept.bytes.clear();
        kept.bytes.extend_from_slice(&event.bytes);
        kept.line.clear();
        kept.line.extend_from_slice(line.text);
        kept.marks.clear();
        let marks = line.marks.places.iter().cloned();
        kept.marks.extend(marks.map(|(mark, at)| {
            let moved = |at: usize| at.saturating_sub(line.start);
            (mark, moved(at.start)..moved(at.end))
        }));
    }
}

/// A line as it was written just now.
#[derive(Debug)]
pub struct Line<'a> {
    /// All of it.
    pub text: &'a [u8],
    /// Where it begins, counted as its marks are.
    pub start: usize,
    /// Where its stamp is.
    pub marks: &'a Marks,
    /// What there is to know of it.
    pub written: &'a Written,
    /// Of the names in use.
    pub generation: u64,
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Nobody, Settings};

    fn event(stamp: &str, pid: u32, inode: u32) -> String {
        [
            format!(
                "SYSCALL|arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=7f00 a2=0 a3=0 items=1 ppid=7 \
                 pid={pid} auid=1 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 \
                 comm=\"cat\" exe=\"/usr/bin/cat\" key=\"k\""
            ),
            "CWD|cwd=\"/root\"".to_owned(),
            format!("PATH|item=0 name=\"a\" inode={inode} dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL"),
            "PROCTITLE|proctitle=\"cat\"".to_owned(),
        ]
        .map(|record| {
            let (kind, body) = record.split_once('|').unwrap_or_default();
            format!("type={kind} msg=audit({stamp}): {body}\n")
        })
        .concat()
    }

    fn last_line(events: &[String]) -> String {
        let settings = Settings {
            log: true,
            ..Settings::default()
        };
        let mut engine = Engine::new(settings, Box::new(Nobody));
        events
            .iter()
            .for_each(|event| engine.line_bytes(event.as_bytes()));
        engine.flush();
        let text = String::from_utf8(std::mem::take(engine.output())).unwrap();
        text.lines().last().unwrap().to_owned()
    }

    #[test]
    fn a_line_again_is_the_line_written_anew() {
        let before = |inode| {
            let event = |serial| event(&format!("1700000000.001:{serial}"), 8, inode);
            (1..6).map(event).collect::<Vec<_>>()
        };
        for (stamp, pid, inode) in [
            ("1700000000.001:99", 8, 9),
            ("1800000001.750:123456789", 8, 9),
            ("1700000000.001:99", 8, 10),
            ("1700000000.001:99", 9, 9),
        ] {
            let last = event(stamp, pid, inode);
            // The same process, and another file.
            let [again, anew] =
                [9, 100].map(|inode| last_line(&[before(inode), vec![last.clone()]].concat()));
            assert_eq!(again, anew, "{stamp} {pid} {inode}");
        }
    }
}
