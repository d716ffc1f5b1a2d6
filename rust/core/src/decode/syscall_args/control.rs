//! Calls that are many in one: what an argument means depends on a command in another.

use super::flags::{flags, is_arm, is_powerpc, open_only, value, write_signal};
use super::{Call, numbers};
use crate::tables::{self, name_of, write_decimal};

pub(super) fn ptrace(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let table = match call.arch {
        arch if is_powerpc(arch) => tables::PTRACE_REQUESTS_PPC,
        arch if is_arm(arch) => tables::PTRACE_REQUESTS_ARM,
        _ => tables::PTRACE_REQUESTS,
    };
    value(out, table, u64::from(call.word()))
}

pub(super) fn ioctl(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let table = if is_powerpc(call.arch) {
        tables::IOCTL_REQUESTS_PPC
    } else {
        tables::IOCTL_REQUESTS
    };
    value(out, table, u64::from(call.word()))
}

/// Arguments behind an option of prctl (PR_* of linux/prctl.h).
pub(super) fn prctl(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let word = u64::from(call.word());
    let option =
        name_of(tables::PRCTL_OPTIONS, u64::from(call.argument(0) as u32)).unwrap_or_default();
    match (option, call.n) {
        ("PR_SET_PDEATHSIG", 1) => write_signal(out, call.word()),
        ("PR_CAPBSET_READ" | "PR_CAPBSET_DROP", 1) => value(out, tables::CAPABILITIES, word),
        ("PR_CAP_AMBIENT", 1) => value(out, tables::PRCTL_AMBIENT, word),
        // PR_CAP_AMBIENT_CLEAR_ALL takes no capability.
        ("PR_CAP_AMBIENT", 2) => {
            call.argument(1) as u32 != 4 && value(out, tables::CAPABILITIES, word)
        }
        ("PR_SET_SECUREBITS", 1) => flags(out, tables::SECUREBITS, word),
        ("PR_SET_SECCOMP", 1) => value(out, tables::PRCTL_SECCOMP, word),
        ("PR_SET_MM", 1) => value(out, tables::PRCTL_MM, word),
        ("PR_GET_SPECULATION_CTRL" | "PR_SET_SPECULATION_CTRL", 1) => {
            value(out, tables::PRCTL_SPECULATION, word)
        }
        ("PR_SET_PTRACER" | "PR_SET_TIMERSLACK", 1) => {
            numbers::signed(out, i64::from(call.word() as i32))
        }
        (
            "PR_SET_DUMPABLE"
            | "PR_SET_KEEPCAPS"
            | "PR_SET_NO_NEW_PRIVS"
            | "PR_SET_CHILD_SUBREAPER",
            1,
        ) => numbers::signed(out, i64::from(call.word())),
        _ => false,
    }
}

/// The argument behind a command of fcntl (F_* of linux/fcntl.h).
pub(super) fn fcntl(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let word = u64::from(call.word());
    match name_of(tables::FCNTL_COMMANDS, u64::from(call.argument(1) as u32)).unwrap_or_default() {
        "F_SETFD" => flags(out, tables::FD_FLAGS, word),
        "F_SETFL" => open_only(out, call.arch, call.word()),
        "F_DUPFD" | "F_DUPFD_CLOEXEC" | "F_DUPFD_QUERY" | "F_SETOWN" | "F_SETPIPE_SZ" => {
            numbers::signed(out, i64::from(call.word() as i32))
        }
        "F_SETSIG" => write_signal(out, call.word()),
        "F_SETLEASE" => value(out, tables::LEASES, word),
        "F_NOTIFY" => flags(out, tables::NOTIFY_MASKS, word),
        "F_ADD_SEALS" => flags(out, tables::SEALS, word),
        _ => false,
    }
}

/// A command of quotactl and the kind of quota in its low byte (linux/quota.h: QCMD).
pub(super) fn quota(out: &mut Vec<u8>, command: u32) -> bool {
    if !value(out, tables::QUOTA_COMMANDS, u64::from(command >> 8)) {
        return false;
    }
    out.push(b'|');
    let kind = u64::from(command & 0xff);
    if !value(out, tables::QUOTA_TYPES, kind) {
        tables::write_hex(out, kind);
    }
    true
}

/// Arguments behind an operation of keyctl: keys, where the operation takes keys.
pub(super) fn keyctl(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let operation = name_of(
        tables::KEYCTL_OPERATIONS,
        u64::from(call.argument(0) as u32),
    )
    .unwrap_or_default();
    match (operation, call.n) {
        ("KEYCTL_CHOWN", 2) => numbers::id32(out, call.word()),
        ("KEYCTL_GET_PERSISTENT", 1) => numbers::id32(out, call.word()),
        ("KEYCTL_LINK" | "KEYCTL_UNLINK" | "KEYCTL_GET_PERSISTENT" | "KEYCTL_MOVE", 2) => {
            keyring(out, call.word())
        }
        ("KEYCTL_SETPERM", 2) | ("", _) | (_, 2..) => false,
        (
            "KEYCTL_JOIN_SESSION_KEYRING"
            | "KEYCTL_SET_REQKEY_KEYRING"
            | "KEYCTL_SESSION_TO_PARENT"
            | "KEYCTL_CAPABILITIES"
            | "KEYCTL_DH_COMPUTE"
            | "KEYCTL_PKEY_ENCRYPT"
            | "KEYCTL_PKEY_DECRYPT"
            | "KEYCTL_PKEY_SIGN"
            | "KEYCTL_PKEY_VERIFY",
            _,
        ) => false,
        _ => keyring(out, call.word()),
    }
}

/// A special keyring's name or a key's number.
pub(super) fn keyring(out: &mut Vec<u8>, key: u32) -> bool {
    if key == 0 {
        return false;
    }
    if !value(out, tables::KEY_RINGS, u64::from(key)) {
        write_decimal(out, i64::from(key as i32));
    }
    true
}
