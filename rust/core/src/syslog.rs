//! JSON lines as syslog messages: RFC 5424 with the essentials as structured data, or the older RFC 3164.

use crate::decode::address::write_decimal;

/// What every message of a collector has in common.
#[derive(Debug, Clone)]
pub struct Syslog {
    /// The facility's number (RFC 5424, 6.2.1).
    pub facility: u8,
    /// RFC 3164 rather than 5424.
    pub old: bool,
    /// The host's name; empty where the local socket's own form leaves it out.
    pub host: String,
    /// The daemon's pid.
    pub pid: u32,
    /// Seconds that local time is ahead of UTC, for RFC 3164, which knows no time zone.
    pub ahead: i64,
    /// The longest message in bytes.
    pub longest: usize,
    /// Each message begins with its length (RFC 6587, octet counting).
    pub counted: bool,
}

/// What stands for a message's structured data: names and where they are in the event.
const ESSENTIALS: [(&str, [&str; 2]); 6] = [
    ("id", ["event", "id"]),
    ("action", ["event", "action"]),
    ("outcome", ["event", "outcome"]),
    ("user", ["user", "name"]),
    ("executable", ["process", "executable"]),
    ("session", ["auditd", "session"]),
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Messages, one after another, and where each ends.
#[derive(Debug, Default)]
pub struct Messages {
    /// The messages.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<usize>,
    /// Those that were too long: only time and meaning of the event are left of them.
    pub cut: u64,
}

impl Syslog {
    /// Makes a message of each line.
    #[must_use]
    pub fn messages(&self, lines: &[u8]) -> Messages {
        let mut made = Messages::default();
        made.bytes.reserve(lines.len() + lines.len() / 8);
        let mut one = Vec::new();
        let mut rest = lines;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, more) = rest.split_at(end);
            rest = more.get(1..).unwrap_or_default();
            if line.is_empty() {
                continue;
            }
            one.clear();
            self.head(line, &mut one);
            if one.len() + line.len() > self.longest {
                made.cut += 1;
                shorten(line, &mut one);
                one.truncate(self.longest);
            } else {
                one.extend_from_slice(line);
            }
            if self.counted {
                write_decimal(&mut made.bytes, one.len());
                made.bytes.push(b' ');
            }
            made.bytes.extend_from_slice(&one);
            made.ends.push(made.bytes.len());
        }
        made
    }

    fn head(&self, line: &[u8], out: &mut Vec<u8>) {
        let event = member(line, "event").unwrap_or_default();
        // By outcome: warning for what failed, informational for what succeeded, notice for the rest.
        let severity = match member(event, "outcome") {
            Some(b"\"failure\"") => 4,
            Some(b"\"success\"") => 6,
            _ => 5,
        };
        out.push(b'<');
        write_decimal(out, u16::from(self.facility) * 8 + severity);
        out.push(b'>');
        let time = member(line, "@timestamp").map(text).unwrap_or_default();
        if self.old {
            self.old_time(time, out);
            if !self.host.is_empty() {
                out.push(b' ');
                out.extend_from_slice(self.host.as_bytes());
            }
            out.extend_from_slice(b" tsauditd[");
            write_decimal(out, self.pid);
            out.extend_from_slice(b"]: ");
            return;
        }
        out.extend_from_slice(b"1 ");
        out.extend_from_slice(if time.is_empty() { b"-" } else { time });
        out.push(b' ');
        out.extend_from_slice(if self.host.is_empty() {
            b"-"
        } else {
            self.host.as_bytes()
        });
        out.extend_from_slice(b" tsauditd ");
        write_decimal(out, self.pid);
        // The number is the one that RFC 5612 sets aside for use without a registration.
        out.extend_from_slice(b" event [tsauditd@32473");
        for (name, [outer, inner]) in ESSENTIALS {
            let value = member(line, outer).and_then(|object| member(object, inner));
            let Some(value) = value.map(text).filter(|value| !value.is_empty()) else {
                continue;
            };
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            for byte in value {
                // JSON escapes the quote and the backslash as structured data does.
                if *byte == b']' {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.push(b'"');
        }
        out.extend_from_slice(b"] ");
    }

    /// `Mmm dd hh:mm:ss` of local time.
    fn old_time(&self, time: &[u8], out: &mut Vec<u8>) {
        let number = |from: usize, to: usize| {
            let digits = time.get(from..to).and_then(crate::record::decimal);
            digits
                .and_then(|value| i64::try_from(value).ok())
                .unwrap_or(1)
        };
        let days = days_from_civil(number(0, 4), number(5, 7), number(8, 10));
        let seconds = days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
        let local = seconds + self.ahead;
        let (month, day) = civil_from_days(local.div_euclid(86_400));
        let rest = local.rem_euclid(86_400);
        let name = MONTHS.get(month).copied().unwrap_or("Jan");
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        out.extend_from_slice(
            format!("{name} {day:2} {hour:02}:{minute:02}:{second:02}").as_bytes(),
        );
    }
}

/// Days since the epoch (Howard Hinnant, chrono-compatible low-level date algorithms).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Month from 0 and day from 1 of a day since the epoch.
fn civil_from_days(days: i64) -> (usize, i64) {
    let of_era = (days + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = usize::try_from((shifted + 2) % 12).unwrap_or_default();
    (month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// What is left of an event that is too long: still JSON.
fn shorten(line: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    for name in ["@timestamp", "event"] {
        if let Some(value) = member(line, name) {
            out.extend_from_slice(format!("\"{name}\":").as_bytes());
            out.extend_from_slice(value);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"tsauditd\":{\"cut_bytes\":");
    write_decimal(out, line.len());
    out.extend_from_slice(b"}}");
}

/// The inside of a JSON string, escapes as they are.
fn text(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inside @ .., b'"'] => inside,
        other => other,
    }
}

/// The value of a member of a JSON object that is written without blanks, as it stands.
fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut at = 1;
    while object.get(at) == Some(&b'"') {
        let key = at + 1..skip(object, at)? - 1;
        let start = key.end + 2;
        let end = skip(object, start)?;
        if object.get(key)? == name.as_bytes() {
            return object.get(start..end);
        }
        at = end + 1;
    }
    None
}

/// One past the value that begins at `at`.
fn skip(json: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0u32;
    let mut place = at;
    loop {
        match json.get(place)? {
            b'"' => {
                place += 1;
                while *json.get(place)? != b'"' {
                    place += if *json.get(place)? == b'\\' { 2 } else { 1 };
                }
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth == 0 {
                    return Some(place);
                }
                depth -= 1;
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            b',' if depth == 0 => return Some(place),
            _ => {}
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syslog() -> Syslog {
        Syslog {
            facility: 10,
            old: false,
            host: "here".into(),
            pid: 7,
            ahead: 0,
            longest: 1 << 20,
            counted: false,
        }
    }

    const LINE: &str = r#"{"@timestamp":"2024-05-01T10:30:00.123Z","event":{"id":"1.2:3","category":["file"],"action":"opened-file","outcome":"failure"},"user":{"id":"0","name":"a]\"b"}}"#;

    fn one(syslog: &Syslog) -> String {
        String::from_utf8(syslog.messages(format!("{LINE}\n").as_bytes()).bytes).unwrap_or_default()
    }

    #[test]
    fn rfc_5424() {
        assert_eq!(
            one(&syslog()),
            format!(
                "<84>1 2024-05-01T10:30:00.123Z here tsauditd 7 event [tsauditd@32473 id=\"1.2:3\" \
                 action=\"opened-file\" outcome=\"failure\" user=\"a\\]\\\"b\"] {LINE}"
            )
        );
    }

    #[test]
    fn rfc_3164_in_local_time() {
        let mut syslog = syslog();
        (syslog.old, syslog.ahead) = (true, 14 * 3600);
        assert_eq!(
            one(&syslog),
            format!("<84>May  2 00:30:00 here tsauditd[7]: {LINE}")
        );
        (syslog.host, syslog.ahead) = (String::new(), -11 * 3600);
        assert_eq!(
            one(&syslog),
            format!("<84>Apr 30 23:30:00 tsauditd[7]: {LINE}")
        );
    }

    #[test]
    fn counted_and_each_with_its_end() {
        let mut syslog = syslog();
        syslog.counted = true;
        let made = syslog.messages(format!("{LINE}\n{LINE}\n").as_bytes());
        let length = one(&self::syslog()).len();
        let half = length + 1 + length.to_string().len();
        assert_eq!(made.ends, [half, 2 * half]);
        assert!(
            made.bytes
                .starts_with(format!("{length} <84>1 ").as_bytes())
        );
    }

    #[test]
    fn too_long_is_still_json() {
        let mut syslog = syslog();
        syslog.longest = 300;
        let long = LINE.replace("a]", &"x".repeat(1000));
        let made = syslog.messages(long.as_bytes());
        assert_eq!(made.cut, 1);
        assert!(made.bytes.len() <= 300);
    }

    #[test]
    fn any_bytes_make_messages() {
        let mut seed = 7u64;
        for length in 0..300 {
            let noise: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    b"{}[]\",:\\ax\n"[(seed >> 60) as usize % 11]
                })
                .collect();
            let made = syslog().messages(&noise);
            assert_eq!(
                made.ends.last().copied().unwrap_or_default(),
                made.bytes.len()
            );
        }
    }
}
