//! Finished lines on their way from the listener's thread to Python: one buffer, one bell for each batch.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tsauditd_core::timeline::Spans;

use crate::system::Bell;

/// Bytes that may wait for Python. Beyond, the thread reads no more and the packets wait in the kernel.
const WAITING_BYTES: usize = 64 << 20;

/// A buffer larger than this is not kept once a batch fills less than a quarter of it.
const KEPT_BYTES: usize = 1 << 20;

struct Waiting {
    lines: Vec<u8>,
    /// The lines that a timeline needs.
    spans: Spans,
    /// The reader of `lines` has been told.
    rung: bool,
    /// The writer of `lines` waits for room.
    full: bool,
}

/// What is finished and not yet taken.
pub struct Outbox {
    waiting: Mutex<Waiting>,
    /// The buffers that the last batch left, for the next; the spans are those of the last batch until then.
    spare: Mutex<(Vec<u8>, Spans)>,
    ready: Bell,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    pub fn new() -> io::Result<Self> {
        let waiting = Waiting {
            lines: Vec::new(),
            spans: Spans::default(),
            rung: false,
            full: false,
        };
        Ok(Self {
            waiting: Mutex::new(waiting),
            spare: Mutex::default(),
            ready: Bell::new()?,
        })
    }

    /// Readable while something waits.
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// Moves `lines` and their `spans` in and leaves them empty, with memory to fill again. Returns false when that made it full: put
    /// no more until `room` is rung by a `take`.
    pub fn put(&self, lines: &mut Vec<u8>, spans: &mut Spans) -> bool {
        let mut waiting = lock(&self.waiting);
        let before = waiting.lines.len();
        waiting.spans.append(spans, before);
        if waiting.lines.is_empty() {
            std::mem::swap(&mut waiting.lines, lines);
        } else {
            waiting.lines.append(lines);
        }
        if !waiting.rung && !waiting.lines.is_empty() {
            waiting.rung = true;
            self.ready.ring();
        }
        waiting.full = waiting.lines.len() >= WAITING_BYTES;
        !waiting.full
    }

    /// Whether nothing was taken since `put` returned false.
    pub fn is_full(&self) -> bool {
        lock(&self.waiting).full
    }

    /// Gives everything that waits to `read`, and rings `room` if the writer waits for that.
    pub fn take<T>(&self, room: &Bell, read: impl FnOnce(&[u8]) -> T) -> T {
        let mut spare = lock(&self.spare);
        {
            let mut waiting = lock(&self.waiting);
            let (lines, spans) = &mut *spare;
            spans.clear();
            std::mem::swap(&mut waiting.lines, lines);
            std::mem::swap(&mut waiting.spans, spans);
            if waiting.rung {
                waiting.rung = false;
                self.ready.clear();
            }
            if waiting.full {
                waiting.full = false;
                room.ring();
            }
        }
        let lines = &mut spare.0;
        let result = read(lines);
        if lines.capacity() > KEPT_BYTES && lines.len() < lines.capacity() / 4 {
            *lines = Vec::new();
        }
        lines.clear();
        result
    }

    /// Where in the bytes of the last `take` those lines stand that a timeline needs.
    pub fn spans(&self) -> Vec<(usize, usize)> {
        lock(&self.spare).1.pairs()
    }
}
