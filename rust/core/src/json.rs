//! Writing JSON into a byte buffer: text, numbers and times, each once and in place.

/// A one in each byte.
const ONES: u64 = u64::MAX / 255;

/// The high bit of each byte that is none of those JSON text can hold as they are, quotes aside (Hacker's Delight, 6-1;
/// a byte above a hit may be marked too, which is no harm where only "any" is asked).
fn special(word: u64) -> u64 {
    let equal = |byte: u8| zero(word ^ (ONES * u64::from(byte)));
    (word | word.wrapping_sub(ONES * 0x20) | equal(b'\\') | equal(0x7f)) & (ONES << 7)
}

fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// Whether text can stand in JSON as it is: ASCII without quotes, backslashes and control characters.
///
/// Looks at some bytes twice rather than at the last ones by themselves.
#[inline]
pub fn is_plain(bytes: &[u8]) -> bool {
    let found = |word: u64| special(word) | zero(word ^ (ONES * u64::from(b'"'))) & (ONES << 7);
    if let Some(last) = bytes.last_chunk() {
        let (words, _) = bytes.as_chunks::<8>();
        let last = found(u64::from_ne_bytes(*last));
        let all = words
            .iter()
            .fold(last, |all, word| all | found(u64::from_ne_bytes(*word)));
        return all == 0;
    }
    let word = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last))
        }
        (_, _, [first, .., last]) => {
            let middle = bytes.get(1).copied().unwrap_or_default();
            u64::from_ne_bytes([*first, middle, *last, *last, *last, *last, *last, *last])
        }
        (_, _, [only]) => ONES * u64::from(*only),
        _ => return true,
    };
    found(word) == 0
}

/// The number of double quotes in a text that could stand in JSON but for them; otherwise `None`.
pub fn quotes_if_plain(bytes: &[u8]) -> Option<usize> {
    // Byte by byte, in pieces whose count fits a byte: what compilers make vector instructions of.
    const PIECE: usize = 128;
    let mut quotes = 0;
    let mut special = false;
    for piece in bytes.chunks(PIECE) {
        let mut count = 0u8;
        for byte in piece {
            special |= !(b' '..0x7f).contains(byte) | (*byte == b'\\');
            count += u8::from(*byte == b'"');
        }
        quotes += usize::from(count);
    }
    (!special).then_some(quotes)
}

/// Writes `bytes` as the inside of a JSON string. Returns false if they were not valid UTF-8: each bad sequence has
/// become U+FFFD, and the caller sees to it that the bytes can be had elsewhere.
pub fn escaped(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return true;
    }
    let mut valid = true;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            character_escaped(out, character);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            valid = false;
        }
    }
    valid
}

/// One character, escaped as RFC 8259 asks; DEL and the C1 controls too, so that a terminal is safe from them, and the
/// line separators, which some readers of lines break at.
fn character_escaped(out: &mut Vec<u8>, character: char) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let code = character as usize;
            out.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                out.push(HEX[code >> shift & 15]);
            }
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Writes a JSON string with its quotes. Returns what [`escaped`] does.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(b'"');
    let valid = escaped(out, bytes);
    out.push(b'"');
    valid
}

/// Writes a JSON string of text that is known to need no escape.
#[inline]
pub fn plain_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Writes a number.
pub fn number<N: itoa::Integer>(out: &mut Vec<u8>, value: N) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes the three digits of milliseconds.
pub fn millis(out: &mut Vec<u8>, millis: u16) {
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis)]);
}

/// Times of day as ISO 8601 in UTC, with the last second at hand.
#[derive(Debug, Default)]
pub struct Clock {
    seconds: Option<u64>,
    text: [u8; DATE.len()],
}

/// The last second of year 9999, which ISO 8601 can still write in four digits.
const LAST_SECOND: u64 = 253_402_300_799;

impl Clock {
    /// Writes `YYYY-MM-DDTHH:MM:SS.mmmZ`; what lies past the year 9999 is written as its end.
    pub fn write(&mut self, out: &mut Vec<u8>, seconds: u64, milliseconds: u16) {
        let seconds = seconds.min(LAST_SECOND);
        if self.seconds != Some(seconds) {
            self.seconds = Some(seconds);
            self.text = date(seconds);
        }
        out.extend_from_slice(&self.text);
        out.push(b'.');
        millis(out, milliseconds);
        out.push(b'Z');
    }
}

/// A time, with nothing in the places of its digits.
const DATE: &[u8; 19] = b"0000-00-00T00:00:00";

/// `YYYY-MM-DDTHH:MM:SS` of the proleptic Gregorian calendar, from days counted in 400-year eras.
fn date(seconds: u64) -> [u8; DATE.len()] {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut text = *DATE;
    // A log that is sparse has another second for each event.
    for (place, number) in [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, second / 3_600),
        (14, second / 60 % 60),
        (17, second % 60),
    ] {
        if let Some([tens, ones]) = text.get_mut(place..place + 2) {
            *tens += (number / 10 % 10) as u8;
            *ones += (number % 10) as u8;
        }
    }
    text
}

/// The longest `,"name":` that is written in one piece, in bytes.
const LONGEST_PIECE: usize = 32;

/// Writes the members of one JSON object: remembers whether a comma is due.
#[derive(Debug)]
pub struct Object {
    start: usize,
    members: usize,
}

impl Object {
    /// Opens an object.
    pub fn open(out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'{');
        Self {
            start,
            members: out.len(),
        }
    }

    /// The members of an object whose braces somebody else writes; it is not closed.
    pub fn inner(out: &[u8]) -> Self {
        Self {
            start: out.len(),
            members: out.len(),
        }
    }

    /// Opens an object that is the member `name` of another, as in `"name":{`. It vanishes if it stays empty.
    ///
    /// Always inlined, as [`Self::name`].
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn member(out: &mut Vec<u8>, parent: &Self, name: &str) -> Self {
        let start = out.len();
        parent.name(out, name);
        out.push(b'{');
        Self {
            start,
            members: out.len(),
        }
    }

    /// Writes `"name":`, after a comma where one is due. `name` is plain ASCII.
    ///
    /// Always inlined: names are constants, and so one piece of known length is written.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn name(&self, out: &mut Vec<u8>, name: &str) {
        let mut piece = [0; LONGEST_PIECE];
        let length = name.len() + 4;
        if let Some((head, [end, colon, ..])) = piece.split_at_mut_checked(length - 2)
            && let [comma, start, inside @ ..] = head
        {
            (*comma, *start, *end, *colon) = (b',', b'"', b'"', b':');
            inside.copy_from_slice(name.as_bytes());
            let from = usize::from(out.len() <= self.members);
            if from == 0 {
                out.extend_from_slice(piece.get(..length).unwrap_or_default());
            } else {
                out.extend_from_slice(piece.get(1..length).unwrap_or_default());
            }
        } else {
            self.plain_label(out, name.as_bytes());
        }
    }

    /// Writes `"label":` for a name that the input brought. Returns what [`escaped`] does.
    pub fn label(&self, out: &mut Vec<u8>, label: &[u8]) -> bool {
        if out.len() > self.members {
            out.push(b',');
        }
        let valid = string(out, label);
        out.push(b':');
        valid
    }

    /// Writes `"label":` for a name that needs no escape.
    pub fn plain_label(&self, out: &mut Vec<u8>, label: &[u8]) {
        if out.len() > self.members {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(label);
        out.extend_from_slice(b"\":");
    }

    /// Writes members that were written before, without a comma before them.
    pub fn insert(&self, out: &mut Vec<u8>, members: &[u8]) {
        if members.is_empty() {
            return;
        }
        if out.len() > self.members {
            out.push(b',');
        }
        out.extend_from_slice(members);
    }

    /// An object that has members already, so that the next one begins with a comma.
    #[must_use]
    pub fn continued() -> Self {
        Self {
            start: 0,
            members: 0,
        }
    }

    /// The same object in text that stands elsewhere: what was at `from` is at `to`.
    #[must_use]
    pub fn moved(&self, from: usize, to: usize) -> Self {
        let place = |at: usize| at.wrapping_sub(from).wrapping_add(to);
        Self {
            start: place(self.start),
            members: place(self.members),
        }
    }

    /// Closes the object; one that is a member and has nothing in it is taken back.
    pub fn close(self, out: &mut Vec<u8>) {
        if out.len() == self.members && self.members > self.start + 1 {
            out.truncate(self.start);
        } else {
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, bool) {
        let mut out = Vec::new();
        let valid = string(&mut out, bytes);
        (String::from_utf8(out).unwrap(), valid)
    }

    #[test]
    fn escapes_what_json_and_terminals_need() {
        assert_eq!(text(b"plain"), ("\"plain\"".into(), true));
        assert_eq!(
            text(b"a\"\\\n\x00\x1b\x7f"),
            (r#""a\"\\\n\u0000\u001b\u007f""#.into(), true)
        );
        assert_eq!(text("é\u{202e}".as_bytes()), ("\"é\u{202e}\"".into(), true));
        assert_eq!(
            text("\u{2028}\u{85}".as_bytes()),
            (r#""\u2028\u0085""#.into(), true)
        );
        assert_eq!(text(b"a\xffb"), ("\"a\u{fffd}b\"".into(), false));
    }

    #[test]
    fn finds_every_byte_that_is_not_plain() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                let plain = (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
                assert_eq!(is_plain(&bytes), plain, "{byte} at {place}");
                assert_eq!(is_plain(&bytes[..=place]), plain, "{byte} at {place}");
                let quotes = usize::from(byte == b'"');
                assert_eq!(
                    quotes_if_plain(&bytes),
                    (plain || byte == b'"').then_some(quotes)
                );
            }
        }
    }

    #[test]
    fn writes_times() {
        let mut clock = Clock::default();
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_700_000_000, "2023-11-14T22:13:20.007Z"),
            (253_402_300_799, "9999-12-31T23:59:59.007Z"),
            (u64::MAX, "9999-12-31T23:59:59.007Z"),
        ] {
            let mut out = Vec::new();
            clock.write(&mut out, seconds, 7);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn empty_members_vanish() {
        let mut out = Vec::new();
        let top = Object::open(&mut out);
        Object::member(&mut out, &top, "empty").close(&mut out);
        let inner = Object::member(&mut out, &top, "a");
        inner.name(&mut out, "b");
        out.push(b'1');
        inner.close(&mut out);
        top.name(&mut out, "c");
        out.push(b'2');
        top.close(&mut out);
        assert_eq!(out, br#"{"a":{"b":1},"c":2}"#);
    }
}
