//! What goes out: lines into the outboxes, counters into what is shared.

use std::os::fd::AsFd;
use std::sync::PoisonError;

use tsauditd_core::endpoint::flow::Origin;

use super::Reader;
use crate::counters::Count;
use crate::system;
use crate::tracing::Tracing;

/// Unreadable packets or lines kept for Python; all are counted.
const MOST_UNREADABLE: usize = 100;

impl Reader {
    /// Hands the finished lines over and publishes the engine's counters. Waits, without reading, while the outbox
    /// is full.
    pub fn deliver(&mut self, now: u64) {
        self.publish();
        let raw = self.engine.raw();
        let something = !raw.is_empty();
        let mut room = raw.is_empty() || self.shared.raw.put(raw, &mut Vec::new());
        let (output, timeline) = self.engine.batch();
        if something || !output.is_empty() {
            self.delivered_ms = now; // an event of which a part has come is not late for it
        }
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
            (Count::Doubts, self.engine.doubts()),
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
}
