//! `auditd`: what Auditbeat's module of that name gives, and every field that has no other place.

use crate::action::{Action, FieldName, Object as Kind};
use crate::decode::argv::Arguments;
use crate::decode::value::Owner;
use crate::decode::{syscall_args, value};
use crate::ecs::file::{self, Target};
use crate::ecs::pen::Pen;
use crate::ecs::user::{is_context, known_name};
use crate::ecs::{network, process};
use crate::event::{View, hex_number, is_unset, text};
use crate::fields::{self, Field, name};
use crate::json::{self, Object};
use crate::names::Names;
use crate::record::kind;
use crate::tables;

/// Names and values that wait to be written, sorted by name so that a name that comes twice becomes a list.
#[derive(Debug, Default)]
pub struct Pool {
    bytes: Vec<u8>,
    items: Vec<[u32; 4]>,
}

impl Pool {
    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    #[allow(clippy::cast_possible_truncation)] // what it holds comes from one event, bounded far below 4 GiB
    fn add(&mut self, label: &[u8], value: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(label);
        let middle = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.items.push([
            start,
            middle,
            self.bytes.len() as u32,
            self.items.len() as u32,
        ]);
    }

    /// Writes `"name":"value"` or `"name":["value",...]` for each name. Values that are all the same are one.
    fn write(&mut self, pen: &mut Pen<'_>, object: &Object) {
        let bytes = &self.bytes;
        let part = |from: u32, to: u32| bytes.get(from as usize..to as usize).unwrap_or_default();
        self.items
            .sort_by(|a, b| (part(a[0], a[1]), a[3]).cmp(&(part(b[0], b[1]), b[3])));
        for group in self
            .items
            .chunk_by(|a, b| part(a[0], a[1]) == part(b[0], b[1]))
        {
            let Some(first) = group.first() else { continue };
            pen.intact &= object.label(pen.out, part(first[0], first[1]));
            let value = part(first[1], first[2]);
            if group.iter().all(|item| part(item[1], item[2]) == value) {
                pen.intact &= json::string(pen.out, value);
                continue;
            }
            for (place, item) in group.iter().enumerate() {
                pen.out.push(if place == 0 { b'[' } else { b',' });
                pen.intact &= json::string(pen.out, part(item[1], item[2]));
            }
            pen.out.push(b']');
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
        name::SUCCESS => true,
        name::ITEMS => crate::record::decimal(value) == Some(view.parts(kind::PATH).count() as u64),
        name::RES | name::RESULT => view.success().is_some(),
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
                && matches!(field.name, name::ARCH..=name::EXIT | name::A0..=name::A3);
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
                    (_, name::KEY) => place == view.lead(),
                    (_, number) if number != name::OTHER => {
                        let same = view.field(actor, number);
                        same.is_some_and(|same| view.value(same) == view.value(field))
                            || (number == name::RES
                                && view.success().is_some()
                                && place == view.lead())
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
        let own = |number| view.of_actor(number);
        let actor = view.actor();
        let arch_name = arch
            .map(|arch| arch.name().as_bytes())
            .or_else(|| view.enriched(actor, b"arch"));
        self.data.add(b"arch", arch_name.unwrap_or(own(name::ARCH)));
        let call_name = call
            .map(|call| call.name().as_bytes())
            .or_else(|| view.enriched(actor, b"syscall"));
        self.data
            .add(b"syscall", call_name.unwrap_or(own(name::SYSCALL)));
        let exit = own(name::EXIT);
        if !exit.is_empty() {
            self.data.add(b"exit", errno(exit).unwrap_or(exit));
        }
        let numbers = [name::A0, name::A1, name::A2, name::A3];
        let values = numbers.map(|number| hex_number(own(number)).unwrap_or_default());
        for (place, number) in numbers.into_iter().enumerate() {
            let raw = own(number);
            if raw.is_empty() {
                continue;
            }
            self.data.add(fields::literal(number), raw);
            self.text.clear();
            if let Some((arch, call)) = arch.zip(call)
                && syscall_args::argument(call, arch, place, &values, &mut self.text)
                && self.text != raw
            {
                self.readings.add(fields::literal(number), &self.text);
            }
        }
    }

    /// Adds a field as it stands, decoded if it is encoded text, and its reading if it has one: a name for an id.
    fn add(&mut self, view: &View<'_>, part: usize, field: &Field, names: &mut dyn Names) {
        let label = view.label(field).to_ascii_lowercase();
        let label = match label.as_slice() {
            b"socket" => b"socket_".as_slice(), // the name of the SOCKADDR records' object
            b"" => b"message",
            label => label,
        };
        let raw = view.value(field);
        let record = view.part(part).kind;
        self.text.clear();
        if value::is_escaped(record, label) {
            let mut scratch = Vec::new();
            let decoded = text(raw, field.quoted, &mut scratch);
            self.data.add(label, decoded);
            return;
        }
        let context = value::Context {
            arch: view.call().0,
        };
        let read = !field.quoted
            && value::read(record, label, raw, &context, &mut self.text)
            && self.text != raw;
        if field.name == name::SIG && read {
            self.data.add(label, &self.text);
            return;
        }
        self.data.add(label, raw);
        if read {
            self.readings.add(label, &self.text);
        } else if let Some(owner) = value::owner(record, label) {
            let known = known_name(view, names, part, label, raw, owner);
            if let Some(name) = known {
                self.readings.add(label, name);
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
                if let Some(found) = view.field(target.part, name::NAME) {
                    pen.decoded(&thing, "primary", view.value(found), found.quoted);
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

/// Writes the first of the named fields that the event has, ids by name.
fn field(view: &View<'_>, pen: &mut Pen<'_>, object: &Object, member: &str, names: &[FieldName]) {
    let Some((part, found)) = view.find(names) else {
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
    } else if value::is_escaped(view.part(part).kind, label) {
        pen.decoded(object, member, raw, found.quoted);
    } else {
        pen.text(object, member, raw);
    }
}
