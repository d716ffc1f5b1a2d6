//! How many records the kernel has lost: `lost` of struct audit_status (linux/audit.h), asked over a socket of its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::system::{check, wait};

/// AUDIT_GET, a netlink header's length, and where `lost` is behind it.
const GET: u16 = 1000;
const HEADER: usize = 16;
const LOST: usize = HEADER + 24;
/// An answer comes from a thread that the kernel starts for it, in milliseconds at most where it is waited for.
const PATIENCE_MS: i32 = 200;

/// The socket.
pub struct Losses {
    socket: OwnedFd,
    sequence: u32,
    /// When the question was asked that is not answered yet.
    asked: Option<u64>,
    /// The last answer, and when its question was asked.
    last: Option<(u64, u64)>,
}

impl Losses {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        // SAFETY: socket takes no pointers; a descriptor that it returns is new and ours alone.
        let socket = unsafe {
            OwnedFd::from_raw_fd(check(libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                libc::NETLINK_AUDIT,
            ))?)
        };
        Ok(Self {
            socket,
            sequence: 0,
            asked: None,
            last: None,
        })
    }

    /// The last count and when it was asked for; asks again at `now`, and waits for that answer if told to. `None`
    /// where the kernel does not say it (CAP_AUDIT_CONTROL).
    pub fn count(&mut self, now: u64, waits: bool) -> Option<(u64, u64)> {
        if waits {
            self.asked = None; // an answer to that would be too old
        }
        self.receive();
        if self.asked.is_none() {
            self.ask(now);
        }
        if waits && wait_for(&self.socket) {
            self.receive();
        }
        self.last
    }

    fn ask(&mut self, now: u64) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = [0_u8; HEADER];
        request[..4].copy_from_slice(&(HEADER as u32).to_ne_bytes());
        request[4..6].copy_from_slice(&GET.to_ne_bytes());
        request[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
        request[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        // SAFETY: the kernel reads the bytes of `request`, which lives for the call. A socket that is not connected
        // sends to the kernel.
        let sent = unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                request.as_ptr().cast(),
                request.len(),
                0,
            )
        };
        self.asked = (sent >= 0).then_some(now);
    }

    /// Reads the answers that are there.
    fn receive(&mut self) {
        let mut reply = [0_u8; 256];
        loop {
            // SAFETY: the kernel writes at most the bytes of `reply`.
            let length = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    reply.as_mut_ptr().cast(),
                    reply.len(),
                    0,
                )
            };
            let Ok(length) = usize::try_from(length) else {
                return;
            };
            if reply[8..12] != self.sequence.to_ne_bytes() {
                continue;
            }
            if let (Some(asked), GET) =
                (self.asked.take(), u16::from_ne_bytes([reply[4], reply[5]]))
                && let Some(lost) = reply
                    .get(LOST..length.max(LOST))
                    .and_then(<[u8]>::first_chunk)
            {
                self.last = Some((u32::from_ne_bytes(*lost).into(), asked));
            }
        }
    }
}

/// Waits for an answer; false when none comes.
fn wait_for(socket: &OwnedFd) -> bool {
    // The second descriptor is the one that is told of.
    wait(&[socket.as_fd(), socket.as_fd()], PATIENCE_MS)
}
