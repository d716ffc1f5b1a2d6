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

/// A function of the name service that looks up an id: getpwuid_r(3), getgrgid_r(3).
type LookUp<Entry> =
    unsafe extern "C" fn(u32, *mut Entry, *mut c_char, usize, *mut *mut Entry) -> c_int;

/// Asks for an id's name, with a buffer that grows until the entry fits. Of the results, getpwuid(3) lists these for
/// "not found".
///
/// # Safety
/// `Entry` is a plain C structure of integers and pointers, valid when zero, that `ask` fills, with strings in the
/// buffer that it is given.
unsafe fn look_up<Entry>(
    ask: LookUp<Entry>,
    id: u32,
    name: impl Fn(&Entry) -> *mut c_char,
) -> Answer {
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        // SAFETY: as the caller promises; the buffer outlives the copy.
        let answer = unsafe {
            let mut entry: Entry = std::mem::zeroed();
            let mut found = std::ptr::null_mut();
            let result = ask(
                id,
                &raw mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            );
            let there = !found.is_null();
            (result, there.then(|| copied(name(&entry))).flatten())
        };
        match answer {
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
    // SAFETY: passwd is such a structure, and this the function that fills it.
    unsafe { look_up(libc::getpwuid_r, uid, |entry: &libc::passwd| entry.pw_name) }
}

fn group(gid: u32) -> Answer {
    // SAFETY: as in `user`, with the group structure.
    unsafe { look_up(libc::getgrgid_r, gid, |entry: &libc::group| entry.gr_name) }
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
