//! What was typed: the data of TTY and USER_TTY records.

use super::hex::{Text, text};
use crate::tables::{self, name_of};

/// The longest key sequence that the table can hold.
const LONGEST: usize = 8;
const ESCAPE: u8 = 0x1b;

/// Appends keystrokes as `"ls -l",<ret>`: text in quotes (with `\` before `"` and `\`), keys that give no text by
/// their names: `<ret>`, `<^C>`, `<up>`, `<F5>`. Escape sequences are those of the usual terminals.
pub fn read(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut decoded = Vec::new();
    match text(value, &mut decoded) {
        Text::Quoted(typed) | Text::Decoded(typed) => write(typed, out),
        Text::Absent(_) | Text::Bare(_) => return None,
    }
    Some(())
}

fn write(mut typed: &[u8], out: &mut Vec<u8>) {
    let (start, mut in_text) = (out.len(), false);
    while let [byte, ..] = *typed {
        let (name, taken) = key(typed);
        let switch = in_text != name.is_none();
        if switch && in_text {
            out.push(b'"');
        }
        if out.len() > start && (switch || name.is_some()) {
            out.push(b',');
        }
        match name {
            Some(Key::Named(name)) => {
                out.push(b'<');
                out.extend_from_slice(name.as_bytes());
                out.push(b'>');
            }
            Some(Key::Control(letter)) => out.extend_from_slice(&[b'<', b'^', letter, b'>']),
            None => {
                if switch {
                    out.push(b'"');
                }
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
        in_text = name.is_none();
        typed = typed.get(taken..).unwrap_or_default();
    }
    if in_text {
        out.push(b'"');
    }
}

/// A key that gives no text.
#[derive(Clone, Copy)]
enum Key {
    Named(&'static str),
    /// With Control held: the letter.
    Control(u8),
}

/// The key that `typed` starts with, and its number of bytes; `None` for a byte of text.
fn key(typed: &[u8]) -> (Option<Key>, usize) {
    let Some(&byte) = typed.first() else {
        return (None, 1);
    };
    match byte {
        ESCAPE => sequence(typed),
        b'\r' => (Some(Key::Named("ret")), 1),
        b'\n' => (Some(Key::Named("nl")), 1),
        b'\t' => (Some(Key::Named("tab")), 1),
        0x08 | 0x7f => (Some(Key::Named("backspace")), 1),
        0..0x20 => (Some(Key::Control(byte | 0x40)), 1),
        _ => (None, 1),
    }
}

/// The longest known sequence; the key Escape if there is none.
fn sequence(typed: &[u8]) -> (Option<Key>, usize) {
    for length in (3..=LONGEST.min(typed.len())).rev() {
        let bytes = typed
            .iter()
            .take(length)
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        if let Some(name) = name_of(tables::TTY_KEYS, bytes) {
            return (Some(Key::Named(name)), length);
        }
    }
    (Some(Key::Named("esc")), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let mut out = b"before ".to_vec();
        assert!(read(hex.as_bytes(), &mut out).is_some());
        String::from_utf8_lossy(out.strip_prefix(b"before ").unwrap()).into_owned()
    }

    /// What `ausearch -i` (audit 3.0.9) prints for the same bytes.
    #[test]
    fn reads_as_ausearch_does() {
        assert_eq!(typed(b"ls -l\r"), "\"ls -l\",<ret>");
        assert_eq!(typed(b"\r\rls"), "<ret>,<ret>,\"ls\"");
        assert_eq!(typed(b"a\"b\""), "\"a\\\"b\\\"\"");
        assert_eq!(typed(b"a\\b"), "\"a\\\\b\"");
        assert_eq!(typed(b"\x1b\x1b[A"), "<esc>,<up>");
        assert_eq!(typed(b"\x1b"), "<esc>");
        assert_eq!(
            typed(b"\x1b[A\x1b[B\t\x7f\x03\x04\r\x01\x1bOP\x1b[15;5~"),
            "<up>,<down>,<tab>,<backspace>,<^C>,<^D>,<ret>,<^A>,<F1>,<F29>"
        );
        assert_eq!(
            typed(b"\x1b[3~\x1b[5~\x1b[H\x1b[Z\x1b[24~x"),
            "<delete>,<page-up>,<home>,<back-tab>,<F12>,\"x\""
        );
        assert_eq!(typed("é\r".as_bytes()), "\"é\",<ret>");
    }

    #[test]
    fn names_the_control_keys_that_ausearch_prints_as_octal() {
        assert_eq!(typed(b"a\0\x1c\x1f"), "\"a\",<^@>,<^\\>,<^_>");
    }

    #[test]
    fn reads_quoted_text_and_leaves_the_rest() {
        let mut out = Vec::new();
        assert!(read(b"\"ls\"", &mut out).is_some());
        assert_eq!(out, b"\"ls\"");
        assert!(read(b"(null)", &mut Vec::new()).is_none());
        assert!(read(b"6", &mut Vec::new()).is_none());
    }

    proptest! {
        #[test]
        fn plain_text_is_the_text_in_quotes(text in "[ !#-\\[\\]-~]{1,40}") {
            prop_assert_eq!(typed(text.as_bytes()), format!("\"{text}\""));
        }

        #[test]
        fn reads_any_bytes(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            prop_assert!(!typed(&bytes).is_empty());
        }
    }
}
