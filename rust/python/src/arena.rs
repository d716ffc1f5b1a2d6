//! Where packets land: one block of memory cut into slots, filled by `recvmmsg`, read in place.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_void, iovec, mmsghdr, sockaddr_nl};

/// The longest packet read whole. The kernel's own bound (MAX_AUDIT_MESSAGE_LENGTH, 8,970 bytes of text) binds user
/// space's messages only; a record with two hex-encoded paths of 4,096 bytes needs some 16,700.
const PACKET_BYTES: usize = 20_480;

/// From one slot to the next. One cache line more than a packet, so that the heads of the slots do not all fall into
/// the same few sets of the cache.
const STRIDE: usize = PACKET_BYTES + 64;

const NAME_BYTES: libc::socklen_t = size_of::<sockaddr_nl>() as libc::socklen_t;

/// One received datagram.
pub struct Packet<'a> {
    pub bytes: &'a [u8],
    /// The sender's netlink port: 0 is the kernel. Always 0 when senders are not asked for.
    pub sender: u32,
    /// The datagram was longer than its slot.
    pub truncated: bool,
}

/// Slots for one `recvmmsg`, used again for the next. Memory that no packet reached is never touched.
pub struct Arena {
    // The headers point into the other three, whose heap blocks stay where they are for the arena's life.
    headers: Vec<mmsghdr>,
    vectors: Vec<iovec>,
    senders: Vec<sockaddr_nl>,
    _bytes: Vec<u8>,
    received: usize,
}

impl Arena {
    /// An arena for `slots` packets a call. `senders`: also receive each packet's netlink address.
    pub fn new(slots: usize, senders: bool) -> Self {
        // SAFETY: sockaddr_nl, iovec and mmsghdr are plain C structures, valid when all their bytes are zero.
        let (address, vector, header) = unsafe {
            (
                std::mem::zeroed::<sockaddr_nl>(),
                std::mem::zeroed::<iovec>(),
                std::mem::zeroed::<mmsghdr>(),
            )
        };
        let mut bytes = vec![0_u8; slots * STRIDE];
        let mut addresses = vec![address; if senders { slots } else { 0 }];
        let mut vectors = vec![vector; slots];
        let mut headers = vec![header; slots];
        for (vector, slot) in vectors.iter_mut().zip(bytes.chunks_exact_mut(STRIDE)) {
            vector.iov_base = slot.as_mut_ptr().cast::<c_void>();
            vector.iov_len = PACKET_BYTES;
        }
        for (header, vector) in headers.iter_mut().zip(&mut vectors) {
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        for (header, address) in headers.iter_mut().zip(&mut addresses) {
            header.msg_hdr.msg_name = std::ptr::from_mut(address).cast::<c_void>();
            header.msg_hdr.msg_namelen = NAME_BYTES;
        }
        Self {
            headers,
            vectors,
            senders: addresses,
            _bytes: bytes,
            received: 0,
        }
    }

    /// Does not ask for senders any more: to be told of one costs as much as a tenth of receiving the packet.
    pub fn forget_senders(&mut self) {
        for header in &mut self.headers {
            header.msg_hdr.msg_name = std::ptr::null_mut();
            header.msg_hdr.msg_namelen = 0;
        }
        self.senders = Vec::new();
    }

    /// How many packets one call can bring.
    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Receives what is there, without waiting, and returns how many packets it was. Fewer than `slots` means that
    /// the socket was empty. An empty socket is `WouldBlock`; a lost packet is `ENOBUFS`.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        if !self.senders.is_empty() {
            // The kernel wrote the length of what it put there.
            for header in &mut self.headers[..self.received] {
                header.msg_hdr.msg_namelen = NAME_BYTES;
            }
        }
        self.received = 0;
        // SAFETY: every header points to its own slot, vector and address, all alive as long as self, and self is
        // borrowed mutably, so that no packet borrowed from it is alive while the kernel writes.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.received = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.received)
    }

    /// The packets of the last call that succeeded, in the order received.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.headers[..self.received]
            .iter()
            .enumerate()
            .map(|(slot, header)| {
                let length = (header.msg_len as usize).min(PACKET_BYTES);
                // SAFETY: the vector's base is the slot's start; the slot has PACKET_BYTES initialised bytes, owned by
                // self, which the packet borrows.
                let bytes = unsafe {
                    std::slice::from_raw_parts(self.vectors[slot].iov_base.cast::<u8>(), length)
                };
                Packet {
                    bytes,
                    sender: self.senders.get(slot).map_or(0, |address| address.nl_pid),
                    truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                }
            })
    }
}
