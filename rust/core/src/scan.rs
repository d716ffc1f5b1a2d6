//! A record's text to its fields, in place: names, values, and the words that belong to neither.

use memchr::{memchr, memrchr};

use crate::assembled::Span;
use crate::fields::{Field, HEADS, LITERALS, name, number};
use crate::json;

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
mod tests;
