//! Which events a session's timeline needs, so that nobody has to look into the others.

use std::ops::Range;

use crate::ecs::{session_number, write_id};
use crate::event::{View, is_unset};
use crate::fields::name;
use crate::json;
use crate::record::decimal;

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

/// A member whose value timelines get by itself where the start of a program is told in pieces.
#[derive(Debug, Clone, Copy)]
pub enum Piece {
    /// `@timestamp`.
    Time,
    /// `host`.
    Host,
    /// `user`.
    User,
    /// `process.entity_id`.
    Entity,
    /// `process.executable`.
    Executable,
    /// `process.name`.
    Name,
    /// `process.args`.
    Args,
    /// `process.working_directory`.
    Directory,
}

/// The parts of a line that no timeline reads: what makes a line long, as the process's ancestors, its paths, readings.
#[derive(Debug, Default)]
pub struct Aside {
    parts: Vec<Range<usize>>,
    pieces: [Range<usize>; 8],
    wanted: bool,
}

impl Aside {
    /// Begins a line. `wanted`: a timeline may need it; if not, nothing is noted.
    pub fn begin(&mut self, wanted: bool) {
        self.parts.clear();
        self.pieces = Default::default();
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

    /// Notes where a member stands, its comma and its name included.
    pub fn keep(&mut self, piece: Piece, member: Range<usize>) {
        if self.wanted
            && let Some(place) = self.pieces.get_mut(piece as usize)
        {
            *place = member;
        }
    }

    /// Where the value of a member stands; `None` if it was not written.
    fn value(&self, piece: Piece, text: &[u8]) -> Option<Range<usize>> {
        let member = self.pieces.get(piece as usize)?.clone();
        let name_end = memchr::memchr(b':', text.get(member.clone())?)?;
        Some(member.start + name_end + 1..member.end)
    }

    /// Writes a line, which begins at `start` of `text`, without them.
    pub fn write_rest(&self, text: &[u8], start: usize, out: &mut Vec<u8>) {
        self.write_part(text, start..text.len(), out);
    }

    /// Writes a part of a line without them.
    fn write_part(&self, text: &[u8], part: Range<usize>, out: &mut Vec<u8>) {
        let mut from = part.start;
        let inside =
            |members: &&Range<usize>| part.start <= members.start && members.end <= part.end;
        for members in self.parts.iter().filter(inside) {
            let first = text.get(members.start) != Some(&b',');
            let comma = first && text.get(members.end) == Some(&b',');
            out.extend_from_slice(text.get(from..members.start).unwrap_or_default());
            from = members.end + usize::from(comma);
        }
        out.extend_from_slice(text.get(from..part.end).unwrap_or_default());
    }
}

/// Writes the usual start of a program as timelines get it, a line of pieces parted by tabs, which JSON has none of:
/// the session's id, the time in milliseconds, the event's id, its time, the process's id and its parent's, the user's
/// id, the program's file, its name, the entity, the directory, the arguments, the terminal, the user and the host.
///
/// Arguments, user and host are JSON, without what timelines do not read; nothing else needs an escape. What is told in
/// another way, as all that is not usual (another effective user, a text with an escape), is not written.
/// `text`: the line as far as it is written; `prefix`: of this host's sessions, whose id is the number alone without.
pub fn write_start(view: &View<'_>, aside: &Aside, prefix: &[u8], text: &[u8], out: &mut Vec<u8>) {
    if write_pieces(view, aside, prefix, text, out).is_none() {
        out.clear();
    }
}

fn write_pieces(
    view: &View<'_>,
    aside: &Aside,
    prefix: &[u8],
    text: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let stamp = view.event.stamp;
    let of = |number| Some(view.of_actor(number)).filter(|value| is_plain(value));
    let user = of(name::UID).filter(|user| *user == view.of_actor(name::EUID))?;
    let usual = view.syscall() == Some(view.lead())
        && view.success() == Some(true)
        && view.event.at(view.event.node).is_empty()
        && !is_unset(user);
    if !usual || !(prefix.is_empty() || is_plain(prefix)) {
        return None;
    }
    let string = |piece| {
        let value = text.get(aside.value(piece, text)?)?;
        value.strip_prefix(b"\"")?.strip_suffix(b"\"")
    };
    out.extend_from_slice(prefix);
    out.extend_from_slice(Some(session_number(view)).filter(|number| is_plain(number))?);
    out.push(b'\t');
    json::number(out, stamp.seconds);
    json::millis(out, stamp.millis);
    out.push(b'\t');
    write_id(out, stamp);
    out.push(b'\t');
    out.extend_from_slice(string(Piece::Time)?);
    for number in [name::PID, name::PPID] {
        out.push(b'\t');
        json::number(out, u32::try_from(decimal(of(number)?)?).ok()?);
    }
    out.push(b'\t');
    out.extend_from_slice(user);
    for piece in [
        Piece::Executable,
        Piece::Name,
        Piece::Entity,
        Piece::Directory,
    ] {
        out.push(b'\t');
        out.extend_from_slice(string(piece)?);
    }
    out.push(b'\t');
    aside.write_part(text, aside.value(Piece::Args, text)?, out);
    out.push(b'\t');
    out.extend_from_slice(of(name::TTY)?);
    out.push(b'\t');
    aside.write_part(text, aside.value(Piece::User, text)?, out);
    out.push(b'\t');
    match aside.value(Piece::Host, text) {
        Some(host) => aside.write_part(text, host, out),
        None => out.extend_from_slice(b"{}"),
    }
    out.push(b'\n');
    memchr::memchr(b'\\', out).is_none().then_some(())
}

/// Whether a value of a record is a word that JSON can hold as it stands.
fn is_plain(value: &[u8]) -> bool {
    !value.is_empty()
        && value
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
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
