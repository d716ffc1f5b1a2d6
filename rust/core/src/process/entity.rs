//! The name of a process that no other has, on any host and in any boot (ECS `process.entity_id`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest, Sha1};

/// Bytes of an entity's name: 96 bits of its digest in base64url.
pub const ENTITY_BYTES: usize = 16;

/// Makes the names that processes keep for good.
#[derive(Debug, Clone)]
pub struct Entities(Sha1);

impl Entities {
    /// For the processes of one start of a host.
    #[must_use]
    pub fn new(host: &[u8], boot: &[u8]) -> Self {
        let mut hash = Sha1::new();
        for text in [host, boot] {
            hash.update(text);
            hash.update([0]);
        }
        Self(hash)
    }

    /// The name of a process: of what tells it from all others of this host, its pid and when it started.
    #[must_use]
    pub fn name(&self, node: &[u8], pid: u32, since: Since) -> [u8; ENTITY_BYTES] {
        let mut hash = self.0.clone();
        hash.update(node);
        hash.update(pid.to_le_bytes());
        match since {
            Since::Ticks(ticks) => hash.update(ticks.to_le_bytes()),
            Since::Event(time, serial) => {
                hash.update(b"event");
                hash.update(time.to_le_bytes());
                hash.update(serial.to_le_bytes());
            }
        }
        let digest = hash.finalize();
        let mut text = [b'-'; ENTITY_BYTES];
        // Twelve bytes are sixteen characters: there is room.
        let _ = URL_SAFE_NO_PAD.encode_slice(digest.get(..12).unwrap_or_default(), &mut text);
        text
    }
}

/// What tells a process from those that had its pid before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// When it started, in clock ticks since the system did.
    Ticks(u64),
    /// The event that first showed it, by time in milliseconds and serial.
    Event(u64, u64),
}
