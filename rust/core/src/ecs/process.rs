//! `process`: the program that acted, its arguments and its parent.

use crate::decode::argv::Arguments;
use crate::ecs::memo::Section;
use crate::ecs::pen::Pen;
use crate::event::{View, hex_number, is_unset, text};
use crate::fields::name;
use crate::json::{self, Object};
use crate::record::kind;

/// `process.command_line` is for reading and searching; `process.args` has everything. In bytes.
const LONGEST_COMMAND_LINE: usize = 32 << 10;

/// Writes `"process":{...}`.
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, arguments: &Arguments) {
    let object = Object::member(pen.out, parent, "process");
    pen.same(&object, Section::Process, |pen| {
        pen.number(&object, "pid", view.of_actor(name::PID));
        let parent_process = Object::member(pen.out, &object, "parent");
        pen.number(&parent_process, "pid", view.of_actor(name::PPID));
        parent_process.close(pen.out);
        for (member, number) in [("executable", name::EXE), ("name", name::COMM)] {
            if let Some(field) = view.field(view.actor(), number) {
                pen.decoded(&object, member, view, field);
            }
        }
    });
    if !arguments.is_empty() {
        pen.list(&object, "args", arguments.iter());
        object.name(pen.out, "args_count");
        json::number(pen.out, arguments.count.unwrap_or(arguments.len() as u64));
        command_line(pen, &object, arguments);
    }
    if let Some(field) = view
        .first(kind::PROCTITLE)
        .and_then(|part| view.field(part, name::PROCTITLE))
    {
        let value = view.value(field);
        let quoted: &[u8] = if field.quoted { b"\"" } else { b"" };
        pen.again(&object, Section::Title, value, quoted, |pen| {
            title(value, field.quoted, pen, &object);
        });
    }
    if let Some(field) = view
        .first(kind::CWD)
        .and_then(|part| view.field(part, name::CWD))
    {
        pen.decoded(&object, "working_directory", view, field);
    } else if let Some(field) = view.field(view.actor(), name::CWD) {
        pen.decoded(&object, "working_directory", view, field);
    }
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
        let whole = spaced
            .utf8_chunks()
            .next()
            .map_or(0, |chunk| chunk.valid().len());
        let cut = if spaced.len() - whole < 4 {
            whole
        } else {
            spaced.len()
        };
        pen.text(object, "title", spaced.get(..cut).unwrap_or_default());
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
