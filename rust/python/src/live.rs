//! Names for live events. The reading thread never waits for one: a directory server that is down must not stop the
//! audit stream. Another thread asks; what is not known yet has no name in this event and has it in the next.

use std::fs;
use std::path::Path;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tsauditd_core::System;

use crate::nss::{IdMap, Kind, UNSET, name_of};

/// A name is asked for again after this; the old one is used until the answer is there.
const NAMED_MS: u64 = 10 * 60 * 1000;

/// An id without a name is asked for again after this: accounts are made while we run.
const NAMELESS_MS: u64 = 30 * 1000;

/// An id whose question found the queue full is asked for again after this.
const REFUSED_MS: u64 = 1000;

/// Ids remembered for each kind, and questions that may wait.
const REMEMBERED_IDS: usize = 1 << 14;
const WAITING_QUESTIONS: usize = 1 << 10;

struct Known {
    name: Option<Box<str>>,
    ask_at: u64,
}

type Answer = (Kind, u32, Option<String>);

/// Answers on their way back.
#[derive(Default)]
struct Answers {
    /// How many were ever given.
    given: AtomicU64,
    list: Mutex<Vec<Answer>>,
}

/// The names known so far.
pub struct LiveNames {
    users: IdMap<Known>,
    groups: IdMap<Known>,
    questions: SyncSender<(Kind, u32)>,
    answers: Arc<Answers>,
    /// How many answers were given when they were last taken.
    learned: u64,
    now_ms: Arc<AtomicU64>,
}

/// Answers questions until nobody can ask any more. Sleeps while there is none.
fn answer(questions: &Receiver<(Kind, u32)>, answers: &Answers) {
    for (kind, id) in questions {
        let name = name_of(kind, id);
        answers
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((kind, id, name));
        answers.given.fetch_add(1, Release);
    }
}

/// The ids and names of a local file in the form `name:password:id:...` (passwd(5), group(5)); none if unreadable.
fn local_names(path: &Path) -> impl Iterator<Item = (u32, Box<str>)> {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(':');
            let (name, _, id) = (words.next()?, words.next()?, words.next()?);
            Some((id.parse().ok()?, Box::from(name)))
        })
        .take(REMEMBERED_IDS / 2)
        .collect();
    names.into_iter().rev() // of two names with one id, the first counts
}

impl LiveNames {
    /// Starts the asking thread, which ends with these names, and reads the local files. `now_ms` is kept by the
    /// reading thread. A thread that cannot be started leaves the local names.
    pub fn start(now_ms: Arc<AtomicU64>) -> Self {
        let (questions, asked) = sync_channel(WAITING_QUESTIONS);
        let answers = Arc::new(Answers::default());
        let theirs = Arc::clone(&answers);
        // Not joined: a question to a dead server may take minutes.
        let _ = std::thread::Builder::new()
            .name("names".into())
            .spawn(move || answer(&asked, &theirs));
        let ask_at = now_ms.load(Relaxed) + NAMED_MS;
        let read = |path| {
            local_names(Path::new(path))
                .map(|(id, name)| {
                    (
                        id,
                        Known {
                            name: Some(name),
                            ask_at,
                        },
                    )
                })
                .collect()
        };
        Self {
            users: read("/etc/passwd"),
            groups: read("/etc/group"),
            questions,
            answers,
            learned: 0,
            now_ms,
        }
    }

    fn learn(&mut self) {
        // Never waited for, not even for a push: the next look-up comes soon.
        let Ok(mut list) = self.answers.list.try_lock() else {
            return;
        };
        self.learned = self.answers.given.load(Relaxed);
        let now = self.now_ms.load(Relaxed);
        for (kind, id, name) in list.drain(..) {
            let known = match kind {
                Kind::User => &mut self.users,
                Kind::Group => &mut self.groups,
            };
            let ask_at = now
                + if name.is_some() {
                    NAMED_MS
                } else {
                    NAMELESS_MS
                };
            known.insert(
                id,
                Known {
                    name: name.map(String::into_boxed_str),
                    ask_at,
                },
            );
        }
    }

    fn name(&mut self, kind: Kind, id: u32) -> Option<&str> {
        if id == UNSET {
            return None;
        }
        if self.answers.given.load(Acquire) != self.learned {
            self.learn();
        }
        let now = self.now_ms.load(Relaxed);
        let known = match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        };
        if known.len() >= REMEMBERED_IDS && !known.contains_key(&id) {
            make_room(known);
        }
        let entry = known.entry(id).or_insert(Known {
            name: None,
            ask_at: 0,
        });
        if now >= entry.ask_at {
            let asked = self.questions.try_send((kind, id)).is_ok();
            entry.ask_at = now + if asked { NAMELESS_MS } else { REFUSED_MS };
        }
        entry.name.as_deref()
    }
}

/// Forgets the ids without a name: a flood of made-up ids does not cost the real ones their names.
fn make_room(known: &mut IdMap<Known>) {
    known.retain(|_, entry| entry.name.is_some());
    if known.len() > REMEMBERED_IDS / 4 * 3 {
        known.clear();
    }
}

impl System for LiveNames {
    fn user(&mut self, uid: u32) -> Option<&str> {
        self.name(Kind::User, uid)
    }

    fn group(&mut self, gid: u32) -> Option<&str> {
        self.name(Kind::Group, gid)
    }

    /// Changes with each answer, and by the clock so that whoever keeps names asks again for what grew old here.
    fn generation(&self) -> u64 {
        let clock = self.now_ms.load(Relaxed) / NAMELESS_MS;
        (clock << 40).wrapping_add(self.answers.given.load(Acquire))
    }
}
