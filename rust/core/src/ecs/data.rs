//! `auditd.data` and `tsauditd.interpreted`: the fields that have no other place, and what their values mean.

use crate::action::Users;
use crate::assemble::Part;
use crate::decode::value::{self, Reading};
use crate::decode::{hex, syscall_args};
use crate::ecs::pen::Pen;
use crate::ecs::pool::Pool;
use crate::ecs::user::{is_context, known_name};
use crate::event::{View, hex_number, outcome, text};
use crate::fields::{self, Field, name};
use crate::json::Object;
use crate::record::kind;
use crate::system::System;
use crate::tables::{Arch, SyscallId};

/// What is gathered for `auditd.data` and for `tsauditd.interpreted`.
#[derive(Debug, Default)]
pub struct Data {
    data: Pool,
    /// Readings of fields whose own form stays in the data.
    readings: Pool,
    /// Fields that follow from who acted.
    rest: Pool,
    text: Vec<u8>,
    sets: Sets,
}

/// How many sets of capabilities are remembered.
const SETS: usize = 8;

/// The sets of capabilities read last: of the millions that there could be a machine has a few, with up to forty names.
#[derive(Debug, Default)]
struct Sets {
    kept: Vec<(Vec<u8>, Vec<u8>)>,
    oldest: usize,
}

impl Sets {
    /// As `read`, which writes what `raw` means and returns whether it means anything.
    fn read(&mut self, raw: &[u8], out: &mut Vec<u8>, read: impl Fn(&mut Vec<u8>) -> bool) -> bool {
        if let Some((_, text)) = self.kept.iter().find(|(known, _)| known == raw) {
            out.extend_from_slice(text);
            return true;
        }
        if !read(out) {
            return false;
        }
        let new = (raw.to_vec(), out.clone());
        if self.kept.len() < SETS {
            self.kept.push(new);
        } else if let Some(place) = self.kept.get_mut(self.oldest) {
            *place = new;
            self.oldest = (self.oldest + 1) % SETS;
        }
        true
    }
}

/// Fields that no timeline reads. Their readings it does: how a file was opened.
const UNREAD: [&[u8]; 5] = [b"a0", b"a1", b"a2", b"a3", b"arch"];

/// What tells whether a field has a place elsewhere, asked once for all fields of an event.
struct Places {
    users: Users,
    success: Option<bool>,
    paths: u64,
}

/// Fields of the actor's record that have a place elsewhere in the event.
fn has_place(field: &Field, view: &View<'_>, places: &Places) -> bool {
    let users = places.users;
    let value = view.value(field);
    match field.name {
        name::PID | name::PPID => crate::ecs::pen::is_whole(value),
        name::UID => users == Users::Process,
        name::AUID | name::SES | name::COMM | name::EXE | name::KEY => true,
        name::GID | name::EUID | name::EGID => users == Users::Process,
        name::SUID | name::FSUID | name::SGID | name::FSGID => true,
        name::CWD => view.first(kind::CWD).is_none(),
        name::ITEMS => crate::record::decimal(value) == Some(places.paths),
        name::SUCCESS | name::RES | name::RESULT => outcome(value) == places.success,
        name::SUBJ => is_context(value),
        _ => false,
    }
}

/// Fields that follow from who acted, and have no other place.
fn is_of_who(field: &Field) -> bool {
    matches!(field.name, name::TTY | name::SUBJ)
}

/// The records beside the actor's whose fields are gathered too.
fn others<'v>(view: &'v View<'_>, actor: usize) -> impl Iterator<Item = (usize, &'v Part)> {
    let parts = view.event.parts.iter().enumerate();
    parts.filter(move |(place, part)| {
        *place != actor && !matches!(part.kind, kind::PATH | kind::SOCKADDR)
    })
}

impl Data {
    /// Gathers what `auditd.data` will hold. `shared`: what follows from the text that kin share is there already.
    /// Returns whether what follows from who acted is as it always is.
    pub fn gather(
        &mut self,
        view: &View<'_>,
        users: Users,
        shared: bool,
        system: &mut dyn System,
    ) -> bool {
        let mut usual = true;
        self.data.clear();
        self.readings.clear();
        self.rest.clear();
        let actor = view.actor();
        let places = Places {
            users,
            success: view.success(),
            paths: view.parts(kind::PATH).count() as u64,
        };
        if view.syscall() == Some(actor) {
            self.call(view);
        }
        // A name that comes twice is one member with both values.
        let alone = !view.opened.repeated
            && !others(view, actor)
                .any(|(place, _)| view.opened.fields(place).iter().any(is_of_who));
        let mut known_from = if shared && alone {
            view.opened.behind.start
        } else {
            u32::MAX
        };
        for field in view.opened.fields(actor) {
            if field.value.start >= known_from {
                continue;
            }
            let hot = view.syscall() == Some(actor)
                && matches!(
                    field.name,
                    name::ARCH | name::SYSCALL | name::EXIT | name::A0..=name::A3
                );
            let moved = !view.opened.repeated && has_place(field, view, &places);
            if hot || moved {
                continue;
            }
            let of_who = view
                .opened
                .who
                .is_some_and(|who| field.value.start >= who.start);
            if of_who && alone && is_of_who(field) {
                self.rest
                    .add(view.label(field), view.value(field), field.plain);
            } else {
                if of_who {
                    (usual, known_from) = (false, u32::MAX);
                }
                self.add(view, actor, field, system);
            }
        }
        for (place, part) in others(view, actor) {
            for field in view.opened.fields(place) {
                let told = match (part.kind, field.name) {
                    (kind::PROCTITLE, name::PROCTITLE) => {
                        view.first(kind::PROCTITLE) == Some(place)
                    }
                    (kind::CWD, name::CWD) => view.first(kind::CWD) == Some(place),
                    (_, name::KEY) => !field.quoted && view.value(field) == b"(null)",
                    (_, name::RES | name::RESULT)
                        if outcome(view.value(field)) == places.success =>
                    {
                        true
                    }
                    (_, number) if number != name::OTHER => {
                        let same = view.field(actor, number);
                        same.is_some_and(|same| view.value(same) == view.value(field))
                    }
                    _ => false,
                };
                if !told {
                    self.add(view, place, field, system);
                }
            }
        }
        usual
    }

    /// The system call: names for numbers, and readings of its arguments.
    fn call(&mut self, view: &View<'_>) {
        let (arch, call) = view.call();
        let actor = view.actor();
        let numbers = [name::A0, name::A1, name::A2, name::A3];
        let values = numbers.map(|number| hex_number(view.of_actor(number)).unwrap_or_default());
        // In the order of their names, so that nothing is left to sort.
        for (place, number) in numbers.into_iter().enumerate() {
            let Some(field) = view.field(actor, number) else {
                continue;
            };
            let raw = view.value(field);
            self.data.add(fields::literal(number), raw, field.plain);
            self.text.clear();
            if let Some((arch, call)) = arch.zip(call)
                && syscall_args::argument(call, arch, place, &values, &mut self.text)
                && self.text != raw
            {
                self.readings.add(fields::literal(number), &self.text, true);
            }
        }
        for number in [name::ARCH, name::EXIT, name::SYSCALL] {
            let Some(field) = view.field(actor, number) else {
                continue;
            };
            let raw = view.value(field);
            let known = match number {
                name::ARCH => arch.map(|arch| arch.name().as_bytes()),
                name::EXIT => errno(raw),
                _ => call.map(|call| call.name().as_bytes()),
            };
            let label = fields::literal(number);
            if let Some(known) = known {
                self.data.add(label, known, true);
            } else if let Some(foreign) = view.enriched(actor, label) {
                self.data.add(label, foreign, false);
            } else {
                self.data.add(label, raw, field.plain);
            }
        }
        self.behind(call, arch, &values);
    }

    /// The reading of a call that stands for many (socketcall, ipc): with the one that is meant.
    fn behind(&mut self, call: Option<SyscallId>, arch: Option<Arch>, values: &[u64; 4]) {
        let Some((call, arch)) = call
            .zip(arch)
            .filter(|(call, _)| matches!(call.name(), "socketcall" | "ipc"))
        else {
            return;
        };
        self.text.clear();
        self.text.extend_from_slice(call.name().as_bytes());
        self.text.push(b'(');
        if syscall_args::argument(call, arch, 0, values, &mut self.text) {
            self.text.push(b')');
            self.readings.add(b"syscall", &self.text, false);
        }
    }

    /// Adds a field as it stands, decoded if it is encoded text, and its reading if it has one: a name for an id.
    fn add(&mut self, view: &View<'_>, part: usize, field: &Field, system: &mut dyn System) {
        let label = view.label(field);
        let usual = !matches!(field.name, name::OTHER | name::ARGC);
        let lowered = (!usual && label.iter().any(u8::is_ascii_uppercase))
            .then(|| label.to_ascii_lowercase());
        let label = match lowered.as_deref().unwrap_or(label) {
            label if usual => label,
            // Names that the members made of SOCKADDR and EXECVE have.
            b"socket" => b"socket_".as_slice(),
            b"argc" => b"argc_",
            b"" => b"message",
            label => label,
        };
        let raw = view.value(field);
        let record = view.part(part).kind;
        if field.name == name::KEY {
            let mut scratch = Vec::new();
            let keys = text(raw, field.quoted, &mut scratch);
            keys.split(|byte| *byte == 1)
                .for_each(|key| self.data.add(label, key, false));
            return;
        }
        self.text.clear();
        let reading = value::reading(record, label);
        if reading == Reading::Raw {
            self.data.add(label, raw, field.plain);
            return;
        }
        if matches!(reading, Reading::Escaped | Reading::Proctitle) {
            let mut scratch = Vec::new();
            let decoded = text(raw, field.quoted, &mut scratch);
            self.data.add(label, decoded, field.quoted && field.plain);
            return;
        }
        let context = value::Context {
            arch: view.call().0,
        };
        let read = |out: &mut Vec<u8>| value::read_as(reading, raw, &context, out);
        let known = match reading {
            _ if field.quoted => false,
            Reading::Capabilities => self.sets.read(raw, &mut self.text, read),
            _ => read(&mut self.text),
        };
        let read = known && self.text != raw;
        // Other readings are words of ours and numbers.
        let foreign = matches!(reading, Reading::Keystrokes | Reading::SocketAddress);
        let plain = field.plain && !foreign;
        if read && is_named(record, label) {
            self.data.add(label, &self.text, plain);
            return;
        }
        let mut typed = Vec::new();
        if is_typed(record, label) && hex::unhex(raw, &mut typed) {
            self.data.add(label, &typed, false);
        } else {
            self.data.add(label, raw, field.plain);
        }
        if read {
            self.readings.add(label, &self.text, plain);
        } else if let Some(owner) = value::owner(reading, record) {
            let known = known_name(view, system, part, label, raw, owner);
            if let Some(name) = known {
                self.readings.add(label, name, false);
            }
        }
    }

    /// Writes the members of `auditd.data`.
    pub fn write(&mut self, pen: &mut Pen<'_>, object: &Object) {
        self.data.write(pen, object, &UNREAD);
    }

    /// Writes those members of `auditd.data` that follow from who acted. They are few, and have no readings.
    pub fn write_rest(&mut self, pen: &mut Pen<'_>, object: &Object) {
        self.rest.write(pen, object, &[]);
    }

    /// Writes `"interpreted":{...}`.
    pub fn write_readings(&mut self, pen: &mut Pen<'_>, parent: &Object) {
        let object = Object::member(pen.out, parent, "interpreted");
        self.readings.write(pen, &object, &[]);
        object.close(pen.out);
    }
}

/// Fields that stand in `auditd.data` by their name, as Auditbeat has those of SYSCALL and SECCOMP.
pub fn is_named(record: u16, label: &[u8]) -> bool {
    match record {
        kind::SECCOMP => matches!(label, b"arch" | b"syscall" | b"sig"),
        kind::LOGIN => matches!(label, b"old-auid" | b"old_auid"),
        _ => false,
    }
}

/// Keystrokes, which Auditbeat shows as the text they are; their reading names the keys.
pub fn is_typed(record: u16, label: &[u8]) -> bool {
    matches!(record, kind::TTY | kind::USER_TTY) && label == b"data"
}

/// The name of the error in a negative exit, as Auditbeat gives it.
fn errno(exit: &[u8]) -> Option<&'static [u8]> {
    let number = crate::record::decimal(exit.strip_prefix(b"-")?)?;
    value::error_name(u32::try_from(number).ok()?).map(str::as_bytes)
}
