//! The sockets of other processes: pidfd_open(2), pidfd_getfd(2), getsockname(2), getpeername(2).
//!
//! Needs CAP_SYS_PTRACE. A copy of the socket lives for the few system calls of one look, so that whatever its owner
//! closes stays open for microseconds only.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use tsauditd_core::system::{Ask, Socket};

use crate::system::check;

/// Processes whose pidfd is kept. Beyond, all are closed and opened again when they are needed.
const MOST_PROCESSES: usize = 128;

/// Refusals in a row, with no look that succeeded before them, after which it is not tried any more.
const REFUSALS: u32 = 1;

/// Who looks, and what it takes to look again.
pub struct Sockets {
    processes: HashMap<u32, OwnedFd>,
    /// The kernel or a filter forbids it.
    off: bool,
    refused: u32,
}

impl Sockets {
    /// Tries it on this process itself: without pidfd_getfd(2) there is nothing to look with.
    pub fn new() -> Self {
        let mut sockets = Self {
            processes: HashMap::new(),
            off: false,
            refused: 0,
        };
        sockets.off = !has_ptrace()
            || sockets
                .copy(std::process::id(), u32::MAX)
                .is_err_and(|error| error.raw_os_error() != Some(libc::EBADF));
        sockets
    }

    /// Whether sockets can be looked at.
    pub fn can_look(&self) -> bool {
        !self.off
    }

    /// The internet socket that a process has behind a descriptor now.
    pub fn look(&mut self, pid: u32, fd: u32, ask: Ask) -> Option<Socket> {
        if self.off || pid == 0 {
            return None;
        }
        match self.copy(pid, fd) {
            Ok(socket) => {
                self.refused = 0;
                read(&socket, ask)
            }
            Err(error) => {
                if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) {
                    self.refused += 1;
                    self.off = self.refused > REFUSALS;
                }
                None
            }
        }
    }

    /// A descriptor of our own for what a process has behind `fd`.
    fn copy(&mut self, pid: u32, fd: u32) -> io::Result<OwnedFd> {
        if let Some(process) = self.processes.get(&pid) {
            match get(process, fd) {
                // The process is over; another may have its pid by now.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                    self.processes.remove(&pid);
                }
                other => return other,
            }
        }
        let process = open(pid)?;
        let copy = get(&process, fd);
        if self.processes.len() >= MOST_PROCESSES {
            self.processes.clear();
        }
        self.processes.insert(pid, process);
        copy
    }
}

/// Whether this process has CAP_SYS_PTRACE (number 19) in effect, by proc_pid_status(5).
fn has_ptrace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> 19 & 1 == 1)
}

fn descriptor(value: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(value as libc::c_int)?;
    // SAFETY: the caller has just got it from the kernel, and gives it to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(pid, flags) takes no pointers; what it returns is a new descriptor.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

fn get(process: &OwnedFd, fd: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_getfd(pidfd, targetfd, flags) takes no pointers; what it returns is a new descriptor.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

fn read(socket: &OwnedFd, ask: Ask) -> Option<Socket> {
    let fd = socket.as_raw_fd();
    let local = address(|address, length| {
        // SAFETY: the kernel writes at most `length` bytes to `address`, and the length to `length`.
        unsafe { libc::getsockname(fd, address.cast(), length) }
    })?;
    let named = |address: *mut libc::sockaddr_storage, length: *mut libc::socklen_t| {
        // SAFETY: as above.
        unsafe { libc::getpeername(fd, address.cast(), length) }
    };
    let peer = match ask {
        Ask::Connection => Some(address(named)?),
        Ask::Any => address(named),
        // Says the other end also while the connection is being made, when getpeername does not (sk_getsockopt,
        // net/core/sock.c); refuses a length larger than the address.
        Ask::Attempt => Some(address(|address, length| {
            let sizes = [
                size_of::<libc::sockaddr_in6>(),
                size_of::<libc::sockaddr_in>(),
            ];
            for size in sizes {
                // SAFETY: `length` is a valid socklen_t; the kernel writes at most so many bytes to `address`.
                let done = unsafe {
                    *length = size as libc::socklen_t;
                    libc::getsockopt(
                        fd,
                        libc::SOL_SOCKET,
                        libc::SO_PEERNAME,
                        address.cast(),
                        length,
                    )
                };
                if done == 0 {
                    return 0;
                }
            }
            -1
        })?),
        Ask::Listener => {
            if option::<libc::c_int>(fd, libc::SO_ACCEPTCONN)? == 0 {
                return None;
            }
            None
        }
    };
    Some(Socket {
        local,
        peer,
        protocol: u8::try_from(option::<libc::c_int>(fd, libc::SO_PROTOCOL)?).unwrap_or_default(),
        cookie: option::<u64>(fd, libc::SO_COOKIE)?,
    })
}

/// A number that SOL_SOCKET holds.
fn option<T: Default>(fd: libc::c_int, name: libc::c_int) -> Option<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `value`, a plain number for which any bytes are valid.
    let done = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (done == 0).then_some(value)
}

/// The address that a call fills in: of an internet socket, and never a mapped one.
fn address(
    call: impl Fn(*mut libc::sockaddr_storage, *mut libc::socklen_t) -> libc::c_int,
) -> Option<SocketAddr> {
    // SAFETY: sockaddr_storage is a plain C structure, valid when all its bytes are zero.
    let mut storage = unsafe { std::mem::zeroed::<libc::sockaddr_storage>() };
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    if call(&raw mut storage, &raw mut length) < 0 {
        return None;
    }
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: storage is as large as and aligned for every sockaddr; the family says that it is this one.
            let inet = unsafe { &*(&raw const storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(inet.sin_addr.s_addr));
            Some((ip, u16::from_be(inet.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let inet = unsafe { &*(&raw const storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(inet.sin6_addr.s6_addr).to_canonical();
            Some((ip, u16::from_be(inet.sin6_port)).into())
        }
        _ => None,
    }
}
