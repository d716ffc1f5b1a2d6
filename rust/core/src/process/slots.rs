//! The processes known: a bounded number, found by pid, those not seen for longest forgotten first.

use crate::mix::Table;
use crate::process::Entry;

/// Processes of one host: the number of its name (0 for the host itself) and the pid.
pub type Key = (u64, u32);

/// Entries in places, in which they stay until they are forgotten.
#[derive(Debug, Default)]
pub struct Slots {
    entries: Vec<Option<Entry>>,
    /// The places of those that were forgotten.
    free: Vec<usize>,
    places: Table<Key, usize>,
    hand: usize,
}

impl Slots {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Where a process is.
    #[must_use]
    pub fn find(&self, key: Key) -> Option<usize> {
        self.places.get(&key).copied()
    }

    /// The process in a place.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&Entry> {
        self.entries.get(slot)?.as_ref()
    }

    /// The process in a place.
    #[must_use]
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Entry> {
        self.entries.get_mut(slot)?.as_mut()
    }

    /// Puts a process where the one with its key was, or in a place of its own.
    pub fn put(&mut self, entry: Entry) -> usize {
        let slot = match self.find(entry.key) {
            Some(slot) => slot,
            None => self.free.pop().unwrap_or(self.entries.len()),
        };
        self.places.insert(entry.key, slot);
        match self.entries.get_mut(slot) {
            Some(place) => *place = Some(entry),
            None => self.entries.push(Some(entry)),
        }
        slot
    }

    /// Forgets one: the first in turn that was not used since it was last passed over (second chance). Whoever comes
    /// into its place has its turn after all others.
    pub fn forget_one(&mut self) {
        // The second round at the latest finds one.
        for _ in 0..=2 * self.entries.len() {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let slot = self.hand;
            self.hand += 1;
            match self.get_mut(slot) {
                Some(entry) if entry.used => entry.used = false,
                Some(_) => return self.remove(slot),
                None => {}
            }
        }
    }

    /// Forgets those of one host.
    pub fn forget_host(&mut self, node: u64) {
        for slot in 0..self.entries.len() {
            if self.get(slot).is_some_and(|entry| entry.key.0 == node) {
                self.remove(slot);
            }
        }
    }

    fn remove(&mut self, slot: usize) {
        if let Some(gone) = self.entries.get_mut(slot).and_then(Option::take) {
            self.places.remove(&gone.key);
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Slots;
    use crate::json::Clock;
    use crate::process::Entry;
    use crate::process::lineage::Lineage;
    use crate::process::program::{Facts, Held, Program};

    fn entry(pid: u32) -> Entry {
        let facts = Facts {
            pid,
            start: None,
            entity: [b'-'; 16],
            executable: b"/bin/a",
            name: b"a",
            directory: b"",
        };
        let program = Program::of_line(facts, b"a\0", &mut Clock::default(), &Held::default());
        Entry::new(
            (0, pid),
            Arc::new(program),
            Lineage::default(),
            None,
            (0, 0),
        )
    }

    #[test]
    fn whoever_came_last_is_not_the_next_to_be_forgotten() {
        let mut slots = Slots::default();
        for pid in 0..1_000 {
            while slots.len() >= 64 {
                slots.forget_one();
            }
            slots.put(entry(pid));
            for recent in pid.saturating_sub(16)..=pid {
                assert!(slots.find((0, recent)).is_some(), "{recent} at {pid}");
            }
        }
    }
}
