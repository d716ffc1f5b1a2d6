//! Which reading a record's field asks for, by the field's name and the record's type.
//!
//! The names are those of the kernel's and libaudit's records, as the field dictionary of the Linux audit project
//! lists them.

mod table;

use self::table::general;
use self::types::*;

#[cfg(test)]
pub use self::table::name;

/// Numbers of the record types whose fields differ from the rule (include/uapi/linux/audit.h, libaudit).
mod types {
    pub const ADD_GROUP: u16 = 1116;
    pub const DEL_GROUP: u16 = 1117;
    pub const CHGRP_ID: u16 = 1119;
    pub const USER_TTY: u16 = 1124;
    pub const GRP_AUTH: u16 = 1126;
    pub const GRP_MGMT: u16 = 1132;
    pub const GRP_CHAUTHTOK: u16 = 1133;
    pub const PATH: u16 = 1302;
    pub const IPC: u16 = 1303;
    pub const SOCKADDR: u16 = 1306;
    pub const EXECVE: u16 = 1309;
    pub const IPC_SET_PERM: u16 = 1311;
    pub const MQ_OPEN: u16 = 1312;
    pub const TTY: u16 = 1319;
    pub const BPRM_FCAPS: u16 = 1321;
    pub const MMAP: u16 = 1323;
    pub const NETFILTER_PKT: u16 = 1324;
    pub const NETFILTER_CFG: u16 = 1325;
    pub const SECCOMP: u16 = 1326;
    pub const FANOTIFY: u16 = 1331;
    pub const OPENAT2: u16 = 1337;
    pub const AVC: u16 = 1400;
    pub const APPARMOR_FIRST: u16 = 1500;
    pub const APPARMOR_LAST: u16 = 1599;
    pub const INTEGRITY_FIRST: u16 = 1800;
    pub const INTEGRITY_LAST: u16 = 1899;
    pub const LANDLOCK_ACCESS: u16 = 1423;
    pub const LANDLOCK_DOMAIN: u16 = 1424;
}

/// The readings. Those without a line of their own are what their names say.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The raw value says it all.
    Raw,
    /// Quoted, hexadecimal or absent text.
    Escaped,
    /// A NUL-separated argument vector.
    Proctitle,
    /// Keystrokes.
    Keystrokes,
    User,
    Group,
    /// `id`: a group in the records about groups, otherwise a user.
    UserOrGroup,
    Session,
    Arch,
    Syscall,
    UringOp,
    /// A system call's result: an error's name when it is below zero.
    Exit,
    /// An error's number with either sign, as in the integrity records.
    Errno,
    FileMode,
    /// Permissions of something that has no file type.
    Permissions,
    /// Access of a watch: 1 exec, 2 write, 4 read, 8 attr.
    Access,
    OpenFlags,
    MmapFlags,
    Resolve,
    SocketAddress,
    Capability,
    Capabilities,
    Signal,
    FilterList,
    /// 0 no, 1 yes.
    Success,
    /// IFF_PROMISC of a network device's flags.
    Promiscuous,
    Personality,
    Seccomp,
    IoctlRequest,
    MulticastGroup,
    NetfilterFamily,
    NetfilterHook,
    NetfilterAction,
    IcmpType,
    Protocol,
    EthernetProtocol,
    FanotifyResponse,
    FanotifyType,
    FanotifyInfo,
    Trust,
}

/// The reading of `field` in a record of type `record`.
#[must_use]
pub fn reading(record: u16, field: &[u8]) -> Reading {
    let raw_unless = |reading, holds: bool| if holds { reading } else { Reading::Raw };
    match general(field) {
        Reading::Raw if record == EXECVE => raw_unless(Reading::Escaped, is_argument(field)),
        Reading::FileMode => match record {
            PATH => Reading::FileMode,
            IPC | IPC_SET_PERM | MQ_OPEN | OPENAT2 => Reading::Permissions,
            _ => Reading::Raw,
        },
        // `fp` is a key's fingerprint in CRYPTO_KEY_USER.
        Reading::Capabilities if field.len() == 2 => {
            raw_unless(Reading::Capabilities, record == BPRM_FCAPS)
        }
        // In an AVC and a packet's record this is an internet address.
        Reading::SocketAddress => raw_unless(Reading::SocketAddress, record == SOCKADDR),
        Reading::Keystrokes => raw_unless(Reading::Keystrokes, matches!(record, TTY | USER_TTY)),
        Reading::MmapFlags => raw_unless(Reading::MmapFlags, record == MMAP),
        Reading::Seccomp => raw_unless(Reading::Seccomp, record == SECCOMP),
        Reading::NetfilterFamily => raw_unless(Reading::NetfilterFamily, record == NETFILTER_CFG),
        found @ (Reading::NetfilterAction
        | Reading::NetfilterHook
        | Reading::IcmpType
        | Reading::EthernetProtocol) => raw_unless(found, record == NETFILTER_PKT),
        found @ (Reading::FanotifyResponse
        | Reading::FanotifyType
        | Reading::FanotifyInfo
        | Reading::Trust) => raw_unless(found, record == FANOTIFY),
        Reading::Escaped => raw_unless(Reading::Escaped, is_text(record, field)),
        found => found,
    }
}

/// Names that hold text of the untrusted kind in some records only.
fn is_text(record: u16, field: &[u8]) -> bool {
    match field {
        // The device's name from a security module; PATH and DM_* give numbers.
        b"dev" => is_security(record),
        b"msg" => record == USER_TTY,
        b"info" | b"label" | b"namespace" | b"operation" | b"peer" | b"profile" | b"apparmor"
        | b"denied_mask" | b"requested_mask" => is_security(record),
        _ => true,
    }
}

/// Records of the Linux security modules and of the integrity measurement.
fn is_security(record: u16) -> bool {
    matches!(
        record,
        AVC | LANDLOCK_ACCESS
            | LANDLOCK_DOMAIN
            | APPARMOR_FIRST..=APPARMOR_LAST
            | INTEGRITY_FIRST..=INTEGRITY_LAST
    )
}

/// `a0`, `a12`, `a2[3]` of an EXECVE record; not `argc` nor `a2_len`.
fn is_argument(field: &[u8]) -> bool {
    match field {
        [b'a', digits @ .., b']'] => digits.first().is_some_and(u8::is_ascii_digit),
        [b'a', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// May the value of `field` be text in quotes or in hexadecimal ([`super::hex::text`])?
///
/// Keystrokes (`data` of TTY and USER_TTY), though hexadecimal too, are not among them: [`super::value::read`] reads
/// them, for their text alone would not show the keys.
#[must_use]
pub fn is_escaped(record_type: u16, field: &[u8]) -> bool {
    matches!(
        reading(record_type, field),
        Reading::Escaped | Reading::Proctitle
    )
}

/// Whose number a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A uid.
    User,
    /// A gid.
    Group,
}

/// Whether a field of that reading holds the id of a user or of a group, for those who look up names.
#[must_use]
pub fn owner(reading: Reading, record_type: u16) -> Option<Owner> {
    match reading {
        Reading::User => Some(Owner::User),
        Reading::Group => Some(Owner::Group),
        Reading::UserOrGroup => Some(match record_type {
            ADD_GROUP | DEL_GROUP | CHGRP_ID | GRP_AUTH | GRP_MGMT | GRP_CHAUTHTOK => Owner::Group,
            _ => Owner::User,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SYSCALL: u16 = 1300;
    const USER_LOGIN: u16 = 1112;
    const CAPSET: u16 = 1322;
    const CRYPTO_KEY_USER: u16 = 2404;

    #[test]
    fn the_record_decides_what_a_name_means() {
        for (record, field, expected) in [
            (PATH, &b"mode"[..], Reading::FileMode),
            (MQ_OPEN, b"mode", Reading::Permissions),
            (LANDLOCK_DOMAIN, b"mode", Reading::Raw),
            (BPRM_FCAPS, b"fp", Reading::Capabilities),
            (CRYPTO_KEY_USER, b"fp", Reading::Raw),
            (CAPSET, b"cap_pi", Reading::Capabilities),
            (SOCKADDR, b"saddr", Reading::SocketAddress),
            (AVC, b"saddr", Reading::Raw),
            (NETFILTER_PKT, b"saddr", Reading::Raw),
            (MMAP, b"flags", Reading::MmapFlags),
            (SYSCALL, b"flags", Reading::Raw),
            (AVC, b"dev", Reading::Escaped),
            (PATH, b"dev", Reading::Raw),
            (USER_TTY, b"msg", Reading::Escaped),
            (USER_LOGIN, b"msg", Reading::Raw),
            (TTY, b"data", Reading::Keystrokes),
            (USER_LOGIN, b"data", Reading::Raw),
        ] {
            assert_eq!(
                reading(record, field),
                expected,
                "{record} {}",
                field.escape_ascii()
            );
        }
    }

    #[test]
    fn arguments_are_text_in_execve_only() {
        for field in [&b"a0"[..], b"a17", b"a2[0]"] {
            assert!(is_escaped(EXECVE, field));
            assert!(!is_escaped(SYSCALL, field));
        }
        for field in [&b"argc"[..], b"a2_len", b"a", b"a]"] {
            assert!(!is_escaped(EXECVE, field));
        }
    }

    #[test]
    fn tells_users_from_groups() {
        assert_eq!(owner(reading(SYSCALL, b"auid"), SYSCALL), Some(Owner::User));
        assert_eq!(
            owner(reading(SYSCALL, b"egid"), SYSCALL),
            Some(Owner::Group)
        );
        assert_eq!(
            owner(reading(USER_LOGIN, b"id"), USER_LOGIN),
            Some(Owner::User)
        );
        assert_eq!(
            owner(reading(ADD_GROUP, b"id"), ADD_GROUP),
            Some(Owner::Group)
        );
        assert_eq!(owner(reading(SYSCALL, b"pid"), SYSCALL), None);
    }

    proptest! {
        #[test]
        fn takes_any_name(record: u16, field: Vec<u8>) {
            let _ = is_escaped(record, &field);
            let _ = owner(reading(record, &field), record);
        }
    }
}
