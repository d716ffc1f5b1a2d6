//! Every field of an event's records in place, and which record leads.

use std::cell::RefCell;

use super::{View, hex_number};
use crate::assemble::{Event, Span};
use crate::decode::syscall_args;
use crate::fields::{Field, name};
use crate::record::kind;
use crate::scan::{self, Known};
use crate::tables::{Arch, SyscallId};

/// The fields of an event, part by part. Reused from event to event, so that none allocates.
#[derive(Debug)]
pub struct Opened {
    pub(super) fields: Vec<Field>,
    /// For each part, where its fields start and end in `fields`.
    ranges: Vec<[u32; 2]>,
    /// The names that an ENRICHED log adds to a part, looked at when one is asked for.
    pub(super) tail: RefCell<Tail>,
    paths: Known,
    /// Texts behind pids.
    kin: Known,
    /// The fields of the part that tells who acted, by the number of their name; 0 is none.
    pub(super) actor_fields: [u16; name::COUNT],
    /// The part that gives the event its type, the part that tells who acted, and the SYSCALL.
    pub(super) lead: usize,
    pub(super) actor: usize,
    pub(super) syscall: Option<usize>,
    pub(super) call: (Option<Arch>, Option<SyscallId>),
    /// The call that is meant: the one behind socketcall(2) or an io_uring request, else the call itself.
    pub(super) operation: Option<SyscallId>,
    /// Whether it went well, if the records tell.
    pub(super) success: Option<bool>,
    /// The actor's part has a name twice.
    pub repeated: bool,
    /// Where SYSCALL tells who acted, if nothing but it and what explains it is there.
    pub who: Option<Span>,
    /// That text was known, and its fields were not looked at.
    pub known: bool,
    /// What of it is behind the pids: the same for all processes that do alike.
    pub behind: Span,
}

/// The fields behind one part's mark, of the part that was asked for last.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) part: Option<usize>,
    pub(super) fields: Vec<Field>,
}

impl Default for Opened {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            ranges: Vec::new(),
            tail: RefCell::default(),
            paths: Known::default(),
            kin: Known::default(),
            actor_fields: [0; name::COUNT],
            lead: 0,
            actor: 0,
            syscall: None,
            call: (None, None),
            operation: None,
            success: None,
            repeated: false,
            who: None,
            known: false,
            behind: Span::default(),
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

/// Records of programs, to which the kernel writes who sent them before the message (`audit_log_user_recv_msg`,
/// kernel/audit.c): what they say comes again, from another process.
fn is_message(kind: u16) -> bool {
    matches!(kind, 1100..=1199 | 2100..=2999)
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
    pub fn has_strays(&self, event: &Event) -> bool {
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
                    let at = scan::scan_until(&event.bytes, who, name::AUID, &mut self.fields);
                    self.behind = Span {
                        start: at,
                        end: who.end,
                    };
                    self.kin.scan(&event.bytes, self.behind, &mut self.fields);
                }
                let all = self.fields.get(start as usize..).unwrap_or_default();
                // What the kernel does not write is not worth the care that two of a name would take.
                self.who =
                    (usual && all.iter().all(|field| field.name != name::OTHER)).then_some(who);
            } else if part.kind == kind::PATH {
                self.paths.scan(&event.bytes, part.body, &mut self.fields);
            } else if is_message(part.kind) && event.at(part.body).starts_with(b"pid=") {
                let body = part.body;
                let at = scan::scan_until(&event.bytes, body, name::MSG, &mut self.fields);
                let said = Span {
                    start: at,
                    end: body.end,
                };
                self.kin.scan(&event.bytes, said, &mut self.fields);
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
        let success = view.find_success();
        (self.call, self.operation, self.success) = (call, operation, success);
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
