//! How the table takes in a process: one that an event shows for the first time, or one that is only heard of.

use std::iter::Empty;
use std::sync::Arc;

use crate::container::{self, Container};
use crate::process::lineage::Lineage;
use crate::process::origin::{Door, Origin, Signs, door, kept_by};
use crate::process::program::{Facts, Program, Since};
use crate::process::seen::{Seen, Turn};
use crate::process::slots::Key;
use crate::process::{Cage, Entry, LOOK_AGAIN, MOST_ANCESTORS, Session, Table};
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
        let slot = self.slots.put(Entry {
            parent_pid: parent.unwrap_or_default(),
            login: seen.login,
            terminal: seen.terminal,
            ..Entry::new(key, Arc::new(program), lineage, stat, self.now)
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
                && *before.executable == *facts.executable
                && *before.name == *facts.name
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
        let (checked, ticks) = entry.map_or((0, None), |entry| (entry.checked, entry.ticks));
        let can_look = key.0 == 0 && key.1 != 0 && system.sees_processes();
        if !can_look
            || depth > MOST_ANCESTORS
            || known.is_some() && self.now <= checked + LOOK_AGAIN
        {
            return known;
        }
        let Some(stat) = system.stat(key.1) else {
            return known;
        };
        if let Some(entry) = known.and_then(|slot| self.slots.get_mut(slot))
            && ticks == Some(stat.ticks)
        {
            entry.checked = self.now;
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
            ..Entry::new(key, Arc::new(program), lineage, Some(stat), self.now)
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

    /// Finds a process's session, container and entry leader. `leader`: its session's, if that is known.
    pub(super) fn settle(
        &mut self,
        slot: usize,
        leader: Option<u32>,
        depth: usize,
        system: &mut dyn System,
    ) {
        let Some(entry) = self.slots.get(slot) else {
            return;
        };
        let (node, pid) = entry.key;
        let leads = leader.map(|leader| leader == pid);
        let with_parent = matches!(&entry.session, Session::Of(own) if Some(own.pid) == leader);
        let mut session = match leader {
            Some(leader) if leader == pid => Some(Session::Own),
            _ => None,
        };
        let mut origin = None;
        if let Some(leader) = leader.filter(|leader| *leader > 2 && *leader != pid && !with_parent)
            && let Some(found) = self.meet((node, leader), depth + 1, system)
            && let Some(found) = self.slots.get(found)
        {
            session = Some(Session::Of(Arc::clone(&found.program)));
            origin = Lineage::of(found).origin;
        }
        // What enters a container leads a session of its own there (runc, crun, LXC, nspawn); who is in its parent's
        // session is where its parent is.
        let looks = node == 0 && leader.is_some() && !with_parent && system.sees_processes();
        let caged = self
            .slots
            .get(slot)
            .is_some_and(|entry| entry.container.is_some());
        let found = if caged || node != 0 || !system.sees_processes() {
            None
        } else {
            let looked = looks.then(|| look(pid, system)).flatten();
            match looked {
                Some(found) => found.map(|found| self.containers.add(found)),
                None if looks || leader.is_none() => self.launched(slot),
                None => None,
            }
        };
        let enters = found.as_ref().is_some_and(|found| !found.claimed);
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        if let Some(session) = session {
            entry.session = session;
        }
        entry.container = found.or(entry.container.take());
        entry.version = 0;
        let parent = entry.parent.as_deref();
        let own = matches!(&entry.origin, Some(origin) if origin.leader.is_none());
        // sshd and its like serve a log-in, and do not belong to it.
        let inside = kept_by(&entry.program.executable).is_none();
        let login = entry.login.filter(|_| inside);
        let signs = Signs {
            pid,
            executable: &entry.program.executable,
            parent: entry.parent_pid,
            parent_executable: parent.map(|parent| &*parent.executable).unwrap_or_default(),
            leads,
            enters_container: enters,
            has_login: entry.login.is_some(),
            same_login: entry.login.is_some()
                && matches!(&entry.origin, Some(origin) if origin.login == entry.login),
            terminal: entry.terminal.map_or(0, |terminal| terminal.0),
            parent_door: entry.origin.as_ref().map(|origin| origin.door),
        };
        let own_door = if own && !enters { None } else { door(&signs) };
        if let Some(door) = own_door {
            entry.origin = Some(Origin::own(door, login));
        } else if !own {
            entry.origin = origin.or(entry.origin.take());
        }
        if entry.origin.is_none() {
            let known = login.and_then(|login| self.logins.get((node, login)));
            entry.origin = known
                .and_then(|known| known.origin.clone())
                .or((leads == Some(true)).then(|| Origin::own(Door::Unknown, login)));
        }
        self.learn_source(slot);
        self.keep_login(slot);
    }

    /// The container of a process that has ended already, if its parent is a program that starts that container's.
    fn launched(&self, slot: usize) -> Cage {
        let entry = self.slots.get(slot)?;
        let parent = entry.parent.as_deref()?;
        let launches = parent.launches.as_ref()?;
        let inside = !container::is_runtime(&entry.program.executable);
        inside.then(|| self.containers.same(launches))
    }

    /// Learns where an entry over ssh came from, which sshd may tell after the fact.
    pub(super) fn learn_source(&mut self, slot: usize) {
        let Some(entry) = self.slots.get(slot) else {
            return;
        };
        if !matches!(&entry.origin, Some(origin) if origin.door == Door::Sshd && origin.source.is_none())
        {
            return;
        }
        let login = entry
            .login
            .and_then(|login| self.logins.get((entry.key.0, login)));
        let mut source = login.and_then(|login| login.source).or(entry.peer);
        let mut parent = (entry.key.0, entry.parent_pid);
        // One sshd for the connection, one for its user.
        for _ in 0..2 {
            let up = self
                .slots
                .find(parent)
                .and_then(|slot| self.slots.get(slot));
            let Some(up) = up.filter(|_| source.is_none()) else {
                break;
            };
            source = up.peer;
            parent.1 = up.parent_pid;
        }
        if let Some(entry) = self.slots.get_mut(slot)
            && let (Some(origin), Some(source)) = (&mut entry.origin, source)
        {
            origin.source = Some(source);
            entry.version = 0;
        }
    }

    /// Keeps an entry leader for those of its log-in whose line of parents is broken.
    fn keep_login(&mut self, slot: usize) {
        let Some(entry) = self.slots.get(slot) else {
            return;
        };
        if let (Some(origin), Some(login)) = (&entry.origin, entry.login)
            && origin.leader.is_none()
        {
            let origin = Origin {
                leader: Some(Arc::clone(&entry.program)),
                ..origin.clone()
            };
            self.logins.entry((entry.key.0, login)).origin = Some(origin);
        }
    }
}

/// The container that a process's control groups tell of; `None` when the process has ended.
fn look(pid: u32, system: &mut dyn System) -> Option<Option<Container>> {
    let text = system.cgroup(pid)?;
    if container::is_nowhere(text) {
        return None;
    }
    let found = container::of_cgroup(text);
    if found.is_some() {
        return Some(found);
    }
    let name = container::possible_name(text).map(str::to_owned);
    let named = name.and_then(|name| {
        let runtime = system.runtime_of(&name)?;
        Some(Container::named(name, runtime))
    });
    Some(named)
}
