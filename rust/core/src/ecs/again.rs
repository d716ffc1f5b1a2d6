//! Whole lines, kept as they were written: an event whose records say what another's said differs from it by its
//! stamp alone, and by the internet address that one of them may name.
//!
//! That is what a storm is made of: a program that does one thing in a loop. What else an event's line depends on (the
//! process, names, the ends of a connection) is asked for before a line is written again; only events of which that is
//! all are kept. The ends stand last, so of a connection's line all before them is kept.

use std::sync::Arc;

use crate::assemble::{Event, Part, Span};
use crate::ecs::head::{Head, Marks};
use crate::ecs::network::{self, Named};
use crate::ecs::pen::Related;
use crate::endpoint::Question;
use crate::event::View;
use crate::json::Object;
use crate::mix::{mix, place};
use crate::record::kind;

/// How many events are remembered; a new one takes the place of the one that has its number.
const PLACES: usize = 512;
/// The largest records and line kept of one, in bytes: 6 MB in all, if every one is so large.
const MOST_RECORDS: usize = 4 << 10;
const MOST_LINE: usize = 8 << 10;

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

impl Who {
    /// Of an event, of which `told` was told.
    #[must_use]
    pub fn of(view: &View<'_>, told: u64) -> Option<Self> {
        let enriched = view.part(view.actor()).enriched;
        let text = view.opened.who?;
        Some(Self {
            text,
            enriched,
            told,
        })
    }
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
    /// What of the bytes makes no difference.
    apart: Option<Span>,
    who: Who,
    question: Option<Question>,
    head: Arc<Head>,
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
struct Hash(u64);

impl Hash {
    fn place(self) -> usize {
        place(self.0, PLACES)
    }
}

/// An event whose records may have come before.
#[derive(Debug, Clone, Copy)]
pub struct Likeness {
    hash: Hash,
    /// The address that it names.
    pub named: Option<Named>,
}

impl Likeness {
    /// Of an event; `None` for one that is not kept.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        if !is_plain(event) {
            return None;
        }
        let named = Named::of(event);
        let [before, behind] = around(&event.bytes, named.map(|named| named.digits));
        let hash = Hash(mix(mix(0, before), behind));
        Some(Self { hash, named })
    }

    /// Whether the event, whose fields have been found, says the address that its bytes seemed to say.
    #[must_use]
    pub fn is_confirmed(&self, view: &View<'_>) -> bool {
        (self.named).is_none_or(|named| network::says(view, &named))
    }
}

/// What is before some of the bytes and behind it.
fn around(bytes: &[u8], apart: Option<Span>) -> [&[u8]; 2] {
    match apart {
        Some(apart) => [
            bytes.get(..apart.start as usize).unwrap_or_default(),
            bytes.get(apart.end as usize..).unwrap_or_default(),
        ],
        None => [bytes, &[]],
    }
}

/// Whether nothing but its records, who acted and the ends of its connection decides what an event's line says: a system
/// call, whole.
fn is_plain(event: &Event) -> bool {
    let usual = |part: &Part| {
        matches!(
            part.kind,
            kind::SYSCALL | kind::PATH | kind::CWD | kind::SOCKADDR | kind::PROCTITLE
        )
    };
    event.bytes.len() <= MOST_RECORDS
        && !event.addition
        && event.incomplete.is_none()
        && event.parts.iter().all(usual)
}

impl Lines {
    /// Who acted in `event` and what it asks of a connection, if a line for the same records is there.
    #[must_use]
    pub fn find(
        &self,
        like: &Likeness,
        event: &Event,
        generation: u64,
    ) -> Option<(Who, Option<Question>)> {
        let kept = self.places.get(like.hash.place())?;
        let apart = like.named.map(|named| named.digits);
        let same = kept.hash == like.hash
            && kept.generation == generation
            && kept.node == event.node
            && kept.parts == event.parts
            && kept.apart == apart
            && around(&kept.bytes, apart) == around(&event.bytes, apart);
        same.then(|| {
            let question = kept.question.map(|question| match like.named {
                Some(named) => question.about(named.address),
                None => question,
            });
            (kept.who, question)
        })
    }

    /// The line that was found.
    #[must_use]
    pub fn head(&self, like: &Likeness) -> Option<&Arc<Head>> {
        self.places.get(like.hash.place()).map(|kept| &kept.head)
    }

    /// Keeps a line, from the second time on that its records came: most never do.
    ///
    /// `text`: all of it, or all before the ends of a connection; then `ending` is what ends it, which stands behind all
    /// marks: `tsauditd` and what was gathered.
    pub fn learn(
        &mut self,
        like: &Likeness,
        event: &Event,
        line: &Line<'_>,
        text: &[u8],
        ending: Option<(&Object, &Related)>,
    ) {
        let Some(kept) = self.places.get_mut(like.hash.place()) else {
            return;
        };
        kept.parts.clear();
        let again = kept.hash == like.hash;
        kept.hash = like.hash;
        if !again || text.len() > MOST_LINE {
            return;
        }
        (kept.generation, kept.node) = (line.generation, event.node);
        (kept.who, kept.question) = (line.who, line.question);
        kept.apart = like.named.map(|named| named.digits);
        kept.parts.extend_from_slice(&event.parts);
        kept.bytes.clear();
        kept.bytes.extend_from_slice(&event.bytes);
        let any = like.named.is_some();
        let mut head = Head::new(text, line.start, line.marks, any, line.timeline);
        if let Some((extra, gathered)) = ending {
            head.open(extra, line.start + text.len(), gathered);
        }
        kept.head = Arc::new(head);
    }
}

/// A line as it was written just now.
#[derive(Debug)]
pub struct Line<'a> {
    /// Where it begins, counted as its marks are.
    pub start: usize,
    /// Where its stamp is.
    pub marks: &'a Marks,
    /// A session's timeline needs it.
    pub timeline: bool,
    /// Who acted.
    pub who: Who,
    /// What its event asked of a connection.
    pub question: Option<Question>,
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

    fn connection(stamp: &str, address: &str) -> String {
        event(stamp, 8, 1)
            .lines()
            .map(|record| {
                if record.starts_with("type=PATH") {
                    format!("type=SOCKADDR msg=audit({stamp}): saddr={address}\n")
                } else {
                    record
                        .replace("syscall=257", "syscall=42")
                        .replace("items=1", "items=0")
                        + "\n"
                }
            })
            .collect()
    }

    #[test]
    fn an_address_is_the_events_own() {
        let inet6 = |flow, address, scope| format!("0A000050{flow:08X}{address}{scope:08X}");
        let global = "20010DB8000000000000000000000001";
        let mapped = "00000000000000000000FFFF0A000001";
        let addresses = [
            "02000050C00002010000000000000000".to_owned(),
            "0200C000080808080102030405060708".to_owned(),
            "02000000000000000000000000000000".to_owned(),
            "02000050C0000201".to_owned(),
            "0200zz50C00002010000000000000000".to_owned(),
            "02000050C00002010000000000000000 saddr=0200".to_owned(),
            inet6(0, global, 0),
            inet6(0, mapped, 0),
            inet6(7, global, 0),
            inet6(0, global, 1 << 24),
            "01002F72756E2F6100".to_owned(),
            "01002F72756E2F6200".to_owned(),
        ];
        for before in &addresses {
            for last in &addresses {
                let all: Vec<_> = (1..6)
                    .map(|serial| connection(&format!("1700000000.001:{serial}"), before))
                    .collect();
                let last = connection("1800000001.750:123456789", last);
                let others = vec![event("1700000000.001:1", 8, 1)];
                let [again, anew] =
                    [all, others].map(|first| last_line(&[first, vec![last.clone()]].concat()));
                assert_eq!(again, anew, "{before} {last}");
            }
        }
    }
}
