//! How the table takes in a process: one that an event shows for the first time, or one that is only heard of.

use std::iter::Empty;
use std::sync::Arc;

use crate::process::entity::Since;
use crate::process::lineage::Lineage;
use crate::process::program::{Facts, Program};
use crate::process::seen::{Seen, Turn};
use crate::process::slots::Key;
use crate::process::{Entry, MOST_ANCESTORS, Table};
use crate::system::{Stat, System};

impl Table {
    /// Takes in a process that acts and is not known, or whose number another had before.
    pub(super) fn first(
        &mut self,
        key: Key,
        seen: &Seen<'_>,
        stat: Option<Stat>,
        system: &mut dyn System,
    ) -> usize {
        let parent = seen.parent.or(stat.map(|stat| stat.parent));
        let born = self.births.take(key, seen.parent);
        let birth = born.as_ref().and_then(|lineage| lineage.time);
        let bearer = born.as_ref().and_then(|lineage| lineage.parent.clone());
        let lineage = match born {
            Some(mut lineage) => {
                // Whoever took it up is its parent now.
                if lineage.parent.as_ref().map(|parent| parent.pid) != parent {
                    lineage.parent = self.lineage(key.0, parent, 0, system).parent;
                }
                lineage
            }
            None => self.lineage(key.0, parent, 0, system),
        };
        let since = match stat {
            Some(stat) => Since::Ticks(stat.ticks),
            None => Since::Event(seen.when.0, seen.when.1),
        };
        // Records that programs write say what these want them to.
        let looked = (!seen.by_kernel && key.0 == 0 && system.sees_processes())
            .then(|| stat.and_then(|_| system.image(key.1)).unwrap_or_default());
        let (executable, name) = match &looked {
            Some(image) => (&*image.executable, &*image.name),
            None => (seen.executable, seen.name),
        };
        let facts = Facts {
            pid: key.1,
            start: stat.map(|stat| stat.start).or(birth),
            entity: self.entities.name(seen.node.0, key.1, since),
            executable,
            name,
            directory: seen.directory,
        };
        let before = bearer.or_else(|| lineage.parent.clone());
        let program = self.program(
            facts,
            seen,
            stat,
            (before.as_deref(), birth.is_some()),
            system,
        );
        let seen_at = (self.now, self.numbers.place());
        let slot = self.slots.put(Entry {
            parent_pid: parent.unwrap_or_default(),
            login: seen.login,
            terminal: seen.terminal,
            ..Entry::new(key, Arc::new(program), lineage, stat, seen_at)
        });
        let leader = match seen.turn {
            Turn::Session => Some(seen.pid),
            _ => stat.map(|stat| stat.session),
        };
        self.settle(slot, leader, 0, system);
        slot
    }

    /// The program that an event shows. `before`: what the one ran that started it, and whether that was seen.
    fn program(
        &mut self,
        facts: Facts<'_>,
        seen: &Seen<'_>,
        stat: Option<Stat>,
        (before, born): (Option<&Program>, bool),
        system: &mut dyn System,
    ) -> Program {
        if let Some(arguments) = seen.arguments {
            let count = arguments.count.unwrap_or(arguments.len() as u64);
            return Program::new(
                facts,
                Some((count, arguments.iter())),
                &mut self.clock,
                &self.held,
            );
        }
        // A child runs what its parent does until it is seen to run something else.
        let same = before.filter(|before| {
            self.sees_programs
                && seen.turn != Turn::Exec
                && before.executable() == facts.executable
                && before.name() == facts.name
        });
        // What /proc tells of it may be what it runs since.
        if let Some(before) = same.filter(|_| born) {
            return Program::like(facts, before, &mut self.clock, &self.held);
        }
        let asked = stat.and_then(|_| system.arguments(facts.pid));
        if let Some(text) = asked.filter(|text| !text.is_empty()) {
            return Program::of_line(facts, text, &mut self.clock, &self.held);
        }
        match same {
            Some(before) => Program::like(facts, before, &mut self.clock, &self.held),
            None => {
                let unknown = None::<(u64, Empty<&[u8]>)>;
                Program::new(facts, unknown, &mut self.clock, &self.held)
            }
        }
    }

    /// The process runs another program.
    pub(super) fn change_program(
        &mut self,
        slot: usize,
        seen: &Seen<'_>,
        stat: Option<Stat>,
        system: &mut dyn System,
    ) {
        let Some(entry) = self.slots.get(slot) else {
            return;
        };
        let before = Arc::clone(&entry.program);
        let facts = Facts {
            pid: before.pid,
            start: before.start,
            entity: before.entity,
            executable: seen.executable,
            name: seen.name,
            directory: seen.directory,
        };
        let program = Arc::new(self.program(facts, seen, stat, (None, false), system));
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.program = program;
            entry.version = 0;
        }
    }

    /// Finds a process that is heard of, as a parent or the leader of a session, or takes it in as it is now.
    pub(super) fn meet(
        &mut self,
        key: Key,
        depth: usize,
        system: &mut dyn System,
    ) -> Option<usize> {
        let known = self.slots.find(key);
        let entry = known.and_then(|slot| self.slots.get(slot));
        let ticks = entry.and_then(|entry| entry.ticks);
        let is_fresh = entry.is_some_and(|entry| !self.is_old(entry, self.now));
        let can_look = key.0 == 0 && key.1 != 0 && system.sees_processes();
        if !can_look || depth > MOST_ANCESTORS || is_fresh {
            return known;
        }
        let Some(stat) = system.stat(key.1) else {
            return known;
        };
        let seen_at = (self.now, self.numbers.place());
        if let Some(entry) = known.and_then(|slot| self.slots.get_mut(slot))
            && ticks == Some(stat.ticks)
        {
            (entry.checked, entry.place) = seen_at;
            return known;
        }
        let image = system.image(key.1).unwrap_or_default();
        let facts = Facts {
            pid: key.1,
            start: Some(stat.start),
            entity: self.entities.name(b"", key.1, Since::Ticks(stat.ticks)),
            executable: &image.executable,
            name: &image.name,
            directory: &image.directory,
        };
        let line = system.arguments(key.1).unwrap_or_default();
        let program = Program::of_line(facts, line, &mut self.clock, &self.held);
        let lineage = self.lineage(key.0, Some(stat.parent), depth + 1, system);
        let slot = self.slots.put(Entry {
            parent_pid: stat.parent,
            login: image.login,
            ..Entry::new(key, Arc::new(program), lineage, Some(stat), seen_at)
        });
        self.settle(slot, Some(stat.session), depth, system);
        Some(slot)
    }

    fn lineage(
        &mut self,
        node: u64,
        parent: Option<u32>,
        depth: usize,
        system: &mut dyn System,
    ) -> Lineage {
        parent
            .and_then(|parent| self.meet((node, parent), depth, system))
            .and_then(|slot| self.slots.get(slot))
            .map(Lineage::of)
            .unwrap_or_default()
    }
}
