//! `process`: the program that acted, its arguments and its parent.

use crate::decode::argv::Arguments;
use crate::ecs::memo::Section;
use crate::ecs::pen::Pen;
use crate::event::{View, hex_number, is_unset, text};
use crate::fields::name;
use crate::json::{self, Object};
use crate::process::program::{Program, whole_characters};
use crate::process::{Entry, Session, seen};
use crate::record::kind;
use crate::timeline::Piece;

/// `process.command_line` is for reading and searching; `process.args` has everything. In bytes.
const LONGEST_COMMAND_LINE: usize = 32 << 10;

/// Writes `"process":{...}`. `entry`: what is known of the process beyond this event.
pub fn write(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    parent: &Object,
    arguments: &Arguments,
    entry: Option<&Entry>,
) {
    let object = Object::member(pen.out, parent, "process");
    pen.same(&object, Section::Process, |pen| {
        pen.number(&object, "pid", view.of_actor(name::PID));
        if let Some(entry) = entry {
            let start = pen.out.len();
            object.insert(pen.out, entry.program.identity());
            pen.piece(Piece::Entity, start);
        }
        self::parent(view, pen, &object, entry);
        for (member, number, piece) in [
            ("executable", name::EXE, Piece::Executable),
            ("name", name::COMM, Piece::Name),
        ] {
            let start = pen.out.len();
            match (view.field(view.actor(), number), entry) {
                (Some(field), _) => pen.decoded(&object, member, view, field),
                (None, Some(entry)) if number == name::EXE => {
                    pen.text(&object, member, entry.program.executable());
                }
                (None, Some(entry)) => pen.text(&object, member, entry.program.name()),
                (None, None) => {}
            }
            pen.piece(piece, start);
        }
        let start = pen.out.len();
        if let Some(entry) = entry {
            leaders(pen, &object, entry);
        }
        terminal(view, pen, &object);
        pen.not_for_timelines(start);
    });
    if !arguments.is_empty() {
        let start = pen.out.len();
        pen.list(&object, "args", arguments.iter());
        pen.piece(Piece::Args, start);
        let start = pen.out.len();
        object.name(pen.out, "args_count");
        json::number(pen.out, arguments.count.unwrap_or(arguments.len() as u64));
        command_line(pen, &object, arguments);
        pen.not_for_timelines(start);
    } else if let Some(entry) = entry {
        object.insert(pen.out, entry.program.arguments());
    }
    let title_at = pen.out.len();
    if let Some(field) = view
        .first(kind::PROCTITLE)
        .and_then(|part| view.field(part, name::PROCTITLE))
    {
        let value = view.value(field);
        let quoted: &[u8] = if field.quoted { b"\"" } else { b"" };
        pen.again(&object, Section::Title, value, quoted, |pen| {
            title(value, field.quoted, pen, &object);
        });
    } else if let Some(entry) = entry {
        object.insert(pen.out, entry.program.title());
    }
    pen.not_for_timelines(title_at);
    let directory_at = pen.out.len();
    if let Some(field) = view
        .first(kind::CWD)
        .and_then(|part| view.field(part, name::CWD))
    {
        pen.decoded(&object, "working_directory", view, field);
    } else if let Some(field) = view.field(view.actor(), name::CWD) {
        pen.decoded(&object, "working_directory", view, field);
    } else if let Some(entry) = entry {
        object.insert(pen.out, entry.program.directory());
    }
    pen.piece(Piece::Directory, directory_at);
    if view
        .call()
        .1
        .is_some_and(|call| matches!(call.name(), "exit" | "exit_group"))
        && let Some(code) = hex_number(view.of_actor(name::A0))
    {
        object.name(pen.out, "exit_code");
        json::number(pen.out, code & 0xff); // what wait(2) reports of it
    }
    object.close(pen.out);
}

/// Writes `"parent":{...}`: by the record its pid, by the table what it ran.
fn parent(view: &View<'_>, pen: &mut Pen<'_>, process: &Object, entry: Option<&Entry>) {
    let object = Object::member(pen.out, process, "parent");
    let of_record = view.of_actor(name::PPID);
    let known = entry.and_then(|entry| entry.parent.as_deref());
    if !pen.number(&object, "pid", of_record)
        && let Some(known) = known
    {
        object.name(pen.out, "pid");
        json::number(pen.out, known.pid);
    }
    let start = pen.out.len();
    if let Some(known) = known {
        for members in [
            known.identity(),
            known.image(),
            known.arguments(),
            known.directory(),
        ] {
            object.insert(pen.out, members);
        }
    }
    pen.not_for_timelines(start);
    object.close(pen.out);
}

/// Writes `"session_leader":{...},"entry_leader":{...}` (ECS, process).
fn leaders(pen: &mut Pen<'_>, process: &Object, entry: &Entry) {
    let begin = |pen: &mut Pen<'_>, member: &str, leader: &Program| {
        let object = Object::member(pen.out, process, member);
        object.name(pen.out, "pid");
        json::number(pen.out, leader.pid);
        object.insert(pen.out, leader.identity());
        object.insert(pen.out, leader.image());
        object
    };
    match &entry.session {
        Session::Unknown | Session::None => {}
        Session::Own => begin(pen, "session_leader", &entry.program).close(pen.out),
        Session::Of(leader) => begin(pen, "session_leader", leader).close(pen.out),
        Session::Gone(leader) => {
            let object = Object::member(pen.out, process, "session_leader");
            object.name(pen.out, "pid");
            json::number(pen.out, *leader);
            object.close(pen.out);
        }
    }
    if let Some(origin) = &entry.origin {
        let leader = origin.leader.as_ref().unwrap_or(&entry.program);
        let object = begin(pen, "entry_leader", leader);
        let meta = Object::member(pen.out, &object, "entry_meta");
        pen.text(&meta, "type", origin.door.name().as_bytes());
        if let Some(address) = origin.source {
            let source = Object::member(pen.out, &meta, "source");
            pen.text(&source, "ip", address.to_string().as_bytes());
            source.close(pen.out);
        }
        meta.close(pen.out);
        object.close(pen.out);
    }
}

/// Writes `"interactive":...,"tty":{...}`, where the record says on which terminal the process is.
fn terminal(view: &View<'_>, pen: &mut Pen<'_>, process: &Object) {
    let tty = view.of_actor(name::TTY);
    if tty.is_empty() || tty == b"?" {
        return;
    }
    process.name(pen.out, "interactive");
    let interactive: &[u8] = if tty == b"(none)" { b"false" } else { b"true" };
    pen.out.extend_from_slice(interactive);
    if let Some((major, minor)) = seen::terminal(tty) {
        let object = Object::member(pen.out, process, "tty");
        let device = Object::member(pen.out, &object, "char_device");
        device.name(pen.out, "major");
        json::number(pen.out, major);
        device.name(pen.out, "minor");
        json::number(pen.out, minor);
        device.close(pen.out);
        object.close(pen.out);
    }
}

fn command_line(pen: &mut Pen<'_>, object: &Object, arguments: &Arguments) {
    object.name(pen.out, "command_line");
    pen.out.push(b'"');
    let start = pen.out.len();
    for (place, argument) in arguments.iter().enumerate() {
        let room = LONGEST_COMMAND_LINE.saturating_sub(pen.out.len() - start);
        if room == 0 {
            break;
        }
        if place > 0 {
            pen.out.push(b' ');
        }
        // Bad UTF-8 at the cut is no loss: process.args has the whole.
        json::escaped(pen.out, argument.get(..room).unwrap_or(argument));
    }
    pen.out.push(b'"');
}

/// The title's arguments are parted by NUL (fs/proc/base.c); the kernel keeps 128 bytes of it.
fn title(value: &[u8], quoted: bool, pen: &mut Pen<'_>, object: &Object) {
    let mut scratch = std::mem::take(pen.scratch);
    let decoded = text(value, quoted, &mut scratch);
    if decoded.contains(&0) {
        let mut spaced = decoded.to_vec();
        while spaced.last() == Some(&0) {
            spaced.pop();
        }
        spaced
            .iter_mut()
            .filter(|byte| **byte == 0)
            .for_each(|byte| *byte = b' ');
        // The kernel cuts in the middle of a character; what it left of it is no damage.
        pen.text(object, "title", whole_characters(&spaced));
    } else {
        pen.text(object, "title", decoded);
    }
    *pen.scratch = scratch;
}

/// The session number that a record carries; none before a log-in.
#[must_use]
pub fn session<'a>(view: &View<'a>) -> &'a [u8] {
    let of_lead = || {
        view.field(view.lead(), name::SES)
            .map(|field| view.value(field))
            .unwrap_or_default()
    };
    let value = match view.of_actor(name::SES) {
        b"" => of_lead(),
        value => value,
    };
    if is_unset(value) { b"" } else { value }
}
