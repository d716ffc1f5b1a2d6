//! Names for live events, as they were when the event happened. The reading thread never waits for one: a directory
//! server that is down must not stop the audit stream. The local files are read here, which takes microseconds; for
//! other names other threads ask, and what is not known yet has no name in this event and has it in a later one.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tsauditd_core::System;
use tsauditd_core::names::{Generations, Named};

use crate::asking::Asking;
use crate::local::LocalFile;
use crate::nss::{Answer, IdMap, Kind, UNSET};

/// A name is asked for again after this; the old one is used until the answer is there.
const NAMED_MS: u64 = 10 * 60 * 1000;

/// An id without a name, or whose question failed, is asked for again after this: accounts are made while we run.
const NAMELESS_MS: u64 = 30 * 1000;

/// An id whose question found the queue full is asked for again after this, as is one whose question is older than a
/// record of work on accounts.
const SOON_MS: u64 = 1000;

/// How often the local files are looked at while events come; for some time after a record of work on accounts, each
/// millisecond.
const LOOK_MS: u64 = 100;
const ATTENTIVE_MS: u64 = 2000;

/// Ids remembered for each kind.
const REMEMBERED_IDS: usize = 1 << 14;

#[derive(Default)]
struct Known {
    named: Named,
    /// It is in the local file, which is watched; nobody is asked.
    local: bool,
    /// When it was asked for last and is to be next, on the steady clock.
    asked: u64,
    ask_at: u64,
}

/// The ids of one kind.
struct Ids {
    file: LocalFile,
    known: IdMap<Known>,
}

impl Ids {
    fn new(path: &'static str, database: &'static str) -> Self {
        Self {
            file: LocalFile::new(path, database),
            known: IdMap::default(),
        }
    }

    /// Reads the local file if it has changed.
    fn look(&mut self, generations: &mut Generations) {
        let Some(listed) = self.file.changed() else {
            return;
        };
        let (names, since) = (listed.names, listed.since);
        for (id, known) in &mut self.known {
            if known.local && names.binary_search_by_key(id, |(id, _)| *id).is_err() {
                *known = Known {
                    named: std::mem::take(&mut known.named),
                    ..Known::default()
                };
                if let Some(since) = known.named.rename(None, since) {
                    generations.change(since);
                }
            }
        }
        for (id, name) in names {
            match self.known.entry(id) {
                Entry::Occupied(mut entry) => {
                    let known = entry.get_mut();
                    known.local = true;
                    if let Some(since) = known.named.rename(Some(name), since) {
                        generations.change(since);
                    }
                }
                Entry::Vacant(entry) => {
                    entry.insert(Known {
                        named: Named::new(Some(name)),
                        local: true,
                        ..Known::default()
                    });
                }
            }
        }
        generations.renew();
    }

    /// Takes an answer that came before the event of `time`.
    fn learn(
        &mut self,
        id: u32,
        answer: Answer,
        now: u64,
        time: u64,
        generations: &mut Generations,
    ) {
        let Some(known) = self.known.get_mut(&id).filter(|known| !known.local) else {
            return;
        };
        let (name, again) = match answer {
            Answer::Name(name) => (Some(name.into_boxed_str()), NAMED_MS),
            Answer::Nobody => (None, NAMELESS_MS),
            Answer::Failed => (known.named.last().map(Box::from), NAMELESS_MS),
        };
        known.ask_at = now + again;
        if known.named.last().is_none() && known.named.always() {
            known.named = Named::new(name); // it only was not known
        } else if let Some(since) = known.named.rename(name, time) {
            generations.change(since);
        }
    }

    /// Forgets the ids without a name: a flood of made-up ids does not cost the real ones their names.
    fn make_room(&mut self) {
        self.known.retain(|_, known| known.named.last().is_some());
        if self.known.len() > REMEMBERED_IDS / 4 * 3 {
            self.known.clear();
            self.file.forget();
        }
    }
}

/// The names known so far.
pub struct LiveNames {
    users: Ids,
    groups: Ids,
    asking: Asking,
    generations: Generations,
    /// The event's time since the epoch; all others here are on the steady clock.
    time: u64,
    now_ms: Arc<AtomicU64>,
    /// When the files are looked at next, and until when closely.
    look_at: u64,
    attentive_until: u64,
    /// When a record last told of work on accounts.
    told: u64,
    /// When the first of the names that were given grows old.
    due: u64,
}

impl LiveNames {
    /// Starts the asking threads, which end with these names, and reads the local files. `now_ms` is kept by the
    /// reading thread. Threads that cannot be started leave the local names.
    pub fn start(now_ms: Arc<AtomicU64>) -> Self {
        let mut names = Self {
            users: Ids::new("/etc/passwd", "passwd"),
            groups: Ids::new("/etc/group", "group"),
            asking: Asking::start(),
            generations: Generations::default(),
            time: 0,
            now_ms,
            look_at: 0,
            attentive_until: 0,
            told: 0,
            due: u64::MAX,
        };
        names.look();
        names
    }

    fn now(&self) -> u64 {
        self.now_ms.load(Relaxed)
    }

    fn ids(&mut self, kind: Kind) -> &mut Ids {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        }
    }

    fn look(&mut self) {
        let now = self.now();
        let attentive = now < self.attentive_until;
        self.look_at = now + if attentive { 1 } else { LOOK_MS };
        self.users.look(&mut self.generations);
        self.groups.look(&mut self.generations);
    }

    fn learn(&mut self) {
        let answers = self.asking.take();
        if answers.is_empty() {
            return;
        }
        let (now, time) = (self.now(), self.time);
        for (kind, id, answer) in answers {
            let ids = match kind {
                Kind::User => &mut self.users,
                Kind::Group => &mut self.groups,
            };
            ids.learn(id, answer, now, time, &mut self.generations);
        }
        self.generations.renew();
    }

    fn name(&mut self, kind: Kind, id: u32) -> Option<&str> {
        if id == UNSET {
            return None;
        }
        if !self.ids(kind).known.contains_key(&id) {
            if self.ids(kind).known.len() >= REMEMBERED_IDS {
                self.ids(kind).make_room();
            }
            // It may have been made this very moment.
            self.look();
        }
        let (now, told, time) = (self.now(), self.told, self.time);
        let known = match kind {
            Kind::User => self.users.known.entry(id).or_default(),
            Kind::Group => self.groups.known.entry(id).or_default(),
        };
        if !known.local {
            let mut ask_at = known.ask_at;
            if known.asked <= told {
                ask_at = ask_at.min(known.asked + SOON_MS);
            }
            if now >= ask_at {
                let asked = self.asking.ask(kind, id);
                ask_at = now + if asked { NAMELESS_MS } else { SOON_MS };
                (known.asked, known.ask_at) = (now, ask_at);
            }
            self.due = self.due.min(ask_at);
        }
        known.named.at(time)
    }
}

impl System for LiveNames {
    fn user(&mut self, uid: u32) -> Option<&str> {
        self.name(Kind::User, uid)
    }

    fn group(&mut self, gid: u32) -> Option<&str> {
        self.name(Kind::Group, gid)
    }

    fn at(&mut self, time: u64) {
        self.time = time;
        let now = self.now();
        if now >= self.look_at {
            self.look();
        }
        self.learn();
        if now >= self.due {
            self.due = u64::MAX; // whoever is asked about again sets the next
            self.generations.renew();
        }
        self.generations.at(time);
    }

    fn accounts_changed(&mut self) {
        self.told = self.now();
        self.attentive_until = self.told + ATTENTIVE_MS;
        self.look();
        if self.due < u64::MAX {
            self.generations.renew();
        }
    }

    fn generation(&self) -> u64 {
        self.generations.current()
    }
}
