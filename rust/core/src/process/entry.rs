//! What is known of one process.

use std::net::IpAddr;
use std::sync::Arc;

use crate::container::Container;
use crate::process::lineage::Lineage;
use crate::process::origin::Origin;
use crate::process::program::Program;
use crate::process::seen::Credentials;
use crate::process::slots::Key;
use crate::system::Stat;

/// A container, or none.
pub type Cage = Option<Arc<Container>>;

/// The leader of a process's session.
#[derive(Debug, Clone, Default)]
pub enum Session {
    /// It was not seen.
    #[default]
    Unknown,
    /// There is none: the first process made no session (setsid(2)), and neither did those that led here.
    None,
    /// The process itself.
    Own,
    /// Another one.
    Of(Arc<Program>),
    /// One that ended before it was seen. The session keeps its number from being given to another.
    Gone(u32),
}

impl Session {
    /// The number of the session of the process `own`, as /proc has it; `None` where it is not known.
    pub(super) fn number(&self, own: u32) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::None => Some(0),
            Self::Own => Some(own),
            Self::Of(leader) => Some(leader.pid),
            Self::Gone(leader) => Some(*leader),
        }
    }
}

/// A process.
#[derive(Debug)]
pub struct Entry {
    pub(super) key: Key,
    /// Which state of which process this is: no two have the same number.
    pub version: u64,
    /// What it runs, and its name for good.
    pub program: Arc<Program>,
    pub(super) ticks: Option<u64>,
    pub(super) parent_pid: u32,
    /// What its parent ran when it started this process, or when that was first seen.
    pub parent: Option<Arc<Program>>,
    /// Its session.
    pub session: Session,
    /// How it came to be here.
    pub origin: Option<Origin>,
    /// Its container.
    pub container: Cage,
    /// Its terminal: major and minor number.
    pub terminal: Option<(u32, u32)>,
    /// Its log-in.
    pub login: Option<u32>,
    /// The ids that it acted with last.
    pub credentials: Option<Credentials>,
    pub(super) peer: Option<IpAddr>,
    /// When it ended, in milliseconds since the epoch.
    pub(super) ended: Option<u64>,
    /// When it was last looked at, in seconds since the epoch.
    pub(super) checked: u64,
    /// And how far numbers had been given then.
    pub(super) place: u64,
    pub(super) used: bool,
}

impl Entry {
    /// A process with what it has from its parent; the rest follows.
    pub(super) fn new(
        key: Key,
        program: Arc<Program>,
        lineage: Lineage,
        stat: Option<Stat>,
        (now, place): (u64, u64),
    ) -> Self {
        Self {
            key,
            version: 0,
            program,
            ticks: stat.map(|stat| stat.ticks),
            parent_pid: 0,
            parent: lineage.parent,
            session: lineage.session,
            origin: lineage.origin,
            container: lineage.container,
            terminal: stat
                .map(|stat| stat.terminal)
                .filter(|terminal| *terminal != (0, 0)),
            login: None,
            credentials: lineage.credentials,
            peer: lineage.peer,
            ended: None,
            checked: now,
            place,
            used: true,
        }
    }
}

impl Entry {
    /// The name for good of the process that was put into a running container, if that is how this one came.
    #[must_use]
    pub fn joined(&self) -> Option<&[u8]> {
        let origin = self.origin.as_ref().filter(|origin| origin.joins)?;
        Some(&origin.leader.as_ref().unwrap_or(&self.program).entity)
    }
}
