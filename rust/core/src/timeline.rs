//! Which events a session's timeline needs, so that nobody has to look into the others.

use std::ops::Range;

use crate::event::View;

/// Records that belong to a log-in before there is a session, or say that one failed; the start and the end of the
/// host and of its services. USER_AUTH, USER_ACCT, CRED_ACQ, USER_START, USER_ERR, USER_LOGIN, SYSTEM_BOOT,
/// SYSTEM_SHUTDOWN, SERVICE_START, SERVICE_STOP, ANOM_LOGIN_*, CRYPTO_SESSION (linux/audit.h, libaudit).
const LOGINS: [u16; 19] = [
    1006, 1100, 1101, 1103, 1105, 1109, 1112, 1127, 1128, 1130, 1131, 2100, 2101, 2102, 2103, 2104,
    2105, 2117, 2407,
];

/// Whether a timeline needs an event without a session: it is about a log-in, or shows sshd the other end of one.
/// `process`: as it was written.
#[must_use]
pub fn needed(view: &View<'_>, process: &[u8]) -> bool {
    if LOGINS.contains(&view.part(view.lead()).kind) {
        return true;
    }
    view.call()
        .1
        .is_some_and(|call| matches!(call.name(), "accept" | "accept4" | "getpeername"))
        && memchr::memmem::find(process, b"\"name\":\"sshd").is_some()
}

/// Where the needed lines of a batch stand: neighbours are one span, in ascending order.
#[derive(Debug, Default)]
pub struct Spans(Vec<Range<usize>>);

impl Spans {
    /// Adds a line, which comes after all others.
    pub fn add(&mut self, line: Range<usize>) {
        match self.0.last_mut() {
            Some(last) if last.end == line.start => last.end = line.end,
            _ => self.0.push(line),
        }
    }

    /// Moves the spans of a batch that is put behind `before` bytes to the end of these.
    pub fn append(&mut self, other: &mut Self, before: usize) {
        for span in other.0.drain(..) {
            self.add(span.start + before..span.end + before);
        }
    }

    /// Forgets them and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Each as (start, end).
    #[must_use]
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        self.0.iter().map(|span| (span.start, span.end)).collect()
    }
}
