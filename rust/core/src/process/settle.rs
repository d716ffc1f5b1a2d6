//! Where a process belongs: its session, its container and its entry leader.

use std::sync::Arc;

use crate::container::{self, Container};
use crate::process::lineage::Lineage;
use crate::process::origin::{Door, Origin, Signs, door, kept_by};
use crate::process::slots::Key;
use crate::process::{Cage, Session, Table};
use crate::system::System;

impl Table {
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
        if entry.program.joins && node == 0 {
            let container = entry.program.launches.clone();
            self.joining.add(pid, entry.parent_pid, container, self.now);
        }
        let with_parent =
            leader.is_some_and(|leader| leader != pid && entry.session.number(pid) == Some(leader));
        // What enters a container leads a session of its own there (runc, crun, LXC, nspawn), but for lxc-attach: who is
        // in the session of a parent that is no runtime is where that is, and is not asked about.
        let runtime = entry
            .parent
            .as_deref()
            .is_some_and(|parent| parent.launches.is_some());
        let (mut session, mut above) = (None, Lineage::default());
        match leader {
            None => {}
            Some(_) if with_parent => {}
            Some(0) => session = Some(Session::None),
            Some(leader) if leader == pid => session = Some(Session::Own),
            Some(leader) => {
                let met = self.leader((node, leader), depth + 1, system);
                match met.and_then(|found| self.slots.get(found)) {
                    Some(found) => {
                        session = Some(Session::Of(Arc::clone(&found.program)));
                        above = Lineage::of(found);
                    }
                    None => session = Some(Session::Gone(leader)),
                }
            }
        }
        let found = if with_parent && !runtime {
            None
        } else {
            self.place(slot, leader.is_some(), above.container.clone(), system)
        };
        let entered = found
            .as_ref()
            .filter(|found| matches!(found, Some(found) if !found.claimed));
        let enters = entered.is_some_and(|found| {
            let from = self.slots.get(slot).map(|entry| &entry.container);
            *found != above.container && from != Some(found)
        });
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let joins = enters
            && (self
                .joining
                .take(entry.parent_pid, &found.clone().flatten(), self.now)
                || entry.parent.as_ref().is_some_and(|parent| parent.joins));
        if let Some(session) = session {
            entry.session = session;
        }
        if let Some(found) = found {
            entry.container = found;
        }
        entry.version = 0;
        self.arrive(slot, leader, (enters, joins), above.origin);
        self.learn_source(slot);
        self.keep_login(slot);
    }

    /// The leader of a session, if it is still there, or was seen when it led.
    fn leader(&mut self, key: Key, depth: usize, system: &mut dyn System) -> Option<usize> {
        let slot = self.meet(key, depth, system)?;
        let entry = self.slots.get(slot)?;
        if matches!(entry.session, Session::Own) {
            return Some(slot);
        }
        // It has made the session since it was looked at; or else this is who had its number before.
        let stat = system.stat(key.1)?;
        if entry.ticks == Some(stat.ticks) {
            self.settle(slot, Some(key.1), depth, system);
            return Some(slot);
        }
        self.slots.get_mut(slot)?.checked = 0; // long ago
        self.meet(key, depth, system)
    }

    /// The container that a process is in, or none; `None` where that is as it was, by its parent's. `lives`: it could be
    /// looked at just now. `of_leader`: the container of its session's leader.
    fn place(
        &mut self,
        slot: usize,
        lives: bool,
        of_leader: Cage,
        system: &mut dyn System,
    ) -> Option<Cage> {
        let entry = self.slots.get(slot)?;
        let (node, pid) = entry.key;
        if node != 0 || !system.sees_processes() {
            return None;
        }
        let within = entry.container.as_ref();
        let looked = if lives {
            look(pid, within.map(|within| within.id.as_str()), system)
        } else {
            Place::Unknown
        };
        match looked {
            Place::In(found) => Some(Some(self.containers.add(found))),
            Place::Outside => Some(None),
            Place::Unknown if within.is_some() => None,
            Place::Unknown => Some(self.launched(slot).or(of_leader)),
        }
    }

    /// Finds out by which door a process came. `enters`: it comes into a container, and that runs already.
    /// `of_leader`: what is known of its session's leader.
    fn arrive(
        &mut self,
        slot: usize,
        leader: Option<u32>,
        (enters, joins): (bool, bool),
        of_leader: Option<Origin>,
    ) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let (node, pid) = entry.key;
        let parent = entry.parent.as_deref();
        let own = matches!(&entry.origin, Some(origin) if origin.leader.is_none() && origin.door != Door::Unknown);
        // sshd and its like serve a log-in, and do not belong to it.
        let inside = kept_by(entry.program.executable()).is_none();
        let login = entry.login.filter(|_| inside);
        let signs = Signs {
            pid,
            executable: entry.program.executable(),
            parent: entry.parent_pid,
            parent_executable: parent.map(|parent| parent.executable()).unwrap_or_default(),
            leads: leader.map(|leader| leader == pid),
            with_first: leader.is_some_and(|leader| leader <= 1),
            enters_container: enters,
            login_shell: entry.program.login_shell,
            has_login: entry.login.is_some(),
            same_login: entry.login.is_some()
                && matches!(&entry.origin, Some(origin) if origin.login == entry.login),
            terminal: entry.terminal.map_or(0, |terminal| terminal.0),
            parent_door: (entry.origin.as_ref())
                .filter(|origin| origin.leader.is_some())
                .map(|origin| origin.door),
        };
        let own_door = if own && !enters { None } else { door(&signs) };
        if let Some(door) = own_door {
            entry.origin = Some(Origin {
                joins,
                ..Origin::own(door, login)
            });
        } else if !own {
            entry.origin = of_leader.or(entry.origin.take());
        }
        if entry.origin.is_none() {
            let known = login.and_then(|login| self.logins.get((node, login)));
            // Kernel threads, and those who start programs among them, lead nobody.
            let leads = leader.is_some() && pid > 2 && entry.parent_pid != 2;
            entry.origin = known
                .and_then(|known| known.origin.clone())
                .or(leads.then(|| Origin::own(Door::Unknown, login)));
        }
    }

    /// The container of a process that has ended already, if its parent is a program that starts that container's. Only
    /// root's runtimes are believed.
    fn launched(&self, slot: usize) -> Cage {
        let entry = self.slots.get(slot)?;
        let launches = entry.parent.as_deref()?.launches.as_ref()?;
        if container::is_runtime(entry.program.executable()) {
            return None;
        }
        let parent = self.slots.find((entry.key.0, entry.parent_pid));
        let credentials = parent.and_then(|slot| self.slots.get(slot)?.credentials);
        let known = self.containers.same(launches);
        Some(match credentials {
            Some([uid, ..]) if uid != 0 => Arc::new(Container {
                claimed: true,
                ..Container::clone(&known)
            }),
            _ => known,
        })
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
        // A container that was started from a log-in is not where the rest of it is.
        if let (Some(origin), Some(login)) = (&entry.origin, entry.login)
            && origin.leader.is_none()
            && origin.door != Door::Container
        {
            let origin = Origin {
                leader: Some(Arc::clone(&entry.program)),
                ..origin.clone()
            };
            self.logins.entry((entry.key.0, login)).origin = Some(origin);
        }
    }
}

/// Where a process is by its control groups.
enum Place {
    /// On the host.
    Outside,
    In(Container),
    /// It has ended, or they do not tell.
    Unknown,
}

/// Looks at the control groups of a process. `within`: the container that it is in by its parent's.
fn look(pid: u32, within: Option<&str>, system: &mut dyn System) -> Place {
    let Some(text) = system.cgroup(pid) else {
        return Place::Unknown;
    };
    if container::is_nowhere(text) {
        return Place::Unknown;
    }
    if let Some(found) = container::of_cgroup(text) {
        return Place::In(found);
    }
    // Groups below that of a container which no form is known for are its own.
    if container::is_payload(text) || within.is_some_and(|id| container::has_part(text, id)) {
        return Place::Unknown;
    }
    let name = container::possible_name(text).map(str::to_owned);
    let named = name.and_then(|name| {
        let runtime = system.runtime_of(&name)?;
        Some(Container::named(name, runtime))
    });
    named.map_or(Place::Outside, Place::In)
}
