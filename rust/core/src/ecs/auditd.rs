//! `auditd`: what Auditbeat's module of that name gives, and every field that has no other place.

use crate::action::{Action, FieldName, Object as Kind};
use crate::decode::argv::Arguments;
use crate::decode::value::Owner;
use crate::decode::{hex, syscall_args, value};
use crate::ecs::file::{self, Target};
use crate::ecs::pen::Pen;
use crate::ecs::user::{is_context, known_name};
use crate::ecs::{network, process};
use crate::event::{View, hex_number, is_unset, outcome, text};
use crate::fields::{self, Field, name};
use crate::json::{self, Object};
use crate::names::Names;
use crate::record::kind;
use crate::tables::{self, Arch, SyscallId};

/// One name and value that wait to be written, where they stand in the pool's bytes.
#[derive(Debug, Clone, Copy)]
struct Item {
    label: u32,
    value: u32,
    end: u32,
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
    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    #[allow(clippy::cast_possible_truncation)] // what it holds comes from one event, bounded far below 4 GiB
    fn add(&mut self, name: &[u8], text: &[u8], plain: bool) {
        let label = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        let value = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        let (end, place) = (self.bytes.len() as u32, self.items.len() as u32);
        self.items.push(Item {
            label,
            value,
            end,
            place,
            plain,
        });
    }

    /// Writes `"name":"value"` or `"name":["value",...]` for each name. Values that are all the same are one.
    fn write(&mut self, pen: &mut Pen<'_>, object: &Object) {
        let bytes = &self.bytes;
        let part = |from: u32, to: u32| bytes.get(from as usize..to as usize).unwrap_or_default();
        let label = |item: &Item| part(item.label, item.value);
        let value = |item: &Item| part(item.value, item.end);
        if !self.items.is_sorted_by(|a, b| label(a) <= label(b)) {
            self.items
                .sort_by(|a, b| (label(a), a.place).cmp(&(label(b), b.place)));
        }
        let mut rest = self.items.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let more = after
                .iter()
                .take_while(|item| label(item) == label(first))
                .count();
            let (same, next) = after.split_at(more);
            rest = next;
            if first.plain {
                object.plain_label(pen.out, label(first));
            } else {
                pen.intact &= object.label(pen.out, label(first));
            }
            if first.plain && same.is_empty() {
                json::plain_string(pen.out, value(first));
            } else if same.iter().all(|item| value(item) == value(first)) {
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
        }
    }
}

/// What is gathered for `auditd.data` and for `tsauditd.interpreted`.
#[derive(Debug, Default)]
pub struct Data {
    data: Pool,
    /// Readings of fields whose own form stays in the data.
    readings: Pool,
    text: Vec<u8>,
}

/// Fields of the actor's record that have a place elsewhere in the event.
fn has_place(field: &Field, view: &View<'_>, users: crate::action::Users) -> bool {
    use crate::action::Users;
    let value = view.value(field);
    match field.name {
        name::PID | name::PPID => crate::ecs::pen::is_whole(value),
        name::UID => users == Users::Process,
        name::AUID | name::SES | name::COMM | name::EXE | name::KEY => true,
        name::GID | name::EUID | name::EGID => users == Users::Process,
        name::SUID | name::FSUID | name::SGID | name::FSGID => true,
        name::CWD => view.first(kind::CWD).is_none(),
        name::ITEMS => crate::record::decimal(value) == Some(view.parts(kind::PATH).count() as u64),
        name::SUCCESS | name::RES | name::RESULT => outcome(value) == view.success(),
        name::SUBJ => is_context(value),
        _ => false,
    }
}

impl Data {
    /// Gathers what `auditd.data` will hold.
    pub fn gather(&mut self, view: &View<'_>, users: crate::action::Users, names: &mut dyn Names) {
        self.data.clear();
        self.readings.clear();
        let actor = view.actor();
        if view.syscall() == Some(actor) {
            self.call(view);
        }
        for field in view.opened.fields(actor) {
            let hot = view.syscall() == Some(actor)
                && matches!(
                    field.name,
                    name::ARCH | name::SYSCALL | name::EXIT | name::A0..=name::A3
                );
            let moved = !view.opened.repeated && has_place(field, view, users);
            if !hot && !moved {
                self.add(view, actor, field, names);
            }
        }
        for (place, part) in view.event.parts.iter().enumerate() {
            if place == actor || matches!(part.kind, kind::PATH | kind::SOCKADDR) {
                continue;
            }
            for field in view.opened.fields(place) {
                let told = match (part.kind, field.name) {
                    (kind::PROCTITLE, name::PROCTITLE) => {
                        view.first(kind::PROCTITLE) == Some(place)
                    }
                    (kind::CWD, name::CWD) => view.first(kind::CWD) == Some(place),
                    (_, name::KEY) => !field.quoted && view.value(field) == b"(null)",
                    (_, name::RES | name::RESULT)
                        if outcome(view.value(field)) == view.success() =>
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
                    self.add(view, place, field, names);
                }
            }
        }
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
                self.readings
                    .add(fields::literal(number), &self.text, false);
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
            match (known, view.enriched(actor, label)) {
                (Some(known), _) => self.data.add(label, known, true),
                (None, Some(foreign)) => self.data.add(label, foreign, false),
                (None, None) => self.data.add(label, raw, field.plain),
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
    fn add(&mut self, view: &View<'_>, part: usize, field: &Field, names: &mut dyn Names) {
        let label = view.label(field).to_ascii_lowercase();
        let label = match label.as_slice() {
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
        if value::is_escaped(record, label) {
            let mut scratch = Vec::new();
            let decoded = text(raw, field.quoted, &mut scratch);
            self.data.add(label, decoded, field.quoted && field.plain);
            return;
        }
        let context = value::Context {
            arch: view.call().0,
        };
        let read = !field.quoted
            && value::read(record, label, raw, &context, &mut self.text)
            && self.text != raw;
        if read && is_named(record, label) {
            self.data.add(label, &self.text, false);
            return;
        }
        let mut typed = Vec::new();
        if is_typed(record, label) && hex::unhex(raw, &mut typed) {
            self.data.add(label, &typed, false);
        } else {
            self.data.add(label, raw, field.plain);
        }
        if read {
            self.readings.add(label, &self.text, false);
        } else if let Some(owner) = value::owner(record, label) {
            let known = known_name(view, names, part, label, raw, owner);
            if let Some(name) = known {
                self.readings.add(label, name, false);
            }
        }
    }

    /// Writes `"interpreted":{...}`.
    pub fn write_readings(&mut self, pen: &mut Pen<'_>, parent: &Object) {
        let object = Object::member(pen.out, parent, "interpreted");
        self.readings.write(pen, &object);
        object.close(pen.out);
    }
}

/// Fields that stand in `auditd.data` by their name, as Auditbeat has those of SYSCALL and SECCOMP.
fn is_named(record: u16, label: &[u8]) -> bool {
    match record {
        kind::SECCOMP => matches!(label, b"arch" | b"syscall" | b"sig"),
        kind::LOGIN => matches!(label, b"old-auid" | b"old_auid"),
        _ => false,
    }
}

/// Keystrokes, which Auditbeat shows as the text they are; their reading names the keys.
fn is_typed(record: u16, label: &[u8]) -> bool {
    matches!(record, kind::TTY | kind::USER_TTY) && label == b"data"
}

/// The name of the error in a negative exit, as Auditbeat gives it.
fn errno(exit: &[u8]) -> Option<&'static [u8]> {
    let number = crate::record::decimal(exit.strip_prefix(b"-")?)?;
    value::error_name(u32::try_from(number).ok()?).map(str::as_bytes)
}

/// Writes `"auditd":{...}`.
pub fn write(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    parent: &Object,
    data: &mut Data,
    arguments: &Arguments,
    action: Option<&Action>,
    target: Option<Target>,
) {
    let object = Object::member(pen.out, parent, "auditd");
    let lead = view.part(view.lead());
    object.name(pen.out, "message_type");
    pen.out.push(b'"');
    pen.intact &= message_type(pen.out, lead.kind, view.event.at(lead.name));
    pen.out.push(b'"');
    object.name(pen.out, "sequence");
    json::number(pen.out, view.event.stamp.serial);
    pen.text(&object, "session", process::session(view));
    let result: &[u8] = match view.success() {
        Some(true) => b"success",
        Some(false) => b"fail",
        None => b"unknown",
    };
    pen.text(&object, "result", result);
    let inner = Object::member(pen.out, &object, "data");
    data.data.write(pen, &inner);
    if let Some(count) = arguments.count {
        inner.name(pen.out, "argc");
        pen.out.push(b'"');
        json::number(pen.out, count);
        pen.out.push(b'"');
    }
    network::sockets(view, pen, &inner);
    inner.close(pen.out);
    file::paths(view, pen, &object);
    summary(view, pen, &object, action, target);
    object.close(pen.out);
}

/// Writes a record type's name in lower case. Returns whether it was valid UTF-8.
pub fn message_type(out: &mut Vec<u8>, kind: u16, own: &[u8]) -> bool {
    if let Some(name) = tables::record_type_name(kind) {
        out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        true
    } else if own.is_empty() {
        out.extend_from_slice(b"unknown[");
        json::number(out, kind);
        out.push(b']');
        true
    } else {
        json::escaped(out, &own.to_ascii_lowercase())
    }
}

/// Writes `"summary":{...}`: who did what to what, and how.
fn summary(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    parent: &Object,
    action: Option<&Action>,
    target: Option<Target>,
) {
    const AUID: [FieldName; 1] = [FieldName {
        number: name::AUID,
        text: "auid",
    }];
    const UID: [FieldName; 1] = [FieldName {
        number: name::UID,
        text: "uid",
    }];
    const HOW: [FieldName; 2] = [
        FieldName {
            number: name::EXE,
            text: "exe",
        },
        FieldName {
            number: name::COMM,
            text: "comm",
        },
    ];
    let object = Object::member(pen.out, parent, "summary");
    let actor = Object::member(pen.out, &object, "actor");
    let primary = action.map_or(&AUID[..], |row| {
        if row.actor.is_empty() {
            &AUID
        } else {
            &row.actor
        }
    });
    field(view, pen, &actor, "primary", primary);
    let secondary = action.map_or(&UID[..], |row| {
        if row.actor_secondary.is_empty() {
            &UID
        } else {
            &row.actor_secondary
        }
    });
    field(view, pen, &actor, "secondary", secondary);
    actor.close(pen.out);
    if let Some(row) = action {
        let thing = Object::member(pen.out, &object, "object");
        let kind = target
            .as_ref()
            .and_then(Target::kind)
            .unwrap_or(row.object_type);
        pen.text(&thing, "type", kind.as_bytes());
        match (row.object, target) {
            (Kind::File, Some(target)) => {
                if let Some(found) = view
                    .field(target.part, name::NAME)
                    .filter(|found| !file::is_null(view, found))
                {
                    pen.decoded(&thing, "primary", view, found);
                }
            }
            (Kind::Socket, _) => network::summary(view, pen, &thing),
            _ => {
                field(view, pen, &thing, "primary", &row.primary);
                field(view, pen, &thing, "secondary", &row.secondary);
            }
        }
        thing.close(pen.out);
    }
    let how = action.map_or(
        &HOW[..],
        |row| if row.how.is_empty() { &HOW } else { &row.how },
    );
    if how == HOW
        && is_interpreter(view.of_actor(name::EXE))
        && !view.of_actor(name::COMM).is_empty()
    {
        field(view, pen, &object, "how", &HOW[1..]);
    } else {
        field(view, pen, &object, "how", how);
    }
    object.close(pen.out);
}

/// Programs that run scripts: there the name of the task says more (Auditbeat's rule).
fn is_interpreter(executable: &[u8]) -> bool {
    [
        &b"/usr/bin/python"[..],
        b"/usr/bin/sh",
        b"/usr/bin/bash",
        b"/usr/bin/perl",
    ]
    .iter()
    .any(|program| executable.starts_with(program))
}

/// Writes the first of the named fields that the event has and that says something, ids by name.
fn field(view: &View<'_>, pen: &mut Pen<'_>, object: &Object, member: &str, names: &[FieldName]) {
    let told = names.iter().find_map(|name| {
        view.find(std::slice::from_ref(name))
            .filter(|(_, field)| !matches!(view.value(field), b"" | b"?" | b"(null)"))
    });
    let Some((part, found)) = told else {
        return;
    };
    let raw = view.value(found);
    let label = view.label(found);
    let id = match label {
        b"auid" | b"uid" | b"old-auid" | b"old_auid" | b"new-auid" | b"new_auid" => {
            Some(Owner::User)
        }
        _ => None,
    };
    if let Some(id) = id {
        if is_unset(raw) {
            pen.text(object, member, b"unset");
            return;
        }
        let known = known_name(view, pen.names, part, label, raw, id);
        object.name(pen.out, member);
        pen.intact &= json::string(pen.out, known.unwrap_or(raw));
        return;
    }
    let record = view.part(part).kind;
    let context = value::Context {
        arch: view.call().0,
    };
    let mut shown = Vec::new();
    if value::is_escaped(record, label) {
        pen.decoded(object, member, view, found);
    } else if (is_named(record, label) || label == b"uring_op")
        && value::read(record, label, raw, &context, &mut shown)
        || is_typed(record, label) && hex::unhex(raw, &mut shown)
    {
        pen.text(object, member, &shown);
    } else {
        pen.value(object, member, raw, found.plain);
    }
}
