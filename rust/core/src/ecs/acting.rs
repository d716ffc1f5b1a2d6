//! Who acted: found again by the text that says it, or looked at and taken into the process table.

use crate::assemble::Event;
use crate::ecs::again::Hash;
use crate::ecs::changes::Changes;
use crate::ecs::memo::{Acting, Memo, Place, Told};
use crate::ecs::{Renderer, Written};
use crate::event::View;
use crate::process::Table;
use crate::process::seen::{Seen, Turn};
use crate::record::kind;
use crate::system::System;

/// What is known of an event before it is written.
pub(super) struct Opening {
    /// Where its text has its place among those that came before.
    pub place: Option<Place>,
    pub acting: Acting,
    pub turn: Turn,
    /// The ids that it gave.
    pub changes: Option<Changes>,
}

impl Renderer {
    /// Learns what runs on the machine now.
    pub fn seed(&mut self, system: &mut dyn System) {
        self.processes.seed(system);
    }

    /// The newest process of this machine has the number `pid`: [`Table::number_given`].
    pub fn number_given(&mut self, pid: u32) {
        self.processes.number_given(pid);
    }

    /// How many processes are remembered, and the bytes of what they run.
    #[must_use]
    pub fn processes(&self) -> (usize, usize) {
        (self.processes.count(), self.processes.bytes())
    }

    /// Opens `event` and finds who acted.
    pub(super) fn open(
        &mut self,
        event: &Event,
        generation: u64,
        system: &mut dyn System,
    ) -> Opening {
        let (people, processes) = (&self.people, &self.processes);
        let mut place = None;
        let mut told = Acting::default();
        self.opened.open(event, |who, enriched| {
            let (found, known) = people.find(who, enriched, generation);
            place = Some(found);
            told = people
                .told(found)
                .map(|told| told.acting)
                .unwrap_or_default();
            known && holds(processes, told, event, system)
        });
        let view = View {
            event,
            opened: &self.opened,
        };
        let turn = Turn::of(&view);
        if self.opened.known && matches!(turn, Turn::Exec | Turn::Session) {
            self.opened.open(event, |_, _| false); // it is not what it was
        }
        self.arguments.read(event, self.max_argument_bytes);
        let acting = if self.opened.known {
            told
        } else {
            self.observe(event, turn, system)
        };
        let seat = acting.seat;
        let before = seat.and_then(|seat| self.processes.act(seat, acting.credentials));
        let view = View {
            event,
            opened: &self.opened,
        };
        let changes = acting
            .credentials
            .and_then(|after| Changes::of(&view, before, after));
        Opening {
            place,
            acting,
            turn,
            changes,
        }
    }

    /// Writes an event whose line is there but for its stamp. `None` if it is not, or if what it says may be otherwise
    /// by now.
    pub(super) fn write_again(
        &mut self,
        hash: Hash,
        event: &Event,
        system: &dyn System,
        out: &mut Vec<u8>,
    ) -> Option<Written> {
        let generation = system.generation();
        let who = self.lines.find(hash, event, generation)?;
        let (text, enriched) = (event.at(who.text), event.at(who.enriched));
        let (place, known) = self.people.find(text, enriched, generation);
        let told = self.people.told(place).filter(|_| known)?;
        let Acting { seat, credentials } = told.acting;
        let same = told.number == who.told && holds(&self.processes, told.acting, event, system);
        // Other ids than those of the process's last event are a change, and that is told.
        let entry = seat.and_then(|seat| self.processes.get(seat));
        if !same || entry.is_some_and(|entry| entry.credentials != credentials) {
            return None;
        }
        if let Some(seat) = seat {
            self.processes.act(seat, credentials);
        }
        Some(self.lines.write(hash, event.stamp, &mut self.clock, out))
    }

    /// Takes in what the event shows of who acted.
    fn observe(&mut self, event: &Event, turn: Turn, system: &mut dyn System) -> Acting {
        if !self.context {
            return Acting::default();
        }
        let view = View {
            event,
            opened: &self.opened,
        };
        if view.part(view.lead()).kind == kind::SYSTEM_BOOT && !system.sees_processes() {
            self.processes.restart(event.key.node);
        }
        let Some(seen) = Seen::of(&view, &self.arguments, turn, &mut self.texts) else {
            return Acting::default();
        };
        Acting {
            seat: self.processes.observe(&seen, system),
            credentials: seen.credentials,
        }
    }
}

/// Whether the process that acted before is still what it was then.
fn holds(processes: &Table, acting: Acting, event: &Event, system: &dyn System) -> bool {
    acting
        .seat
        .is_none_or(|seat| processes.holds(seat, event.key.node, event.stamp.seconds, system))
}

/// Keeps what was written of who acted for the next event of the same, unless its SYSCALL has a name twice.
pub(super) fn keep(
    people: &mut Memo,
    place: Place,
    mut told: Told,
    acting: Acting,
    view: &View<'_>,
    generation: u64,
) {
    let Some(who) = view.opened.who.filter(|_| !view.opened.repeated) else {
        return;
    };
    told.acting = acting;
    let enriched = view.event.at(view.part(view.actor()).enriched);
    people.put(place, told, view.event.at(who), enriched, generation);
}
