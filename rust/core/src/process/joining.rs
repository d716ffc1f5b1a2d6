//! Runtimes that were seen to put a program into a running container, until that program is seen there.
//!
//! `runc exec --detach` ends when its program begins, often before that is on record; what it has started is then a
//! child of whoever had it do so (containerd's shim, conmon), as the container's first process is.

use std::collections::VecDeque;

use crate::process::Cage;

/// How long after its runtime a program may be seen, in seconds, and how many runtimes are remembered.
const LONGEST: u64 = 10;
const MOST: usize = 256;

#[derive(Debug)]
struct Runtime {
    pid: u32,
    parent: u32,
    container: Cage,
    seconds: u64,
}

/// The runtimes whose program was not seen yet.
#[derive(Debug, Default)]
pub struct Joining(VecDeque<Runtime>);

impl Joining {
    /// Remembers one, which its own copies (runc runs itself again) take the place of.
    pub fn add(&mut self, pid: u32, parent: u32, container: Cage, seconds: u64) {
        self.0.retain(|runtime| runtime.pid != pid);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(Runtime {
            pid,
            parent,
            container,
            seconds,
        });
    }

    /// Whether one of them has started a process that enters `container`, whose parent is that runtime or who had it
    /// started. That one is forgotten.
    pub fn take(&mut self, parent: u32, container: &Cage, seconds: u64) -> bool {
        let id = |cage: &Cage| cage.as_ref().map(|cage| cage.id.clone());
        let wanted = id(container);
        let found = self.0.iter().position(|runtime| {
            (runtime.pid == parent || runtime.parent == parent)
                && seconds <= runtime.seconds + LONGEST
                && id(&runtime.container) == wanted
        });
        found.and_then(|at| self.0.remove(at)).is_some()
    }
}
