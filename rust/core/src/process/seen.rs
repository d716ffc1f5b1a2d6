//! What one event shows of the process that acted.

use std::net::IpAddr;

use crate::decode::argv::Arguments;
use crate::event::{View, hex_number, is_unset, text};
use crate::fields::name;
use crate::record::{decimal, kind};
use crate::tables::{Arch, SyscallId};

/// The ids that a process acts with: user, effective, saved, filesystem, and the same of its group.
pub type Credentials = [u32; 8];

/// What an event changes about processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Nothing,
    /// The process runs another program from now on.
    Exec,
    /// It has a child with this pid, in the numbers of its own pid namespace.
    Fork(u32),
    /// It leads a session of its own from now on.
    Session,
    /// All its threads end.
    Exit,
}

/// `CLONE_THREAD` of linux/sched.h.
const CLONE_THREAD: u64 = 0x1_0000;

impl Turn {
    /// What the event is about, if it went well.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        let (arch, Some(call)) = view.call() else {
            return Self::Nothing;
        };
        let Some(turn) = Self::of_call(call) else {
            return Self::Nothing;
        };
        if turn == Self::Exit {
            return turn; // it does not return, and has no result
        }
        if view.of_actor(name::SUCCESS) != b"yes" {
            return Self::Nothing;
        }
        if let Self::Fork(_) = turn {
            return Self::child(view, arch, call).map_or(Self::Nothing, Self::Fork);
        }
        turn
    }

    fn of_call(call: SyscallId) -> Option<Self> {
        match call.name() {
            "execve" | "execveat" => Some(Self::Exec),
            "fork" | "vfork" | "clone" | "clone3" => Some(Self::Fork(0)),
            "setsid" => Some(Self::Session),
            "exit_group" => Some(Self::Exit),
            _ => None,
        }
    }

    /// The child, unless it is a thread. clone3's flags are in memory; a thread's number meets no process later.
    fn child(view: &View<'_>, arch: Option<Arch>, call: SyscallId) -> Option<u32> {
        if call.name() == "clone" {
            // arch/Kconfig, CLONE_BACKWARDS2: the stack comes first.
            let place = if arch.is_some_and(|arch| arch.name().starts_with("s390")) {
                name::A1
            } else {
                name::A0
            };
            if hex_number(view.of_actor(place)).is_none_or(|flags| flags & CLONE_THREAD != 0) {
                return None;
            }
        }
        let pid = decimal(view.of_actor(name::EXIT))?;
        u32::try_from(pid).ok().filter(|pid| *pid > 0)
    }
}

/// What one event shows of the process that acted.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The host's name and its number; 0 for the host that gives none.
    pub node: (&'a [u8], u64),
    /// The event's time in milliseconds since the epoch, and its serial.
    pub when: (u64, u64),
    /// Who acted.
    pub pid: u32,
    /// Its parent, where the record says.
    pub parent: Option<u32>,
    /// Its log-in (`ses`), if it has one.
    pub login: Option<u32>,
    /// Its program and the name of its task, decoded.
    pub executable: &'a [u8],
    /// The name of its task, decoded.
    pub name: &'a [u8],
    /// Its terminal: major and minor number of the device.
    pub terminal: Option<(u32, u32)>,
    /// The ids it acts with, where the record has them all.
    pub credentials: Option<Credentials>,
    /// The kernel wrote it: what it says of the program is so.
    pub by_kernel: bool,
    /// What it changes.
    pub turn: Turn,
    /// The working directory, for [`Turn::Exec`].
    pub directory: &'a [u8],
    /// The arguments, for [`Turn::Exec`].
    pub arguments: Option<&'a Arguments>,
    /// The peer of a log-in over ssh.
    pub peer: Option<IpAddr>,
}

impl<'a> Seen<'a> {
    /// Looks at the record that tells who acted; `None` when it does not.
    #[must_use]
    pub fn of(
        view: &View<'a>,
        arguments: &'a Arguments,
        turn: Turn,
        scratch: &'a mut [Vec<u8>; 3],
    ) -> Option<Self> {
        let number = |number: u8| {
            let value = view.of_actor(number);
            decimal(value).and_then(|value| u32::try_from(value).ok())
        };
        let pid = number(name::PID)?;
        let kind = view.part(view.actor()).kind;
        let by_kernel = !is_from_program(kind);
        let [first, second, third] = scratch;
        let decoded = |number: u8, scratch: &'a mut Vec<u8>| {
            let field = view.field(view.actor(), number);
            field.map_or(&b""[..], |field| {
                match text(view.value(field), field.quoted, scratch) {
                    b"?" | b"(null)" if !field.quoted => b"",
                    decoded => decoded,
                }
            })
        };
        let executable = decoded(name::EXE, first);
        let directory = view
            .first(kind::CWD)
            .filter(|_| turn == Turn::Exec)
            .and_then(|part| view.field(part, name::CWD));
        let ids = [
            name::UID,
            name::EUID,
            name::SUID,
            name::FSUID,
            name::GID,
            name::EGID,
            name::SGID,
            name::FSGID,
        ]
        .map(number);
        Some(Self {
            node: (view.event.at(view.event.node), view.event.key.node),
            when: (view.event.stamp.time(), view.event.stamp.serial),
            pid,
            parent: number(name::PPID),
            login: number(name::SES).filter(|ses| *ses != u32::MAX),
            executable,
            name: decoded(name::COMM, second),
            terminal: terminal(view.of_actor(name::TTY)),
            credentials: ids
                .iter()
                .all(Option::is_some)
                .then(|| ids.map(Option::unwrap_or_default)),
            by_kernel,
            turn,
            directory: directory.map_or(b"", |field| text(view.value(field), field.quoted, third)),
            arguments: (turn == Turn::Exec && !arguments.is_empty()).then_some(arguments),
            peer: (!by_kernel).then(|| peer(view, executable)).flatten(),
        })
    }
}

/// Records that programs write (include/uapi/linux/audit.h): their text says what the program wants it to.
fn is_from_program(kind: u16) -> bool {
    matches!(kind, kind::USER | 1100..=1299 | 2100..=2999)
}

/// The address that sshd gives of whoever logs in.
fn peer(view: &View<'_>, executable: &[u8]) -> Option<IpAddr> {
    use crate::process::origin::{Door, kept_by};
    let value = view.of_actor(name::ADDR);
    if is_unset(value) || kept_by(executable) != Some(Door::Sshd) {
        return None;
    }
    let address: IpAddr = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// The device of a terminal by the name that the kernel gives it (`tty_name`, drivers/tty/tty_io.c).
#[must_use]
pub fn terminal(tty: &[u8]) -> Option<(u32, u32)> {
    // Documentation/admin-guide/devices.txt
    const NAMES: [(&[u8], u32, u32); 4] = [
        (b"pts", 136, 0),
        (b"ttyS", 4, 64),
        (b"tty", 4, 0),
        (b"hvc", 229, 0),
    ];
    let (digits, major, first) = NAMES.iter().find_map(|(prefix, major, first)| {
        let digits = tty.strip_prefix(*prefix)?;
        Some((digits, *major, *first))
    })?;
    let number = u32::try_from(decimal(digits)?).ok()?;
    Some((major, number.checked_add(first)?))
}
