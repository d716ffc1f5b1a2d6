//! `auditd`: what Auditbeat's module of that name gives.

use crate::action::{Action, FieldName, Object as Kind};
use crate::decode::argv::Arguments;
use crate::decode::hex;
use crate::decode::value::{self, Owner};
use crate::ecs::data::{Data, is_named, is_typed};
use crate::ecs::file::{self, Target};
use crate::ecs::head::Mark;
use crate::ecs::memo::Section;
use crate::ecs::pen::Pen;
use crate::ecs::user::known_name;
use crate::ecs::{network, paths, process};
use crate::event::{View, is_unset};
use crate::fields::name;
use crate::json::{self, Object};
use crate::tables;

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
    let sequence_at = pen.out.len();
    object.name(pen.out, "sequence");
    let serial = view.event.stamp.serial;
    pen.marked(Mark::Serial, |out| json::number(out, serial));
    pen.not_for_timelines(sequence_at);
    let before = pen.out.len();
    pen.same(&object, Section::Session, |pen| {
        pen.text(&object, "session", process::session(view));
    });
    pen.in_session = pen.out.len() > before;
    let result = match view.success() {
        Some(true) => "success",
        Some(false) => "fail",
        None => "unknown",
    };
    let result_at = pen.out.len();
    pen.word(&object, "result", result);
    pen.not_for_timelines(result_at);
    let inner = Object::member(pen.out, &object, "data");
    data.write(pen, &inner);
    pen.same(&inner, Section::Data, |pen| data.write_rest(pen, &inner));
    if let Some(count) = arguments.count {
        let count_at = pen.out.len();
        inner.name(pen.out, "argc");
        pen.out.push(b'"');
        json::number(pen.out, count);
        pen.out.push(b'"');
        pen.not_for_timelines(count_at);
    }
    network::sockets(view, pen, &inner);
    inner.close(pen.out);
    let rest = pen.out.len();
    paths::write(view, pen, &object);
    summary(view, pen, &object, action, target);
    pen.not_for_timelines(rest);
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
fn summary<'t>(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    parent: &Object,
    action: Option<&'t Action>,
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
    let or = |own: Option<&'t [FieldName]>, usual: &'t [FieldName]| {
        own.filter(|own| !own.is_empty()).unwrap_or(usual)
    };
    let primary = or(action.map(|row| &row.actor[..]), &AUID);
    let secondary = or(action.map(|row| &row.actor_secondary[..]), &UID);
    pen.same(&object, Section::Actor, |pen| {
        let actor = Object::member(pen.out, &object, "actor");
        field(view, pen, &actor, "primary", primary);
        field(view, pen, &actor, "secondary", secondary);
        actor.close(pen.out);
    });
    if let Some(row) = action {
        let thing = Object::member(pen.out, &object, "object");
        let kind = target
            .as_ref()
            .and_then(Target::kind)
            .unwrap_or(row.object_type);
        if !kind.is_empty() {
            pen.word(&thing, "type", kind);
        }
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
    let how = or(action.map(|row| &row.how[..]), &HOW);
    pen.same(&object, Section::How, |pen| {
        let script =
            is_interpreter(view.of_actor(name::EXE)) && !view.of_actor(name::COMM).is_empty();
        let how = if how == HOW && script { &HOW[1..] } else { how };
        field(view, pen, &object, "how", how);
    });
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
        let known = known_name(view, pen.system, part, label, raw, id);
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
