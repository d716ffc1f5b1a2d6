//! `event`: what happened, of what kind, and whether it went well.

use crate::action::{Action, Actions, Users};
use crate::ecs::auditd::message_type;
use crate::ecs::head::{Mark, write_id};
use crate::ecs::pen::Pen;
use crate::endpoint::call::is_attempt;
use crate::event::View;
use crate::fields::name;
use crate::json::{self, Object};
use crate::record::kind;

/// What the table says of an event.
pub struct Meaning<'a> {
    /// The row of what leads the event.
    pub lead: Option<&'a Action>,
    /// The system call's own row, where another record leads.
    pub call: Option<&'a Action>,
    /// It made the file that it opened.
    creates: bool,
}

impl<'a> Meaning<'a> {
    /// Looks it up.
    #[must_use]
    pub fn of(view: &View<'_>, actions: &'a Actions) -> Self {
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

    /// Whose identities the records speak of.
    #[must_use]
    pub fn users(&self) -> Users {
        self.lead.map_or(Users::Process, |row| row.users)
    }

    /// Writes `"event":{...}`. Returns where `original` would go.
    pub fn write(&self, view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) -> usize {
        let object = Object::member(pen.out, parent, "event");
        let stamp = view.event.stamp;
        object.name(pen.out, "id");
        pen.out.push(b'"');
        pen.marked(Mark::Id, |out| write_id(out, stamp));
        pen.out.push(b'"');
        let constant = pen.out.len();
        object.insert(
            pen.out,
            br#""kind":"event","module":"auditd","dataset":"auditd.event""#,
        );
        pen.not_for_timelines(constant);
        let kind_at = pen.out.len();
        match (self.lead, self.call) {
            (Some(row), None) | (None, Some(row)) if !self.creates => {
                object.insert(pen.out, row.told.as_bytes());
            }
            _ => self.merged_rows(pen, &object),
        }
        if self.is_of_process() {
            pen.not_for_timelines(kind_at);
        }
        match (
            self.lead
                .map(|row| row.action)
                .filter(|action| !action.is_empty()),
            view.operation(),
        ) {
            (Some(action), _) => pen.word(&object, "action", action),
            (None, Some(call)) if view.syscall() == Some(view.lead()) => {
                pen.word(&object, "action", call.name());
            }
            _ => {
                object.name(pen.out, "action");
                pen.out.push(b'"');
                let lead = view.part(view.lead());
                message_type(pen.out, lead.kind, view.event.at(lead.name));
                pen.out.push(b'"');
            }
        }
        let outcome = match view.success() {
            _ if is_begun(view) => "unknown",
            Some(true) => "success",
            Some(false) => "failure",
            None => "unknown",
        };
        pen.word(&object, "outcome", outcome);
        let sequence_at = pen.out.len();
        object.name(pen.out, "sequence");
        pen.marked(Mark::Serial, |out| json::number(out, stamp.serial));
        pen.not_for_timelines(sequence_at);
        let end = pen.out.len();
        object.close(pen.out);
        end
    }

    /// Whether it is the start or the end of a program: the action tells timelines all of it.
    pub fn is_of_process(&self) -> bool {
        self.lead
            .is_some_and(|row| matches!(row.action, "executed" | "end"))
    }

    /// Writes what several rows say, or one with an addition.
    fn merged_rows(&self, pen: &mut Pen<'_>, object: &Object) {
        let rows = || self.lead.into_iter().chain(self.call);
        let categories = rows().map(|row| row.category.as_slice());
        merged(pen, object, "category", categories);
        let creation = self.creates.then_some(&["creation"][..]);
        let types = rows().map(|row| row.kind.as_slice());
        merged(pen, object, "type", types.chain(creation));
    }
}

/// Whether a connection goes on after the call, which neither failed nor went well: ECS calls that unknown.
fn is_begun(view: &View<'_>) -> bool {
    let exit = view.of_actor(name::EXIT);
    exit.starts_with(b"-")
        && view
            .operation()
            .is_some_and(|call| call.name() == "connect")
        && std::str::from_utf8(exit)
            .ok()
            .and_then(|exit| exit.parse().ok())
            .is_some_and(is_attempt)
}

/// Whether a PATH record tells of a name that came into being.
fn is_new(view: &View<'_>, part: usize) -> bool {
    view.field(part, name::NAMETYPE)
        .is_some_and(|field| view.value(field) == b"CREATE")
}

/// Writes the distinct texts of several lists as one.
fn merged<'t>(
    pen: &mut Pen<'_>,
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
