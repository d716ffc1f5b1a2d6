//! The arguments of a program, put together from EXECVE records in any order.
//!
//! The kernel (kernel/auditsc.c, `audit_log_execve_info`) writes `a0=... a1=...`; an argument longer than a record
//! becomes `a2_len=N a2[0]=... a2[1]=...` and goes on over as many records as it takes, and each chunk is in quotes or
//! in hex by itself.

use crate::assemble::{Event, Span};
use crate::decode::hex;
use crate::record::{decimal, kind};

/// One argument or one chunk of it, where it stands in the event.
#[derive(Debug, Clone, Copy)]
struct Piece {
    argument: u64,
    chunk: u64,
    value: Span,
    quoted: bool,
}

/// The arguments of an event. Reused from event to event.
#[derive(Debug, Default)]
pub struct Arguments {
    pieces: Vec<Piece>,
    lengths: Vec<(u64, u64)>,
    /// `argc`, as the kernel gave it.
    pub count: Option<u64>,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Arguments or chunks that the records should have had and did not.
    pub missing: bool,
    /// Bytes left out because they passed the cap.
    pub cut: usize,
}

impl Arguments {
    /// Reads all EXECVE records of `event`. Of the arguments' text at most `most` bytes are kept.
    pub fn read(&mut self, event: &Event, most: usize) {
        self.pieces.clear();
        self.lengths.clear();
        self.text.clear();
        self.ends.clear();
        (self.count, self.missing, self.cut) = (None, false, 0);
        for part in event.parts.iter().filter(|part| part.kind == kind::EXECVE) {
            self.scan(event, part.body);
        }
        if !self
            .pieces
            .is_sorted_by_key(|piece| (piece.argument, piece.chunk))
        {
            self.pieces
                .sort_by_key(|piece| (piece.argument, piece.chunk));
        }
        self.join(event, most);
    }

    /// How many arguments the records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The arguments, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| self.text.get(start..*end).unwrap_or_default())
    }

    #[allow(clippy::cast_possible_truncation)] // an event's bytes are bounded far below 4 GiB
    fn scan(&mut self, event: &Event, body: Span) {
        let text = event.at(body);
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(sign) = memchr::memchr2(b'=', b' ', rest) else {
                return;
            };
            let label = rest.get(..sign).unwrap_or_default();
            at += sign + 1;
            if rest.get(sign) == Some(&b' ') {
                continue;
            }
            let after = rest.get(sign + 1..).unwrap_or_default();
            let (value, quoted, length) = match after {
                [b'"', inside @ ..] => {
                    let length = memchr::memchr(b'"', inside).unwrap_or(inside.len());
                    ((at + 1, at + 1 + length), true, length + 2)
                }
                _ => {
                    let length = memchr::memchr(b' ', after).unwrap_or(after.len());
                    ((at, at + length), false, length)
                }
            };
            at += length;
            let value = Span {
                start: body.start + value.0 as u32,
                end: body.start + value.1 as u32,
            };
            self.add(label, event, value, quoted);
        }
    }

    fn add(&mut self, label: &[u8], event: &Event, value: Span, quoted: bool) {
        if label == b"argc" {
            self.count = decimal(event.at(value));
            return;
        }
        let Some(index) = label.strip_prefix(b"a") else {
            return;
        };
        if let Some(argument) = decimal(index) {
            self.pieces.push(Piece {
                argument,
                chunk: 0,
                value,
                quoted,
            });
        } else if let Some(argument) = index.strip_suffix(b"_len").and_then(decimal) {
            self.lengths
                .extend(decimal(event.at(value)).map(|length| (argument, length)));
        } else if let Some((argument, chunk)) = index.strip_suffix(b"]").and_then(|inside| {
            let open = memchr::memchr(b'[', inside)?;
            let (argument, chunk) = inside.split_at(open);
            Some((decimal(argument)?, decimal(chunk.get(1..)?)?))
        }) {
            self.pieces.push(Piece {
                argument,
                chunk,
                value,
                quoted,
            });
        }
    }

    /// Joins the pieces and sees what is missing.
    fn join(&mut self, event: &Event, most: usize) {
        let mut before: Option<Piece> = None;
        let mut length = 0;
        let mut wanted = 0;
        for piece in &self.pieces {
            let same = before.is_some_and(|before| before.argument == piece.argument);
            if same && before.is_some_and(|before| before.chunk == piece.chunk) {
                continue; // a repeated record
            }
            if !same {
                self.missing |= self
                    .lengths
                    .iter()
                    .any(|of| before.is_some_and(|b| b.argument == of.0) && of.1 != length);
                if before.is_some() {
                    self.ends.push(self.text.len());
                }
                self.missing |= piece.argument != wanted || piece.chunk != 0;
                wanted = piece.argument.saturating_add(1);
                length = 0;
            } else {
                self.missing |=
                    before.is_some_and(|before| before.chunk.saturating_add(1) != piece.chunk);
            }
            let value = event.at(piece.value);
            length += value.len() as u64;
            let start = self.text.len();
            if piece.quoted || !hex::unhex(value, &mut self.text) {
                self.text.extend_from_slice(value);
            }
            let cut = self.text.len().saturating_sub(most.max(start));
            self.text.truncate(self.text.len() - cut);
            self.cut += cut;
            before = Some(*piece);
        }
        if let Some(last) = before {
            self.missing |= self
                .lengths
                .iter()
                .any(|of| of.0 == last.argument && of.1 != length);
            self.ends.push(self.text.len());
        }
        self.missing |= self
            .count
            .is_some_and(|count| count != self.ends.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::Part;

    fn arguments(records: &[&str], most: usize) -> Arguments {
        let mut event = Event::default();
        for record in records {
            let start = u32::try_from(event.bytes.len()).unwrap();
            event.bytes.extend_from_slice(record.as_bytes());
            let end = u32::try_from(event.bytes.len()).unwrap();
            event.parts.push(Part {
                kind: kind::EXECVE,
                body: Span { start, end },
                ..Part::default()
            });
        }
        let mut arguments = Arguments::default();
        arguments.read(&event, most);
        arguments
    }

    fn texts(arguments: &Arguments) -> Vec<String> {
        arguments
            .iter()
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }

    #[test]
    fn plain_arguments() {
        let got = arguments(&[r#"argc=3 a0="ls" a1=2D6C a2="a b=c""#], 100);
        assert_eq!(texts(&got), ["ls", "-l", "a b=c"]);
        assert!(!got.missing && got.cut == 0);
        assert_eq!(texts(&arguments(&["argc=1 a0=\"\""], 100)), [""]);
    }

    #[test]
    fn chunks_in_any_order() {
        let records = [
            r#"argc=2 a0="x""#,
            r#"a1_len=9 a1[0]="abc""#,
            r#"a1[1]="def""#,
            r#"a1[2]="ghi""#,
        ];
        let wanted = ["x", "abcdefghi"];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let got = arguments(&order.map(|place| records[place]), 100);
            assert_eq!(texts(&got), wanted);
            assert!(!got.missing);
        }
        assert!(arguments(&[records[0], records[1], records[3]], 100).missing);
        assert!(arguments(&[records[0], records[1], records[2]], 100).missing);
    }

    #[test]
    fn what_is_missing_is_told() {
        assert!(arguments(&[r#"argc=3 a0="x" a2="z""#], 100).missing);
        assert!(arguments(&[r#"argc=3 a0="x" a1="z""#], 100).missing);
        let far = arguments(&[r#"argc=1 a40000000="x""#], 100);
        assert!(far.missing && far.len() == 1);
    }

    #[test]
    fn the_cap_says_what_it_cut() {
        let got = arguments(&[r#"argc=3 a0="abc" a1="defgh" a2="i""#], 5);
        assert_eq!(texts(&got), ["abc", "de", ""]);
        assert_eq!(got.cut, 4);
    }

    #[test]
    fn two_megabytes_of_arguments() {
        let long = "x".repeat(2_000_000);
        let records: Vec<String> = long
            .as_bytes()
            .chunks(7500)
            .enumerate()
            .map(|(place, chunk)| {
                let head = if place == 0 {
                    "argc=1 a0_len=2000000 "
                } else {
                    ""
                };
                format!("{head}a0[{place}]=\"{}\"", String::from_utf8_lossy(chunk))
            })
            .collect();
        let got = arguments(
            &records.iter().map(String::as_str).collect::<Vec<_>>(),
            4_000_000,
        );
        assert_eq!(texts(&got), [long]);
        assert!(!got.missing);
    }
}
