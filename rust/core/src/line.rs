//! One line of a log: whatever wrote it, the record in it.

use memchr::memmem;

use crate::decode::hex;
use crate::record::{Headers, Record, decimal, kind};
use crate::tables;

/// Longest prefix that a logger puts before a record (time, host, program); what comes later is not one.
const LONGEST_PREFIX: usize = 512;
/// What separates the record from the names that an ENRICHED log adds (auditd, `log_format`).
const ENRICHED_MARK: u8 = 0x1d;
/// The same, as rsyslog writes control characters unless told otherwise.
const ENRICHED_ESCAPED: &[u8] = b"#035";

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A record.
    Record(Record<'a>),
    /// Nothing: an empty line, or what ausearch puts between events.
    Nothing,
    /// Not readable, and why.
    Unreadable(&'static str),
}

/// Reads one line, without its newline.
///
/// Understood are auditd's own form (`[node=N ]type=T msg=audit(...): ...`, RAW or ENRICHED), the same behind a
/// syslog or journald prefix, and the kernel log's `audit: type=1300 audit(...): ...`. `headers` serves the lines of one
/// log.
#[must_use]
pub fn line<'a>(text: &'a [u8], headers: &mut Headers) -> Line<'a> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let text = if text.first() == Some(&b' ') {
        text.trim_ascii_start()
    } else {
        text
    };
    if text.is_empty() || text == b"----" || text.starts_with(b"time->") || text == b"<no matches>"
    {
        return Line::Nothing;
    }
    let Some((node, rest)) = find_type(text) else {
        return Line::Unreadable(why_no_type(text));
    };
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"msg=").unwrap_or(rest);
    let (rest, enriched) = split_enriched(rest);
    let Some((stamp, body)) = headers.read(rest) else {
        return Line::Unreadable(if rest.starts_with(b"audit(") {
            "the time and serial in audit(...) are not numbers (interpreted output? use the raw log)"
        } else {
            "no audit(time:serial) after the type"
        });
    };
    let (kind, name) = match type_number(name) {
        Some(number) => (number, &b""[..]),
        None if name.is_empty() => return Line::Unreadable("the type is empty"),
        None => (kind::UNNAMED, name),
    };
    Line::Record(Record {
        kind,
        name,
        node,
        stamp,
        body,
        enriched,
    })
}

/// How many more lines an ENRICHED record's tail takes up.
///
/// auditd writes the path of a local socket into the tail as it is, newlines included, so that whoever names a socket
/// writes lines into the log. The record's own hex tells how many.
#[must_use]
pub fn lines_within(record: &Record<'_>) -> usize {
    if record.kind != kind::SOCKADDR || !record.enriched.starts_with(b"SADDR={ saddr_fam=local") {
        return 0;
    }
    let mut address = Vec::new();
    let value = record.body.strip_prefix(b"saddr=").unwrap_or_default();
    let value = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    if !hex::unhex(value, &mut address) {
        return 0;
    }
    // Past the family; an abstract name starts with NUL, any other ends with it.
    let path = address.get(2..).unwrap_or_default();
    let path = path.strip_prefix(b"\0").unwrap_or(path);
    let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
    let within = path.iter().filter(|byte| **byte == b'\n').count();
    let here = record
        .enriched
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    within.saturating_sub(here)
}

/// The record type's number, from its name, `UNKNOWN[n]` or the number itself.
fn type_number(name: &[u8]) -> Option<u16> {
    match name {
        // What most records are, without a look into the table.
        b"SYSCALL" => return Some(kind::SYSCALL),
        b"PATH" => return Some(kind::PATH),
        b"CWD" => return Some(kind::CWD),
        b"PROCTITLE" => return Some(kind::PROCTITLE),
        _ => {}
    }
    if let Some(number) = tables::record_type_number(name) {
        return Some(number);
    }
    let digits = name
        .strip_prefix(b"UNKNOWN[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .unwrap_or(name);
    decimal(digits)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number != kind::UNNAMED)
}

/// The node (empty if none) and the text behind `type=`.
fn find_type(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(rest) = text.strip_prefix(b"type=") {
        return Some((b"", rest));
    }
    if let Some(rest) = text.strip_prefix(b"node=") {
        let end = memchr::memchr(b' ', rest)?;
        let (node, rest) = rest.split_at(end);
        return rest
            .trim_ascii_start()
            .strip_prefix(b"type=")
            .map(|rest| (node, rest));
    }
    let prefix = text.get(..LONGEST_PREFIX).unwrap_or(text);
    let at = memmem::find(prefix, b" node=").or_else(|| memmem::find(prefix, b" type="))?;
    let rest = text.get(at + 1..)?;
    // One step only: what follows starts with one of the two words.
    if rest.starts_with(b"type=") || rest.starts_with(b"node=") {
        find_type(rest)
    } else {
        None
    }
}

/// Names the reason as well as it can be known.
fn why_no_type(text: &[u8]) -> &'static str {
    let prefix = text.get(..LONGEST_PREFIX).unwrap_or(text);
    if memmem::find(prefix, b" audit[").is_some() || memmem::find(prefix, b" audit: ").is_some() {
        "journald's short form leaves out time and serial (export with: journalctl -k -o cat, or read audit.log)"
    } else if text.starts_with(b"{") {
        "this looks like JSON, not like an audit log"
    } else {
        "no type= in it: not an audit record"
    }
}

/// Splits off the enriched tail.
fn split_enriched(text: &[u8]) -> (&[u8], &[u8]) {
    // One look for both marks, as most records have neither.
    let Some(first) = memchr::memchr2(ENRICHED_MARK, b'#', text) else {
        return (text, b"");
    };
    let behind = text.get(first..).unwrap_or_default();
    if let Some(at) = memchr::memchr(ENRICHED_MARK, behind) {
        let (body, tail) = text.split_at(first + at);
        return (body, tail.get(1..).unwrap_or_default());
    }
    if behind.first() == Some(&b'#')
        && let Some(at) = memmem::rfind(text, ENRICHED_ESCAPED)
    {
        let (body, tail) = text.split_at(at);
        let tail = tail.get(ENRICHED_ESCAPED.len()..).unwrap_or_default();
        let letters = tail
            .iter()
            .take_while(|byte| byte.is_ascii_uppercase() || **byte == b'_')
            .count();
        if letters > 1 && tail.get(letters) == Some(&b'=') {
            return (body, tail);
        }
    }
    (text, b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &[u8]) -> Record<'_> {
        match line(text, &mut Headers::default()) {
            Line::Record(record) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_every_form() {
        let plain = record(b"type=SYSCALL msg=audit(1.234:5): arch=c000003e");
        assert_eq!(
            (plain.kind, plain.stamp.serial, plain.body),
            (1300, 5, &b"arch=c000003e"[..])
        );
        assert_eq!(
            record(b"node=web-1 type=PATH msg=audit(1.234:5): item=0\r").node,
            b"web-1"
        );
        assert_eq!(
            record(b"node=web-1 type=PATH msg=audit(1.234:5): item=0\r").body,
            b"item=0"
        );
        assert_eq!(
            record(b"type=UNKNOWN[1420] msg=audit(1.234:5): a=1").kind,
            1420
        );
        let newer = record(b"type=NOT_YET_KNOWN msg=audit(1.234:5): a=1");
        assert_eq!(
            (newer.kind, newer.name),
            (kind::UNNAMED, &b"NOT_YET_KNOWN"[..])
        );
        let kernel = record(b"Nov 21 02:30:00 host kernel: audit: type=1300 audit(1.234:5): a=1");
        assert_eq!((kernel.kind, kernel.body), (1300, &b"a=1"[..]));
        let dmesg = record(b"[   12.345678] audit: type=1404 audit(1.234:5): enforcing=1");
        assert_eq!(dmesg.kind, 1404);
        let syslog = record(
            b"Nov 21 02:30:00 host audispd[7]: node=h type=CWD msg=audit(1.234:5): cwd=\"/\"",
        );
        assert_eq!((syslog.kind, syslog.node), (kind::CWD, &b"h"[..]));
        let journal =
            record(b"Nov 21 02:30:00 host audit[1]: type=CWD msg=audit(1.234:5):  cwd=\"/\"");
        assert_eq!(journal.body, b"cwd=\"/\"");
    }

    #[test]
    fn splits_the_enriched_tail() {
        let raw = record(
            b"type=SYSCALL msg=audit(1.234:5): uid=0 key=(null)\x1dARCH=x86_64 UID=\"root\"",
        );
        assert_eq!(
            (raw.body, raw.enriched),
            (&b"uid=0 key=(null)"[..], &b"ARCH=x86_64 UID=\"root\""[..])
        );
        let escaped = record(b"type=SYSCALL msg=audit(1.234:5): uid=0 key=(null)#035UID=\"root\"");
        assert_eq!(
            (escaped.body, escaped.enriched),
            (&b"uid=0 key=(null)"[..], &b"UID=\"root\""[..])
        );
        assert_eq!(
            record(b"type=USER msg=audit(1.234:5): msg='#035 x'").enriched,
            b""
        );
    }

    #[test]
    fn passes_over_what_ausearch_adds() {
        for text in [
            &b""[..],
            b"----",
            b"time->Fri Nov 20 10:00:00 2026",
            b"\r",
            b"   ",
        ] {
            assert_eq!(line(text, &mut Headers::default()), Line::Nothing);
        }
    }

    #[test]
    fn says_why_not() {
        for text in [
            &b"hello"[..],
            b"type=SYSCALL",
            b"type=SYSCALL msg=audit(11/21/2026 02:30:00.000:1) : a=1",
            b"type= msg=audit(1.234:5): a=1",
            b"node=x",
            b"Nov 21 02:30:00 host audit[1]: SYSCALL arch=c000003e",
            b"{\"a\":1}",
        ] {
            assert!(
                matches!(line(text, &mut Headers::default()), Line::Unreadable(_)),
                "{text:?}"
            );
        }
    }
}
