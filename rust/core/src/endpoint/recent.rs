//! A table that forgets what was put in long ago.

use std::hash::Hash;

use crate::mix::Table;

/// So many are remembered, and up to as many before them.
const MOST: usize = 8_192;

/// The last things that were put in.
#[derive(Debug)]
pub struct Recent<K, V> {
    newer: Table<K, V>,
    older: Table<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            newer: Table::default(),
            older: Table::default(),
        }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Puts something in; the oldest half may go.
    pub fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= MOST {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        self.newer.insert(key, value);
    }

    /// What is remembered.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// See [`Self::get`].
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        (self.newer.get_mut(key)).or_else(|| self.older.get_mut(key))
    }

    /// Takes it out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let older = self.older.remove(key);
        self.newer.remove(key).or(older)
    }
}
