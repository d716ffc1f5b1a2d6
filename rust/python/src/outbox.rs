//! Finished lines on their way from the listener's thread to Python: one buffer, one bell for each batch.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lines::{Lines, Room};
use crate::system::Bell;

/// Bytes that may wait for Python. Beyond, the thread reads no more and the packets wait in the kernel. What timelines
/// need of them comes on top, at most as many again.
const WAITING_BYTES: usize = 64 << 20;

/// As many while an output holds reading back: it then goes on in small steps, since the kernel (5.16 and newer) gives
/// a record up that it could not hand over for half a second.
const NARROW_BYTES: usize = 256 << 10;

/// A buffer larger than this is not kept once a batch fills less than a quarter of it.
const KEPT_BYTES: usize = 1 << 20;

/// Lines of a flow are written to buffers of so many bytes: a batch, and what one more receive may add to it.
const FLOW_BYTES: usize = 1152 << 10;

/// Empty buffers that are kept.
const SPARE: usize = 2;

struct Waiting {
    lines: Vec<u8>,
    /// What timelines need of them.
    timeline: Vec<u8>,
    /// The reader of `lines` has been told.
    rung: bool,
    /// The writer of `lines` waits for room.
    full: bool,
}

/// What is finished and not yet taken.
pub struct Outbox {
    waiting: Mutex<Waiting>,
    /// Whether `NARROW_BYTES` is the bound.
    narrow: AtomicBool,
    /// What timelines need of the last batch.
    timeline: Mutex<Vec<u8>>,
    /// Buffers for lines.
    room: Arc<Room>,
    ready: Bell,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Empties a buffer, and lets its memory go if it was far larger than what was in it.
fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES && buffer.len() < buffer.capacity() / 4 {
        *buffer = Vec::new();
    }
    buffer.clear();
}

impl Outbox {
    pub fn new() -> io::Result<Self> {
        let waiting = Waiting {
            lines: Vec::new(),
            timeline: Vec::new(),
            rung: false,
            full: false,
        };
        Ok(Self {
            waiting: Mutex::new(waiting),
            narrow: AtomicBool::new(false),
            timeline: Mutex::default(),
            room: Room::new(SPARE, FLOW_BYTES),
            ready: Bell::new()?,
        })
    }

    /// Readable while something waits.
    pub fn ready(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// Moves `lines` and what timelines need of them in and leaves both empty, with memory to fill again. Returns false
    /// when that made it full: put no more until `room` is rung by a `take`.
    pub fn put(&self, lines: &mut Vec<u8>, timeline: &mut Vec<u8>) -> bool {
        let flows = lines.len() >= FLOW_BYTES / 2;
        let mut waiting = lock(&self.waiting);
        if waiting.lines.is_empty() {
            std::mem::swap(&mut waiting.lines, lines);
        } else {
            waiting.lines.append(lines);
        }
        if waiting.timeline.is_empty() {
            std::mem::swap(&mut waiting.timeline, timeline);
        } else {
            waiting.timeline.append(timeline);
        }
        let rings = !waiting.rung && !waiting.lines.is_empty();
        waiting.rung |= rings;
        waiting.full = waiting.lines.len() >= self.bound();
        let room = !waiting.full;
        drop(waiting);
        if rings {
            self.ready.ring(); // who wakes up finds the door open
        }
        if lines.capacity() == 0 {
            *lines = self.room.take().unwrap_or_default();
        }
        if flows && lines.capacity() != FLOW_BYTES {
            *lines = Vec::with_capacity(FLOW_BYTES);
        }
        room
    }

    /// Lets less wait, or as much as usual.
    pub fn narrow(&self, narrow: bool) {
        self.narrow.store(narrow, Relaxed);
    }

    fn bound(&self) -> usize {
        if self.narrow.load(Relaxed) {
            NARROW_BYTES
        } else {
            WAITING_BYTES
        }
    }

    /// Whether nothing was taken since `put` returned false.
    pub fn is_full(&self) -> bool {
        lock(&self.waiting).full
    }

    /// Takes everything that waits, and rings `room` if the writer waits for that.
    ///
    /// What fills three quarters of a flow's buffer is handed over as it stands, without room for more. Fewer lines are
    /// copied: they would hold far more memory than they need.
    pub fn take(&self, room: &Bell) -> Lines {
        // Before what it rang for is taken: should it ring again meanwhile, nothing is missed.
        self.ready.clear();
        let mut timeline = lock(&self.timeline);
        empty(&mut timeline);
        let (mut lines, full) = {
            let mut waiting = lock(&self.waiting);
            std::mem::swap(&mut waiting.timeline, &mut timeline);
            waiting.rung = false;
            (
                std::mem::take(&mut waiting.lines),
                std::mem::take(&mut waiting.full),
            )
        };
        if full {
            room.ring();
        }
        if lines.len() >= FLOW_BYTES / 4 * 3 {
            lines.shrink_to(FLOW_BYTES);
            return Lines::new(lines, Some(Arc::clone(&self.room)));
        }
        let copy = lines.as_slice().to_vec();
        empty(&mut lines);
        self.room.give(lines);
        Lines::new(copy, None)
    }

    /// Gives what timelines need of the last `take` to `read`.
    pub fn timeline<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&lock(&self.timeline))
    }
}
