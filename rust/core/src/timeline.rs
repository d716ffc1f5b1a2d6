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

/// The parts of a line that no timeline reads: what makes a line long, as the process's ancestors, its paths, readings.
#[derive(Debug, Default)]
pub struct Aside {
    parts: Vec<Range<usize>>,
    wanted: bool,
}

impl Aside {
    /// Begins a line. `wanted`: a timeline may need it; if not, nothing is noted.
    pub fn begin(&mut self, wanted: bool) {
        self.parts.clear();
        self.wanted = wanted;
    }

    /// Whether what is noted counts.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Forgets them: the line is given whole.
    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// Notes members of one object, a comma before them included. They come after all others, or around the last.
    pub fn add(&mut self, members: Range<usize>) {
        if self.wanted && !members.is_empty() {
            while self
                .parts
                .pop_if(|last| last.start >= members.start)
                .is_some()
            {}
            match self.parts.last_mut() {
                Some(last) if last.end == members.start => last.end = members.end,
                _ => self.parts.push(members),
            }
        }
    }

    /// Writes a line, which begins at `start` of `text`, without them.
    pub fn write_rest(&self, text: &[u8], start: usize, out: &mut Vec<u8>) {
        let mut from = start;
        for members in &self.parts {
            let first = text.get(members.start) != Some(&b',');
            let comma = first && text.get(members.end) == Some(&b',');
            out.extend_from_slice(text.get(from..members.start).unwrap_or_default());
            from = members.end + usize::from(comma);
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_first_middle_and_last_members() {
        let line = br#"..{"a":1,"b":{"c":2,"d":3},"e":4}"#;
        for (members, wanted) in [
            (3..8, r#"{"b":{"c":2,"d":3},"e":4}"#),
            (8..26, r#"{"a":1,"e":4}"#),
            (14..19, r#"{"a":1,"b":{"d":3},"e":4}"#),
            (19..25, r#"{"a":1,"b":{"c":2},"e":4}"#),
            (26..32, r#"{"a":1,"b":{"c":2,"d":3}}"#),
            (19..19, r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#),
        ] {
            let mut aside = Aside::default();
            aside.begin(true);
            aside.add(members.start..members.start);
            aside.add(members.start + 1..members.end);
            aside.add(members);
            let mut out = Vec::new();
            aside.write_rest(line, 2, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
