//! What no record says and only the system can: asked of whoever can know, and never waited for.

use std::net::SocketAddr;

use crate::container::Container;
use crate::ecs::container::Rendered;

/// What /proc/PID/stat says of a process (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// When it started, in clock ticks since the system started: with the pid, what tells it from every other.
    pub ticks: u64,
    /// The same in milliseconds since the epoch.
    pub start: u64,
    /// The pid of its parent.
    pub parent: u32,
    /// The pid of its session's leader.
    pub session: u32,
    /// Its terminal: major and minor number of the device; 0, 0 is none.
    pub terminal: (u32, u32),
}

/// What /proc says of the program that a process runs and of its log-in. What cannot be read is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The file.
    pub executable: Vec<u8>,
    /// The name of the task.
    pub name: Vec<u8>,
    /// The working directory.
    pub directory: Vec<u8>,
    /// The audit session (a log-in), if it is in one.
    pub login: Option<u32>,
}

/// What is asked of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Both ends of a connection that is there.
    Connection,
    /// Both ends, also of one that is not there yet.
    Attempt,
    /// The address of a socket that listens.
    Listener,
    /// The near end, and the far end if there is one.
    Any,
}

/// What the kernel says of a process's internet socket. Addresses are never mapped ones (`::ffff:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its own address; of a socket that is not bound the port is 0.
    pub local: SocketAddr,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// IPPROTO_TCP, IPPROTO_UDP ...
    pub protocol: u8,
    /// Tells it from every other socket of this boot (SO_COOKIE).
    pub cookie: u64,
}

/// The machine that the events come from. What is not known at once is `None`.
pub trait System {
    /// The name of a user id.
    fn user(&mut self, id: u32) -> Option<&str>;
    /// The name of a group id.
    fn group(&mut self, id: u32) -> Option<&str>;
    /// The event that is asked about from now on happened at `time`, in milliseconds since the epoch: names are those
    /// of that moment, as far as they are known.
    fn at(&mut self, _time: u64) {}
    /// A record told of work on accounts: names may be others from now on.
    fn accounts_changed(&mut self) {}
    /// Changes whenever an answer given before may have changed; stays the same from one call of [`System::at`] to
    /// the next.
    fn generation(&self) -> u64 {
        0
    }
    /// Whether the processes that the events tell of can be looked at while they live.
    fn sees_processes(&self) -> bool {
        false
    }
    /// The pids of all processes.
    fn processes(&mut self) -> Vec<u32> {
        Vec::new()
    }
    /// A process as it is now; `None` when it is gone.
    fn stat(&mut self, _pid: u32) -> Option<Stat> {
        None
    }
    /// The program that a process runs now.
    fn image(&mut self, _pid: u32) -> Option<Image> {
        None
    }
    /// A process's arguments as they are now, a NUL behind each.
    fn arguments(&mut self, _pid: u32) -> Option<&[u8]> {
        None
    }
    /// The runtime that was started by hand, with a container of this name.
    fn runtime_of(&mut self, _name: &str) -> Option<&'static str> {
        None
    }
    /// What is known of a container beside its control group, as it is written.
    fn container(&mut self, _container: &Container) -> Option<&Rendered> {
        None
    }
    /// The text of /proc/PID/cgroup.
    fn cgroup(&mut self, _pid: u32) -> Option<&[u8]> {
        None
    }
    /// Whether the sockets that the events tell of can be looked at.
    fn sees_sockets(&self) -> bool {
        false
    }
    /// The internet socket that a process has behind a descriptor now; `None` when there is none, or not as asked.
    fn socket(&mut self, _pid: u32, _fd: u32, _ask: Ask) -> Option<Socket> {
        None
    }
    /// How many records the kernel had lost when it was last asked, and the time of that, which must be after a moment
    /// to tell of it. Asks again at `now`, and waits for the answer only if told to.
    fn losses(&mut self, _now: u64, _waits: bool) -> Option<(u64, u64)> {
        None
    }
    /// Milliseconds since the epoch, by the clock that stamps the records (CLOCK_REALTIME_COARSE).
    fn time(&mut self) -> u64 {
        0
    }
}

/// Knows nothing: what a foreign log's ids mean only that log can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl System for Nobody {
    fn user(&mut self, _: u32) -> Option<&str> {
        None
    }

    fn group(&mut self, _: u32) -> Option<&str> {
        None
    }
}
