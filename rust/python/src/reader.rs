//! The thread that reads: packets from the socket through the engine into the outbox.
//!
//! What costs under load is waking up for each packet, so while packets come densely the thread sleeps a moment before
//! it drains, and hands its lines over every few milliseconds. What is wanted at rest is each event at once and no
//! wake-up without one, so then it sleeps in poll(2) and does neither.

mod deliver;
mod receive;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use tsauditd_core::endpoint::looking::Looking;
use tsauditd_core::pace::Pace;
use tsauditd_core::{Engine, Settings};

use self::receive::Found;
use crate::arena::Arena;
use crate::broadcast::Broadcast;
use crate::counters::Count;
use crate::live::LiveNames;
use crate::losses::Losses;
use crate::machine::Machine;
use crate::proc::{Newest, Proc};
use crate::runtimes::Runtimes;
use crate::shared::Shared;
use crate::sockets::Sockets;
use crate::system;
use crate::tracing::Tracing;

/// Packets for one system call.
const SLOTS: usize = 128;

/// Bytes of lines for one system call.
const LINES_BYTES: usize = 64 << 10;

/// Packets in one drain that make the stream dense.
const DENSE_PACKETS: usize = 4;

/// In a flow, lines wait for so many bytes or milliseconds before Python is woken: what a batch costs hardly depends on
/// what is in it, and what is large goes past the page cache.
const FLOW_BATCH_BYTES: usize = 896 << 10;
const FLOW_BATCH_MS: u64 = 60;

/// Under load, lines wait for this many bytes or milliseconds before Python is woken. Fewer wake it more often; of more
/// the next to touch them finds less in the processor's cache (benchmarks/NOTES.md).
const BATCH_BYTES: usize = 128 << 10;
const BATCH_MS: u64 = 5;

/// The clock of records ticks at HZ=100 or more often.
const TICK_MS: u32 = 10;

/// The longest that a stop goes on reading a socket that does not become empty.
const LAST_DRAIN_MS: u64 = 1000;

/// What the thread is to read, and how.
pub struct Plan {
    pub socket: OwnedFd,
    /// Packets that were read before the thread started.
    pub early: Vec<Vec<u8>>,
    /// Take packets of the kernel's netlink port only.
    pub netlink: bool,
    /// The socket takes no others any more.
    pub kernel_alone: bool,
    /// An empty packet is the end, as SOCK_SEQPACKET says it.
    pub sequenced: bool,
    /// It is a stream of lines, not of packets.
    pub lines: bool,
    pub gather: Duration,
    /// Connections are to be expected.
    pub connections: bool,
    /// And such as are accepted.
    pub accepts: bool,
    pub settings: Settings,
}

struct Reader {
    socket: OwnedFd,
    netlink: bool,
    /// What comes from now on is the kernel's.
    kernel_alone: bool,
    sequenced: bool,
    /// Where lines are read to; empty when packets come.
    lines: Vec<u8>,
    arena: Arena,
    engine: Engine,
    newest: Option<Newest>,
    broadcast: Broadcast,
    tracing: Tracing,
    /// The socket leaves end markers out.
    leaves_out_ends: bool,
    shared: Arc<Shared>,
    errors: u32,
    delivered_ms: u64,
}

/// Reads until told to stop: the whole life of the thread.
pub fn run(plan: Plan, shared: Arc<Shared>) {
    let _running = shared.begin();
    let context = plan.settings.context;
    let machine = Machine {
        names: LiveNames::start(Arc::clone(&shared.now_ms)),
        // Packets that are not the kernel's are not of this machine, or not of now.
        runtimes: Runtimes::start(Arc::clone(&shared.now_ms)),
        processes: (plan.netlink && context)
            .then(Proc::open)
            .and_then(Result::ok),
        sockets: (plan.netlink && context).then(Sockets::new),
        losses: plan.netlink.then(Losses::open).and_then(Result::ok),
    };
    let mut reader = Reader {
        socket: plan.socket,
        netlink: plan.netlink,
        sequenced: plan.sequenced,
        lines: vec![0; if plan.lines { LINES_BYTES } else { 0 }],
        arena: Arena::new(SLOTS, plan.netlink),
        kernel_alone: plan.kernel_alone,
        engine: Engine::new(plan.settings, Box::new(machine)),
        newest: (plan.netlink && context)
            .then(Newest::open)
            .and_then(Result::ok),
        broadcast: Broadcast::new(),
        tracing: if plan.netlink {
            Tracing::Unwanted
        } else {
            Tracing::Refused
        },
        leaves_out_ends: false,
        shared,
        errors: 0,
        delivered_ms: 0,
    };
    if plan.accepts {
        reader.engine.endpoints().expect_accepts();
    }
    if plan.connections && plan.netlink && context {
        // Before there is any: of a call that has begun already they tell nothing, and which those are is known by the
        // clock of records.
        reader.tracing.open(&mut reader.engine);
        let opened = system::realtime_ms();
        for _ in 0..TICK_MS {
            if system::realtime_ms() != opened {
                break;
            }
            system::sleep(Duration::from_millis(1));
        }
    }
    reader.see_newest();
    reader.engine.seed();
    reader.first(plan.early);
    reader.read(plan.gather);
    reader.last();
}

impl Reader {
    /// Time as the kernel's monotonic clock has it, for everything of one drain.
    fn now(&self) -> u64 {
        let now = system::monotonic_ms();
        self.shared.now_ms.store(now, Relaxed);
        now
    }

    /// Sees how far the numbers of processes have been given, before what came until now is told.
    fn see_newest(&mut self) {
        if let Some(number) = self.newest.as_ref().and_then(Newest::number) {
            self.engine.number_given(number);
        }
    }

    fn stopping(&self) -> bool {
        self.shared.stop.load(Acquire)
    }

    /// Takes up other settings, what the rules say, and the daemon's own records.
    fn own(&mut self, now: u64) {
        if let Some(change) = self.shared.take_change() {
            self.engine.change(
                change.original,
                change.max_argument_bytes,
                change.raw,
                change.timelines,
            );
        }
        // Where others may send, too, markers need not be the kernel's.
        if let Some(rules) = self.shared.take_rules().filter(|_| self.kernel_alone) {
            self.engine.rules_read(rules.titles, rules.doubts, now);
            self.leave_out_ends();
        }
        for packet in self.shared.take_own() {
            self.engine.packet(&packet, now);
        }
    }

    fn first(&mut self, early: Vec<Vec<u8>>) {
        let now = self.now();
        self.own(now);
        for packet in early {
            self.shared.counters.add(Count::Packets, 1);
            self.shared
                .counters
                .add(Count::BytesIn, packet.len() as u64);
            self.engine.packet(&packet, now);
        }
    }

    fn read(&mut self, gather: Duration) {
        let mut drained = 0;
        let mut pace = Pace::default();
        let mut looking = Looking::default();
        let mut enough = BATCH_BYTES;
        loop {
            let now = self.now();
            if self.shared.called.swap(false, Acquire) {
                self.own(now);
            }
            if self.stopping() {
                break;
            }
            let found = self.receive(now);
            match found {
                Found::Full => {
                    drained += SLOTS;
                    self.engine.hurry();
                    if self.engine.output().len() >= enough {
                        self.deliver(now);
                    }
                    continue;
                }
                Found::Some(count) => drained += count,
                Found::End => return self.rest(now),
            }
            drained += self.look_for_ends(now);
            let due = self.engine.tick(now);
            // An event that is open after something came: its other records are on their way.
            let pause = pace.take(drained, now);
            let dense = drained >= DENSE_PACKETS || (drained > 0 && due.is_some());
            looking.take(self.engine.shares().looks, drained, now);
            let pause = pause.filter(|_| !looking.wants_haste());
            drained = 0;
            let patience;
            (enough, patience) = match pause {
                Some(_) => (FLOW_BATCH_BYTES, FLOW_BATCH_MS),
                None => (BATCH_BYTES, BATCH_MS),
            };
            if (dense || pause.is_some()) && !gather.is_zero() && !looking.wants_each() {
                if self.engine.output().len() >= enough || now >= self.delivered_ms + patience {
                    self.deliver(now);
                }
                self.shared.counters.add(Count::Pauses, 1);
                system::sleep(pause.map_or(gather, |pause| gather.max(pause)));
            } else {
                self.deliver(now);
                let next = due.into_iter().chain(self.engine.endpoints().next()).min();
                self.sleep(now, next.map(|next| next.saturating_sub(now)));
            }
        }
    }

    /// Sleeps until a packet comes, the engine wants its tick, or the bell rings.
    fn sleep(&mut self, now: u64, timeout_ms: Option<u64>) {
        let mut timeout = timeout_ms.map_or(-1, |left| i32::try_from(left).unwrap_or(i32::MAX));
        let (packets, bell) = (self.socket.as_fd(), self.shared.wake.as_fd());
        let endpoints = self.engine.endpoints();
        if endpoints.wants_settling(now) {
            timeout = 1; // kauditd was at work
        }
        // A ring that fills is emptied by the look that follows.
        let destroyed = (self.broadcast.socket()).filter(|_| endpoints.wants_destroyed());
        let more = self.tracing.as_fd().or(destroyed);
        let rung = match more {
            Some(more) => system::wait(&[packets, bell, more], timeout),
            None => system::wait(&[packets, bell], timeout),
        };
        if rung {
            // Whoever rings sets before what it rings for, so that nothing is missed.
            self.shared.wake.clear();
        }
        self.shared.counters.add(Count::Wakeups, 1);
    }

    /// The socket has ended: what is open is given out, then only a stop is waited for.
    fn rest(&mut self, now: u64) {
        self.engine.flush();
        self.deliver(now);
        self.shared.counters.set(Count::Ended, 1);
        while !self.stopping() {
            system::wait_one(self.shared.wake.as_fd());
            self.shared.wake.clear();
        }
    }

    /// Reads what the socket still holds and ends what is open.
    fn last(&mut self) {
        let end = self.now() + LAST_DRAIN_MS;
        loop {
            let now = self.now();
            match self.receive(now) {
                Found::Full if now < end => {
                    if self.engine.output().len() >= BATCH_BYTES {
                        self.deliver(now);
                    }
                }
                _ => break,
            }
        }
        self.own(self.now());
        if self.broadcast.all_sent() {
            self.engine.endpoints().mark();
            if let Found::Some(_) = self.receive(self.now()) {
                self.engine.endpoints().settle();
            }
        }
        self.engine.flush();
        let farewell = self.shared.take_farewell();
        if !farewell.is_empty() {
            self.engine.packet(&farewell, self.now());
            self.engine.flush();
        }
        self.deliver(self.now());
    }
}
