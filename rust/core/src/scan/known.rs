//! The fields of records whose text came before: what a file's PATH record says does not change with each event.

use super::scan;
use crate::assembled::Span;
use crate::fields::Field;
use crate::mix::{mix, place};

/// How many texts are remembered; a new one takes the place of the one that has its number.
const PLACES: usize = 256;
/// The longest text that is, in bytes.
const MOST_TEXT: usize = 512;

/// A text and its fields, as if it stood at the beginning.
#[derive(Debug, Default)]
struct Kept {
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// The texts seen last.
#[derive(Debug)]
pub struct Known {
    places: Vec<Kept>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Kept::default()).collect(),
        }
    }
}

impl Known {
    /// As [`scan`].
    pub fn scan(&mut self, bytes: &[u8], span: Span, fields: &mut Vec<Field>) {
        let text = bytes
            .get(span.start as usize..span.end as usize)
            .filter(|text| text.len() <= MOST_TEXT);
        let Some((text, kept)) = text.and_then(|text| {
            let kept = self.places.get_mut(place(mix(0, text), PLACES))?;
            Some((text, kept))
        }) else {
            return scan(bytes, span, fields);
        };
        if kept.text != text {
            kept.text.clear();
            kept.text.extend_from_slice(text);
            kept.fields.clear();
            let whole = Span {
                start: 0,
                end: span.end - span.start,
            };
            scan(text, whole, &mut kept.fields);
        }
        let moved = |at: Span| Span {
            start: at.start + span.start,
            end: at.end + span.start,
        };
        // A word without a name has no label, wherever it stands.
        fields.extend(kept.fields.iter().map(|field| Field {
            label: if field.label == Span::default() {
                field.label
            } else {
                moved(field.label)
            },
            value: moved(field.value),
            ..*field
        }));
    }
}
