//! A record's text to its fields, in place: names, values, and the words that belong to neither.

mod known;

use memchr::{memchr, memchr2, memrchr};

use crate::assembled::Span;
use crate::fields::{Field, NAMES, name, number, short};
use crate::json;

pub use known::Known;

/// Adds the fields of the bytes in `span` of `bytes` to `fields`.
///
/// Values end at a blank, or at their closing quote; `msg='...'` is opened and its fields stand beside the others. A
/// word without a name goes to the unquoted value before it (`op=add rule`), or else to a field called `message`.
/// `avc:  denied  { read write }` becomes seresult and seperms, as auparse names them.
pub fn scan(bytes: &[u8], span: Span, fields: &mut Vec<Field>) {
    scan_until(bytes, span, name::OTHER, fields);
}

/// As [`scan`], for the names that an ENRICHED log adds: those of the fields, in capitals.
pub fn scan_capitals(bytes: &[u8], span: Span, fields: &mut Vec<Field>) {
    run(bytes, span, name::OTHER, true, fields);
}

/// As [`scan`], up to the first field called `stop`. Returns where that begins, or the end.
pub fn scan_until(bytes: &[u8], span: Span, stop: u8, fields: &mut Vec<Field>) -> u32 {
    run(bytes, span, stop, false, fields)
}

fn run(bytes: &[u8], span: Span, stop: u8, capitals: bool, fields: &mut Vec<Field>) -> u32 {
    let end = (span.end as usize).min(bytes.len());
    let start = fields.len();
    let mut scan = Scan {
        bytes: bytes.get(..end).unwrap_or_default(),
        at: span.start as usize,
        expected: 1,
        inner_end: usize::MAX,
        first: start,
        quoted: 0,
        capitals,
        fields,
    };
    let stop = NAMES.get(stop as usize).copied().unwrap_or_default();
    while let Some(word) = scan.next_word() {
        if stop.len > 0 && word & stop.mask == stop.head {
            break;
        }
        scan.step(word);
    }
    // One look at the whole record spares one at each value: without escapes, and with no quotes but those around
    // values, every value can stand as it is.
    let (end, quoted) = (scan.at.min(end), scan.quoted);
    let record = bytes.get(span.start as usize..end).unwrap_or_default();
    if json::quotes_if_plain(record) == Some(2 * quoted) {
        let added = fields.get_mut(start..).unwrap_or_default();
        added.iter_mut().for_each(|field| field.plain = true);
    }
    u32::try_from(end).unwrap_or(u32::MAX)
}

struct Scan<'a> {
    /// Up to the record's end.
    bytes: &'a [u8],
    at: usize,
    /// The name that most likely comes next: records keep their order.
    expected: usize,
    /// Where the closing quote of `msg='` stands.
    inner_end: usize,
    /// Where in `fields` those begin that a word without a name can belong to.
    first: usize,
    /// How many of the values stood in quotes.
    quoted: usize,
    /// Names are in capitals.
    capitals: bool,
    fields: &'a mut Vec<Field>,
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
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Where the field at hand must end: at the end of `msg='...'` inside it.
    #[inline]
    fn limit(&self) -> usize {
        if self.at < self.inner_end {
            self.bytes.len().min(self.inner_end)
        } else {
            self.bytes.len()
        }
    }

    /// Passes over blanks. Returns the next eight bytes as a number, zeros past the end; `None` at the end.
    #[inline]
    fn next_word(&mut self) -> Option<u64> {
        loop {
            let word = eight(self.rest());
            match word as u8 {
                b' ' => self.at += 1,
                b'\'' if self.at == self.inner_end => self.at += 1,
                _ => return (self.at < self.bytes.len()).then_some(word),
            }
        }
    }

    /// Reads the next field, which begins with the bytes in `word`.
    #[inline]
    fn step(&mut self, word: u64) {
        let start = self.at;
        let Some((number, label)) = self.label(word) else {
            return self.bare(start);
        };
        self.at = label.end as usize + 1;
        if number != name::OTHER {
            self.expected = number as usize + 1;
            if number == name::MSG
                && self.bytes.get(label.start as usize) == Some(&b'm')
                && self.rest().first() == Some(&b'\'')
            {
                return self.enter_message();
            }
        }
        self.value(number, label);
    }

    /// The name that begins here, with its number.
    #[inline]
    fn label(&self, word: u64) -> Option<(u8, Span)> {
        let start = self.at;
        let word = if self.capitals { lowered(word) } else { word };
        if let Some(name) = NAMES.get(self.expected)
            && word & name.mask == name.head
            && (name.len <= 8 || self.rest().starts_with(name.text))
        {
            #[allow(clippy::cast_possible_truncation)] // there are fewer than 256 names
            return Some((self.expected as u8, span(start, start + name.len - 1)));
        }
        let (signs, blanks) = (matches(word, b'='), matches(word, b' '));
        // Below the lowest bit that stands all others are clear.
        if signs & signs.wrapping_neg() < blanks & blanks.wrapping_neg() || blanks == 0 {
            let length = signs.trailing_zeros() as usize / 8;
            if start + length < self.limit()
                && let Some(number) = short(word, length)
            {
                return Some((number, span(start, start + length)));
            }
        }
        self.other_label()
    }

    /// A name that is long or not known. Older programs put parentheses around a list of fields: (hostname=?, addr=?).
    #[cold]
    fn other_label(&self) -> Option<(u8, Span)> {
        let text = self.bytes.get(self.at..self.limit()).unwrap_or_default();
        let stop =
            memchr2(b'=', b' ', text).filter(|stop| *stop > 0 && text.get(*stop) == Some(&b'='))?;
        let first = usize::from(text.first() == Some(&b'(') && stop > 1);
        let number = number(text.get(first..stop).unwrap_or_default());
        Some((number, span(self.at + first, self.at + stop)))
    }

    /// A word without a name.
    fn bare(&mut self, start: usize) {
        let text = self.bytes.get(start..self.limit()).unwrap_or_default();
        if text.first() == Some(&b'{') {
            let word = self.braces(start);
            return self.add_bare(word);
        }
        // Past the `=` of a name that is empty, so that every step moves on.
        let stop = memchr(b' ', text).unwrap_or(text.len());
        self.at = start + stop;
        self.add_bare(span(start, start + stop));
    }

    /// Steps into `msg='...'`: it ends at the record's last quote, as what is inside may hold quotes of its own.
    fn enter_message(&mut self) {
        self.at += 1;
        let end = self.bytes.len();
        self.inner_end = memrchr(b'\'', self.rest()).map_or(end, |last| self.at + last);
        self.first = self.fields.len();
    }

    #[allow(clippy::inline_always)]
    #[inline(always)] // it is called once, and at each field
    fn value(&mut self, name: u8, label: Span) {
        let start = self.at;
        let text = self.bytes.get(start..self.limit()).unwrap_or_default();
        let inner = match text {
            [b'"', inside @ ..] => position(inside, b'"'),
            _ => None,
        };
        let value = if let Some(length) = inner {
            self.at = start + length + 2;
            span(start + 1, start + 1 + length)
        } else if text.first() == Some(&b'{') {
            self.braces(start)
        } else {
            let length = position(text, b' ').unwrap_or(text.len());
            self.at = start + length;
            span(
                start,
                start + trimmed(text.get(..length).unwrap_or_default()),
            )
        };
        self.quoted += usize::from(inner.is_some());
        self.fields.push(Field {
            name,
            quoted: inner.is_some(),
            plain: false,
            label,
            value,
        });
    }

    /// `{ a b c }` as one word.
    fn braces(&mut self, start: usize) -> Span {
        let text = self.bytes.get(start..self.limit()).unwrap_or_default();
        let length = memchr(b'}', text).map_or(text.len(), |last| last + 1);
        self.at = start + length;
        span(start, start + length)
    }

    /// Finds a place for a word without a name.
    fn add_bare(&mut self, word: Span) {
        let (first, fields) = (self.first, &mut *self.fields);
        let text = self
            .bytes
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
            b"denied" | b"granted" if fields.len() == first => {
                fields.push(own(name::SERESULT, word))
            }
            [b'{', inside @ .., b'}'] => {
                let lead = inside.len() - inside.trim_ascii_start().len();
                let length = inside.trim_ascii().len();
                let start = word.start as usize + 1 + lead;
                fields.push(own(name::SEPERMS, span(start, start + length)));
            }
            _ => match fields.get_mut(first..).and_then(<[Field]>::last_mut) {
                Some(last)
                    if !last.quoted
                        && last.name != name::SEPERMS
                        && last.name != name::SERESULT =>
                {
                    last.value.end = word.end;
                }
                _ => fields.push(own(name::MESSAGE, word)),
            },
        }
    }
}

/// The first eight bytes as a number, the lowest first; zeros past the end.
#[inline]
fn eight(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => text
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Eight bytes with small letters for capitals (Hacker's Delight, 2-18, turned to letters).
#[inline]
fn lowered(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let low = word & (ONES * 0x7f);
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x7f - b'Z' as u64);
    let capital = (from_a ^ past_z) & !word & (ONES << 7);
    word | capital >> 2
}

/// The high bit of each byte of `word` that is `byte`: the lowest that stands is right, whatever stands above it
/// (Hacker's Delight, 6-1).
#[inline]
fn matches(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let other = word ^ (ONES * u64::from(byte));
    other.wrapping_sub(ONES) & !other & (ONES << 7)
}

/// Where `byte` is: as memchr, for the few bytes that most values have.
#[inline]
fn position(text: &[u8], byte: u8) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate().take(4) {
        let found = matches(u64::from_le_bytes(*word), byte);
        if found != 0 {
            return Some(place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    if words.len() <= 4 {
        let found = rest.iter().position(|other| *other == byte);
        return found.map(|at| words.len() * 8 + at);
    }
    memchr(byte, text)
}

/// The length of a value without the commas behind it and without a parenthesis that it did not open.
#[inline]
fn trimmed(mut value: &[u8]) -> usize {
    if matches!(value.last(), Some(b',' | b')')) {
        while let [head @ .., b','] = value {
            value = head;
        }
        if let [head @ .., b')'] = value
            && !value.contains(&b'(')
        {
            value = head;
        }
    }
    value.len()
}

#[cfg(test)]
mod tests;
