//! Quick hashes: of texts, for those who keep what came of a text until another takes its place; of numbers, for tables.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A quick hash, eight bytes at a time, the last eight perhaps once more. Who finds two texts of one number makes this
/// slower, and nothing else.
pub fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| {
        (hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let all = words.iter().map(|word| u64::from_le_bytes(*word));
    let hash = all.fold(step(hash, bytes.len() as u64), step);
    match bytes.last_chunk() {
        Some(last) => step(hash, u64::from_le_bytes(*last)),
        None => rest
            .iter()
            .fold(hash, |hash, byte| step(hash, u64::from(*byte))),
    }
}

/// A place among `places` for a hash: [`mix`] turns the best bits of its last product to where these are.
pub fn place(hash: u64, places: usize) -> usize {
    (hash >> 12 & 0xffff) as usize % places
}

/// A table by numbers that the kernel gave: pids, descriptors, sockets, addresses, serials.
pub type Table<K, V> = HashMap<K, V, Quick>;

/// Makes the hashes of one table. Programs choose some of the numbers, and no two tables hash alike, so that nobody can
/// tell which fall together.
#[derive(Debug, Clone)]
pub struct Quick(u64);

impl Default for Quick {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Quick {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

/// Each word is multiplied in, and both halves of the product count: a third of the instructions of the standard
/// library's hash.
#[derive(Debug)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let last = rest.iter().rev();
            self.write_u64(last.fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product ^ product >> 64) as u64;
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn near_numbers_are_spread_in_the_bits_that_a_table_looks_at() {
        let quick = Quick::default();
        for shift in [0, 12, 32, 56] {
            let hashes = || (0..256_u64).map(|number| quick.hash_one((7_u32, number << shift)));
            let low: HashSet<u64> = hashes().map(|hash| hash & 0xfff).collect();
            let high: HashSet<u64> = hashes().map(|hash| hash >> 57).collect();
            assert!(low.len() > 200, "{shift}: {}", low.len());
            assert!(high.len() > 64, "{shift}: {}", high.len());
        }
    }

    #[test]
    fn bytes_and_numbers_count_whole_and_in_their_order() {
        let quick = Quick::default();
        let texts: [&[u8]; 6] = [b"", b"a", b"a\0", b"12345678", b"123456789", b"912345678"];
        let hashes: HashSet<u64> = texts.iter().map(|text| quick.hash_one(text)).collect();
        assert_eq!(hashes.len(), texts.len());
        assert_ne!(quick.hash_one((1, 2)), quick.hash_one((2, 1)));
    }
}
