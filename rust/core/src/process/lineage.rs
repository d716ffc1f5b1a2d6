//! What a process has from its parent, and what is remembered for those not seen yet.

use std::net::IpAddr;
use std::sync::Arc;

use crate::mix::Table;
use crate::process::origin::Origin;
use crate::process::program::Program;
use crate::process::seen::Credentials;
use crate::process::slots::Key;
use crate::process::{Cage, Entry, Session};

/// What a child has from its parent at its birth.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// When it was born, in milliseconds since the epoch, if that was seen.
    pub time: Option<u64>,
    /// The parent's program.
    pub parent: Option<Arc<Program>>,
    /// The session; never [`Session::Own`].
    pub session: Session,
    /// The entry leader.
    pub origin: Option<Origin>,
    /// The container.
    pub container: Cage,
    /// The other end of the connection that an sshd up the line serves.
    pub peer: Option<IpAddr>,
    /// The ids that the parent acted with last: a child has its parent's (`copy_creds`, kernel/cred.c).
    pub credentials: Option<Credentials>,
}

impl Lineage {
    /// What a child of `parent` would have. The first process and the kernel's (pids 1 and 2) lead nobody but
    /// themselves.
    #[must_use]
    pub fn of(parent: &Entry) -> Self {
        let program = || Some(Arc::clone(&parent.program));
        let mut lineage = Self {
            parent: program(),
            container: parent.container.clone(),
            credentials: parent.credentials,
            ..Self::default()
        };
        if parent.key.1 > 2 {
            lineage.session = match &parent.session {
                Session::Own => Session::Of(Arc::clone(&parent.program)),
                other => other.clone(),
            };
            lineage.origin = parent.origin.clone().map(|origin| Origin {
                leader: origin.leader.or_else(program),
                ..origin
            });
            lineage.peer = parent.peer;
        }
        lineage
    }
}

/// Children that were born and not seen yet: their numbers are few and go round, so each has one place.
#[derive(Debug, Default)]
pub struct Births(Table<usize, (Key, Lineage)>);

/// Births remembered.
const MOST_BIRTHS: usize = 4_096;

impl Births {
    fn place(key: Key) -> usize {
        key.1 as usize % MOST_BIRTHS
    }

    /// Remembers a child.
    pub fn add(&mut self, key: Key, lineage: Lineage) {
        self.0.insert(Self::place(key), (key, lineage));
    }

    /// When a child of this number that was not seen was born, in milliseconds since the epoch. `parent`: its parent now,
    /// which is the one that bore it, or has taken it up since.
    #[must_use]
    pub fn when(&self, key: Key, parent: Option<u32>) -> Option<u64> {
        let (born, lineage) = self.0.get(&Self::place(key))?;
        let bearer = lineage.parent.as_ref().map(|parent| parent.pid);
        let is_its = parent.is_none_or(|parent| parent == 1) || bearer == parent;
        lineage.time.filter(|_| *born == key && is_its)
    }

    /// Takes a child's lineage, as [`Births::when`] finds it.
    pub fn take(&mut self, key: Key, parent: Option<u32>) -> Option<Lineage> {
        self.when(key, parent)?;
        self.0.remove(&Self::place(key)).map(|(_, lineage)| lineage)
    }
}

/// What is known of one log-in.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// From where.
    pub source: Option<IpAddr>,
    /// The entry leader that it began with, given whole.
    pub origin: Option<Origin>,
}

/// The log-ins, by host and session number.
#[derive(Debug, Default)]
pub struct Logins(Table<Key, Login>);

/// Log-ins remembered; when there are more, all are forgotten and learnt anew.
const MOST_LOGINS: usize = 4_096;

impl Logins {
    /// What is known of a log-in.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Login> {
        self.0.get(&key)
    }

    /// A log-in to be written to.
    pub fn entry(&mut self, key: Key) -> &mut Login {
        if self.0.len() >= MOST_LOGINS && !self.0.contains_key(&key) {
            self.0.clear();
        }
        self.0.entry(key).or_default()
    }
}
