//! Who causes how many events: counts by rule key and by executable, bounded.
//!
//! The most frequent names are kept by the space-saving algorithm (Metwally, Agrawal, El Abbadi 2005): when the table
//! is full a new name takes the place, and the count, of the rarest. So a count is never too low, and no name that has
//! more than one part in [`MOST`] of all events is missing.

use std::collections::HashMap;

use crate::assembled::Event;
use crate::decode::hex;
use crate::record::kind;

/// Names of each kind.
const MOST: usize = 256;
/// Bytes of a name that are kept.
const LONGEST: usize = 512;

/// Names with counts.
#[derive(Debug, Default)]
struct Top {
    places: HashMap<Box<[u8]>, usize>,
    counts: Vec<(Box<[u8]>, u64)>,
    /// The place that was counted last, which most often is the next.
    last: usize,
}

impl Top {
    fn count(&mut self, name: &[u8]) {
        let name = name.get(..LONGEST).unwrap_or(name);
        if let Some((known, count)) = self.counts.get_mut(self.last)
            && **known == *name
        {
            *count += 1;
            return;
        }
        if let Some(&place) = self.places.get(name) {
            self.last = place;
            if let Some((_, count)) = self.counts.get_mut(place) {
                *count += 1;
            }
            return;
        }
        let place = self.counts.len();
        if place < MOST {
            self.counts.push((name.into(), 1));
            self.places.insert(name.into(), place);
            self.last = place;
            return;
        }
        let rarest = self
            .counts
            .iter()
            .enumerate()
            .min_by_key(|(_, (_, count))| *count);
        let Some(place) = rarest.map(|(place, _)| place) else {
            return;
        };
        if let Some((old, count)) = self.counts.get_mut(place) {
            self.places.remove(old);
            *old = name.into();
            *count += 1;
            self.places.insert(name.into(), place);
            self.last = place;
        }
    }

    fn most_first(&self) -> Vec<(String, u64)> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut all: Vec<_> = self
            .counts
            .iter()
            .map(|(name, count)| (text(name), *count))
            .collect();
        all.sort_by(|(one, many), (other, more)| more.cmp(many).then_with(|| one.cmp(other)));
        all
    }
}

/// The counts.
#[derive(Debug, Default)]
pub struct Talkers {
    keys: Top,
    executables: Top,
    scratch: Vec<u8>,
}

impl Talkers {
    /// Counts an event of a system call; others have neither key nor program.
    pub fn count(&mut self, event: &Event) {
        let call = event.parts.iter().find(|part| part.kind == kind::SYSCALL);
        let Some(body) = call.map(|part| event.at(part.body)) else {
            return;
        };
        // Both stand near the end, the key last (kernel/auditsc.c, audit_log_exit).
        let [executable, key] = last(body, [b"exe=", b"key="]);
        if let Some(at) = executable {
            let executable = value(body, at, &mut self.scratch);
            self.executables.count(executable);
        }
        if let Some(at) = key {
            let keys = value(body, at, &mut self.scratch);
            for key in keys.split(|byte| *byte == 1).filter(|key| !key.is_empty()) {
                self.keys.count(key);
            }
        }
    }

    /// Rule keys with their events, the most frequent first.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, u64)> {
        self.keys.most_first()
    }

    /// Executables with their events, the most frequent first.
    #[must_use]
    pub fn executables(&self) -> Vec<(String, u64)> {
        self.executables.most_first()
    }
}

/// Where the values of these fields begin, of each the last that stands behind a space.
fn last<const N: usize>(body: &[u8], names: [&[u8; 4]; N]) -> [Option<usize>; N] {
    let mut found = [None; N];
    for space in memchr::memrchr_iter(b' ', body) {
        let word = body.get(space + 1..).unwrap_or_default();
        for (name, place) in names.iter().zip(&mut found) {
            if place.is_none() && word.first_chunk() == Some(*name) {
                *place = Some(space + 1 + name.len());
            }
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found
}

/// The decoded value that begins at `at`; empty for `(null)`.
fn value<'a>(body: &'a [u8], at: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let rest = body.get(at..).unwrap_or_default();
    if let [b'"', inside @ ..] = rest {
        let end = memchr::memchr(b'"', inside).unwrap_or(inside.len());
        return inside.get(..end).unwrap_or_default();
    }
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let bare = rest.get(..end).unwrap_or_default();
    if bare == b"(null)" {
        return b"";
    }
    scratch.clear();
    if hex::unhex(bare, scratch) {
        scratch
    } else {
        bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn event(body: &str) -> Event {
        let mut event = Event::default();
        event.add(&Record {
            kind: kind::SYSCALL,
            body: body.as_bytes(),
            ..Record::default()
        });
        event
    }

    #[test]
    fn counts_keys_and_executables() {
        let mut talkers = Talkers::default();
        for body in [
            r#"arch=c000003e comm="cat" exe="/usr/bin/cat" subj=x key="open""#,
            r#"arch=c000003e comm="cat" exe="/usr/bin/cat" key=6F70656E016F74686572"#,
            r#"arch=c000003e exe=2F746D702F612062 key=(null)"#,
            "arch=c000003e",
        ] {
            talkers.count(&event(body));
        }
        talkers.count(&Event::default());
        assert_eq!(talkers.keys(), [("open".into(), 2), ("other".into(), 1)]);
        assert_eq!(
            talkers.executables(),
            [("/usr/bin/cat".into(), 2), ("/tmp/a b".into(), 1)]
        );
    }

    #[test]
    fn stays_small_and_keeps_the_frequent() {
        let mut top = Top::default();
        for round in 0..10_000u32 {
            top.count(b"often");
            top.count(format!("once {round}").as_bytes());
        }
        assert_eq!((top.counts.len(), top.places.len()), (MOST, MOST));
        let first = top.most_first().into_iter().next();
        assert_eq!(first, Some(("often".into(), 10_000)));
    }
}
