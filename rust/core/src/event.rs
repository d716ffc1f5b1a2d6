//! An event's records opened up: every field in place, which record leads, and who acted.

mod opened;

pub use opened::Opened;

use crate::assemble::{Event, Part, Span};
use crate::decode::hex;
use crate::fields::{self, Field, name};
use crate::record::{decimal, kind};
use crate::scan;
use crate::tables::{self, Arch, SyscallId};

/// The text of a set "no such id" (auid and ses before a log-in): (u32)-1.
const UNSET: [&[u8]; 3] = [b"4294967295", b"-1", b"unset"];

/// An event with its fields.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The records.
    pub event: &'a Event,
    /// Their fields.
    pub opened: &'a Opened,
}

impl<'a> View<'a> {
    /// The part that gives the event its type.
    #[must_use]
    pub fn lead(&self) -> usize {
        self.opened.lead
    }

    /// The part that tells who acted: SYSCALL, or the one that leads.
    #[must_use]
    pub fn actor(&self) -> usize {
        self.opened.actor
    }

    /// The SYSCALL part.
    #[must_use]
    pub fn syscall(&self) -> Option<usize> {
        self.opened.syscall
    }

    /// A part's record.
    #[must_use]
    pub fn part(&self, part: usize) -> Part {
        self.event.parts.get(part).copied().unwrap_or_default()
    }

    /// The parts of a type.
    pub fn parts(&self, kind: u16) -> impl Iterator<Item = usize> + use<'a> {
        self.event
            .parts
            .iter()
            .enumerate()
            .filter(move |(_, part)| part.kind == kind)
            .map(|(place, _)| place)
    }

    /// The first part of a type.
    #[must_use]
    pub fn first(&self, kind: u16) -> Option<usize> {
        self.event.parts.iter().position(|part| part.kind == kind)
    }

    /// A field's value as it stands in the record.
    #[must_use]
    pub fn value(&self, field: &Field) -> &'a [u8] {
        self.event.at(field.value)
    }

    /// A field's name.
    #[must_use]
    pub fn label(&self, field: &Field) -> &'a [u8] {
        if field.label == Span::default() {
            fields::literal(field.name)
        } else {
            self.event.at(field.label)
        }
    }

    /// A field of a part, by the number of its name.
    #[must_use]
    pub fn field(&self, part: usize, number: u8) -> Option<&'a Field> {
        if part == self.opened.actor {
            let place = self
                .opened
                .actor_fields
                .get(number as usize)
                .copied()
                .unwrap_or_default();
            return (place as usize)
                .checked_sub(1)
                .and_then(|place| self.opened.fields.get(place));
        }
        self.opened
            .fields(part)
            .iter()
            .find(|field| field.name == number)
    }

    /// A field of the actor's part, as it stands there; empty without it.
    #[must_use]
    pub fn of_actor(&self, number: u8) -> &'a [u8] {
        self.field(self.opened.actor, number)
            .map(|field| self.value(field))
            .unwrap_or_default()
    }

    /// The first field with one of `names` in the lead's part, the actor's, or any other.
    #[must_use]
    pub fn find(&self, names: &[crate::action::FieldName]) -> Option<(usize, &'a Field)> {
        let parts = || {
            [self.lead(), self.actor()]
                .into_iter()
                .chain(0..self.event.parts.len().min(16))
        };
        names.iter().find_map(|wanted| {
            parts().find_map(|part| {
                let mut fields = self.opened.fields(part).iter();
                fields
                    .find(|field| wanted.is(field.name, self.label(field)))
                    .map(|field| (part, field))
            })
        })
    }

    /// The name that an ENRICHED log gives for the id in the field `label` of a part.
    #[must_use]
    pub fn enriched(&self, part: usize, label: &[u8]) -> Option<&'a [u8]> {
        let part_of = self.event.parts.get(part)?;
        if part_of.enriched == Span::default() {
            return None;
        }
        let mut tail = self.opened.tail.borrow_mut();
        if tail.part != Some(part) {
            tail.part = Some(part);
            tail.fields.clear();
            scan::scan_capitals(&self.event.bytes, part_of.enriched, &mut tail.fields);
        }
        let field = tail.fields.iter().find(|field| {
            let Span { start, end } = field.label;
            (end - start) as usize == label.len()
                && self.event.at(field.label).eq_ignore_ascii_case(label)
        })?;
        let value = self.value(field);
        (!value.is_empty() && value != b"unset" && !value.starts_with(b"unknown(")).then_some(value)
    }

    /// The machine's architecture and the system call, as far as the records tell.
    #[must_use]
    pub fn call(&self) -> (Option<Arch>, Option<SyscallId>) {
        self.opened.call
    }

    /// The system call that tells what was done: the one behind socketcall(2) or an io_uring request, else the call
    /// itself.
    #[must_use]
    pub fn operation(&self) -> Option<SyscallId> {
        self.opened.operation
    }

    /// The system call that an io_uring request stands for: most are named alike.
    fn ring_operation(&self) -> Option<SyscallId> {
        let mut fields = self.opened.fields(self.lead()).iter();
        let field = fields.find(|field| self.label(field) == b"uring_op")?;
        let known = tables::name_of(tables::URING_OPERATIONS, decimal(self.value(field))?)?;
        SyscallId::from_name(known.as_bytes())
    }

    fn find_call(&self) -> (Option<Arch>, Option<SyscallId>) {
        let elf = hex_number(self.of_actor(name::ARCH)).and_then(|elf| u32::try_from(elf).ok());
        let arch = elf.and_then(Arch::from_elf);
        let number = decimal(self.of_actor(name::SYSCALL));
        (
            arch,
            arch.zip(number)
                .and_then(|(arch, number)| tables::syscall(arch, number)),
        )
    }

    /// Whether it went well, if the records tell: the lead's own result, or that of the system call around it.
    #[must_use]
    pub fn success(&self) -> Option<bool> {
        self.opened.success
    }

    fn find_success(&self) -> Option<bool> {
        let of_lead = if self.part(self.lead()).kind == kind::URINGOP {
            // One that would block is told of, and again when it was done: the last result counts.
            let last = self.parts(kind::URINGOP).last().unwrap_or_default();
            [name::SUCCESS, name::RES].map(|number| self.field(last, number))
        } else {
            [name::RES, name::RESULT].map(|number| self.field(self.lead(), number))
        };
        let verdict = self.field(self.lead(), name::SERESULT);
        let of_call =
            [name::SUCCESS, name::RES, name::RESULT].map(|number| self.field(self.actor(), number));
        of_lead
            .into_iter()
            .chain([verdict])
            .chain(of_call)
            .flatten()
            .find_map(|field| outcome(self.value(field)))
    }
}

/// What a result says: the words of the kernel (`success=`, `res=`) and of libaudit.
#[must_use]
pub fn outcome(value: &[u8]) -> Option<bool> {
    match value {
        b"yes" | b"success" | b"1" | b"granted" => Some(true),
        b"no" | b"failed" | b"failure" | b"fail" | b"0" | b"denied" => Some(false),
        _ => None,
    }
}

/// Whether an id or session stands for "none".
#[must_use]
pub fn is_unset(value: &[u8]) -> bool {
    UNSET.contains(&value)
}

/// Hexadecimal text, without 0x, as a number.
#[must_use]
pub fn hex_number(text: &[u8]) -> Option<u64> {
    hex::number(text)
}

/// The text of a value that the kernel or libaudit may have encoded: in quotes it is itself, in hex it is decoded
/// into `scratch` (`audit_log_untrustedstring`, kernel/audit.c).
#[must_use]
pub fn text<'a>(value: &'a [u8], quoted: bool, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    scratch.clear();
    if !quoted && hex::unescape(value, scratch) {
        scratch
    } else {
        value
    }
}
