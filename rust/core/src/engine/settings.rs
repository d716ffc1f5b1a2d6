//! How an engine is to work.

use std::sync::{Arc, Mutex};

use crate::ecs::Host;
use crate::raw::RawFormat;
use crate::talkers::Talkers;

/// How an engine is to work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Keep the records as `event.original`.
    pub original: bool,
    /// This machine, for events that it wrote.
    pub host: Host,
    /// Tell of processes, containers and the ends of connections more than an event's own records do.
    pub context: bool,
    /// The longest `process.args` kept, in bytes.
    pub max_argument_bytes: usize,
    /// Keep what the timelines of sessions need.
    pub timelines: bool,
    /// Where to count who causes how many events, if anybody wants to know.
    pub talkers: Option<Arc<Mutex<Talkers>>>,
    /// Also write each record as auditd does; packets only.
    pub raw: RawFormat,
    /// The input is the text of a log rather than packets from the kernel.
    pub log: bool,
    /// Only events at or after this time, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// Only events before this time.
    pub until: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            original: false,
            host: Host::default(),
            context: true,
            max_argument_bytes: 2 << 20,
            timelines: false,
            talkers: None,
            raw: RawFormat::None,
            log: false,
            since: None,
            until: None,
        }
    }
}
