//! What writes a line: the buffer, and what is gathered on the way for the line's last members.

use crate::ecs::head::{Mark, Marks};
use crate::ecs::memo::{Memo, Section, Told};
use crate::event::View;
use crate::fields::Field;
use crate::json::{self, Object};
use crate::system::System;
use crate::timeline::{Aside, Piece};

/// Writes one event.
pub struct Pen<'a> {
    /// The batch that the line goes into.
    pub out: &'a mut Vec<u8>,
    /// Room for decoding a value.
    pub scratch: &'a mut Vec<u8>,
    /// Who is behind an id.
    pub system: &'a mut dyn System,
    /// `related.*`, gathered.
    pub related: &'a mut Related,
    /// All text so far was valid UTF-8.
    pub intact: bool,
    /// The event has a session.
    pub in_session: bool,
    /// What stays the same from event to event of a process.
    pub recall: Recall<'a>,
    /// Of that, what is the same for all processes that do alike.
    pub kin: Recall<'a>,
    /// What other texts that come again were written as.
    pub memo: &'a mut Memo,
    /// Where the event's stamp was written.
    pub marks: &'a mut Marks,
    /// What timelines do not read.
    pub aside: &'a mut Aside,
}

/// Whether the parts of a line that stay the same are there already.
pub enum Recall<'a> {
    /// They are.
    Known(&'a Told),
    /// They are written, and kept for the next event.
    Learning(Box<Told>),
    /// This event has none.
    Not,
}

impl Recall<'_> {
    /// What was written, to be kept.
    pub fn learnt(self) -> Option<Told> {
        match self {
            Self::Learning(told) => Some(*told),
            Self::Known(_) | Self::Not => None,
        }
    }
}

impl Pen<'_> {
    /// Writes a part of the line that stays the same: as it was written before, or by `write`.
    pub fn same(&mut self, object: &Object, section: Section, write: impl FnOnce(&mut Self)) {
        if let Recall::Known(told) = self.recall {
            object.insert(self.out, told.section(section));
            return;
        }
        let start = self.out.len();
        let shared = section.is_shared();
        if let Recall::Known(told) = self.kin
            && shared
        {
            object.insert(self.out, told.section(section));
        } else {
            write(self);
        }
        let written = self.out.get(start..).unwrap_or_default();
        if let Recall::Learning(told) = &mut self.kin
            && shared
        {
            told.keep(section, written);
        }
        if let Recall::Learning(told) = &mut self.recall {
            told.keep(section, written);
        }
    }

    /// Writes members that follow from `text` and the names in `enriched` alone: as they were written before, or by
    /// `write`.
    pub fn again(
        &mut self,
        object: &Object,
        section: Section,
        text: &[u8],
        enriched: &[u8],
        write: impl FnOnce(&mut Self),
    ) {
        let generation = self.system.generation();
        if let Some(known) = self.memo.recall(text, enriched, generation, section) {
            object.insert(self.out, known);
            return;
        }
        let start = self.out.len();
        let intact = std::mem::replace(&mut self.intact, true);
        write(self);
        if self.intact {
            let written = self.out.get(start..).unwrap_or_default();
            self.memo
                .learn(text, enriched, generation, section, written);
        }
        self.intact &= intact;
    }

    /// What was written from `start` on, members of one object, is nothing for timelines.
    pub fn not_for_timelines(&mut self, start: usize) {
        self.aside.add(start..self.out.len());
    }

    /// What was written from `start` on is one member, of which timelines get the value.
    pub fn piece(&mut self, piece: Piece, start: usize) {
        self.aside.keep(piece, start..self.out.len());
    }

    /// Writes a part of the event's stamp.
    pub fn marked(&mut self, mark: Mark, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        write(self.out);
        self.marks.add(mark, start..self.out.len());
    }

    /// Gathers the users' names that belong to [`Section::User`], which was written just now.
    pub fn same_users(&mut self) {
        for recall in [&mut self.kin, &mut self.recall] {
            match recall {
                Recall::Known(told) => {
                    let users = told.users.iter();
                    users.for_each(|user| self.related.users.add(user));
                }
                Recall::Learning(told) => {
                    told.users = self.related.users.iter().map(<[u8]>::to_vec).collect()
                }
                Recall::Not => {}
            }
        }
    }

    /// Writes the member `name` with `text`, unless that is empty.
    #[inline]
    pub fn text(&mut self, object: &Object, name: &str, text: &[u8]) {
        if !text.is_empty() {
            object.name(self.out, name);
            self.intact &= json::string(self.out, text);
        }
    }

    /// Writes the member `name` with a text of ours, which needs no escape.
    #[inline]
    pub fn word(&mut self, object: &Object, name: &str, text: &'static str) {
        object.name(self.out, name);
        json::plain_string(self.out, text.as_bytes());
    }

    /// Writes the member `name` with a field's value as it stands in its record, unless that is empty.
    pub fn value(&mut self, object: &Object, name: &str, value: &[u8], plain: bool) {
        if plain && !value.is_empty() {
            object.name(self.out, name);
            json::plain_string(self.out, value);
        } else {
            self.text(object, name, value);
        }
    }

    /// Writes the member `name` with a field's value, decoded if it stands there in hex.
    pub fn decoded(&mut self, object: &Object, name: &str, view: &View<'_>, field: &Field) {
        let value = view.value(field);
        if field.quoted {
            self.value(object, name, value, field.plain);
        } else if !value.is_empty() {
            object.name(self.out, name);
            self.intact &= json::string(self.out, crate::event::text(value, false, self.scratch));
        }
    }

    /// Writes the member `name` with a whole number; other text becomes nothing and false is returned.
    pub fn number(&mut self, object: &Object, name: &str, value: &[u8]) -> bool {
        let whole = is_whole(value);
        if whole {
            object.name(self.out, name);
            self.out.extend_from_slice(value);
        }
        whole
    }

    /// Writes the member `name` with a list of texts, unless that is empty.
    pub fn list<'t>(&mut self, object: &Object, name: &str, texts: impl Iterator<Item = &'t [u8]>) {
        let mut first = true;
        for text in texts {
            if first {
                object.name(self.out, name);
            }
            self.out.push(if first { b'[' } else { b',' });
            self.intact &= json::string(self.out, text);
            first = false;
        }
        if !first {
            self.out.push(b']');
        }
    }
}

/// Whether text is a number that JSON can hold as it stands, with room for every reader's 53 bits.
#[must_use]
pub fn is_whole(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    match digits {
        [] => false,
        [b'0', _, ..] => false,
        _ => digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit),
    }
}

/// Distinct texts, in the order they came, in one buffer.
#[derive(Debug, Default)]
pub struct TextSet {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl TextSet {
    /// Adds a text that is not there yet; empty ones and `?` are nobody's name.
    pub fn add(&mut self, text: &[u8]) {
        if !text.is_empty()
            && text != b"?"
            && self.ends.len() < 64
            && !self.iter().any(|known| known == text)
        {
            self.bytes.extend_from_slice(text);
            self.ends.push(self.bytes.len());
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// Forgets them, and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn set(&mut self, other: &Self) {
        self.clear();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend_from_slice(&other.ends);
    }
}

/// `related.*`: every name and address of the event in one place (ECS, related fields).
#[derive(Debug, Default)]
pub struct Related {
    /// `related.user`.
    pub users: TextSet,
    /// `related.ip`.
    pub addresses: TextSet,
    /// `related.hosts`.
    pub hosts: TextSet,
}

impl Related {
    /// Forgets what was gathered.
    pub fn clear(&mut self) {
        self.users.clear();
        self.addresses.clear();
        self.hosts.clear();
    }

    /// Forgets what was gathered, for what another has.
    pub fn set(&mut self, other: &Self) {
        self.users.set(&other.users);
        self.addresses.set(&other.addresses);
        self.hosts.set(&other.hosts);
    }

    /// Writes `"related":{...}`, unless it is empty.
    pub fn write(&self, out: &mut Vec<u8>, parent: &Object) {
        let object = Object::member(out, parent, "related");
        for (name, set) in [
            ("user", &self.users),
            ("ip", &self.addresses),
            ("hosts", &self.hosts),
        ] {
            let mut separator = b'[';
            for text in set.iter() {
                if separator == b'[' {
                    object.name(out, name);
                }
                out.push(separator);
                json::string(out, text);
                separator = b',';
            }
            if separator == b',' {
                out.push(b']');
            }
        }
        object.close(out);
    }
}
