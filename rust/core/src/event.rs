//! An event's records opened up: every field in place, which record leads, and who acted.

use std::cell::RefCell;

use crate::assemble::{Event, Part, Span};
use crate::decode::{hex, syscall_args};
use crate::fields::{self, Field, name};
use crate::record::{decimal, kind};
use crate::scan::{self, Known};
use crate::tables::{self, Arch, SyscallId};

/// The text of a set "no such id" (auid and ses before a log-in): (u32)-1.
const UNSET: [&[u8]; 3] = [b"4294967295", b"-1", b"unset"];

/// The fields of an event, part by part. Reused from event to event, so that none allocates.
#[derive(Debug)]
pub struct Opened {
    fields: Vec<Field>,
    /// For each part, where its fields start and end in `fields`.
    ranges: Vec<[u32; 2]>,
    /// The names that an ENRICHED log adds to a part, looked at when one is asked for.
    tail: RefCell<Tail>,
    paths: Known,
    /// The fields of the part that tells who acted, by the number of their name; 0 is none.
    actor_fields: [u16; name::COUNT],
    /// The part that gives the event its type, the part that tells who acted, and the SYSCALL.
    lead: usize,
    actor: usize,
    syscall: Option<usize>,
    call: (Option<Arch>, Option<SyscallId>),
    /// The call that is meant: the one behind socketcall(2) or an io_uring request, else the call itself.
    operation: Option<SyscallId>,
    /// The actor's part has a name twice.
    pub repeated: bool,
    /// Where SYSCALL tells who acted, if nothing but it and what explains it is there.
    pub who: Option<Span>,
    /// That text was known, and its fields were not looked at.
    pub known: bool,
}

/// The fields behind one part's mark, of the part that was asked for last.
#[derive(Debug, Default)]
struct Tail {
    part: Option<usize>,
    fields: Vec<Field>,
}

impl Default for Opened {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            ranges: Vec::new(),
            tail: RefCell::default(),
            paths: Known::default(),
            actor_fields: [0; name::COUNT],
            lead: 0,
            actor: 0,
            syscall: None,
            call: (None, None),
            operation: None,
            repeated: false,
            who: None,
            known: false,
        }
    }
}

/// Records that the kernel adds when a system call ends (`audit_log_exit`, `show_special`, kernel/auditsc.c): they
/// explain it, and do not lead an event that has another record.
fn explains(kind: u16) -> bool {
    matches!(kind, 1300..=1304 | 1306 | 1307 | 1309 | 1311..=1318 | 1320..=1323 | 1327 | 1330 | 1332 | 1333 | 1337 | 1425 | 1426)
}

/// Records whose fields say nothing of who acted, beside SYSCALL itself.
fn is_simple(kind: u16) -> bool {
    matches!(
        kind,
        kind::SYSCALL | kind::PATH | kind::CWD | kind::PROCTITLE | kind::EXECVE | kind::SOCKADDR
    )
}

impl Opened {
    /// Splits every record of `event` into its fields.
    ///
    /// `is_known`: asked with the text of a SYSCALL from `ppid=` on, and the names that an ENRICHED log adds, whether
    /// what is made of it is there already; then this text is left as it is.
    pub fn open(&mut self, event: &Event, mut is_known: impl FnMut(&[u8], &[u8]) -> bool) {
        self.scan(event, &mut is_known);
        // Fields of other records are held against the actor's, which must be there then. The kernel writes none such.
        if self.known && self.has_strays(event) {
            self.scan(event, &mut |_, _| false);
        }
        self.index(event);
    }

    /// Whether a record beside SYSCALL has more than the one field that is its own.
    fn has_strays(&self, event: &Event) -> bool {
        event.parts.iter().enumerate().any(|(place, part)| {
            let own = match part.kind {
                kind::CWD => name::CWD,
                kind::PROCTITLE => name::PROCTITLE,
                _ => return false,
            };
            self.fields(place).iter().any(|field| field.name != own)
        })
    }

    /// Finds all fields, but for those that are known.
    #[allow(clippy::cast_possible_truncation)] // an event's bytes are bounded far below 4 GiB
    fn scan(&mut self, event: &Event, is_known: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        self.fields.clear();
        self.ranges.clear();
        self.tail.get_mut().part = None;
        self.syscall = event
            .parts
            .iter()
            .position(|part| part.kind == kind::SYSCALL);
        let leader = event.parts.iter().position(|part| !explains(part.kind));
        self.lead = leader.or(self.syscall).unwrap_or_default();
        self.actor = self.syscall.unwrap_or(self.lead);
        (self.who, self.known) = (None, false);
        let simple = event.parts.iter().enumerate().all(|(place, part)| {
            is_simple(part.kind) && (part.kind != kind::SYSCALL || self.syscall == Some(place))
        });
        for part in &event.parts {
            let start = self.fields.len() as u32;
            if part.kind == kind::SYSCALL && simple && self.who.is_none() {
                let at = scan::scan_until(&event.bytes, part.body, name::PPID, &mut self.fields);
                let who = Span {
                    start: at,
                    end: part.body.end,
                };
                let head = self.fields.get(start as usize..).unwrap_or_default();
                let usual = head
                    .iter()
                    .all(|field| matches!(field.name, name::ARCH..=name::ITEMS | name::PER))
                    && is_distinct(head);
                self.known = usual && is_known(event.at(who), event.at(part.enriched));
                if !self.known {
                    scan::scan(&event.bytes, who, &mut self.fields);
                }
                let all = self.fields.get(start as usize..).unwrap_or_default();
                // What the kernel does not write is not worth the care that two of a name would take.
                self.who =
                    (usual && all.iter().all(|field| field.name != name::OTHER)).then_some(who);
            } else if part.kind == kind::PATH {
                self.paths.scan(&event.bytes, part.body, &mut self.fields);
            } else if part.kind != kind::EXECVE {
                scan::scan(&event.bytes, part.body, &mut self.fields);
            }
            self.ranges.push([start, self.fields.len() as u32]);
        }
    }

    /// Notes where the actor's fields are, and which system call it was.
    fn index(&mut self, event: &Event) {
        self.actor_fields = [0; name::COUNT];
        self.repeated = false;
        let [start, end] = self.ranges.get(self.actor).copied().unwrap_or_default();
        for (place, field) in self
            .fields
            .iter()
            .enumerate()
            .take(end as usize)
            .skip(start as usize)
        {
            if let Some(slot) = self.actor_fields.get_mut(field.name as usize)
                && field.name != name::OTHER
            {
                if *slot == 0 {
                    *slot = u16::try_from(place + 1).unwrap_or_default();
                } else {
                    self.repeated = true;
                }
            }
        }
        let view = View {
            event,
            opened: self,
        };
        let call = view.find_call();
        let operation = match call.1 {
            Some(id) if id.name() == "socketcall" => hex_number(view.of_actor(name::A0))
                .and_then(syscall_args::socketcall)
                .or(Some(id)),
            _ if view.part(view.lead()).kind == kind::URINGOP => view.ring_operation(),
            other => other,
        };
        (self.call, self.operation) = (call, operation);
    }

    /// The fields of a part.
    #[must_use]
    pub fn fields(&self, part: usize) -> &[Field] {
        let [start, end] = self.ranges.get(part).copied().unwrap_or_default();
        self.fields
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }
}

/// Whether no known name comes twice.
fn is_distinct(fields: &[Field]) -> bool {
    let bits = fields
        .iter()
        .fold(0u128, |bits, field| bits | 1 << (field.name & 127));
    bits.count_ones() as usize == fields.len()
}

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
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
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
