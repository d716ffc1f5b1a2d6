//! Names and values gathered from several records, written as one object.

use crate::ecs::pen::Pen;
use crate::json::{self, Object};

/// One name and value that wait to be written, where they stand in the pool's bytes. Those that need no escape stand there
/// with what is around them in JSON.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// The name's first eight bytes as a number, the first highest: in the order of the names.
    head: u64,
    label: [u32; 2],
    value: [u32; 2],
    /// In the order they came.
    place: u32,
    /// Neither needs an escape.
    plain: bool,
}

/// Names and values that wait to be written, sorted by name so that a name that comes twice becomes a list.
#[derive(Debug, Default)]
pub struct Pool {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Pool {
    /// Forgets what is there, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    /// Adds a name and its value. `plain`: neither needs an escape.
    #[allow(clippy::cast_possible_truncation)] // what it holds comes from one event, bounded far below 4 GiB
    pub fn add(&mut self, name: &[u8], text: &[u8], plain: bool) {
        debug_assert!(!plain || json::is_plain(name) && json::is_plain(text));
        let bytes = &mut self.bytes;
        bytes.push(b'"');
        let label = bytes.len() as u32;
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(b"\":\"");
        let value = bytes.len() as u32;
        bytes.extend_from_slice(text);
        bytes.push(b'"');
        self.items.push(Item {
            head: head(name),
            label: [label, label + name.len() as u32],
            value: [value, value + text.len() as u32],
            place: self.items.len() as u32,
            plain,
        });
    }

    /// Writes `"name":"value"` or `"name":["value",...]` for each name. Values that are all the same are one.
    /// `unread`: the names that no timeline reads.
    pub fn write(&mut self, pen: &mut Pen<'_>, object: &Object, unread: &[&[u8]]) {
        let bytes = &self.bytes;
        let part = |[from, to]: [u32; 2]| bytes.get(from as usize..to as usize).unwrap_or_default();
        let label = |item: &Item| part(item.label);
        let value = |item: &Item| part(item.value);
        // Most names differ in their first eight bytes.
        let order = |a: &Item, b: &Item| a.head.cmp(&b.head).then_with(|| label(a).cmp(label(b)));
        if !self.items.is_sorted_by(|a, b| order(a, b).is_le()) {
            self.items
                .sort_unstable_by(|a, b| order(a, b).then(a.place.cmp(&b.place)));
        }
        let unread = if pen.aside.is_wanted() { unread } else { &[] };
        let mut rest = self.items.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let more = after
                .iter()
                .take_while(|item| order(item, first).is_eq())
                .count();
            let (same, next) = after.split_at(more);
            rest = next;
            let start = pen.out.len();
            if first.plain && same.is_empty() {
                let whole = [first.label[0].saturating_sub(1), first.value[1] + 1];
                object.insert(pen.out, part(whole));
                if unread.contains(&label(first)) {
                    pen.not_for_timelines(start);
                }
                continue;
            }
            pen.intact &= object.label(pen.out, label(first));
            if same.iter().all(|item| value(item) == value(first)) {
                pen.intact &= json::string(pen.out, value(first));
            } else {
                pen.out.push(b'[');
                pen.intact &= json::string(pen.out, value(first));
                for item in same {
                    pen.out.push(b',');
                    pen.intact &= json::string(pen.out, value(item));
                }
                pen.out.push(b']');
            }
            if unread.contains(&label(first)) {
                pen.not_for_timelines(start);
            }
        }
    }
}

/// The first eight bytes as a number, the first highest; zeros past the end.
fn head(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let read = |word, byte: &u8| word << 8 | u64::from(*byte);
            name.iter().fold(0, read) << (64 - 8 * name.len()).min(63)
        }
    }
}
