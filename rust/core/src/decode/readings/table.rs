//! The names of fields that have a reading, and the index that finds them.

use super::Reading;

/// What most records mean by a field of the name.
const FIELDS: &[(&[u8], Reading)] = &[
    (b"acct", Reading::Escaped),
    (b"action", Reading::NetfilterAction),
    (b"apparmor", Reading::Escaped),
    (b"arch", Reading::Arch),
    (b"auid", Reading::User),
    (b"cap_fi", Reading::Capabilities),
    (b"cap_fp", Reading::Capabilities),
    (b"cap_frootid", Reading::User),
    (b"cap_pa", Reading::Capabilities),
    (b"cap_pe", Reading::Capabilities),
    (b"cap_pi", Reading::Capabilities),
    (b"cap_pp", Reading::Capabilities),
    (b"capability", Reading::Capability),
    (b"cgroup", Reading::Escaped),
    (b"cmd", Reading::Escaped),
    (b"code", Reading::Seccomp),
    (b"comm", Reading::Escaped),
    (b"cwd", Reading::Escaped),
    (b"data", Reading::Keystrokes),
    (b"denied_mask", Reading::Escaped),
    (b"dev", Reading::Escaped),
    (b"device", Reading::Escaped),
    (b"dir", Reading::Escaped),
    (b"egid", Reading::Group),
    (b"errno", Reading::Errno),
    (b"euid", Reading::User),
    (b"exe", Reading::Escaped),
    (b"exit", Reading::Exit),
    (b"family", Reading::NetfilterFamily),
    (b"fan_info", Reading::FanotifyInfo),
    (b"fan_type", Reading::FanotifyType),
    (b"fi", Reading::Capabilities),
    (b"file", Reading::Escaped),
    (b"flags", Reading::MmapFlags),
    (b"fp", Reading::Capabilities),
    (b"frootid", Reading::User),
    (b"fsgid", Reading::Group),
    (b"fsuid", Reading::User),
    (b"gid", Reading::Group),
    (b"grp", Reading::Escaped),
    (b"hook", Reading::NetfilterHook),
    (b"icmp_type", Reading::IcmpType),
    (b"icmptype", Reading::IcmpType),
    (b"id", Reading::UserOrGroup),
    (b"igid", Reading::Group),
    (b"info", Reading::Escaped),
    (b"inode_gid", Reading::Group),
    (b"inode_uid", Reading::User),
    (b"invalid_context", Reading::Escaped),
    (b"ioctlcmd", Reading::IoctlRequest),
    (b"iuid", Reading::User),
    (b"key", Reading::Escaped),
    (b"key_desc", Reading::Escaped),
    (b"kmod", Reading::Escaped),
    (b"label", Reading::Escaped),
    (b"list", Reading::FilterList),
    (b"macproto", Reading::EthernetProtocol),
    (b"mode", Reading::FileMode),
    (b"msg", Reading::Escaped),
    (b"name", Reading::Escaped),
    (b"namespace", Reading::Escaped),
    (b"new-chardev", Reading::Escaped),
    (b"new-disk", Reading::Escaped),
    (b"new-fs", Reading::Escaped),
    (b"new-net", Reading::Escaped),
    (b"new-rng", Reading::Escaped),
    (b"new_gid", Reading::Group),
    (b"new_group", Reading::Escaped),
    (b"new_pe", Reading::Capabilities),
    (b"new_pi", Reading::Capabilities),
    (b"new_pp", Reading::Capabilities),
    (b"nl-mcgrp", Reading::MulticastGroup),
    (b"nlbl_domain", Reading::Escaped),
    (b"oauid", Reading::User),
    (b"obj_gid", Reading::Group),
    (b"obj_uid", Reading::User),
    (b"obj_trust", Reading::Trust),
    (b"ocomm", Reading::Escaped),
    (b"oflag", Reading::OpenFlags),
    (b"ogid", Reading::Group),
    (b"old-auid", Reading::User),
    (b"old-chardev", Reading::Escaped),
    (b"old-disk", Reading::Escaped),
    (b"old-fs", Reading::Escaped),
    (b"old-net", Reading::Escaped),
    (b"old-rng", Reading::Escaped),
    (b"old-ses", Reading::Session),
    (b"old_pa", Reading::Capabilities),
    (b"old_pe", Reading::Capabilities),
    (b"old_pi", Reading::Capabilities),
    (b"old_pp", Reading::Capabilities),
    (b"old_prom", Reading::Promiscuous),
    (b"operation", Reading::Escaped),
    (b"oses", Reading::Session),
    (b"ouid", Reading::User),
    (b"pa", Reading::Capabilities),
    (b"path", Reading::Escaped),
    (b"pe", Reading::Capabilities),
    (b"peer", Reading::Escaped),
    (b"per", Reading::Personality),
    (b"perm", Reading::Access),
    (b"perm_mask", Reading::Access),
    (b"pi", Reading::Capabilities),
    (b"pp", Reading::Capabilities),
    (b"proctitle", Reading::Proctitle),
    (b"profile", Reading::Escaped),
    (b"prom", Reading::Promiscuous),
    (b"proto", Reading::Protocol),
    (b"rawcon", Reading::Escaped),
    (b"requested_mask", Reading::Escaped),
    (b"res", Reading::Success),
    (b"resolve", Reading::Resolve),
    (b"resp", Reading::FanotifyResponse),
    (b"result", Reading::Success),
    (b"root_dir", Reading::Escaped),
    (b"saddr", Reading::SocketAddress),
    (b"sauid", Reading::User),
    (b"ses", Reading::Session),
    (b"sgid", Reading::Group),
    (b"sig", Reading::Signal),
    (b"sigev_signo", Reading::Signal),
    (b"srawcon", Reading::Escaped),
    (b"subj_trust", Reading::Trust),
    (b"suid", Reading::User),
    (b"sw", Reading::Escaped),
    (b"syscall", Reading::Syscall),
    (b"trawcon", Reading::Escaped),
    (b"uid", Reading::User),
    (b"uring_op", Reading::UringOp),
    (b"vm", Reading::Escaped),
    (b"watch", Reading::Escaped),
    (b"xattr", Reading::Escaped),
];

/// Slots of the index: a power of two, some four for each name.
const SLOTS: usize = 512;
const EMPTY: u8 = u8::MAX;

/// Where each name of [`FIELDS`] is found: its number, at its hash or in the free slot after it.
static INDEX: [u8; SLOTS] = {
    assert!(FIELDS.len() < EMPTY as usize);
    let mut index = [EMPTY; SLOTS];
    let mut number = 0;
    while number < FIELDS.len() {
        let mut slot = hash(FIELDS[number].0);
        while index[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = number as u8;
        number += 1;
    }
    index
};

/// Mixes the length with the name's first and last bytes, a few instructions for any length.
const fn hash(name: &[u8]) -> usize {
    let (head, tail) = match name {
        [a, b, c, d, .., w, x, y, z] => ([*a, *b, *c, *d], [*w, *x, *y, *z]),
        [a, b, .., y, z] => ([*a, *b, 0, 0], [0, 0, *y, *z]),
        [a, .., z] => ([*a, 0, 0, 0], [0, 0, 0, *z]),
        [a] => ([*a, 0, 0, 0], [0; 4]),
        [] => ([0; 4], [0; 4]),
    };
    let word = u32::from_le_bytes(head) as u64 | (u32::from_le_bytes(tail) as u64) << 32;
    let mixed = (word ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}

/// The reading that most records mean by `field`.
pub fn general(field: &[u8]) -> Reading {
    let mut slot = hash(field);
    loop {
        let Some((name, reading)) = INDEX
            .get(slot)
            .and_then(|number| FIELDS.get(usize::from(*number)))
        else {
            return Reading::Raw;
        };
        if *name == field {
            return *reading;
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The name in the `place`th row, for tests that go through all.
#[cfg(test)]
pub fn name(place: usize) -> &'static [u8] {
    FIELDS
        .get(place % FIELDS.len())
        .map_or(b"", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name() {
        for (name, expected) in FIELDS {
            assert_eq!(general(name), *expected, "{}", name.escape_ascii());
        }
        for name in [&b""[..], b"x", b"a0", b"uidd", b"pid", b"commm"] {
            assert_eq!(general(name), Reading::Raw);
        }
    }
}
