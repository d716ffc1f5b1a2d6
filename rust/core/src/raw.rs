//! Records as auditd writes them to audit.log, so that ausearch, aureport and aulast read them.
//!
//! A line is `type=NAME msg=audit(SECONDS.MILLIS:SERIAL): BODY`; ENRICHED adds 0x1D and the names behind ids, the
//! architecture, the system call and the socket's address (audit-userspace, src/auditd-event.c). End markers (EOE) are
//! not written.

use crate::assembled::Span;
use crate::decode::address::{write_decimal, write_ipv4, write_ipv6};
use crate::decode::hex;
use crate::decode::sockaddr::{SocketAddress, family_name};
use crate::decode::value::{Owner, owner, reading};
use crate::fields::{Field, name};
use crate::record::{decimal, kind};
use crate::scan::scan;
use crate::system::System;
use crate::tables::{self, Arch};

/// The longest record that the audit tools read whole, in bytes: MAX_AUDIT_MESSAGE_LENGTH of libaudit.h less the end
/// of the line. auditd cuts there, too.
const LONGEST_LINE: usize = 8_969;

/// (uid_t)-1: no such id.
const UNSET: u64 = u32::MAX as u64;

/// How raw records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RawFormat {
    /// Not at all.
    #[default]
    None,
    /// As the kernel sent them.
    Raw,
    /// With names after 0x1D.
    Enriched,
}

/// The lines of audit.log, ready to be taken.
#[derive(Debug, Default)]
pub struct RawLog {
    format: RawFormat,
    out: Vec<u8>,
    fields: Vec<Field>,
    scratch: Vec<u8>,
    cut: u64,
}

impl RawLog {
    /// A log in this format, with nothing written.
    #[must_use]
    pub fn new(format: RawFormat) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Goes on in another format.
    pub fn change(&mut self, format: RawFormat) {
        self.format = format;
    }

    /// How many lines were longer than the tools read, and shortened.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The lines written; the caller takes them away.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes the record of type `record` whose text is `text`, from `audit(` on.
    pub fn write(&mut self, record: u16, text: &[u8], system: &mut dyn System) {
        if self.format == RawFormat::None || record == kind::EOE {
            return;
        }
        let start = self.out.len();
        self.out.extend_from_slice(b"type=");
        match tables::record_type_name(record) {
            Some(name) => self.out.extend_from_slice(name.as_bytes()),
            None => {
                self.out.extend_from_slice(b"UNKNOWN[");
                write_decimal(&mut self.out, record);
                self.out.push(b']');
            }
        }
        self.out.extend_from_slice(b" msg=");
        let text = text.strip_suffix(b" ").unwrap_or(text);
        self.out.extend_from_slice(text);
        if self.format == RawFormat::Enriched {
            self.enrich(record, text, system);
        }
        if self.out.len() > start + LONGEST_LINE {
            self.out.truncate(start + LONGEST_LINE);
            self.cut += 1;
        }
        for byte in self.out.iter_mut().skip(start) {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        self.out.push(b'\n');
    }

    #[allow(clippy::cast_possible_truncation)] // a packet is far smaller than 4 GiB
    fn enrich(&mut self, record: u16, text: &[u8], system: &mut dyn System) {
        self.fields.clear();
        let body = memchr::memchr(b' ', text).unwrap_or(text.len());
        let whole = Span {
            start: body as u32,
            end: text.len() as u32,
        };
        scan(text, whole, &mut self.fields);
        let at = |span: Span| {
            text.get(span.start as usize..span.end as usize)
                .unwrap_or_default()
        };
        let mut separator = 0x1d;
        let mut arch = None;
        for field in &self.fields {
            let (label, value) = (at(field.label), at(field.value));
            self.scratch.clear();
            match field.name {
                name::ARCH => {
                    arch = arch_of(value);
                    let name = arch.map_or("unknown", Arch::name);
                    self.scratch.extend_from_slice(name.as_bytes());
                }
                name::SYSCALL => {
                    let number = decimal(value);
                    match arch
                        .zip(number)
                        .and_then(|(arch, id)| tables::syscall(arch, id))
                    {
                        Some(call) => self.scratch.extend_from_slice(call.name().as_bytes()),
                        None => unknown(&mut self.scratch, value),
                    }
                }
                name::SADDR if record == kind::SOCKADDR => {
                    let big_endian = arch.is_some_and(Arch::is_big_endian);
                    address(&mut self.scratch, value, big_endian);
                }
                // Of a name space: auditd does not look them up.
                _ if matches!(label, b"cap_frootid" | b"frootid") => continue,
                _ => match owner(reading(record, label), record) {
                    Some(kind) => named(&mut self.scratch, kind, value, system),
                    None => continue,
                },
            }
            self.out.push(separator);
            separator = b' ';
            self.out.extend(label.iter().map(u8::to_ascii_uppercase));
            self.out.push(b'=');
            self.out.extend_from_slice(&self.scratch);
        }
    }
}

/// The architecture that `arch=` names by its ELF number and flags (include/uapi/linux/audit.h, AUDIT_ARCH_*).
fn arch_of(value: &[u8]) -> Option<Arch> {
    let digits = std::str::from_utf8(value).ok()?;
    Arch::from_elf(u32::from_str_radix(digits, 16).ok()?)
}

fn unknown(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b"unknown(");
    out.extend_from_slice(value);
    out.push(b')');
}

/// The name of an id in quotes; in hexadecimal without them where quotes would not hold it.
fn named(out: &mut Vec<u8>, kind: Owner, value: &[u8], system: &mut dyn System) {
    let id = match value {
        b"-1" | b"unset" => Some(UNSET),
        _ => decimal(value),
    };
    let Some(id) = id.and_then(|id| u32::try_from(id).ok()) else {
        return unknown(out, value);
    };
    let name = match (kind, id) {
        (_, u32::MAX) => Some("unset"),
        (_, 0) => Some("root"),
        (Owner::User, id) => system.user(id),
        (Owner::Group, id) => system.group(id),
    };
    match name {
        Some(name)
            if name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"') =>
        {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
        }
        Some(name) => {
            for byte in name.bytes() {
                out.extend_from_slice(format!("{byte:02X}").as_bytes());
            }
        }
        None => {
            out.push(b'"');
            unknown(out, value);
            out.push(b'"');
        }
    }
}

/// `{ saddr_fam=... }` as auditd writes it (audit-userspace, auparse/interpret.c, print_sockaddr).
fn address(out: &mut Vec<u8>, value: &[u8], big_endian: bool) {
    let mut bytes = Vec::new();
    if !hex::unhex(value, &mut bytes) {
        return unknown(out, value);
    }
    let family = match *bytes.as_slice() {
        [first, second, ..] if big_endian => u16::from_be_bytes([first, second]),
        [first, second, ..] => u16::from_le_bytes([first, second]),
        _ => 0,
    };
    out.extend_from_slice(b"{ saddr_fam=");
    let name = match family {
        1 => "local",
        other => family_name(other).unwrap_or("unknown"),
    };
    out.extend_from_slice(name.as_bytes());
    match SocketAddress::parse(&bytes, big_endian) {
        SocketAddress::Inet { addr, port } => {
            out.extend_from_slice(b" laddr=");
            write_ipv4(out, &addr);
            out.extend_from_slice(b" lport=");
            write_decimal(out, port);
        }
        SocketAddress::Inet6 { addr, port, .. } => {
            out.extend_from_slice(b" laddr=");
            write_ipv6(out, &addr);
            out.extend_from_slice(b" lport=");
            write_decimal(out, port);
        }
        SocketAddress::Unix { path, .. } => {
            out.extend_from_slice(b" path=");
            out.extend(
                path.iter()
                    .map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }),
            );
        }
        SocketAddress::Netlink { pid, .. } => {
            out.extend_from_slice(b" nlnk-fam=16 nlnk-pid=");
            write_decimal(out, pid);
        }
        _ => out.extend_from_slice(b" (unsupported)"),
    }
    out.extend_from_slice(b" }");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Nobody;

    struct Names;

    impl System for Names {
        fn user(&mut self, id: u32) -> Option<&str> {
            [(1000, "alice"), (1001, "two words")]
                .iter()
                .find(|(known, _)| *known == id)
                .map(|(_, name)| *name)
        }

        fn group(&mut self, _: u32) -> Option<&str> {
            None
        }
    }

    fn written(format: RawFormat, record: u16, text: &str) -> String {
        let mut log = RawLog::new(format);
        log.write(record, text.as_bytes(), &mut Names);
        String::from_utf8_lossy(log.output()).into_owned()
    }

    #[test]
    fn raw_is_what_came() {
        let line = |record, text| written(RawFormat::Raw, record, text);
        assert_eq!(
            line(1307, "audit(1.000:2): cwd=\"/\" "),
            "type=CWD msg=audit(1.000:2): cwd=\"/\"\n"
        );
        assert_eq!(
            line(1420, "audit(1.000:2): a=\n1"),
            "type=MAC_CALIPSO_ADD_UNSPEC msg=audit(1.000:2): a= 1\n".replace(
                "MAC_CALIPSO_ADD_UNSPEC",
                tables::record_type_name(1420).unwrap_or("UNKNOWN[1420]")
            )
        );
        assert_eq!(
            line(1999, "audit(1.000:2): a"),
            "type=UNKNOWN[1999] msg=audit(1.000:2): a\n"
        );
        assert_eq!(line(kind::EOE, "audit(1.000:2): "), "");
        assert_eq!(written(RawFormat::None, 1307, "audit(1.000:2): a"), "");
        assert_eq!(
            line(1300, &format!("audit(1.000:2): {}", "x".repeat(20_000))).len(),
            8_970
        );
    }

    #[test]
    fn what_is_shortened_is_counted() {
        let mut log = RawLog::new(RawFormat::Raw);
        let fits = LONGEST_LINE - "type=SYSCALL msg=".len();
        log.write(1300, &vec![b'x'; fits], &mut Names);
        assert_eq!((log.output().len(), log.cut()), (LONGEST_LINE + 1, 0));
        log.write(1300, &vec![b'x'; fits + 1], &mut Names);
        assert_eq!((log.output().len(), log.cut()), (2 * LONGEST_LINE + 2, 1));
    }

    #[test]
    fn enriched_adds_names() {
        let line = |record, text| written(RawFormat::Enriched, record, text);
        assert_eq!(
            line(
                1300,
                "audit(1.000:2): arch=c000003e syscall=257 auid=4294967295 uid=1000 gid=7 suid=1001 key=\"uid=5\""
            ),
            "type=SYSCALL msg=audit(1.000:2): arch=c000003e syscall=257 auid=4294967295 uid=1000 gid=7 suid=1001 \
             key=\"uid=5\"\x1dARCH=x86_64 SYSCALL=openat AUID=\"unset\" UID=\"alice\" GID=\"unknown(7)\" \
             SUID=74776F20776F726473\n"
        );
        assert_eq!(
            line(1306, "audit(1.000:2): saddr=02000016CB007101"),
            "type=SOCKADDR msg=audit(1.000:2): saddr=02000016CB007101\x1dSADDR={ saddr_fam=inet laddr=203.0.113.1 lport=22 }\n"
        );
        assert_eq!(
            line(1307, "audit(1.000:2): cwd=\"/\""),
            "type=CWD msg=audit(1.000:2): cwd=\"/\"\n"
        );
        assert_eq!(
            line(1300, "audit(1.000:2): arch=zz syscall=x uid=x"),
            "type=SYSCALL msg=audit(1.000:2): arch=zz syscall=x uid=x\x1dARCH=unknown SYSCALL=unknown(x) UID=unknown(x)\n"
        );
    }

    #[test]
    fn any_bytes_make_one_line() {
        let mut seed = 1u64;
        for length in 0..400 {
            let text: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 56) as u8
                })
                .collect();
            let mut whole = b"audit(1.000:2): saddr=0A uid= arch=".to_vec();
            whole.extend(&text);
            let mut log = RawLog::new(RawFormat::Enriched);
            log.write(kind::SOCKADDR, &whole, &mut Nobody);
            let lines = log.output().iter().filter(|byte| **byte == b'\n').count();
            assert_eq!((lines, log.output().last()), (1, Some(&b'\n')));
        }
    }
}
