//! Which container a process is in, from the names of its control groups.
//!
//! The kernel shows them in `/proc/PID/cgroup` (cgroups(7)), a line for each hierarchy: `ID:CONTROLLERS:PATH`, with ID 0
//! and no controllers for cgroup v2. Every runtime names its containers' groups by a form of its own ([`forms`]). Of
//! nested containers the outermost counts: whoever is inside can name groups below his own as he likes.
//!
//! Not every name can be trusted. systemd gives the groups below `user@UID.service` to that user, and pam_cgfs those below
//! `/user` (systemd.resource-control(5) on Delegate=, pam_cgfs(8)); whoever runs there can take any container's form.
//! Such a container is marked as [`Container::claimed`].

mod bolt;
mod forms;
mod known;
mod launch;
mod sqlite;
pub mod state;
#[cfg(test)]
mod tests;

pub use known::Known;
pub use launch::{Launch, is_runtime, launches};

use forms::{FORMS, Form, Id, POD_MANAGERS};

/// The longest name taken for a container's: LXC, systemd and runc allow less.
const LONGEST_NAME: usize = 255;

/// A container as its control group names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Container {
    /// The runtime's id, or the name where the runtime knows containers by name (LXC, systemd-nspawn, runc).
    pub id: String,
    /// The runtime; empty where the form is one that several have in common.
    pub runtime: &'static str,
    /// The uid of the Kubernetes pod, with dashes if it is a UUID.
    pub pod: Option<String>,
    /// The group is one that an ordinary user may make and name himself: a rootless container, or nothing of the kind.
    pub claimed: bool,
}

impl Container {
    /// A container that its runtime knows by a name.
    #[must_use]
    pub fn named(name: String, runtime: &'static str) -> Self {
        Self {
            id: name,
            runtime,
            pod: None,
            claimed: false,
        }
    }
}

/// Whether the text of `/proc/PID/cgroup` says nothing at all: on cgroup v1 the kernel shows `/` for a process that is
/// exiting (`proc_cgroup_show`, kernel/cgroup/cgroup.c).
#[must_use]
pub fn is_nowhere(text: &[u8]) -> bool {
    paths(text).all(|path| path == "/")
}

/// The container that the text of `/proc/PID/cgroup` tells of. `None`: a process of the host, or of something that no
/// form is known for; also, on cgroup v1, one that is exiting (the kernel then shows `/`).
#[must_use]
pub fn of_cgroup(text: &[u8]) -> Option<Container> {
    paths(text).find_map(of_path)
}

/// Whether the text tells of what systemd-nspawn runs in the unit that it was started in itself (`--keep-unit`): the
/// container's own group is then called just this (nspawn-cgroup.c), and the name of it is nowhere.
#[must_use]
pub fn is_payload(text: &[u8]) -> bool {
    has_part(text, "payload")
}

/// Whether a group of this name is among the groups.
#[must_use]
pub fn has_part(text: &[u8], name: &str) -> bool {
    paths(text).any(|path| path.split('/').any(|part| part == name))
}

/// The name that a container would have whose runtime puts it into a group of just that name (runc and crun without
/// `cgroupsPath`, ctr): the last part of the path, where that can be neither one of systemd's units nor a user's own.
/// Whether there is such a container only the runtime's state can tell.
#[must_use]
pub fn possible_name(text: &[u8]) -> Option<&str> {
    paths(text).find_map(|path| {
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let mut before = "";
        let mut last = None;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if is_users(before, part) {
                return None;
            }
            let unit = [".slice", ".scope", ".service", ".mount", ".socket", ".swap"];
            last = (is_name(part) && !unit.iter().any(|end| part.ends_with(end))).then_some(part);
            before = part;
        }
        last
    })
}

/// The paths of all hierarchies, in the order of the text.
fn paths(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let path = parts.nth(2)?;
        std::str::from_utf8(path).ok()
    })
}

/// Whether a user has the naming of what is below `part`. Root's own is the system's.
fn is_users(before: &str, part: &str) -> bool {
    let manager = part
        .strip_prefix("user@")
        .and_then(|rest| rest.strip_suffix(".service"));
    manager.is_some_and(|uid| uid != "0") || (before.is_empty() && part == "user")
}

fn of_path(path: &str) -> Option<Container> {
    // A group that was removed while its last process was still there.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    let (mut before, mut pod, mut claimed) = ("", None, false);
    let mut orchestrated = false;
    let mut depth = 0;
    while let Some(part) = parts.next() {
        claimed |= is_users(before, part);
        orchestrated |= part.contains("kubepods");
        if orchestrated {
            pod = pod_of(part).or(pod);
        }
        let found = FORMS
            .iter()
            .find_map(|form| form.id(part, before, depth).map(|id| (id, form.runtime)));
        if let Some((id, runtime)) = found {
            // What systemd-nspawn runs of itself stands beside the container (`supervisor`, `payload`).
            let beside = runtime == forms::NSPAWN && parts.peek() == Some(&"supervisor");
            return (!beside).then_some(Container {
                id,
                runtime,
                pod,
                claimed,
            });
        }
        before = part;
        depth += 1;
    }
    None
}

/// The uid in the name of a pod's group: `podUID`, `kubepods-burstable-podUID.slice` (with `_` for `-`, which
/// systemd reads as a level), or the latter before `:RUNTIME:ID`.
fn pod_of(part: &str) -> Option<String> {
    let part = part.split(':').next().unwrap_or(part);
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match part.strip_prefix("pod") {
        Some(uid) => uid,
        None => part.rsplit_once("-pod")?.1,
    };
    let uid = uid.replace('_', "-");
    // A UUID, or for pods from a file the MD5 of it (Kubernetes pkg/kubelet/config/common.go).
    let plain = uid.bytes().filter(|byte| *byte != b'-');
    let hex = plain.clone().count() == 32 && plain.clone().all(is_hex);
    (hex && matches!(uid.len(), 32 | 36)).then_some(uid)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The ids that docker, containerd's CRI, podman and CRI-O give: 256 bits in hexadecimal.
fn is_long_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_hex)
}

/// What a runtime accepts as a name, and what is safe as one part of a path (runc `validateID`, systemd `machine_name_is_valid`, and LXC's directories).
pub fn is_name(text: &str) -> bool {
    let good =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'@');
    !text.is_empty()
        && text.len() <= LONGEST_NAME
        && !text.starts_with('.')
        && text.bytes().all(good)
}

/// A name out of the name of a systemd unit, where `-` stands as `\x2d` (systemd.unit(5)).
fn unescaped(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once("\\x") {
        name.push_str(head);
        let byte = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii() => {
                name.push(char::from(byte));
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                name.push_str("\\x");
                rest = tail;
            }
        }
    }
    name.push_str(rest);
    name
}

impl Form {
    /// The container's id if `part`, below `before` and `depth` levels below the top, has this form.
    fn id(&self, part: &str, before: &str, depth: usize) -> Option<String> {
        let below = self.below.strip_prefix('/');
        let placed = match below {
            Some(top) => depth == 1 && before == top,
            None => self.below.is_empty() || before == self.below,
        };
        if !placed {
            return None;
        }
        let middle = part.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?;
        match self.id {
            Id::Hex => is_long_hex(middle).then(|| middle.to_owned()),
            Id::Name => is_name(middle).then(|| middle.to_owned()),
            Id::Escaped => {
                let name = unescaped(middle);
                // libvirt registers its virtual machines in the same way, which are no containers.
                (is_name(&name) && !name.starts_with("qemu-")).then_some(name)
            }
            Id::AfterColon => {
                let (manager, id) = part.split_once(':')?.1.split_once(':')?;
                (POD_MANAGERS.contains(&(manager, self.runtime)) && is_long_hex(id))
                    .then(|| id.to_owned())
            }
        }
    }
}
