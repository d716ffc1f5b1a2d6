//! Who acted: found again by the text that says it, or looked at and taken into the process table.

use crate::assemble::Event;
use crate::ecs::Renderer;
use crate::ecs::again::Likeness;
use crate::ecs::changes::Changes;
use crate::ecs::memo::{Acting, Memo, Place, Told};
use crate::endpoint::Question;
use crate::event::View;
use crate::fields::name;
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

    /// What an event asks of a connection whose line is there but for its stamp and the answer. `None` if it is not
    /// there, or if what it says may be otherwise by now.
    pub(super) fn known_again(
        &mut self,
        like: &Likeness,
        event: &Event,
        system: &dyn System,
    ) -> Option<Option<Question>> {
        let generation = system.generation();
        let (who, question) = self.lines.find(like, event, generation)?;
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
        Some(question)
    }

    /// Where that has its place which all processes share that do alike, and whether it is there; `None` where all of
    /// who acted is known, or where it may not follow from that text.
    pub(super) fn kin_place(&self, view: &View<'_>, generation: u64) -> Option<(Place, bool)> {
        let opened = &self.opened;
        let alone = opened.who.is_some() && !opened.known && !opened.repeated;
        // What timelines do not read is known only of what is written now.
        if !alone || self.aside.is_wanted() || opened.has_strays(view.event) {
            return None;
        }
        let enriched = view.event.at(view.part(view.actor()).enriched);
        let behind = view.event.at(opened.behind);
        Some(self.kin.find(behind, enriched, generation))
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

/// The fields by which kin are kin.
const SHARED: [u8; 13] = [
    name::AUID,
    name::UID,
    name::GID,
    name::EUID,
    name::SUID,
    name::FSUID,
    name::EGID,
    name::SGID,
    name::FSGID,
    name::TTY,
    name::SES,
    name::COMM,
    name::EXE,
];

/// Keeps what was written of who acted for the next process of which the same is said behind its pids, unless a field is
/// missing there: other records would be asked for it.
pub(super) fn keep_kin(kin: &mut Memo, place: Place, told: Told, view: &View<'_>, generation: u64) {
    if SHARED
        .iter()
        .all(|number| view.field(view.actor(), *number).is_some())
    {
        let enriched = view.event.at(view.part(view.actor()).enriched);
        let behind = view.event.at(view.opened.behind);
        kin.put(place, told, behind, enriched, generation);
    }
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

#[cfg(test)]
mod tests {
    use crate::{Engine, Nobody, Settings};

    /// What processes say that do alike, and what may not be taken for it: another id, and damage before and behind it.
    const RECORDS: [(&str, &str); 7] = [
        ("ppid=7 pid=11", ""),
        ("ppid=7 pid=12", ""),
        ("ppid=7x pid=13", ""),
        ("uid=5 ppid=7 pid=14", ""),
        ("ppid=7 stray pid=15", ""),
        ("ppid=7 pid=16", " tty=pts1"),
        ("ppid=7 pid=17", ""),
    ];

    fn event(serial: usize, pids: &str, beside: &str, ids: &str) -> String {
        format!(
            "type=SYSCALL msg=audit(1.000:{serial}): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 \
             items=0 {pids} {ids} comm=\"a\" exe=\"/usr/bin/a\" key=\"k\"\n\
             type=CWD msg=audit(1.000:{serial}): cwd=\"/\"{beside}\n\
             type=PROCTITLE msg=audit(1.000:{serial}): proctitle=\"a\"\n"
        )
    }

    fn engine() -> Engine {
        let settings = Settings {
            log: true,
            ..Settings::default()
        };
        Engine::new(settings, Box::new(Nobody))
    }

    #[test]
    fn processes_that_do_alike_are_told_as_if_each_were_the_first() {
        let ids = |uid: u32| {
            format!(
                "auid=1 uid={uid} gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1"
            )
        };
        let mut together = engine();
        for (serial, (pids, beside)) in RECORDS.iter().enumerate() {
            let text = event(serial, pids, beside, &ids(u32::from(serial % 4 == 3)));
            let mut alone = engine();
            alone.line_bytes(text.as_bytes());
            alone.flush();
            together.output().clear();
            together.line_bytes(text.as_bytes());
            together.flush();
            assert_eq!(
                String::from_utf8_lossy(together.output()),
                String::from_utf8_lossy(alone.output()),
                "{pids} {beside}"
            );
        }
    }
}
