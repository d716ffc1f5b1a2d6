//! The whole walk: packets or log bytes in, lines of JSON out, everything counted.

mod counters;
mod lines;
mod settings;

pub use counters::{Counters, Unreadable};
pub use settings::Settings;

use std::sync::PoisonError;

use self::lines::Reading;
use crate::assemble::{Assembler, Event, Source};
use crate::ecs::{OpenLine, Renderer};
use crate::endpoint::flow::Flow;
use crate::endpoint::{Endpoints, Shares};
use crate::packet::{Packet, packet};
use crate::raw::{RawFormat, RawLog};
use crate::record::{Headers, Record, kind};
use crate::system::System;

/// Unreadable input kept for the one who asks, and how much of each, in bytes.
const MOST_UNREADABLE: usize = 1_000;
const UNREADABLE_TEXT: usize = 512;

/// Bytes in, JSON out.
pub struct Engine {
    settings: Settings,
    system: Box<dyn System + Send>,
    assembler: Assembler,
    renderer: Renderer,
    endpoints: Endpoints,
    done: Vec<Event>,
    out: Vec<u8>,
    raw: RawLog,
    /// The lines of `out` that a session's timeline needs, as far as it reads them.
    timeline: Vec<u8>,
    reading: Reading,
    headers: Headers,
    counters: Counters,
    unreadable: Vec<Unreadable>,
}

impl Engine {
    /// An engine with nothing read.
    #[must_use]
    pub fn new(settings: Settings, system: Box<dyn System + Send>) -> Self {
        let source = if settings.log {
            Source::Log
        } else {
            Source::Live
        };
        let mut renderer = Renderer::new(
            settings.host.clone(),
            settings.original,
            settings.context,
            settings.max_argument_bytes,
        );
        renderer.copy_for_timelines(settings.timelines);
        Self {
            assembler: Assembler::new(source),
            renderer,
            raw: RawLog::new(settings.raw),
            settings,
            system,
            endpoints: Endpoints::default(),
            done: Vec::new(),
            out: Vec::new(),
            timeline: Vec::new(),
            reading: Reading::default(),
            headers: Headers::default(),
            counters: Counters::default(),
            unreadable: Vec::new(),
        }
    }

    /// Learns what runs on the machine now, so that events tell of what began before. Asks the system of each process.
    pub fn seed(&mut self) {
        if self.settings.context {
            self.renderer.seed(self.system.as_mut());
        }
    }

    /// The newest process of this machine has the number `pid`, or had it when everything that is told from now on had
    /// happened: whose number's turn has come again since it was last looked at, is looked at anew.
    pub fn number_given(&mut self, pid: u32) {
        self.renderer.number_given(pid);
    }

    /// Looks at a datagram before those that came with it are read: what it tells of may be gone in a moment. `now` as
    /// for [`Self::packet`].
    pub fn glance(&mut self, datagram: &[u8], now: u64) {
        if !self.settings.context {
            return;
        }
        match packet(datagram) {
            Packet::Record {
                kind: kind::SYSCALL,
                text,
            } => self.endpoints.glance(text, now, self.system.as_mut()),
            Packet::Record {
                kind: kind::CONFIG_CHANGE,
                ..
            } => self.endpoints.rules_changed(self.system.time()),
            _ => {}
        }
    }

    /// Goes on by other settings, from the next event and the next raw record on.
    pub fn change(
        &mut self,
        original: bool,
        max_argument_bytes: usize,
        raw: RawFormat,
        timelines: bool,
    ) {
        self.renderer.change(original, max_argument_bytes);
        self.raw.change(raw);
        self.settings.timelines = timelines;
        self.renderer.copy_for_timelines(timelines);
    }

    /// The kernel's rules were read when [`Self::doubts`] was `doubts`: by them every call has its PROCTITLE, or not. If
    /// so, learns from now on whether end markers tell anything: see [`Self::leaves_out_ends`].
    pub fn rules_read(&mut self, titles: bool, doubts: u64, now: u64) {
        self.assembler.rules_read(titles, doubts, now);
    }

    /// How many records have told of rules by which PROCTITLE may be missing, or that such may be made in silence.
    #[must_use]
    pub fn doubts(&self) -> u64 {
        self.assembler.doubts()
    }

    /// Whether the kernel's end markers tell nothing, as the events that have one end with PROCTITLE anyway.
    #[must_use]
    pub fn leaves_out_ends(&self) -> bool {
        self.assembler.leaves_out_ends()
    }

    /// How many processes are remembered, and the bytes of what they run.
    #[must_use]
    pub fn processes(&self) -> (usize, usize) {
        self.renderer.processes()
    }

    /// Reads one datagram as received. `now`: a steady clock in milliseconds.
    pub fn packet(&mut self, datagram: &[u8], now: u64) {
        match packet(datagram) {
            Packet::Record { kind, text } => match self.headers.read(text) {
                Some((stamp, body)) => {
                    self.raw.write(kind, text, self.system.as_mut());
                    let record = Record {
                        kind,
                        stamp,
                        body,
                        ..Record::default()
                    };
                    self.record(&record, now);
                }
                None => self.refuse("a packet without audit(time:serial)", text),
            },
            Packet::Control(_) => self.counters.control += 1,
            Packet::Short => self.refuse("a packet shorter than a netlink header", datagram),
        }
    }

    /// Lets go what the clock says is over. Returns when to be called again, if anything is open.
    pub fn tick(&mut self, now: u64) -> Option<u64> {
        let next = self.assembler.tick(now, &mut self.done);
        self.write();
        self.write_waiting(now);
        next
    }

    /// There is more to be read than was read at once: writes what does not depend on it, of the lines that wait.
    pub fn hurry(&mut self) {
        self.begin();
        while let Some((flow, line)) = self.endpoints.decided(self.system.as_mut()) {
            self.write_line(line, &flow);
        }
    }

    /// Ends the input: everything open is written.
    pub fn flush(&mut self) {
        self.end_file();
        self.assembler.flush(&mut self.done);
        self.write();
        self.write_waiting(u64::MAX);
    }

    /// Reads what the kernel broadcasts of sockets that are gone. `time`: milliseconds since the epoch.
    /// `now`: the steady clock in milliseconds.
    pub fn destroyed(&mut self, datagram: &[u8], time: u64, now: u64) {
        self.endpoints.destroyed(datagram, time, now);
    }

    /// The kernel's tracepoints tell of connections from now on.
    pub fn begin_trace(&mut self) {
        let time = self.system.time();
        self.endpoints.begin_trace(time, self.system.as_mut());
    }

    /// Who asks for the ends of connections.
    pub fn endpoints(&mut self) -> &mut Endpoints {
        &mut self.endpoints
    }

    /// Who knew the ends of connections.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let mut shares = self.endpoints.shares();
        shares.blind = !self.system.sees_sockets();
        shares
    }

    /// The lines written; the caller takes them away.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// The lines written, and those of them that timelines need, without what these do not read (`ecs`, the process's
    /// ancestors, `auditd.paths` and the like); the caller takes both away. The latter are no more bytes than the former.
    pub fn batch(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.out, &mut self.timeline)
    }

    /// The records as auditd writes them; the caller takes them away.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        self.raw.output()
    }

    /// What was seen so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            late: self.assembler.late(),
            gaps: self.assembler.gaps(),
            raw_cut: self.raw.cut(),
            ..self.counters
        }
    }

    /// Takes what could not be read since the last call; of very much only the first part is kept.
    pub fn unreadable(&mut self) -> Vec<Unreadable> {
        std::mem::take(&mut self.unreadable)
    }

    fn record(&mut self, record: &Record<'_>, now: u64) {
        self.counters.records += 1;
        if works_on_accounts(record.kind) {
            self.system.accounts_changed();
        }
        self.assembler.push(record, now, &mut self.done);
        if !self.done.is_empty() {
            self.write();
        }
    }

    /// Forgets the lines for timelines when the lines that they are of have been taken away.
    fn begin(&mut self) {
        if self.out.is_empty() {
            self.timeline.clear();
        }
    }

    fn write(&mut self) {
        self.begin();
        let mut done = std::mem::take(&mut self.done);
        for event in done.drain(..) {
            if self.is_wanted(event.stamp.time()) {
                self.write_event(&event);
            } else {
                self.counters.skipped += 1;
            }
            self.assembler.recycle(event);
        }
        self.done = done;
    }

    /// Whether an event of this time, in milliseconds since the epoch, was asked for.
    fn is_wanted(&self, time: u64) -> bool {
        self.settings.since.is_none_or(|since| time >= since)
            && self.settings.until.is_none_or(|until| time < until)
    }

    fn write_event(&mut self, event: &Event) {
        self.system.at(event.stamp.time());
        let start = self.out.len();
        let written = self.renderer.write(
            event,
            self.system.as_mut(),
            &mut self.endpoints,
            &mut self.out,
        );
        self.counters.events += 1;
        self.counters.incomplete += u64::from(!written.whole);
        if let Some(talkers) = &self.settings.talkers {
            let mut talkers = talkers.lock().unwrap_or_else(PoisonError::into_inner);
            talkers.count(event);
        }
        if let Some((wait, line)) = written.waits {
            self.endpoints.keep(*wait, line);
        } else if written.timeline && self.settings.timelines {
            let renderer = &self.renderer;
            renderer.write_for_timelines(&self.out, start, &mut self.timeline);
        }
        while let Some((flow, oldest)) = self.endpoints.crowded_out(self.system.as_mut()) {
            self.write_line(oldest, &flow);
        }
    }

    /// Writes the lines whose ends are known by now, or will not be.
    fn write_waiting(&mut self, now: u64) {
        self.begin();
        while let Some((flow, line)) = self.endpoints.over(now, self.system.as_mut()) {
            self.write_line(line, &flow);
        }
    }

    fn write_line(&mut self, line: OpenLine, flow: &Flow) {
        let start = self.out.len();
        let timeline = line.timeline;
        self.renderer.end(line, flow, &mut self.out);
        if timeline && self.settings.timelines {
            let line = self.out.get(start..).unwrap_or_default();
            self.timeline.extend_from_slice(line);
        }
    }

    fn refuse(&mut self, reason: &'static str, text: &[u8]) {
        self.counters.unreadable += 1;
        if self.unreadable.len() < MOST_UNREADABLE {
            let line = if self.settings.log {
                self.reading.line
            } else {
                self.counters.records + self.counters.unreadable
            };
            let text = text.get(..UNREADABLE_TEXT).unwrap_or(text).to_vec();
            self.unreadable.push(Unreadable { line, reason, text });
        }
    }
}

/// Whether programs write a record of this type when users or groups are made, changed or removed.
fn works_on_accounts(kind: u16) -> bool {
    matches!(
        kind,
        kind::USER_MGMT | kind::USER_CHAUTHTOK | kind::ADD_USER
            ..=kind::DEL_GROUP
                | kind::CHGRP_ID
                | kind::GRP_MGMT
                | kind::GRP_CHAUTHTOK
                | kind::ACCT_LOCK
                | kind::ACCT_UNLOCK
    )
}
