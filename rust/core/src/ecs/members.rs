//! The members of a line, each by the room that knows it, in the order in which they stand.

use crate::assemble::Event;
use crate::ecs::acting::{self, Opening};
use crate::ecs::extra::{self, Beside};
use crate::ecs::head::Mark;
use crate::ecs::meaning::Meaning;
use crate::ecs::memo::Section;
use crate::ecs::pen::{Pen, Recall};
use crate::ecs::{Renderer, auditd, container, file, host, network, process, tags, user};
use crate::event::View;
use crate::json::Object;
use crate::process::Entry;
use crate::process::seen::Turn;
use crate::system::System;
use crate::timeline::{self, Piece};

/// The version of ECS whose fields these are.
const ECS_VERSION: &str = "8.17.0";

/// What there is to know of the members that were written.
pub(super) struct Members {
    /// The event was all there.
    pub whole: bool,
    /// A session's timeline needs it.
    pub timeline: bool,
    /// Where `event.original` would stand.
    pub original_at: usize,
    /// `tsauditd`, the last member, which is still open.
    pub extra: Object,
    /// Everything was UTF-8.
    pub intact: bool,
    /// By the memory of whom the event says who acted, if it is in one.
    pub told: Option<u64>,
    /// The next event of the same records says the same, but for the ends of its connection.
    pub alike: bool,
}

impl Renderer {
    /// Writes all that is said of `event`. `network`: what its records alone say of a connection is all there will be.
    pub(super) fn write_members(
        &mut self,
        event: &Event,
        opening: &Opening,
        network: bool,
        system: &mut dyn System,
        out: &mut Vec<u8>,
    ) -> Members {
        let generation = system.generation();
        let Opening {
            place,
            acting,
            turn,
            changes,
        } = opening;
        let view = View {
            event,
            opened: &self.opened,
        };
        let entry = acting.seat.and_then(|seat| self.processes.get(seat));
        let meaning = Meaning::of(&view, &self.actions);
        // What a program's first event says is seldom said again, as the next has another key.
        let place = place.filter(|_| self.opened.who.is_some() && *turn != Turn::Exec);
        let recall = match place {
            Some(place) if !self.opened.known => {
                Recall::Learning(Box::new(self.people.take(place)))
            }
            Some(place) => self.people.told(place).map_or(Recall::Not, Recall::Known),
            None => Recall::Not,
        };
        let kin_place = self.kin_place(&view, generation);
        let kin = match kin_place {
            Some((place, true)) => self.kin.told(place).map_or(Recall::Not, Recall::Known),
            Some((place, false)) => Recall::Learning(Box::new(self.kin.take(place))),
            None => Recall::Not,
        };
        self.related.clear();
        self.marks.clear();
        let mut pen = Pen {
            out,
            scratch: &mut self.scratch,
            system,
            related: &mut self.related,
            intact: true,
            in_session: false,
            recall,
            kin,
            memo: &mut self.memo,
            marks: &mut self.marks,
            aside: &mut self.aside,
        };
        let top = Object::open(pen.out);
        let time_at = pen.out.len();
        top.name(pen.out, "@timestamp");
        pen.out.push(b'"');
        let clock = &mut self.clock;
        pen.marked(Mark::Time, |out| {
            clock.write(out, event.stamp.seconds, event.stamp.millis)
        });
        pen.out.push(b'"');
        pen.piece(Piece::Time, time_at);
        let ecs_at = pen.out.len();
        top.name(pen.out, "ecs");
        pen.out.extend_from_slice(b"{\"version\":\"");
        pen.out.extend_from_slice(ECS_VERSION.as_bytes());
        pen.out.extend_from_slice(b"\"}");
        pen.not_for_timelines(ecs_at);
        let original_at = meaning.write(&view, &mut pen, &top);
        let host_at = pen.out.len();
        host::write(&view, &mut pen, &top, &self.host);
        pen.piece(Piece::Host, host_at);
        let user_at = pen.out.len();
        pen.same(&top, Section::User, |pen| {
            user::write(&view, pen, &top, meaning.users())
        });
        pen.piece(Piece::User, user_at);
        pen.same_users();
        if let Some(changes) = changes
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
            let file_at = pen.out.len();
            object.write(&view, &mut pen, &top);
            if meaning.is_of_process() && view.success() == Some(true) {
                pen.not_for_timelines(file_at); // the program, which the process names
            }
        }
        if network {
            network::write(&view, &mut pen, &top, meaning.lead);
        }
        let tags_at = pen.out.len();
        pen.same(&top, Section::Tags, |pen| tags::write(&view, pen, &top));
        top.name(pen.out, "service");
        pen.out.extend_from_slice(b"{\"type\":\"auditd\"}");
        pen.not_for_timelines(tags_at);
        let shared = matches!(pen.kin, Recall::Known(_));
        if !self.data.gather(&view, meaning.users(), shared, pen.system) {
            (pen.recall, pen.kin) = (Recall::Not, Recall::Not);
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
        let beside = Beside {
            session_prefix: &self.session_prefix,
            joined,
            changes: changes.as_ref(),
            cage,
            opened: meaning.lead.is_some_and(|row| row.action == "opened-file"),
        };
        let (whole, extra) = extra::write(
            &view,
            &mut pen,
            &top,
            &mut self.data,
            &self.arguments,
            &beside,
        );
        let process = pen.out.get(process_at..process_end).unwrap_or_default();
        let plain = cage.is_none() && joined.is_none() && changes.is_none() && whole;
        self.begun.clear();
        if plain && meaning.lead.is_some_and(|row| row.action == "executed") {
            let prefix = &self.session_prefix;
            timeline::write_start(&view, pen.aside, prefix, pen.out, &mut self.begun);
        }
        let members = Members {
            whole,
            timeline: pen.in_session || joined.is_some() || timeline::needed(&view, process),
            original_at,
            extra,
            intact: pen.intact,
            told: match &pen.recall {
                Recall::Known(told) => Some(told.number),
                _ => None,
            },
            alike: changes.is_none() && *turn == Turn::Nothing,
        };
        let intact = pen.intact;
        let (own, kin) = (pen.recall.learnt(), pen.kin.learnt());
        if let (Some(told), true, Some(place)) = (own, intact, place) {
            acting::keep(&mut self.people, place, told, *acting, &view, generation);
        }
        if let (Some(told), true, Some((place, _))) = (kin, intact, kin_place) {
            acting::keep_kin(&mut self.kin, place, told, &view, generation);
        }
        members
    }
}
