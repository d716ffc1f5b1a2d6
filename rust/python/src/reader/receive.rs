//! What comes in: packets or lines from the socket, and what else tells of connections, in the order that it needs.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use tsauditd_core::record::kind;

use super::{Reader, SLOTS};
use crate::counters::Count;
use crate::system;

/// Errors of the socket in a row, one each `ERROR_PAUSE`, after which it is given up.
const ERRORS: u32 = 100;
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// What one look at the socket found.
pub enum Found {
    /// Every slot was filled: there may be more.
    Full,
    /// So many packets, and then none.
    Some(usize),
    /// The socket will give no more.
    End,
}

impl Reader {
    /// Reads what the socket has, as much as fits.
    pub fn receive(&mut self, now: u64) -> Found {
        self.shared.counters.add(Count::Receives, 1);
        if !self.lines.is_empty() {
            return self.receive_lines(now);
        }
        let count = match self.arena.receive(self.socket.as_fd()) {
            Ok(count) => count,
            Err(error) => {
                if self.kernel_alone && error.raw_os_error() == Some(libc::EAGAIN) {
                    self.arena.forget_senders(); // nothing of before is left
                }
                self.tracing.read(&mut self.engine, now);
                return self.refused(&error);
            }
        };
        self.errors = 0;
        self.see_newest();
        self.tracing.read(&mut self.engine, now);
        if self.netlink {
            for packet in self.arena.packets().filter(|packet| packet.sender == 0) {
                self.engine.glance(packet.bytes, now);
            }
        }
        let counters = &self.shared.counters;
        let mut bytes = 0;
        for packet in self.arena.packets() {
            if packet.bytes.is_empty() && self.sequenced {
                return Found::End;
            }
            bytes += packet.bytes.len() as u64;
            counters.add(Count::Packets, 1);
            if self.netlink && packet.sender != 0 {
                counters.add(Count::Rejected, 1);
                continue;
            }
            if packet.truncated {
                counters.add(Count::Truncated, 1);
            }
            self.engine.packet(packet.bytes, now);
        }
        self.tracing.want(&mut self.engine);
        counters.add(Count::BytesIn, bytes);
        self.leave_out_ends();
        if count == self.arena.slots() {
            Found::Full
        } else {
            Found::Some(count)
        }
    }

    /// Has the kernel leave end markers out while they tell nothing: each costs as much to receive as another record.
    pub fn leave_out_ends(&mut self) {
        let wanted = self.engine.leaves_out_ends();
        if wanted != self.leaves_out_ends {
            self.leaves_out_ends = wanted;
            system::leave_out(self.socket.as_fd(), wanted.then_some(kind::EOE));
        }
    }

    /// As `receive`, of a stream of lines; each counts as a packet.
    fn receive_lines(&mut self, now: u64) -> Found {
        let length = match system::read_now(self.socket.as_fd(), &mut self.lines) {
            Ok(0) => return Found::End,
            Ok(length) => length,
            Err(error) => return self.refused(&error),
        };
        self.errors = 0;
        let bytes = self.lines.get(..length).unwrap_or_default();
        let count = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.shared.counters.add(Count::Packets, count as u64);
        self.shared.counters.add(Count::BytesIn, length as u64);
        self.engine.live_lines(bytes, now);
        if length == self.lines.len() {
            Found::Full
        } else {
            Found::Some(count)
        }
    }

    fn refused(&mut self, error: &io::Error) -> Found {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Found::Some(0),
            Some(libc::EINTR) => Found::Full, // look again
            Some(libc::ENOBUFS) => {
                self.shared.counters.add(Count::Overruns, 1);
                (self.engine.endpoints()).uncertain(system::realtime_ms());
                Found::Full
            }
            _ => {
                self.errors += 1;
                if self.errors >= ERRORS {
                    return Found::End;
                }
                system::sleep(ERROR_PAUSE);
                Found::Some(0)
            }
        }
    }

    /// Reads what the kernel broadcasts of destroyed sockets while events wait for it. Returns how many packets came
    /// from the audit socket meanwhile.
    pub fn look_for_ends(&mut self, now: u64) -> usize {
        // With tracepoints there is nothing left that the broadcast could tell for certain.
        if self.engine.endpoints().wants_broadcasts() && !self.engine.endpoints().traces() {
            self.broadcast.want(now);
        }
        let engine = &mut self.engine;
        let whole = self.broadcast.drain(now, |datagram| {
            engine.destroyed(datagram, system::realtime_ms(), now);
        });
        if !whole {
            engine.endpoints().missed();
        }
        // In this order: what was destroyed, then that no record is on its way, then the records themselves.
        if !engine.endpoints().wants_settling(now) || !self.broadcast.all_sent() {
            return 0;
        }
        engine.endpoints().mark();
        match self.receive(now) {
            Found::Some(count) => {
                self.engine.endpoints().settle();
                count
            }
            Found::Full => SLOTS,
            Found::End => 0, // the next look finds it, too
        }
    }
}
