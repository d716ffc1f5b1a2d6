//! Hexadecimal, and the rule by which audit writes text that others control.
//!
//! `audit_log_n_untrustedstring` (kernel/audit.c) and libaudit's `audit_encode_nv_string` agree: text with a byte
//! `"`, below 0x21 or above 0x7e becomes uppercase hexadecimal without quotes; any other text stands in quotes.

/// What a byte is worth as a hexadecimal digit; [`NO_DIGIT`] for all others.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xf0;

/// What a value of the untrusted kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// `(null)`, `(none)` or `?`: there was nothing to write. Holds the word.
    Absent(&'a [u8]),
    /// Stood in quotes; holds what was inside them.
    Quoted(&'a [u8]),
    /// Was hexadecimal; holds the bytes.
    Decoded(&'a [u8]),
    /// Neither quoted nor hexadecimal: holds the value as it stands.
    Bare(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The text as bytes, whatever its form was; an absent one gives its word.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        let (Self::Absent(bytes) | Self::Quoted(bytes) | Self::Decoded(bytes) | Self::Bare(bytes)) =
            self;
        bytes
    }
}

/// Appends the bytes that `src` spells in hexadecimal of either case.
///
/// `false`, with `out` as it was, unless all of `src` is digits and their number even.
pub fn unhex(src: &[u8], out: &mut Vec<u8>) -> bool {
    let (pairs, odd) = src.as_chunks::<2>();
    if !odd.is_empty() {
        return false;
    }
    let start = out.len();
    let mut seen = 0;
    out.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
        seen |= high | low;
        high << 4 | low & 0x0f
    }));
    let good = seen < NO_DIGIT;
    if !good {
        out.truncate(start);
    }
    good
}

/// The number that one to sixteen hexadecimal digits of either case spell; `None` for any other text.
#[must_use]
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut seen = 0;
    let number = digits.iter().fold(0u64, |number, digit| {
        let digit = DIGITS[usize::from(*digit)];
        seen |= digit;
        number << 4 | u64::from(digit & 0x0f)
    });
    (seen < NO_DIGIT).then_some(number)
}

/// As [`unhex`], by the rule of untrusted text: at least one byte, in capitals, as its encoders write.
///
/// So an account that a program wrote bare as `beef` stays one.
pub fn unescape(value: &[u8], out: &mut Vec<u8>) -> bool {
    !value.is_empty() && !value.iter().any(u8::is_ascii_lowercase) && unhex(value, out)
}

/// Reads a value that may be quoted or hexadecimal ([`unescape`]).
///
/// Decoded bytes are appended to `out`, so that one buffer serves many values; all else borrows `value`. A quoted
/// value whose closing quote was cut off is read up to its end.
pub fn text<'a>(value: &'a [u8], out: &'a mut Vec<u8>) -> Text<'a> {
    match value {
        [b'"', inside @ .., b'"'] | [b'"', inside @ ..] => Text::Quoted(inside),
        b"(null)" | b"(none)" | b"?" => Text::Absent(value),
        _ => {
            let start = out.len();
            if unescape(value, out) {
                Text::Decoded(out.get(start..).unwrap_or_default())
            } else {
                Text::Bare(value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &[u8]) -> (Vec<u8>, &'static str) {
        let mut out = b"before".to_vec();
        match text(value, &mut out) {
            Text::Absent(word) => (word.to_vec(), "absent"),
            Text::Quoted(inside) => (inside.to_vec(), "quoted"),
            Text::Decoded(bytes) => (bytes.to_vec(), "decoded"),
            Text::Bare(bytes) => (bytes.to_vec(), "bare"),
        }
    }

    #[test]
    fn reads_each_form() {
        assert_eq!(read(b"\"ls -l\""), (b"ls -l".to_vec(), "quoted"));
        assert_eq!(read(b"\"cut"), (b"cut".to_vec(), "quoted"));
        assert_eq!(read(b"\""), (b"".to_vec(), "quoted"));
        assert_eq!(read(b"\"\""), (b"".to_vec(), "quoted"));
        assert_eq!(read(b"2F612062"), (b"/a b".to_vec(), "decoded"));
        assert_eq!(read(b"2F00"), (b"/\0".to_vec(), "decoded"));
        assert_eq!(read(b"beef"), (b"beef".to_vec(), "bare"));
        assert_eq!(read(b"(null)"), (b"(null)".to_vec(), "absent"));
        assert_eq!(read(b"?"), (b"?".to_vec(), "absent"));
        assert_eq!(read(b"123"), (b"123".to_vec(), "bare"));
        assert_eq!(read(b"root"), (b"root".to_vec(), "bare"));
        assert_eq!(read(b""), (b"".to_vec(), "bare"));
    }

    #[test]
    fn leaves_the_buffer_alone_when_it_refuses() {
        let mut out = b"kept".to_vec();
        for bad in [
            &b"4"[..],
            b"4G",
            b"G4",
            b"414",
            b"41 42 ",
            b"\xff\xff",
            b"@A",
        ] {
            assert!(!unhex(bad, &mut out), "{bad:?}");
            assert_eq!(out, b"kept");
        }
        assert!(unhex(b"", &mut out));
        assert_eq!(out, b"kept");
    }

    proptest! {
        #[test]
        fn gives_back_what_was_encoded(bytes: Vec<u8>, upper: bool) {
            let hex: String =
                bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect();
            let mut out = Vec::new();
            prop_assert!(unhex(hex.as_bytes(), &mut out));
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn reads_anything(value: Vec<u8>) {
            let mut out = Vec::new();
            prop_assert!(text(&value, &mut out).bytes().len() <= value.len());
        }
    }
}
