//! The kernel's broadcast of destroyed sockets (NETLINK_SOCK_DIAG, SKNLGRP_*_DESTROY; net/core/sock_diag.c).
//!
//! Whoever joins costs the kernel a message for each socket that closes, so the groups are joined when the first event
//! wants it, and left after a while without one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use crate::arena::Arena;
use crate::system::check;

/// SKNLGRP_INET_TCP_DESTROY, INET_UDP, INET6_TCP, INET6_UDP (linux/sock_diag.h).
const GROUPS: [libc::c_int; 4] = [1, 2, 3, 4];
/// Datagrams for one system call, and the kernel's buffer for them, in bytes.
const SLOTS: usize = 64;
const BUFFER: libc::c_int = 4 << 20;
/// The groups are left after so many milliseconds without need.
const IDLE_MS: u64 = 10_000;

/// The groups, joined or not.
pub struct Broadcast {
    socket: Option<OwnedFd>,
    arena: Arena,
    kauditd: Option<Kauditd>,
    wanted_ms: u64,
    refused: bool,
}

impl Broadcast {
    /// Nothing joined.
    pub fn new() -> Self {
        Self {
            socket: None,
            arena: Arena::new(SLOTS, true),
            kauditd: Kauditd::find(),
            wanted_ms: 0,
            refused: false,
        }
    }

    /// An event wants to know, at `now`: joins the groups. Without a view of kauditd nothing could be told for certain.
    pub fn want(&mut self, now: u64) {
        self.wanted_ms = now;
        if self.socket.is_none() && !self.refused && self.kauditd.is_some() {
            self.socket = join().ok();
            self.refused = self.socket.is_none();
        }
    }

    /// The socket, if joined.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(OwnedFd::as_fd)
    }

    /// Gives every datagram that is there to `take`. Returns false when some were lost.
    pub fn drain(&mut self, now: u64, mut take: impl FnMut(&[u8])) -> bool {
        let Some(socket) = &self.socket else {
            return true;
        };
        let mut whole = true;
        loop {
            match self.arena.receive(socket.as_fd()) {
                Ok(count) => {
                    for packet in self.arena.packets() {
                        if packet.sender == 0 {
                            take(packet.bytes);
                        }
                    }
                    if count < SLOTS {
                        break;
                    }
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOBUFS) => whole = false,
                    Some(libc::EINTR) => {}
                    _ => break,
                },
            }
        }
        if now > self.wanted_ms + IDLE_MS {
            self.socket = None;
        }
        whole
    }

    /// Whether all records of what has happened by now are in the audit socket, or were read.
    pub fn all_sent(&self) -> bool {
        self.kauditd.as_ref().is_some_and(Kauditd::sleeps)
    }
}

fn join() -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers; a descriptor that it returns is new and ours alone.
    let socket = unsafe {
        OwnedFd::from_raw_fd(check(libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            libc::NETLINK_SOCK_DIAG,
        ))?)
    };
    // SAFETY: sockaddr_nl is a plain C structure, valid when all its bytes are zero.
    let mut address = unsafe { std::mem::zeroed::<libc::sockaddr_nl>() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    // Without a port of its own a socket is left out of broadcasts (do_one_broadcast, net/netlink/af_netlink.c).
    // SAFETY: the kernel reads so many bytes of `address`, which lives for the call.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    })?;
    let set = |level, option, value: libc::c_int| {
        // SAFETY: the kernel reads the four bytes of `value`, which lives for the call.
        check(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                size_of_val(&value) as libc::socklen_t,
            )
        })
    };
    if set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, BUFFER).is_err() {
        set(libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER)?;
    }
    for group in GROUPS {
        set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)?;
    }
    Ok(socket)
}

/// The kernel's thread that sends the records. A call's record is queued and the thread woken before the call returns
/// (`audit_log_end`, kernel/audit.c), and it sleeps again only when its queue is empty (`kauditd_thread`): while it
/// sleeps, everything that happened before has been sent.
struct Kauditd(File);

impl Kauditd {
    /// Finds it; it is not visible in another pid namespace.
    fn find() -> Option<Self> {
        // A kernel thread's parent is kthreadd; who else calls himself kauditd has another.
        std::fs::read_dir("/proc")
            .ok()?
            .flatten()
            .find_map(|entry| {
                let text = std::fs::read(entry.path().join("stat")).ok()?;
                let rest = &text[memfind(&text, b" (kauditd) ")?..];
                let parent = rest.split(|byte| *byte == b' ').nth(3)?;
                (parent == b"2").then(|| File::open(entry.path().join("stat")).ok().map(Self))?
            })
    }

    fn sleeps(&self) -> bool {
        let mut head = [0; 64];
        let length = self.0.read_at(&mut head, 0).unwrap_or_default();
        memfind(&head[..length], b" (kauditd) S").is_some()
    }
}

fn memfind(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}
