//! A record's text to its fields, in place: names, values, and the words that belong to neither.

use memchr::{memchr, memrchr};

use crate::assemble::Span;
use crate::json;

/// Makes a number of each field name that the event's meaning asks for, in the order in which the records have them.
macro_rules! names {
    ($($constant:ident = $number:literal $text:literal),* $(,)?) => {
        /// Known field names by number; [`OTHER`](name::OTHER) is any other.
        #[allow(missing_docs)]
        pub mod name {
            $(pub const $constant: u8 = $number;)*
            pub const OTHER: u8 = 0;
            /// One past the last.
            pub const COUNT: usize = [$($number),*].len() + 1;
        }
        /// The names with `=` behind them, by number.
        static LITERALS: [&[u8]; name::COUNT] = [b"\0", $(concat!($text, "=").as_bytes()),*];
    };
}

names! {
    ARCH = 1 "arch", SYSCALL = 2 "syscall", SUCCESS = 3 "success", EXIT = 4 "exit", A0 = 5 "a0", A1 = 6 "a1",
    A2 = 7 "a2", A3 = 8 "a3", ITEMS = 9 "items", PPID = 10 "ppid", PID = 11 "pid", AUID = 12 "auid", UID = 13 "uid",
    GID = 14 "gid", EUID = 15 "euid", SUID = 16 "suid", FSUID = 17 "fsuid", EGID = 18 "egid", SGID = 19 "sgid",
    FSGID = 20 "fsgid", TTY = 21 "tty", SES = 22 "ses", COMM = 23 "comm", EXE = 24 "exe", SUBJ = 25 "subj",
    KEY = 26 "key", PER = 27 "per", ITEM = 28 "item", NAME = 29 "name", INODE = 30 "inode", DEV = 31 "dev",
    MODE = 32 "mode", OUID = 33 "ouid", OGID = 34 "ogid", RDEV = 35 "rdev", OBJ = 36 "obj", NAMETYPE = 37 "nametype",
    CAP_FP = 38 "cap_fp", CAP_FI = 39 "cap_fi", CAP_FE = 40 "cap_fe", CAP_FVER = 41 "cap_fver",
    CAP_FROOTID = 42 "cap_frootid", CWD = 43 "cwd", PROCTITLE = 44 "proctitle", ARGC = 45 "argc", SADDR = 46 "saddr",
    ACCT = 47 "acct", ADDR = 48 "addr", HOSTNAME = 49 "hostname", TERMINAL = 50 "terminal", RES = 51 "res",
    RESULT = 52 "result", OP = 53 "op", ID = 54 "id", MSG = 55 "msg", SERESULT = 56 "seresult", SEPERMS = 57 "seperms",
    MESSAGE = 58 "message", OLD_AUID = 59 "old-auid", NEW_AUID = 60 "new-auid", RPORT = 61 "rport", LADDR = 62 "laddr",
    LPORT = 63 "lport", OBJTYPE = 64 "objtype", NEW_GROUP = 65 "new_group", GRP = 66 "grp", SIG = 67 "sig",
}

/// The first eight bytes of each literal as a number, and which of its bits count.
static HEADS: [(u64, u64); name::COUNT] = {
    let mut heads = [(u64::MAX, 0); name::COUNT];
    let mut number = 1;
    while number < name::COUNT {
        let (mut word, mut mask, mut at) = (0u64, 0u64, 0);
        while at < 8 && at < LITERALS[number].len() {
            word |= (LITERALS[number][at] as u64) << (8 * at);
            mask |= 0xff << (8 * at);
            at += 1;
        }
        heads[number] = (word, mask);
        number += 1;
    }
    heads
};

/// A field: which name, and where name and value stand in the event's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Number of the name in [`name`].
    pub name: u8,
    /// The value stood in double quotes: it is text as it is, not hex.
    pub quoted: bool,
    /// The value can stand in JSON as it is; false where that was not looked into.
    pub plain: bool,
    /// The name itself; empty for words that had none.
    pub label: Span,
    /// The value, without its quotes.
    pub value: Span,
}

/// The name's text, for a known number.
#[must_use]
pub fn literal(name: u8) -> &'static [u8] {
    let with_sign = LITERALS.get(name as usize).copied().unwrap_or_default();
    with_sign
        .get(..with_sign.len().saturating_sub(1))
        .unwrap_or_default()
}

/// Where in [`PLACES`] a name is looked for first.
const fn place(label: &[u8]) -> usize {
    let (first, last) = match label {
        [] => (0, 0),
        [only] => (*only as usize, 0),
        [first, .., last] => (*first as usize, *last as usize),
    };
    (first * 5 + last * 11 + label.len() * 31) % 512
}

/// The names by [`place`], and by the next free one where several share a place.
static PLACES: [u8; 512] = {
    let mut places = [name::OTHER; 512];
    let mut number = 1;
    while number < name::COUNT {
        let (label, _) = LITERALS[number].split_at(LITERALS[number].len() - 1);
        let mut at = place(label);
        while places[at] != name::OTHER {
            at = (at + 1) % 512;
        }
        places[at] = number as u8;
        number += 1;
    }
    places
};

/// The number of a name.
#[must_use]
pub fn number(label: &[u8]) -> u8 {
    let start = place(label);
    for step in 0..PLACES.len() {
        match PLACES.get((start + step) % PLACES.len()) {
            Some(&number) if number != name::OTHER => {
                if literal(number) == label {
                    return number;
                }
            }
            _ => break,
        }
    }
    name::OTHER
}

/// Adds the fields of the bytes in `span` of `bytes` to `fields`.
///
/// Values end at a blank, or at their closing quote; `msg='...'` is opened and its fields stand beside the others. A
/// word without a name goes to the unquoted value before it (`op=add rule`), or else to a field called `message`.
/// `avc:  denied  { read write }` becomes seresult and seperms, as auparse names them.
pub fn scan(bytes: &[u8], span: Span, fields: &mut Vec<Field>) {
    scan_until(bytes, span, name::OTHER, fields);
}

/// As [`scan`], up to the first field called `stop`. Returns where that begins, or the end.
pub fn scan_until(bytes: &[u8], span: Span, stop: u8, fields: &mut Vec<Field>) -> u32 {
    let end = (span.end as usize).min(bytes.len());
    let start = fields.len();
    let mut first = start;
    let mut scan = Scan {
        bytes,
        at: span.start as usize,
        end,
        expected: 1,
        inner_end: usize::MAX,
    };
    let (head, mask) = HEADS.get(stop as usize).copied().unwrap_or((u64::MAX, 0));
    loop {
        scan.skip_blanks();
        if scan.word() & mask == head {
            break;
        }
        let Some(word) = scan.next() else { break };
        match word {
            Word::Field(field) => fields.push(field),
            Word::Bare(word) => add_bare(bytes, word, first, fields),
            Word::Message => first = fields.len(),
        }
    }
    // One look at the whole record spares one at each value: without escapes, and with no quotes but those around
    // values, every value can stand as it is.
    let end = scan.at.min(end);
    let added = fields.get_mut(start..).unwrap_or_default();
    let quoted = added.iter().filter(|field| field.quoted).count();
    let record = bytes.get(span.start as usize..end).unwrap_or_default();
    if json::quotes_if_plain(record) == Some(2 * quoted) {
        added.iter_mut().for_each(|field| field.plain = true);
    }
    u32::try_from(end).unwrap_or(u32::MAX)
}

enum Word {
    Field(Field),
    Bare(Span),
    /// `msg='` has begun.
    Message,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// The name that most likely comes next: records keep their order.
    expected: usize,
    /// Where the closing quote of `msg='` stands.
    inner_end: usize,
}

#[allow(clippy::cast_possible_truncation)] // an event's bytes are bounded far below 4 GiB
fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

impl Scan<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// The next eight bytes as a number, zeros past the end.
    fn word(&self) -> u64 {
        let rest = self.rest();
        match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                u64::from_le_bytes(word)
            }
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.rest().first() {
            match byte {
                b' ' => self.at += 1,
                b'\'' if self.at == self.inner_end => self.at += 1,
                _ => return,
            }
        }
    }

    /// The next word; blanks were skipped.
    fn next(&mut self) -> Option<Word> {
        if self.at >= self.end {
            return None;
        }
        // The next name in order, or the one after it: fields are left out more often than moved.
        let next = self.word();
        for guess in self.expected..self.expected + 2 {
            if let (Some((head, mask)), Some(literal)) = (HEADS.get(guess), LITERALS.get(guess))
                && next & mask == *head
                && (literal.len() <= 8 || self.rest().starts_with(literal))
            {
                let start = self.at;
                self.at += literal.len();
                self.expected = guess + 1;
                #[allow(clippy::cast_possible_truncation)] // there are fewer than 256 names
                return Some(self.value(guess as u8, span(start, self.at - 1)));
            }
        }
        let start = self.at;
        let limit = self.limit();
        let text = self.bytes.get(start..limit).unwrap_or_default();
        let stop = text
            .iter()
            .position(|byte| matches!(byte, b'=' | b' '))
            .unwrap_or(text.len());
        if text.get(stop) == Some(&b'=') && stop > 0 {
            // Older programs put parentheses around a list of fields: (hostname=?, addr=?).
            let label = span(
                start + usize::from(text.first() == Some(&b'(') && stop > 1),
                start + stop,
            );
            let name = number(
                self.bytes
                    .get(label.start as usize..label.end as usize)
                    .unwrap_or_default(),
            );
            self.at = start + stop + 1;
            if name != name::OTHER {
                self.expected = name as usize + 1;
            }
            if name == name::MSG && self.rest().first() == Some(&b'\'') {
                return Some(self.enter_message());
            }
            return Some(self.value(name, label));
        }
        if text.first() == Some(&b'{') {
            return Some(self.braces(start, limit));
        }
        // Past the `=` of a name that is empty, so that every step moves on.
        let stop = if stop == 0 {
            text.iter()
                .position(|byte| *byte == b' ')
                .unwrap_or(text.len())
        } else {
            stop
        };
        self.at = start + stop;
        Some(Word::Bare(span(start, start + stop)))
    }

    /// Where the field at hand must end: at the end of `msg='...'` inside it.
    fn limit(&self) -> usize {
        if self.at < self.inner_end {
            self.end.min(self.inner_end)
        } else {
            self.end
        }
    }

    /// Steps into `msg='...'`: it ends at the record's last quote, as what is inside may hold quotes of its own.
    fn enter_message(&mut self) -> Word {
        self.at += 1;
        self.inner_end = memrchr(b'\'', self.rest()).map_or(self.end, |last| self.at + last);
        Word::Message
    }

    fn value(&mut self, name: u8, label: Span) -> Word {
        let limit = self.limit();
        let text = self.bytes.get(self.at..limit).unwrap_or_default();
        let start = self.at;
        if let [b'"', inside @ ..] = text
            && let Some(length) = memchr(b'"', inside)
        {
            self.at = start + length + 2;
            return Word::Field(Field {
                name,
                quoted: true,
                plain: false,
                label,
                value: span(start + 1, start + 1 + length),
            });
        }
        if text.first() == Some(&b'{') {
            let Word::Bare(value) = self.braces(start, limit) else {
                return Word::Bare(label);
            };
            return Word::Field(Field {
                name,
                quoted: false,
                plain: false,
                label,
                value,
            });
        }
        let length = short_word(text);
        self.at = start + length;
        let mut value = text.get(..length).unwrap_or_default();
        while let [head @ .., b','] = value {
            value = head;
        }
        if let [head @ .., b')'] = value
            && !value.contains(&b'(')
        {
            value = head;
        }
        Word::Field(Field {
            name,
            quoted: false,
            plain: false,
            label,
            value: span(start, start + value.len()),
        })
    }

    /// `{ a b c }` as one word.
    fn braces(&mut self, start: usize, limit: usize) -> Word {
        let text = self.bytes.get(start..limit).unwrap_or_default();
        let length = memchr(b'}', text).map_or(text.len(), |last| last + 1);
        self.at = start + length;
        Word::Bare(span(start, start + length))
    }
}

/// Length of the text up to a blank, eight bytes at a time (Hacker's Delight, 6-1).
fn short_word(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let (words, rest) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let blank = u64::from_le_bytes(*word) ^ (ONES * u64::from(b' '));
        // The lowest bit that stands is right, whatever stands above it.
        let found = blank.wrapping_sub(ONES) & !blank & (ONES << 7);
        if found != 0 {
            return place * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(rest.len());
    words.len() * 8 + tail
}

/// Finds a place for a word without a name.
fn add_bare(bytes: &[u8], word: Span, first: usize, fields: &mut Vec<Field>) {
    let text = bytes
        .get(word.start as usize..word.end as usize)
        .unwrap_or_default();
    let own = |name, value| Field {
        name,
        quoted: false,
        plain: false,
        label: Span::default(),
        value,
    };
    let access = fields.len() > first
        && fields
            .get(first)
            .is_some_and(|field| field.name == name::SERESULT || field.name == name::MESSAGE);
    match text {
        b"avc:" | b":" | b"," => {}
        b"for" if access => {}
        b"denied" | b"granted" if fields.len() == first => fields.push(own(name::SERESULT, word)),
        [b'{', inside @ .., b'}'] => {
            let lead = inside.len() - inside.trim_ascii_start().len();
            let length = inside.trim_ascii().len();
            let start = word.start as usize + 1 + lead;
            fields.push(own(name::SEPERMS, span(start, start + length)));
        }
        _ => match fields.get_mut(first..).and_then(<[Field]>::last_mut) {
            Some(last)
                if !last.quoted && last.name != name::SEPERMS && last.name != name::SERESULT =>
            {
                last.value.end = word.end;
            }
            _ => fields.push(own(name::MESSAGE, word)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let bytes = text.as_bytes();
        let mut fields = Vec::new();
        scan(bytes, span(0, bytes.len()), &mut fields);
        let at = |span: Span| {
            String::from_utf8_lossy(&bytes[span.start as usize..span.end as usize]).into_owned()
        };
        fields
            .iter()
            .map(|field| {
                let label = if field.label == Span::default() {
                    String::from_utf8_lossy(literal(field.name)).into_owned()
                } else {
                    at(field.label)
                };
                (label, at(field.value))
            })
            .collect()
    }

    fn expect(text: &str, wanted: &[(&str, &str)]) {
        let got = pairs(text);
        let got: Vec<(&str, &str)> = got
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(got, wanted, "{text}");
    }

    #[test]
    fn known_names_keep_their_numbers() {
        for place in 1..name::COUNT {
            let place = u8::try_from(place).unwrap();
            assert_eq!(number(literal(place)), place);
        }
        assert_eq!(number(b"nothing"), name::OTHER);
        assert_eq!(number(b""), name::OTHER);
    }

    #[test]
    fn plain_and_quoted_values() {
        expect(
            "arch=c000003e syscall=59 exit=-2 comm=\"a b\" exe=2F62  key=(null)",
            &[
                ("arch", "c000003e"),
                ("syscall", "59"),
                ("exit", "-2"),
                ("comm", "a b"),
                ("exe", "2F62"),
                ("key", "(null)"),
            ],
        );
        expect("a=\"unclosed b=1", &[("a", "\"unclosed"), ("b", "1")]);
        expect("a= b=", &[("a", ""), ("b", "")]);
        expect("=x a=1", &[("message", "=x"), ("a", "1")]);
    }

    #[test]
    fn messages_within_messages() {
        expect(
            "pid=1 uid=0 msg='op=PAM:auth grantors=? acct=\"x\" res=failed'",
            &[
                ("pid", "1"),
                ("uid", "0"),
                ("op", "PAM:auth"),
                ("grantors", "?"),
                ("acct", "x"),
                ("res", "failed"),
            ],
        );
        expect(
            "pid=1 msg='it isn't acct='odd one' exe=\"/x\" res=success' extra=2",
            &[
                ("pid", "1"),
                ("message", "it isn't"),
                ("acct", "'odd one'"),
                ("exe", "/x"),
                ("res", "success"),
                ("extra", "2"),
            ],
        );
        expect(
            "user pid=1 msg='PAM: accounting acct=\"root\" : exe=\"/x\" (hostname=?, addr=?, res=success)'",
            &[
                ("message", "user"),
                ("pid", "1"),
                ("message", "PAM: accounting"),
                ("acct", "root"),
                ("exe", "/x"),
                ("hostname", "?"),
                ("addr", "?"),
                ("res", "success"),
            ],
        );
    }

    #[test]
    fn access_vectors() {
        expect(
            "avc:  denied  { read write } for  pid=7 comm=\"x\" tclass=file permissive=0",
            &[
                ("seresult", "denied"),
                ("seperms", "read write"),
                ("pid", "7"),
                ("comm", "x"),
                ("tclass", "file"),
                ("permissive", "0"),
            ],
        );
        expect(
            "pid=1 msg='avc:  denied  { send_msg } for msgtype=call dest=a'",
            &[
                ("pid", "1"),
                ("seresult", "denied"),
                ("seperms", "send_msg"),
                ("msgtype", "call"),
                ("dest", "a"),
            ],
        );
    }

    #[test]
    fn words_without_a_name() {
        expect("op=add rule list=4", &[("op", "add rule"), ("list", "4")]);
        expect("SADDR=unknown family(0)", &[("SADDR", "unknown family(0)")]);
        expect(
            "SADDR={ saddr_fam=inet laddr=1.2.3.4 lport=80 } X=1",
            &[
                ("SADDR", "{ saddr_fam=inet laddr=1.2.3.4 lport=80 }"),
                ("X", "1"),
            ],
        );
        expect("initialized", &[("message", "initialized")]);
    }
}
