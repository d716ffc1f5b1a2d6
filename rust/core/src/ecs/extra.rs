//! `tsauditd`: readings, and what is to be said about the event itself.

use crate::assemble::Incomplete;
use crate::container::Container;
use crate::decode::argv::Arguments;
use crate::ecs::changes::Changes;
use crate::ecs::data::Data;
use crate::ecs::memo::Section;
use crate::ecs::pen::Pen;
use crate::ecs::{container, session};
use crate::event::View;
use crate::fields::name;
use crate::json::{self, Object};
use crate::record::{decimal, kind};

/// What is known beside the records of who acted.
pub struct Beside<'a> {
    pub session_prefix: &'a [u8],
    /// The process that was put into a running container, and has brought this one there.
    pub joined: Option<&'a [u8]>,
    pub changes: Option<&'a Changes>,
    pub cage: Option<&'a Container>,
    /// A file was opened.
    pub opened: bool,
}

/// Writes `"tsauditd":{...}`: readings, and whatever is to be said about the event itself. Returns whether the event
/// was all there, and the object, which is still open.
pub fn write(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    parent: &Object,
    data: &mut Data,
    arguments: &Arguments,
    beside: &Beside<'_>,
) -> (bool, Object) {
    let object = Object::member(pen.out, parent, "tsauditd");
    pen.same(&object, Section::SessionId, |pen| {
        session::write(view, pen, &object, beside);
    });
    if let Some(container) = beside.cage.filter(|cage| cage.claimed) {
        container::claim(pen, &object, container);
    }
    let start = pen.out.len();
    data.write_readings(pen, &object);
    if !beside.opened {
        pen.not_for_timelines(start);
    }
    if let Some(changes) = beside.changes {
        changes.write_before(view, pen, &object);
    }
    let reasons = incomplete(view, arguments);
    pen.list(
        &object,
        "incomplete",
        reasons.iter().flatten().map(|reason| reason.as_bytes()),
    );
    if view.event.addition {
        object.name(pen.out, "addition");
        pen.out.extend_from_slice(b"true");
    }
    if arguments.cut > 0 {
        object.name(pen.out, "arguments_cut");
        json::number(pen.out, arguments.cut);
    }
    if !pen.intact {
        object.name(pen.out, "invalid_utf8");
        pen.out.extend_from_slice(b"true");
    }
    (reasons.iter().all(Option::is_none), object)
}

/// Why the event is not all that the kernel wrote. An addition is not judged: its event was emitted before.
fn incomplete(view: &View<'_>, arguments: &Arguments) -> [Option<&'static str>; 4] {
    if view.event.addition {
        return [None; 4];
    }
    let paths = view.parts(kind::PATH).count() as u64;
    // The kernel counts the directory of a message queue, and does not show it (`audit_inode_parent_hidden`).
    let shows_all = !view
        .call()
        .1
        .is_some_and(|call| matches!(call.name(), "mq_open" | "mq_unlink"));
    let items = view
        .syscall()
        .and_then(|_| decimal(view.of_actor(name::ITEMS)));
    let explains = |kind: u16| {
        matches!(
            kind,
            kind::PATH | kind::CWD | kind::EXECVE | kind::SOCKADDR | kind::PROCTITLE
        )
    };
    let alone = view.event.parts.iter().all(|part| explains(part.kind));
    [
        view.event.incomplete.map(Incomplete::reason),
        arguments.missing.then_some("arguments are missing"),
        items
            .filter(|items| shows_all && *items > paths)
            .map(|_| "PATH records are missing"),
        alone.then_some("the SYSCALL record is missing"),
    ]
}
