//! Names of users and groups as this machine's name service (NSS) gives them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::CStr;
use std::hash::{BuildHasherDefault, Hasher};

use libc::{c_char, c_int};
use tsauditd_core::System;

/// The largest entry read: groups of many members are large. An answer that is larger counts as none.
const ANSWER_BYTES: usize = 1 << 20;

/// Ids remembered before all are forgotten.
const REMEMBERED_IDS: usize = 1 << 16;

/// The kernel's "not set": (uid_t)-1.
pub const UNSET: u32 = u32::MAX;

/// What an id is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    User,
    Group,
}

/// A multiplicative hash: ids are small integers, looked up a dozen times an event.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        // 2^64 divided by the golden ratio spreads neighbours; the fold brings the high bits to where buckets are chosen.
        let product = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

/// A map from ids.
pub type IdMap<V> = HashMap<u32, V, BuildHasherDefault<IdHasher>>;

/// What the name service says of an id.
pub enum Answer {
    Name(String),
    /// There is no such user or group.
    Nobody,
    /// It could not be asked: a server is down.
    Failed,
}

impl Answer {
    fn name(self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name),
            Self::Nobody | Self::Failed => None,
        }
    }
}

/// Asks with a buffer that grows until the entry fits. `ask` fills the buffer and returns the C function's result and
/// the name it found, copied. Of the results, getpwuid(3) lists these for "not found".
fn with_buffer(mut ask: impl FnMut(&mut [c_char]) -> (c_int, Option<String>)) -> Answer {
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        match ask(&mut buffer) {
            (0, Some(name)) => return Answer::Name(name),
            (0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, _) => {
                return Answer::Nobody;
            }
            (libc::ERANGE, _) if buffer.len() < ANSWER_BYTES => buffer.resize(buffer.len() * 4, 0),
            (libc::EINTR, _) => {}
            _ => return Answer::Failed,
        }
    }
}

/// Copies a C string that a lookup left in its buffer. Null is no name.
///
/// # Safety
/// `name` is null or points to a string that ends in NUL and is alive for the call.
unsafe fn copied(name: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!name.is_null()).then(|| {
        unsafe { CStr::from_ptr(name) }
            .to_string_lossy()
            .into_owned()
    })
}

fn user(uid: u32) -> Answer {
    with_buffer(|buffer| {
        // SAFETY: passwd is a plain C structure of integers and pointers, valid when zero; the kernel's caller fills
        // it. The strings it points to lie in `buffer`, which outlives the copy.
        unsafe {
            let mut entry: libc::passwd = std::mem::zeroed();
            let mut found = std::ptr::null_mut();
            let result = libc::getpwuid_r(
                uid,
                &raw mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            );
            (
                result,
                if found.is_null() {
                    None
                } else {
                    copied(entry.pw_name)
                },
            )
        }
    })
}

fn group(gid: u32) -> Answer {
    with_buffer(|buffer| {
        // SAFETY: as in `user`, with the group structure.
        unsafe {
            let mut entry: libc::group = std::mem::zeroed();
            let mut found = std::ptr::null_mut();
            let result = libc::getgrgid_r(
                gid,
                &raw mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            );
            (
                result,
                if found.is_null() {
                    None
                } else {
                    copied(entry.gr_name)
                },
            )
        }
    })
}

/// Asks the name service, which may take as long as a directory server does.
pub fn ask(kind: Kind, id: u32) -> Answer {
    match kind {
        Kind::User => user(id),
        Kind::Group => group(id),
    }
}

/// Names for logs: each id is asked for once, when it first occurs, and waited for.
#[derive(Default)]
pub struct AskedNames {
    users: IdMap<Option<String>>,
    groups: IdMap<Option<String>>,
}

fn asked(known: &mut IdMap<Option<String>>, kind: Kind, id: u32) -> Option<&str> {
    if id == UNSET {
        return None;
    }
    if known.len() >= REMEMBERED_IDS && !known.contains_key(&id) {
        known.clear();
    }
    match known.entry(id) {
        Entry::Occupied(entry) => entry.into_mut().as_deref(),
        Entry::Vacant(entry) => entry.insert(ask(kind, id).name()).as_deref(),
    }
}

impl System for AskedNames {
    fn user(&mut self, uid: u32) -> Option<&str> {
        asked(&mut self.users, Kind::User, uid)
    }

    fn group(&mut self, gid: u32) -> Option<&str> {
        asked(&mut self.groups, Kind::Group, gid)
    }
}
