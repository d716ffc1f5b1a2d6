//! The processes known: a bounded number, found by pid, those not seen for longest forgotten first.

use std::collections::HashMap;

use crate::process::Entry;

/// Processes of one host: the number of its name (0 for the host itself) and the pid.
pub type Key = (u64, u32);

/// Entries in places; an entry moves when another one is forgotten.
#[derive(Debug, Default)]
pub struct Slots {
    entries: Vec<Entry>,
    places: HashMap<Key, usize>,
    hand: usize,
}

impl Slots {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where a process is.
    #[must_use]
    pub fn find(&self, key: Key) -> Option<usize> {
        self.places.get(&key).copied()
    }

    /// The process in a place.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&Entry> {
        self.entries.get(slot)
    }

    /// The process in a place.
    #[must_use]
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Entry> {
        self.entries.get_mut(slot)
    }

    /// Puts a process where the one with its key was, or in a place of its own.
    pub fn put(&mut self, entry: Entry) -> usize {
        if let Some(slot) = self.find(entry.key)
            && let Some(place) = self.entries.get_mut(slot)
        {
            *place = entry;
            return slot;
        }
        let slot = self.entries.len();
        self.places.insert(entry.key, slot);
        self.entries.push(entry);
        slot
    }

    /// Forgets one: the first in turn that was not used since it was last passed over (second chance).
    pub fn forget_one(&mut self) {
        // The second round at the latest finds one.
        for _ in 0..=2 * self.entries.len() {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            match self.entries.get_mut(self.hand) {
                Some(entry) if entry.used => entry.used = false,
                Some(_) => break,
                None => return,
            }
            self.hand += 1;
        }
        self.remove(self.hand);
    }

    /// Forgets those of one host.
    pub fn forget_host(&mut self, node: u64) {
        let mut slot = 0;
        while let Some(entry) = self.entries.get(slot) {
            if entry.key.0 == node {
                self.remove(slot);
            } else {
                slot += 1;
            }
        }
    }

    fn remove(&mut self, slot: usize) {
        if slot >= self.entries.len() {
            return;
        }
        let gone = self.entries.swap_remove(slot);
        self.places.remove(&gone.key);
        if let Some(moved) = self.entries.get(slot) {
            self.places.insert(moved.key, slot);
        }
    }
}
