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
mod head;
mod host;
mod line;
mod meaning;
mod members;
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

pub(crate) use head::write_id;
pub(crate) use process::session as session_number;

use crate::action::Actions;
use crate::assemble::Event;
use crate::decode::argv::Arguments;
use crate::ecs::again::{Likeness, Line, Lines, Who};
use crate::ecs::head::Marks;
use crate::ecs::members::Members;
use crate::endpoint::flow::Flow;
use crate::endpoint::wait::Wait;
use crate::endpoint::{Answer, Endpoints, Question};
use crate::event::{Opened, View};
use crate::json::Clock;
use crate::process::Table;
use crate::system::System;
use crate::timeline::Aside;

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
    /// By what processes that do alike share of that.
    kin: memo::Memo,
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
    /// The same event as timelines get the usual start of a program; empty for any other.
    begun: Vec<u8>,
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
            kin: memo::Memo::default(),
            memo: memo::Memo::default(),
            lines: Lines::default(),
            marks: Marks::default(),
            timelines: false,
            aside: Aside::default(),
            begun: Vec::new(),
        }
    }

    /// Goes on by other settings. What was written before is not written again.
    pub fn change(&mut self, original: bool, max_argument_bytes: usize) {
        self.original = original;
        self.max_argument_bytes = max_argument_bytes;
        self.people = memo::Memo::default();
        self.kin = memo::Memo::default();
        self.memo = memo::Memo::default();
        self.lines = Lines::default();
    }

    /// Whether lines are copied for timelines, from the next one on.
    pub fn copy_for_timelines(&mut self, timelines: bool) {
        self.timelines = timelines;
    }

    /// Writes the line that was written last, and begins at `start` of `text`, as timelines need it: without what
    /// they do not read, and the usual start of a program in pieces ([`timeline::write_start`](crate::timeline)).
    pub fn write_for_timelines(&self, text: &[u8], start: usize, out: &mut Vec<u8>) {
        if self.begun.is_empty() {
            self.aside.write_rest(text, start, out);
        } else {
            out.extend_from_slice(&self.begun);
        }
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
        self.begun.clear();
        let like = Likeness::of(event).filter(|_| !self.original);
        let mut asked = None;
        if let Some(like) = &like
            && let Some(question) = self.known_again(like, event, system)
        {
            let answer = endpoints.answer_to(question.as_ref(), event, system);
            let is_open = !matches!(answer, Answer::Nothing);
            let head = self.lines.head(like);
            if let Some(head) = head.filter(|head| head.is_open() == is_open) {
                let (clock, related) = (&mut self.clock, &mut self.related);
                return line::write_again(
                    head,
                    (event.stamp, like.named),
                    answer,
                    (clock, related),
                    out,
                );
            }
            asked = Some((question, answer));
        }
        self.write_anew(event, like.as_ref(), asked, system, endpoints, out)
    }

    /// Writes a line that waited, now that `flow` has the ends of its connection.
    pub fn end(&mut self, line: OpenLine, flow: &Flow, out: &mut Vec<u8>) {
        line.write(&mut self.clock, &mut self.related, flow, out);
    }

    /// Writes `event` as if none were like it. `like`: it may be kept. `asked`: what it asks of its connection and the
    /// answer, where that is known already, as no event's connection is asked for twice.
    fn write_anew(
        &mut self,
        event: &Event,
        like: Option<&Likeness>,
        asked: Option<(Option<Question>, Answer)>,
        system: &mut dyn System,
        endpoints: &mut Endpoints,
        out: &mut Vec<u8>,
    ) -> Written {
        let generation = system.generation();
        let start = out.len();
        let opening = self.open(event, generation, system);
        let view = View {
            event,
            opened: &self.opened,
        };
        self.aside
            .begin(self.timelines && !process::session(&view).is_empty());
        let (question, answer) = asked.unwrap_or_else(|| {
            let question = self.context.then(|| endpoints.question(&view)).flatten();
            let answer = endpoints.answer_to(question.as_ref(), event, system);
            (question, answer)
        });
        let Members {
            whole,
            timeline,
            original_at,
            mut extra,
            intact,
            told,
            alike,
        } = self.write_members(
            event,
            &opening,
            matches!(answer, Answer::Nothing),
            system,
            out,
        );
        let view = View {
            event,
            opened: &self.opened,
        };
        let keep = self.original || !intact;
        if keep {
            self.begun.clear();
            self.aside.clear(); // what follows `event.original` moves
            let before = out.len();
            original::write(&view, out, original_at);
            extra = extra.moved(before, out.len());
        }
        if let Some(seat) = opening.acting.seat {
            self.processes.turn(seat, opening.turn, event.stamp.time());
        }
        let kept = (like.filter(|like| alike && whole && !keep && like.is_confirmed(&view)))
            .zip(told.and_then(|told| Who::of(&view, told)))
            .map(|(like, who)| {
                let line = Line {
                    start,
                    marks: &self.marks,
                    timeline,
                    who,
                    question,
                    generation,
                };
                (like, line)
            });
        let is_open = !matches!(answer, Answer::Nothing);
        if let Some((like, line)) = kept.as_ref().filter(|_| is_open) {
            let text = out.get(start..).unwrap_or_default();
            let ending = Some((&extra, &self.related));
            self.lines.learn(like, event, line, text, ending);
        }
        let mut written = Written {
            whole,
            timeline,
            waits: None,
        };
        let flow = match answer {
            Answer::Nothing => None,
            Answer::Flow(flow) => Some(flow),
            Answer::Wait(wait) => {
                self.begun.clear();
                self.aside.clear();
                let related = std::mem::take(&mut self.related);
                let line = OpenLine::take(out, start, &extra, related, timeline);
                written.waits = Some((wait, line));
                return written;
            }
        };
        let related = line::end(out, extra, &mut self.related, flow.as_ref());
        if !keep {
            self.aside.add(related);
        }
        if let Some((like, line)) = kept.filter(|_| !is_open) {
            let text = out.get(start..).unwrap_or_default();
            self.lines.learn(like, event, &line, text, None);
        }
        written
    }
}
