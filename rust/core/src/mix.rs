//! Quick hashes: of texts, for those who keep what came of a text until another takes its place; of numbers, for tables.

use std::collections::HashMap;

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

/// A table by numbers that the kernel gave: pids, descriptors, sockets, addresses, serials. Programs choose some of the
/// numbers; each table hashes by a key of its own, so that nobody can tell which fall together. A third of the
/// instructions of the standard library's hash.
pub type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
