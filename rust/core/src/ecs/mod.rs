//! An event as one line of ECS JSON, in the shape that Auditbeat's `auditd` module made known.
//!
//! Every member is written once, in order, straight into the batch's buffer.

mod auditd;
mod file;
mod network;
mod pen;
mod process;
mod user;

use crate::action::{Action, Actions, Object as Kind, Users};
use crate::assemble::Event;
use crate::decode::argv::Arguments;
use crate::event::{Opened, View};
use crate::fields::name;
use crate::json::{self, Clock, Object};
use crate::names::Names;
use crate::record::kind;
use crate::tables;

/// The version of ECS whose fields these are.
const ECS_VERSION: &str = "8.17.0";

/// Who this machine is, for events that it wrote itself. What is `None` is left out.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// `host.name`, unless the record brings its own.
    pub name: Option<String>,
    /// `host.id`.
    pub id: Option<String>,
    /// `host.boot.id`.
    pub boot_id: Option<String>,
}

/// Turns events into lines. Holds what one event's work leaves for the next: tables and room, no state.
#[derive(Debug)]
pub struct Renderer {
    actions: Actions,
    host: Host,
    original: bool,
    max_argument_bytes: usize,
    clock: Clock,
    opened: Opened,
    arguments: Arguments,
    data: auditd::Data,
    related: pen::Related,
    scratch: Vec<u8>,
}

impl Renderer {
    /// A renderer. `original`: keep the records as `event.original`.
    #[must_use]
    pub fn new(host: Host, original: bool, max_argument_bytes: usize) -> Self {
        Self {
            actions: Actions::default(),
            host,
            original,
            max_argument_bytes,
            clock: Clock::default(),
            opened: Opened::default(),
            arguments: Arguments::default(),
            data: auditd::Data::default(),
            related: pen::Related::default(),
            scratch: Vec::new(),
        }
    }

    /// Writes `event` as a line at the end of `out`. Returns whether it was all there.
    pub fn write(&mut self, event: &Event, names: &mut dyn Names, out: &mut Vec<u8>) -> bool {
        self.opened.open(event);
        let view = View {
            event,
            opened: &self.opened,
        };
        self.arguments.read(event, self.max_argument_bytes);
        self.related.clear();
        let meaning = Meaning::of(&view, &self.actions);
        let mut pen = pen::Pen {
            out,
            scratch: &mut self.scratch,
            names,
            related: &mut self.related,
            intact: true,
        };
        let top = Object::open(pen.out);
        top.name(pen.out, "@timestamp");
        pen.out.push(b'"');
        self.clock
            .write(pen.out, event.stamp.seconds, event.stamp.millis);
        pen.out.push(b'"');
        top.name(pen.out, "ecs");
        pen.out.extend_from_slice(b"{\"version\":\"");
        pen.out.extend_from_slice(ECS_VERSION.as_bytes());
        pen.out.extend_from_slice(b"\"}");
        let original_at = meaning.write(&view, &mut pen, &top);
        host(&view, &mut pen, &top, &self.host);
        user::write(&view, &mut pen, &top, meaning.users());
        process::write(&view, &mut pen, &top, &self.arguments);
        let target = |row: Option<&Action>| {
            row.filter(|row| row.object == Kind::File)
                .and_then(|row| file::Target::find(&view, row))
        };
        let mut object = target(meaning.lead);
        if view.part(view.lead()).kind == kind::URINGOP {
            object = target(meaning.call);
        }
        if let Some(object) = &object {
            object.write(&view, &mut pen, &top);
        }
        network::write(&view, &mut pen, &top, meaning.lead);
        let related = std::mem::take(pen.related);
        related.write(pen.out, &top);
        *pen.related = related;
        tags(&view, &mut pen, &top);
        top.name(pen.out, "service");
        pen.out.extend_from_slice(b"{\"type\":\"auditd\"}");
        self.data.gather(&view, meaning.users(), pen.names);
        auditd::write(
            &view,
            &mut pen,
            &top,
            &mut self.data,
            &self.arguments,
            meaning.lead,
            object,
        );
        let whole = extra(&view, &mut pen, &top, &mut self.data, &self.arguments);
        top.close(pen.out);
        let keep = self.original || !pen.intact;
        if keep {
            original(&view, pen.out, original_at);
        }
        out.push(b'\n');
        whole
    }
}

/// What the table says of an event.
struct Meaning<'a> {
    lead: Option<&'a Action>,
    /// The system call's own row, where another record leads.
    call: Option<&'a Action>,
    /// It made the file that it opened.
    creates: bool,
}

impl<'a> Meaning<'a> {
    fn of(view: &View<'_>, actions: &'a Actions) -> Self {
        let kind = view.part(view.lead()).kind;
        let call = view
            .syscall()
            .or(view.first(kind::URINGOP))
            .and_then(|_| actions.of_syscall(view.operation()));
        if view.syscall() == Some(view.lead()) {
            return Self {
                lead: call,
                call: None,
                creates: call.is_some_and(|row| row.action == "opened-file")
                    && view.parts(kind::PATH).any(|part| is_new(view, part)),
            };
        }
        Self {
            lead: actions.of_record(kind, |field| view.find(&[field]).is_some()),
            // A log-in's call is the write to /proc/self/loginuid: how it was done, not what.
            call: call.filter(|_| kind != kind::LOGIN),
            creates: false,
        }
    }

    fn users(&self) -> Users {
        self.lead.map_or(Users::Process, |row| row.users)
    }

    /// Writes `"event":{...}`. Returns where `original` would go.
    fn write(&self, view: &View<'_>, pen: &mut pen::Pen<'_>, parent: &Object) -> usize {
        let object = Object::member(pen.out, parent, "event");
        let stamp = view.event.stamp;
        object.name(pen.out, "id");
        pen.out.push(b'"');
        json::number(pen.out, stamp.seconds);
        pen.out.push(b'.');
        json::millis(pen.out, stamp.millis);
        pen.out.push(b':');
        json::number(pen.out, stamp.serial);
        pen.out.push(b'"');
        pen.text(&object, "kind", b"event");
        pen.text(&object, "module", b"auditd");
        pen.text(&object, "dataset", b"auditd.event");
        let rows = || self.lead.into_iter().chain(self.call);
        merged(
            pen,
            &object,
            "category",
            rows().map(|row| row.category.as_slice()),
        );
        let creation = self.creates.then_some(&["creation"][..]);
        merged(
            pen,
            &object,
            "type",
            rows().map(|row| row.kind.as_slice()).chain(creation),
        );
        match (
            self.lead
                .map(|row| row.action)
                .filter(|action| !action.is_empty()),
            view.operation(),
        ) {
            (Some(action), _) => pen.text(&object, "action", action.as_bytes()),
            (None, Some(call)) if view.syscall() == Some(view.lead()) => {
                pen.text(&object, "action", call.name().as_bytes());
            }
            _ => {
                object.name(pen.out, "action");
                pen.out.push(b'"');
                let lead = view.part(view.lead());
                auditd::message_type(pen.out, lead.kind, view.event.at(lead.name));
                pen.out.push(b'"');
            }
        }
        let outcome: &[u8] = match view.success() {
            Some(true) => b"success",
            Some(false) => b"failure",
            None => b"unknown",
        };
        pen.text(&object, "outcome", outcome);
        object.name(pen.out, "sequence");
        json::number(pen.out, stamp.serial);
        let end = pen.out.len();
        object.close(pen.out);
        end
    }
}

/// Whether a PATH record tells of a name that came into being.
fn is_new(view: &View<'_>, part: usize) -> bool {
    view.field(part, name::NAMETYPE)
        .is_some_and(|field| view.value(field) == b"CREATE")
}

/// Writes the distinct texts of several lists as one.
fn merged<'t>(
    pen: &mut pen::Pen<'_>,
    object: &Object,
    name: &str,
    lists: impl Iterator<Item = &'t [&'static str]> + Clone,
) {
    let all = || lists.clone().flatten();
    let distinct = all()
        .enumerate()
        .filter(|(place, text)| !all().take(*place).any(|earlier| earlier == *text));
    pen.list(object, name, distinct.map(|(_, text)| text.as_bytes()));
}

/// Writes `"host":{...}`. A record that brings its host's name is not from this machine.
fn host(view: &View<'_>, pen: &mut pen::Pen<'_>, parent: &Object, host: &Host) {
    let node = view.event.at(view.event.node);
    let object = Object::member(pen.out, parent, "host");
    if node.is_empty() {
        pen.text(
            &object,
            "name",
            host.name.as_deref().unwrap_or_default().as_bytes(),
        );
        pen.text(
            &object,
            "id",
            host.id.as_deref().unwrap_or_default().as_bytes(),
        );
        if let Some(id) = &host.boot_id {
            let boot = Object::member(pen.out, &object, "boot");
            pen.text(&boot, "id", id.as_bytes());
            boot.close(pen.out);
        }
    } else {
        pen.text(&object, "name", node);
        pen.related.hosts.add(node);
    }
    object.close(pen.out);
}

/// Writes `"tags":[...]`: the keys of the rules that asked for the event, which the kernel joins with \x01
/// (`AUDIT_KEY_SEPARATOR`, libaudit).
fn tags(view: &View<'_>, pen: &mut pen::Pen<'_>, parent: &Object) {
    let keyed = [Some(view.actor()), view.first(kind::URINGOP)];
    let mut keys = keyed
        .into_iter()
        .flatten()
        .filter_map(|part| view.field(part, name::KEY));
    let Some(field) =
        keys.find(|field| field.quoted || !matches!(view.value(field), b"(null)" | b""))
    else {
        return;
    };
    let value = view.value(field);
    let mut scratch = std::mem::take(pen.scratch);
    let keys = crate::event::text(value, field.quoted, &mut scratch);
    pen.list(
        parent,
        "tags",
        keys.split(|byte| *byte == 1).filter(|key| !key.is_empty()),
    );
    *pen.scratch = scratch;
}

/// Writes `"tsauditd":{...}`: readings, and whatever is to be said about the event itself. Returns whether the event
/// was all there.
fn extra(
    view: &View<'_>,
    pen: &mut pen::Pen<'_>,
    parent: &Object,
    data: &mut auditd::Data,
    arguments: &Arguments,
) -> bool {
    let object = Object::member(pen.out, parent, "tsauditd");
    data.write_readings(pen, &object);
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
    object.close(pen.out);
    reasons.iter().all(Option::is_none)
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
        .and_then(|_| crate::record::decimal(view.of_actor(name::ITEMS)));
    let explains = |kind: u16| {
        matches!(
            kind,
            kind::PATH | kind::CWD | kind::EXECVE | kind::SOCKADDR | kind::PROCTITLE
        )
    };
    let alone = view.event.parts.iter().all(|part| explains(part.kind));
    [
        view.event
            .incomplete
            .map(crate::assemble::Incomplete::reason),
        arguments.missing.then_some("arguments are missing"),
        items
            .filter(|items| shows_all && *items > paths)
            .map(|_| "PATH records are missing"),
        alone.then_some("the SYSCALL record is missing"),
    ]
}

/// Puts `"original":[...]` where it belongs: the records as a log has them.
///
/// Where a record was not valid UTF-8 itself, its bytes are there as hex beside it, so that nothing is lost.
fn original(view: &View<'_>, out: &mut Vec<u8>, at: usize) {
    let tail = out.split_off(at);
    let mut valid = true;
    let mut lines = Vec::new();
    out.extend_from_slice(b",\"original\":[");
    for (place, part) in view.event.parts.iter().enumerate() {
        let mut line = Vec::new();
        let node = view.event.at(view.event.node);
        if !node.is_empty() {
            line.extend_from_slice(b"node=");
            line.extend_from_slice(node);
            line.push(b' ');
        }
        line.extend_from_slice(b"type=");
        match tables::record_type_name(part.kind) {
            Some(name) => line.extend_from_slice(name.as_bytes()),
            None if part.name != crate::assemble::Span::default() => {
                line.extend_from_slice(view.event.at(part.name))
            }
            None => line.extend_from_slice(format!("UNKNOWN[{}]", part.kind).as_bytes()),
        }
        let stamp = view.event.stamp;
        line.extend_from_slice(
            format!(
                " msg=audit({}.{:03}:{}): ",
                stamp.seconds, stamp.millis, stamp.serial
            )
            .as_bytes(),
        );
        line.extend_from_slice(view.event.at(part.body));
        if part.enriched != crate::assemble::Span::default() {
            line.push(0x1d);
            line.extend_from_slice(view.event.at(part.enriched));
        }
        if place > 0 {
            out.push(b',');
        }
        valid &= json::string(out, &line);
        lines.push(line);
    }
    out.push(b']');
    if !valid {
        out.extend_from_slice(b",\"original_hex\":[");
        for (place, line) in lines.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
            for byte in line {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
            out.push(b'"');
        }
        out.push(b']');
    }
    out.extend_from_slice(&tail);
}
