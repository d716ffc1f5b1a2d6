//! An event as one line of ECS JSON, in the shape that Auditbeat's `auditd` module made known.
//!
//! Every member is written once, in order, straight into the batch's buffer.

mod acting;
mod again;
mod auditd;
mod changes;
pub mod container;
mod data;
mod extra;
mod file;
mod host;
mod line;
mod meaning;
mod memo;
mod network;
mod original;
mod paths;
mod pen;
mod pool;
mod process;
mod session;
mod tags;
mod user;

pub use host::Host;
pub use line::OpenLine;

use crate::action::{Actions, Object as Kind};
use crate::assemble::Event;
use crate::decode::argv::Arguments;
use crate::ecs::again::{Line, Lines, Mark, Marks, Who};
use crate::ecs::memo::Section;
use crate::ecs::pen::Recall;
use crate::endpoint::wait::Wait;
use crate::endpoint::{Answer, Endpoints};
use crate::event::{Opened, View};
use crate::json::{Clock, Object};
use crate::process::seen::Turn;
use crate::process::{Entry, Table};
use crate::system::System;
use crate::timeline::{self, Aside};

/// The version of ECS whose fields these are.
const ECS_VERSION: &str = "8.17.0";

/// What there is to know of a line that was written.
#[derive(Debug)]
pub struct Written {
    /// The event was all there.
    pub whole: bool,
    /// A session's timeline needs it.
    pub timeline: bool,
    /// The line itself, which is not in the output: the ends of its connection are known in a moment.
    pub waits: Option<(Box<Wait>, OpenLine)>,
}

/// Turns events into lines. Holds what one event leaves for the next: the processes known, tables and room.
#[derive(Debug)]
pub struct Renderer {
    actions: Actions,
    host: Host,
    original: bool,
    context: bool,
    max_argument_bytes: usize,
    clock: Clock,
    opened: Opened,
    arguments: Arguments,
    data: data::Data,
    related: pen::Related,
    scratch: Vec<u8>,
    /// What stands before a session's number in its id; empty without ids of host and boot.
    session_prefix: Vec<u8>,
    /// By who acted, and by other texts.
    people: memo::Memo,
    memo: memo::Memo,
    processes: Table,
    texts: [Vec<u8>; 3],
    /// By all records of an event.
    lines: Lines,
    marks: Marks,
    /// Lines are copied for timelines, without what these do not read.
    timelines: bool,
    /// Of the line that was written last.
    aside: Aside,
}

impl Renderer {
    /// A renderer. `original`: keep the records as `event.original`. `context`: tell more than the records do.
    #[must_use]
    pub fn new(host: Host, original: bool, context: bool, max_argument_bytes: usize) -> Self {
        let id = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
        Self {
            actions: Actions::default(),
            processes: Table::new(&id(&host.id), &id(&host.boot_id)),
            texts: Default::default(),
            session_prefix: session::prefix(&host),
            host,
            original,
            context,
            max_argument_bytes,
            clock: Clock::default(),
            opened: Opened::default(),
            arguments: Arguments::default(),
            data: data::Data::default(),
            related: pen::Related::default(),
            scratch: Vec::new(),
            people: memo::Memo::default(),
            memo: memo::Memo::default(),
            lines: Lines::default(),
            marks: Marks::default(),
            timelines: false,
            aside: Aside::default(),
        }
    }

    /// Goes on by other settings. What was written before is not written again.
    pub fn change(&mut self, original: bool, max_argument_bytes: usize) {
        self.original = original;
        self.max_argument_bytes = max_argument_bytes;
        self.people = memo::Memo::default();
        self.memo = memo::Memo::default();
        self.lines = Lines::default();
    }

    /// Whether lines are copied for timelines, from the next one on.
    pub fn copy_for_timelines(&mut self, timelines: bool) {
        self.timelines = timelines;
    }

    /// Writes the line that was written last, and begins at `start` of `text`, as timelines need it: without what
    /// they do not read.
    pub fn write_for_timelines(&self, text: &[u8], start: usize, out: &mut Vec<u8>) {
        self.aside.write_rest(text, start, out);
    }

    /// Writes `event` as a line at the end of `out`.
    pub fn write(
        &mut self,
        event: &Event,
        system: &mut dyn System,
        endpoints: &mut Endpoints,
        out: &mut Vec<u8>,
    ) -> Written {
        self.aside.begin(false);
        let generation = system.generation();
        let hash = Lines::hash(event).filter(|_| !self.original);
        if let Some(hash) = hash
            && let Some(written) = self.write_again(hash, event, system, out)
        {
            return written;
        }
        let start = out.len();
        let acting::Opening {
            place,
            acting,
            turn,
            changes,
        } = self.open(event, generation, system);
        let no_change = changes.is_none() && turn == Turn::Nothing;
        let view = View {
            event,
            opened: &self.opened,
        };
        self.aside
            .begin(self.timelines && !process::session(&view).is_empty());
        let entry = acting.seat.and_then(|seat| self.processes.get(seat));
        let answer = if self.context {
            endpoints.answer(&view, system)
        } else {
            Answer::Nothing
        };
        self.related.clear();
        let meaning = meaning::Meaning::of(&view, &self.actions);
        // What a program's first event says is seldom said again, as the next has another key.
        let place = place.filter(|_| self.opened.who.is_some() && turn != Turn::Exec);
        let recall = match place {
            Some(place) if !self.opened.known => {
                Recall::Learning(Box::new(self.people.take(place)))
            }
            Some(place) => self.people.told(place).map_or(Recall::Not, Recall::Known),
            None => Recall::Not,
        };
        let mut pen = pen::Pen {
            out,
            scratch: &mut self.scratch,
            system,
            related: &mut self.related,
            intact: true,
            in_session: false,
            recall,
            memo: &mut self.memo,
            marks: &mut self.marks,
            aside: &mut self.aside,
        };
        pen.marks.clear();
        let top = Object::open(pen.out);
        top.name(pen.out, "@timestamp");
        pen.out.push(b'"');
        let clock = &mut self.clock;
        pen.marked(Mark::Time, |out| {
            clock.write(out, event.stamp.seconds, event.stamp.millis)
        });
        pen.out.push(b'"');
        let ecs_at = pen.out.len();
        top.name(pen.out, "ecs");
        pen.out.extend_from_slice(b"{\"version\":\"");
        pen.out.extend_from_slice(ECS_VERSION.as_bytes());
        pen.out.extend_from_slice(b"\"}");
        pen.not_for_timelines(ecs_at);
        let original_at = meaning.write(&view, &mut pen, &top);
        host::write(&view, &mut pen, &top, &self.host);
        let user_at = pen.out.len();
        pen.same(&top, Section::User, |pen| {
            user::write(&view, pen, &top, meaning.users())
        });
        pen.same_users();
        if let Some(changes) = &changes
            && pen.out.len() > user_at
        {
            changes.write(&view, &mut pen, &top);
        }
        let process_at = pen.out.len();
        process::write(&view, &mut pen, &top, &self.arguments, entry);
        let process_end = pen.out.len();
        let cage = entry.and_then(|entry| entry.container.as_deref());
        let joined = entry
            .and_then(Entry::joined)
            .filter(|_| !self.session_prefix.is_empty());
        if let Some(container) = cage {
            container::write(&mut pen, &top, container);
        }
        let object = file::Target::of(&view, &meaning);
        if let Some(object) = &object {
            object.write(&view, &mut pen, &top);
        }
        if matches!(answer, Answer::Nothing) {
            network::write(&view, &mut pen, &top, meaning.lead);
        }
        let tags_at = pen.out.len();
        pen.same(&top, Section::Tags, |pen| tags::write(&view, pen, &top));
        top.name(pen.out, "service");
        pen.out.extend_from_slice(b"{\"type\":\"auditd\"}");
        pen.not_for_timelines(tags_at);
        if !self.data.gather(&view, meaning.users(), pen.system) {
            pen.recall = Recall::Not;
        }
        auditd::write(
            &view,
            &mut pen,
            &top,
            &mut self.data,
            &self.arguments,
            meaning.lead,
            object,
        );
        let (whole, mut extra) = extra::write(
            &view,
            &mut pen,
            &top,
            &mut self.data,
            &self.arguments,
            &extra::Beside {
                session_prefix: &self.session_prefix,
                joined,
                changes,
                cage,
                opened: meaning.lead.is_some_and(|row| row.action == "opened-file"),
            },
        );
        let process = pen.out.get(process_at..process_end).unwrap_or_default();
        let timeline = pen.in_session || joined.is_some() || timeline::needed(&view, process);
        let keep = self.original || !pen.intact;
        let told = match &pen.recall {
            Recall::Known(told) => Some(told.number),
            _ => None,
        };
        if let (Recall::Learning(told), true, Some(place)) = (pen.recall, pen.intact, place) {
            acting::keep(&mut self.people, place, *told, acting, &view, generation);
        }
        if keep {
            self.aside.clear(); // what follows `event.original` moves
            let before = out.len();
            original::write(&view, out, original_at);
            extra = extra.moved(before, out.len());
        }
        if let Some(seat) = acting.seat {
            self.processes.turn(seat, turn, event.stamp.time());
        }
        let flow = match answer {
            Answer::Nothing => None,
            Answer::Flow(flow) => Some(flow),
            Answer::Wait(wait) => {
                self.aside.clear();
                let related = std::mem::take(&mut self.related);
                let line = OpenLine::take(out, start, extra, related, timeline);
                return Written {
                    whole,
                    timeline,
                    waits: Some((wait, line)),
                };
            }
        };
        let related = line::end(out, extra, &mut self.related, flow.as_ref());
        if !keep {
            self.aside.add(related);
        }
        let written = Written {
            whole,
            timeline,
            waits: None,
        };
        if let (Some(hash), Some(told), Some(text), false) = (hash, told, self.opened.who, keep)
            && no_change
            && meaning.lead.is_none_or(|row| row.object != Kind::Socket)
            && flow.is_none()
        {
            let enriched = view.part(view.actor()).enriched;
            let who = Who {
                text,
                enriched,
                told,
            };
            let line = Line {
                text: out.get(start..).unwrap_or_default(),
                start,
                marks: &self.marks,
                written: &written,
                generation,
            };
            self.lines.learn(hash, event, who, &line);
        }
        written
    }
}
