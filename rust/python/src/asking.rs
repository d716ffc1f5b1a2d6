//! Threads that ask the name service, which may take as long as a directory server does, so that the reading thread
//! need not wait.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::nss::{Answer, Kind, ask};

/// Questions that may wait.
const WAITING_QUESTIONS: usize = 1 << 10;

/// Threads: so many slow answers do not hold up a quick one.
const THREADS: usize = 4;

/// Answers on their way back.
#[derive(Default)]
struct Answers {
    /// How many were ever given.
    given: AtomicU64,
    list: Mutex<Vec<(Kind, u32, Answer)>>,
}

/// Where questions go, and answers come from.
pub struct Asking {
    questions: SyncSender<(Kind, u32)>,
    answers: Arc<Answers>,
    /// How many answers were given when they were last taken.
    taken: u64,
}

/// Answers questions until nobody can ask any more. Sleeps while there is none.
fn answer(questions: &Mutex<Receiver<(Kind, u32)>>, answers: &Answers) {
    loop {
        // The lock is let go before the question is asked: the other threads wait for the next one meanwhile.
        let next = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((kind, id)) = next else { return };
        let found = ask(kind, id);
        answers
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((kind, id, found));
        answers.given.fetch_add(1, Release);
    }
}

impl Asking {
    /// Starts the threads, which end some time after this is dropped. Without any, no question is taken.
    pub fn start() -> Self {
        let (questions, asked) = sync_channel(WAITING_QUESTIONS);
        let asked = Arc::new(Mutex::new(asked));
        let answers = Arc::new(Answers::default());
        for _ in 0..THREADS {
            let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
            // Not joined: a question to a dead server may take minutes.
            let _ = std::thread::Builder::new()
                .name("names".into())
                .spawn(move || answer(&asked, &answers));
        }
        Self {
            questions,
            answers,
            taken: 0,
        }
    }

    /// Asks for a name. Returns false when too many questions wait already.
    pub fn ask(&self, kind: Kind, id: u32) -> bool {
        self.questions.try_send((kind, id)).is_ok()
    }

    /// Takes the answers that have come, if it can be done without waiting.
    pub fn take(&mut self) -> Vec<(Kind, u32, Answer)> {
        let given = self.answers.given.load(Acquire);
        if given == self.taken {
            return Vec::new();
        }
        let Ok(mut list) = self.answers.list.try_lock() else {
            return Vec::new();
        };
        self.taken = given;
        std::mem::take(&mut *list)
    }
}
