//! One audit record: when, which serial, and the text that holds its fields.

/// Numbers of the record types that the assembly and the meaning of events turn on (include/uapi/linux/audit.h).
pub mod kind {
    #![allow(missing_docs)]
    pub const USER: u16 = 1005;
    pub const LOGIN: u16 = 1006;
    pub const USER_MGMT: u16 = 1102;
    pub const USER_CHAUTHTOK: u16 = 1108;
    pub const ADD_USER: u16 = 1114;
    pub const DEL_USER: u16 = 1115;
    pub const ADD_GROUP: u16 = 1116;
    pub const DEL_GROUP: u16 = 1117;
    pub const CHGRP_ID: u16 = 1119;
    pub const USER_TTY: u16 = 1124;
    pub const SYSTEM_BOOT: u16 = 1127;
    pub const GRP_MGMT: u16 = 1132;
    pub const GRP_CHAUTHTOK: u16 = 1133;
    pub const ACCT_LOCK: u16 = 1135;
    pub const ACCT_UNLOCK: u16 = 1136;
    /// What auditd writes of itself, numbered by itself.
    pub const DAEMON_FIRST: u16 = 1200;
    pub const DAEMON_LAST: u16 = 1299;
    pub const SYSCALL: u16 = 1300;
    pub const PATH: u16 = 1302;
    pub const CONFIG_CHANGE: u16 = 1305;
    pub const SOCKADDR: u16 = 1306;
    pub const CWD: u16 = 1307;
    pub const EXECVE: u16 = 1309;
    pub const TTY: u16 = 1319;
    pub const EOE: u16 = 1320;
    pub const NETFILTER_PKT: u16 = 1324;
    pub const SECCOMP: u16 = 1326;
    pub const PROCTITLE: u16 = 1327;
    pub const URINGOP: u16 = 1336;
    pub const AVC: u16 = 1400;
    pub const USER_AVC: u16 = 1107;
    pub const KERNEL: u16 = 2000;
    /// A type that is known by a name newer than our tables, without its number.
    pub const UNNAMED: u16 = 0;
}

/// What all records of one event share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stamp {
    /// Seconds since the epoch.
    pub seconds: u64,
    /// Milliseconds within the second.
    pub millis: u16,
    /// The kernel's serial number of the event (32 bits live; logs may hold more).
    pub serial: u64,
}

impl Stamp {
    /// Milliseconds since the epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.seconds
            .saturating_mul(1000)
            .saturating_add(u64::from(self.millis))
    }
}

/// A record as it arrived; everything borrows the bytes it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// Record type; [`kind::UNNAMED`] when only `name` is known.
    pub kind: u16,
    /// The type's name, where our tables have no number for it; otherwise empty.
    pub name: &'a [u8],
    /// The host that wrote it (`node=`), empty when the log does not say.
    pub node: &'a [u8],
    /// When, and which event.
    pub stamp: Stamp,
    /// The fields.
    pub body: &'a [u8],
    /// The names that an ENRICHED log appends after 0x1D.
    pub enriched: &'a [u8],
}

/// The largest serial read: what the `long` of ECS's `event.sequence` holds.
const MOST_SERIAL: u64 = i64::MAX as u64;

/// Splits `audit(SECONDS.MILLIS:SERIAL): BODY`.
///
/// The form is that of `audit_log_start` (kernel/audit.c); blanks around the body are dropped, and a missing colon
/// or body is no error.
#[must_use]
pub fn header(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let rest = text.strip_prefix(b"audit(")?;
    let (seconds, rest) = number(rest)?;
    let rest = rest.strip_prefix(b".")?;
    let (millis, after) = number(rest)?;
    if millis > 999 || rest.len() - after.len() != 3 {
        return None;
    }
    let (serial, rest) = number(after.strip_prefix(b":")?)?;
    if serial > MOST_SERIAL {
        return None;
    }
    let rest = rest.strip_prefix(b")")?;
    let body = rest.strip_prefix(b":").unwrap_or(rest);
    let millis = u16::try_from(millis).ok()?;
    Some((
        Stamp {
            seconds,
            millis,
            serial,
        },
        body.trim_ascii(),
    ))
}

/// Reads headers, and knows the one before again: all records of an event have the same.
#[derive(Debug, Default)]
pub struct Headers {
    text: Vec<u8>,
    stamp: Stamp,
}

impl Headers {
    /// As [`header`].
    pub fn read<'a>(&mut self, text: &'a [u8]) -> Option<(Stamp, &'a [u8])> {
        if !self.text.is_empty()
            && let Some(body) = text.strip_prefix(self.text.as_slice())
        {
            // One blank before the body is the rule, and none behind it.
            let inner = body.strip_prefix(b" ").unwrap_or(body);
            return Some((
                self.stamp,
                match inner {
                    [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => {
                        inner
                    }
                    _ => body.trim_ascii(),
                },
            ));
        }
        let (stamp, body) = header(text)?;
        let end = memchr::memchr(b')', text).map_or(0, |end| end + 1);
        self.text.clear();
        // The colon too, which is not always there.
        if let Some(whole) = text.get(..end + 1).filter(|whole| whole.ends_with(b":")) {
            self.text.extend_from_slice(whole);
        }
        self.stamp = stamp;
        Some((stamp, body))
    }
}

/// Leading decimal digits as a number; `None` without a digit or past 64 bits.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
        rest = tail;
    }
    (rest.len() < text.len()).then_some((value, rest))
}

/// Decimal text as a number; `None` unless all of it is digits.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    number(text).and_then(|(value, rest)| rest.is_empty().then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_header() {
        let (stamp, body) = header(b"audit(1700000000.042:77):  a=1 ").unwrap();
        assert_eq!(
            stamp,
            Stamp {
                seconds: 1_700_000_000,
                millis: 42,
                serial: 77
            }
        );
        assert_eq!(stamp.time(), 1_700_000_000_042);
        assert_eq!(body, b"a=1");
        assert_eq!(header(b"audit(1.000:2): ").unwrap().1, b"");
        assert_eq!(header(b"audit(1.000:2)").unwrap().1, b"");
    }

    #[test]
    fn a_header_is_known_again() {
        let mut headers = Headers::default();
        for text in [
            "audit(1.000:2): a=1",
            "audit(1.000:2):  b=2 ",
            "audit(1.000:23): c",
            "audit(1.000:2)",
            "audit(1.000:2",
        ] {
            for _ in 0..2 {
                assert_eq!(
                    headers.read(text.as_bytes()),
                    header(text.as_bytes()),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in [
            &b"audit(1.0:2): x"[..],
            b"audit(.000:2): x",
            b"audit(1.000:): x",
            b"audit(1.000:2: x",
            b"audit(99999999999999999999.000:2): x",
            b"type=SYSCALL",
            b"",
        ] {
            assert_eq!(header(text), None);
        }
    }
}
