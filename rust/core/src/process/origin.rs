//! How a process came to be on this host: the entry leader of Elastic's Session View
//! (ECS, `process.entry_leader`, `process.entry_leader.entry_meta`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::process::program::{Program, base};

/// By what door, as `entry_meta.type` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A log-in over ssh.
    Sshd,
    /// A log-in at a console.
    Console,
    /// A job of cron or at.
    Cron,
    /// A service, of the process that starts all others.
    Systemd,
    /// A container.
    Container,
    /// It leads a session, and what started it was not seen.
    Unknown,
}

impl Door {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Console => "console",
            Self::Cron => "cron",
            Self::Systemd => "systemd",
            Self::Container => "container",
            Self::Unknown => "unknown",
        }
    }
}

/// A process's entry leader.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The leader; `None` is the process itself.
    pub leader: Option<Arc<Program>>,
    /// How the leader came.
    pub door: Door,
    /// From where.
    pub source: Option<IpAddr>,
    /// The log-in that the leader belonged to when it came.
    pub login: Option<u32>,
    /// Somebody had the leader run in a container that ran already (docker exec and the like).
    pub joins: bool,
}

impl Origin {
    /// Of a process that came in itself, and belongs to `login`.
    #[must_use]
    pub fn own(door: Door, login: Option<u32>) -> Self {
        Self {
            leader: None,
            door,
            source: None,
            login,
            joins: false,
        }
    }
}

/// Programs whose children come in by a door. OpenSSH 9.8 parted sshd-session from sshd, 10.0 sshd-auth from that.
const DOORS: [(&[u8], Door); 10] = [
    (b"sshd", Door::Sshd),
    (b"sshd-session", Door::Sshd),
    (b"sshd-auth", Door::Sshd),
    (b"cron", Door::Cron),
    (b"crond", Door::Cron),
    (b"atd", Door::Cron),
    (b"anacron", Door::Cron),
    (b"login", Door::Console),
    (b"agetty", Door::Console),
    (b"getty", Door::Console),
];

/// Where programs are that no user but root has put there. Who runs his own under such a name passes through no door.
const DIRECTORIES: [&[u8]; 10] = [
    b"/usr/",
    b"/sbin/",
    b"/bin/",
    b"/lib/",
    b"/lib64/",
    b"/opt/",
    b"/nix/store/",
    b"/gnu/store/",
    b"/snap/",
    b"/var/lib/rancher/",
];

/// Whether a program is where root has put it.
#[must_use]
pub fn is_installed(executable: &[u8]) -> bool {
    DIRECTORIES
        .iter()
        .any(|start| executable.starts_with(start))
}

/// The door that a program keeps.
#[must_use]
pub fn kept_by(executable: &[u8]) -> Option<Door> {
    let name = base(executable);
    if !is_installed(executable) {
        return None;
    }
    DOORS
        .iter()
        .find(|(program, _)| *program == name)
        .map(|(_, door)| *door)
}

/// What a process's origin is told by.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    /// Its own pid and program.
    pub pid: u32,
    /// The file of its own program.
    pub executable: &'a [u8],
    /// Its parent's pid.
    pub parent: u32,
    /// The file of its parent's program; empty if that was not seen.
    pub parent_executable: &'a [u8],
    /// It leads its session, if that is known.
    pub leads: Option<bool>,
    /// It is in the session of the first process, or in none because that has made none.
    pub with_first: bool,
    /// Its container is not its parent's.
    pub enters_container: bool,
    /// It was started as the shell of a log-in: with a `-` before its name (login(1)).
    pub login_shell: bool,
    /// It belongs to a log-in.
    pub has_login: bool,
    /// That is the one by which its parent came.
    pub same_login: bool,
    /// Its terminal's major number.
    pub terminal: u32,
    /// By what door its parent came.
    pub parent_door: Option<Door>,
}

/// Major number of consoles and serial lines (Documentation/admin-guide/devices.txt).
const CONSOLE_MAJOR: u32 = 4;

/// The door by which a process came in itself; `None` when it came with its parent or its session.
#[must_use]
pub fn door(signs: &Signs<'_>) -> Option<Door> {
    if signs.enters_container {
        return Some(Door::Container);
    }
    if signs.pid == 1 {
        return Some(Door::Systemd);
    }
    let own = kept_by(signs.executable);
    // Whoever comes by one of these has a log-in of his own (pam_loginuid(8)), or there is none. In a mount namespace
    // of his own a user can call a program what he likes.
    let keeper = kept_by(signs.parent_executable).filter(|_| !signs.same_login);
    match keeper {
        // The children of cron are its jobs. What sshd and login start without a session are helpers of theirs.
        Some(Door::Cron) if own != Some(Door::Cron) => return Some(Door::Cron),
        Some(door) if own != Some(door) && signs.leads != Some(false) => return Some(door),
        // Debian's login leaves its session to the shell without making it another (shadow, login.c).
        Some(Door::Console) if signs.login_shell && signs.has_login => return Some(Door::Console),
        _ => {}
    }
    if signs.leads == Some(false) && !signs.with_first {
        return None;
    }
    // Who leads no session and has come by another door was left by its parent and taken up by the first process.
    let started = signs.leads == Some(true) || signs.parent_door.is_none();
    if signs.parent == 1 && !signs.has_login && started {
        return Some(Door::Systemd);
    }
    let at_console = signs.leads == Some(true) && signs.terminal == CONSOLE_MAJOR && own.is_none();
    (at_console && signs.parent_door != Some(Door::Console)).then_some(Door::Console)
}
