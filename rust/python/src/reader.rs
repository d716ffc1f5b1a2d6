//! The thread that reads: packets from the socket through the engine into the outbox.
//!
//! What costs under load is waking up for each packet, so while packets come densely the thread sleeps a moment before
//! it drains, and hands its lines over every few milliseconds. What is wanted at rest is each event at once and no
//! wake-up without one, so then it sleeps in poll(2) and does neither.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tsauditd_core::endpoint::flow::Origin;
use tsauditd_core::talkers::Talkers;
use tsauditd_core::{Engine, RawFormat, Settings, Unreadable};

use crate::arena::Arena;
use crate::broadcast::Broadcast;
use crate::counters::{Count, Counters};
use crate::live::LiveNames;
use crate::losses::Losses;
use crate::machine::Machine;
use crate::outbox::Outbox;
use crate::proc::{Newest, Proc};
use crate::runtimes::Runtimes;
use crate::sockets::Sockets;
use crate::system::{self, Bell};
use crate::tracing::Tracing;

/// Packets for one system call.
const SLOTS: usize = 128;

/// Bytes of lines for one system call.
const LINES_BYTES: usize = 64 << 10;

/// Packets in one drain that make the stream dense.
const DENSE_PACKETS: usize = 4;

/// So many packets in so many milliseconds are a flow that goes on: then each pause takes in several of its events, and
/// nobody is woken for each. Longer pauses would find fewer of the processes that live for a moment only.
const FLOW_PACKETS: usize = 32;
const FLOW_MS: u64 = 16;
const FLOW_PAUSE: Duration = Duration::from_millis(4);
/// In a flow, lines wait so long before Python is woken.
const FLOW_BATCH_MS: u64 = 40;

/// Under load, lines wait for this many bytes or milliseconds before Python is woken. Fewer wake it more often; of more
/// the next to touch them finds less in the processor's cache (benchmarks/NOTES.md).
const BATCH_BYTES: usize = 128 << 10;
const BATCH_MS: u64 = 5;

/// Unreadable packets or lines kept for Python; all are counted.
const MOST_UNREADABLE: usize = 100;

/// So few looks at sockets in so many milliseconds leave room to be quick.
const FEW_LOOKS: u64 = 100;
const LOOKING_MS: u64 = 100;

/// The longest that a stop goes on reading a socket that does not become empty.
const LAST_DRAIN_MS: u64 = 1000;

/// Errors of the socket in a row, one each `ERROR_PAUSE`, after which it is given up.
const ERRORS: u32 = 100;
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The settings that can change while it runs.
pub struct Change {
    pub original: bool,
    pub max_argument_bytes: usize,
    pub raw: RawFormat,
    pub timelines: bool,
}

/// What the reading thread shares with those who started it.
pub struct Shared {
    pub outbox: Outbox,
    /// The records as auditd writes them, where they are wanted.
    pub raw: Outbox,
    /// Who causes how many events.
    pub talkers: Arc<Mutex<Talkers>>,
    /// Records of the daemon's own, as packets, that are to go among the kernel's.
    own: Mutex<Vec<Vec<u8>>>,
    /// Other settings to go on by.
    change: Mutex<Option<Change>>,
    /// There are records of its own, or other settings.
    called: AtomicBool,
    /// The very last packet.
    farewell: Mutex<Vec<u8>>,
    /// What could not be read and was not yet asked for.
    pub unreadable: Mutex<Vec<Unreadable>>,
    pub counters: Counters,
    /// Rung to stop the thread, or when the outbox has room again.
    pub wake: Bell,
    pub stop: AtomicBool,
    /// The thread's CPU clock while it runs; 0 before and after.
    clock: AtomicI32,
    now_ms: Arc<AtomicU64>,
}

impl Shared {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            outbox: Outbox::new()?,
            raw: Outbox::new()?,
            talkers: Arc::default(),
            own: Mutex::default(),
            change: Mutex::default(),
            called: AtomicBool::new(false),
            farewell: Mutex::default(),
            unreadable: Mutex::default(),
            counters: Counters::default(),
            wake: Bell::new()?,
            stop: AtomicBool::new(false),
            clock: AtomicI32::new(0),
            now_ms: Arc::default(),
        })
    }

    /// Puts a record of the daemon's own among the kernel's.
    pub fn add_own(&self, packet: Vec<u8>) {
        self.own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(packet);
        self.called.store(true, Release);
        self.wake.ring();
    }

    /// Has the engine go on by other settings.
    pub fn change(&self, change: Change) {
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
        self.called.store(true, Release);
        self.wake.ring();
    }

    fn take_change(&self) -> Option<Change> {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        change.take()
    }

    /// Puts a record of the daemon's own after everything else.
    pub fn set_farewell(&self, packet: Vec<u8>) {
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = packet;
    }

    fn take_farewell(&self) -> Vec<u8> {
        std::mem::take(&mut *self.farewell.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_own(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every counter with its name, the CPU time up to this moment.
    pub fn count(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let clock = self.clock.load(Acquire);
        let running = (clock != 0).then(|| system::cpu_ns(clock)).flatten();
        self.counters
            .all()
            .map(move |(name, value)| match (name, running) {
                ("cpu_ns", Some(now)) => (name, now),
                _ => (name, value),
            })
    }
}

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
    pub settings: Settings,
}

/// What one look at the socket found.
enum Found {
    /// Every slot was filled: there may be more.
    Full,
    /// So many packets, and then none.
    Some(usize),
    /// The socket will give no more.
    End,
}

/// How densely packets came of late.
#[derive(Default)]
struct Flow {
    since_ms: u64,
    packets: usize,
    goes_on: bool,
}

impl Flow {
    /// Takes in what one look at the socket found. Returns whether there is a flow.
    fn goes_on(&mut self, packets: usize, now: u64) -> bool {
        self.packets += packets;
        if now >= self.since_ms + FLOW_MS {
            // A look that comes late finds the packets of all that time.
            let windows = (now - self.since_ms) / FLOW_MS;
            self.goes_on = self.packets as u64 >= FLOW_PACKETS as u64 * windows;
            (self.packets, self.since_ms) = (0, now);
        }
        self.goes_on
    }
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
    /// Since when looks at sockets are counted, how many there were then, and whether there were any before.
    looked: (u64, u64, bool),
    shared: Arc<Shared>,
    errors: u32,
    delivered_ms: u64,
}

/// Leaves the shared state true whichever way the thread ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let shared = &self.0;
        let spent = system::cpu_ns(shared.clock.load(Relaxed)).unwrap_or(0);
        shared.counters.set(Count::CpuNs, spent);
        shared.counters.set(Count::Ended, 1);
        shared.clock.store(0, Release);
    }
}

/// Reads until told to stop: the whole life of the thread.
pub fn run(plan: Plan, shared: Arc<Shared>) {
    shared.now_ms.store(system::monotonic_ms(), Relaxed);
    shared
        .clock
        .store(system::thread_cpu_clock().unwrap_or(0), Release);
    let _ending = Ending(Arc::clone(&shared));
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
        looked: (0, 0, false),
        shared,
        errors: 0,
        delivered_ms: 0,
    };
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

    /// Takes up other settings and the daemon's own records.
    fn own(&mut self, now: u64) {
        if let Some(change) = self.shared.take_change() {
            self.engine.change(
                change.original,
                change.max_argument_bytes,
                change.raw,
                change.timelines,
            );
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
        let mut flow = Flow::default();
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
                    if self.engine.output().len() >= BATCH_BYTES {
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
            let flows = flow.goes_on(drained, now);
            let dense = drained >= DENSE_PACKETS || (drained > 0 && due.is_some());
            drained = 0;
            let alert = self.alert(now);
            // Who looks at connections must not come late.
            let flows = flows && !self.looked.2 && self.engine.shares().looks == self.looked.1;
            if (dense || flows) && !gather.is_zero() && !alert {
                let patience = if flows { FLOW_BATCH_MS } else { BATCH_MS };
                if self.engine.output().len() >= BATCH_BYTES || now >= self.delivered_ms + patience
                {
                    self.deliver(now);
                }
                self.shared.counters.add(Count::Pauses, 1);
                system::sleep(if flows {
                    gather.max(FLOW_PAUSE)
                } else {
                    gather
                });
            } else {
                self.deliver(now);
                let next = due.into_iter().chain(self.engine.endpoints().next()).min();
                self.sleep(now, next.map(|next| next.saturating_sub(now)));
            }
        }
    }

    /// Whether connections come, and so few that each is better looked at sooner than cheaper.
    fn alert(&mut self, now: u64) -> bool {
        let looks = self.engine.shares().looks;
        if now >= self.looked.0 + LOOKING_MS {
            self.looked = (now, looks, looks > self.looked.1);
        }
        let since = looks - self.looked.1;
        since < FEW_LOOKS && (since > 0 || self.looked.2)
    }

    /// Reads what the kernel broadcasts of destroyed sockets while events wait for it. Returns how many packets came
    /// from the audit socket meanwhile.
    fn look_for_ends(&mut self, now: u64) -> usize {
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

    fn receive(&mut self, now: u64) -> Found {
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
        counters.add(Count::BytesIn, bytes);
        if count == self.arena.slots() {
            Found::Full
        } else {
            Found::Some(count)
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

    /// Hands the finished lines over and publishes the engine's counters. Waits, without reading, while the outbox
    /// is full.
    fn deliver(&mut self, now: u64) {
        self.delivered_ms = now;
        self.publish();
        let raw = self.engine.raw();
        let mut room = raw.is_empty() || self.shared.raw.put(raw, &mut Vec::new());
        let (output, timeline) = self.engine.batch();
        if !output.is_empty() {
            self.shared
                .counters
                .add(Count::BytesOut, output.len() as u64);
            room &= self.shared.outbox.put(output, timeline);
        }
        if room {
            return;
        }
        self.shared.counters.add(Count::Stalls, 1);
        while (self.shared.outbox.is_full() || self.shared.raw.is_full()) && !self.stopping() {
            system::wait_one(self.shared.wake.as_fd());
            self.shared.wake.clear();
        }
    }

    fn publish(&mut self) {
        let new = self.engine.unreadable();
        if !new.is_empty() {
            let unreadable = self.shared.unreadable.lock();
            let mut unreadable = unreadable.unwrap_or_else(PoisonError::into_inner);
            let room = MOST_UNREADABLE.saturating_sub(unreadable.len());
            unreadable.extend(new.into_iter().take(room));
        }
        let engine = self.engine.counters();
        let shares = self.engine.shares();
        for (count, value) in [
            (Count::Records, engine.records),
            (Count::Events, engine.events),
            (Count::Control, engine.control),
            (Count::Unreadable, engine.unreadable),
            (Count::Incomplete, engine.incomplete),
            (Count::Late, engine.late),
            (Count::Gaps, engine.gaps),
            (Count::RawCut, engine.raw_cut),
            (Count::EndsEvent, shares.of(Origin::Event)),
            (Count::EndsListener, shares.of(Origin::Listener)),
            (Count::EndsTrace, shares.of(Origin::Trace)),
            (Count::EndsPidfd, shares.of(Origin::Pidfd)),
            (Count::EndsDestroyed, shares.of(Origin::Destroyed)),
            (Count::EndsUnknown, shares.of(Origin::Unknown)),
            (Count::Accepts, shares.accepts[0]),
            (Count::AcceptsKnown, shares.accepts[1]),
            (Count::Connects, shares.connects[0]),
            (Count::ConnectsKnown, shares.connects[1]),
            (Count::Looks, shares.looks),
            (Count::LooksOff, u64::from(self.netlink && shares.blind)),
            (
                Count::TraceOff,
                u64::from(self.netlink && matches!(self.tracing, Tracing::Refused)),
            ),
        ] {
            self.shared.counters.set(count, value);
        }
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
