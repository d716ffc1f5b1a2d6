//! The local files of names, passwd(5) and group(5): read at once when they have changed, without the name service.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use tsauditd_core::names::{is_local, listed};

use crate::system::tick_ms;

/// The names of a file that are kept, and how much of it is read: what is behind that is asked for as if it came from
/// elsewhere. In names and bytes.
const NAMES: usize = 1 << 13;
const FILE_BYTES: u64 = 1 << 20;

/// Which services the system asks: nsswitch.conf(5).
const SWITCH: &str = "/etc/nsswitch.conf";

/// One state of a file: when any of these differs, it was written, or another file has taken its place.
#[derive(PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file of names, and in which state it was read last.
pub struct LocalFile {
    path: &'static str,
    /// Its name in nsswitch.conf.
    database: &'static str,
    read: Option<State>,
}

/// What a file holds now.
pub struct Listed {
    /// In the order of the ids.
    pub names: Vec<(u32, Box<str>)>,
    /// Since when, in milliseconds since the epoch. An event has the time of the kernel's last tick, and a file may have
    /// a finer one: this is the first tick whose events may be of later.
    pub since: u64,
}

impl LocalFile {
    /// A file that was not read yet.
    pub fn new(path: &'static str, database: &'static str) -> Self {
        Self {
            path,
            database,
            read: None,
        }
    }

    /// Has the file read again, whatever its state.
    pub fn forget(&mut self) {
        self.read = None;
    }

    /// The names, if the file has changed since they were last given. A file that cannot be read, or is empty (as one
    /// that is being written may be), has not changed.
    pub fn changed(&mut self) -> Option<Listed> {
        let state = State::of(&fs::metadata(self.path).ok()?);
        if self.read.as_ref() == Some(&state) {
            return None;
        }
        let file = File::open(self.path).ok()?;
        let state = State::of(&file.metadata().ok()?);
        let mut bytes = Vec::new();
        file.take(FILE_BYTES).read_to_end(&mut bytes).ok()?;
        if bytes.is_empty() {
            return None;
        }
        let (seconds, nanos) = state.changed;
        let since = seconds
            .saturating_mul(1000)
            .saturating_add(nanos / 1_000_000);
        self.read = Some(state);
        let switch = fs::read_to_string(SWITCH).unwrap_or_default();
        let names = if is_local(&switch, self.database) {
            listed(&String::from_utf8_lossy(&bytes), NAMES)
        } else {
            Vec::new()
        };
        Some(Listed {
            names,
            since: u64::try_from(since)
                .unwrap_or_default()
                .saturating_sub(tick_ms()),
        })
    }
}
