//! Flags and single names, with what is particular to one call.

use super::{Call, Table, numbers};
use crate::tables::{self, Arch, name_of, write_decimal, write_flags, write_hex};

/// Names of bits; false when none is set and the table has no name for that.
pub(super) fn flags(out: &mut Vec<u8>, table: Table, value: u64) -> bool {
    if value == 0 && name_of(table, 0).is_none() {
        return false;
    }
    write_flags(out, table, value);
    true
}

/// One name; false when the table has none.
pub(super) fn value(out: &mut Vec<u8>, table: Table, value: u64) -> bool {
    name_of(table, value)
        .map(|name| out.extend_from_slice(name.as_bytes()))
        .is_some()
}

/// `IPC_CREAT|0600`: flags above nine bits of permissions (linux/ipc.h).
pub(super) fn mode_flags(out: &mut Vec<u8>, table: Table, value: u64) -> bool {
    if flags(out, table, value & !0o777) {
        out.push(b'|');
    }
    out.push(b'0');
    numbers::octal(out, value as u32);
    true
}

/// PowerPC, of any width and byte order, which has numbers of its own for much.
pub(super) fn is_powerpc(arch: Arch) -> bool {
    arch == Arch::PPC || arch == Arch::PPC64 || arch == Arch::PPC64LE
}

/// 32- and 64-bit ARM.
pub(super) fn is_arm(arch: Arch) -> bool {
    arch == Arch::AARCH64 || arch == Arch::ARM || arch == Arch::ARMEB
}

fn open_table(arch: Arch) -> Table {
    match arch {
        _ if is_arm(arch) => tables::OPEN_FLAGS_ARM,
        _ if is_powerpc(arch) => tables::OPEN_FLAGS_PPC,
        _ => tables::OPEN_FLAGS,
    }
}

/// The access mode and the flags: `O_RDONLY|O_CLOEXEC`.
pub(super) fn open(out: &mut Vec<u8>, arch: Arch, value: u32) -> bool {
    if value & 3 == 0 {
        out.extend_from_slice(b"O_RDONLY");
        if value != 0 {
            out.push(b'|');
        }
    }
    open_only(out, arch, value);
    true
}

/// Flags of open alone, as in pipe2 and dup3.
pub(super) fn open_only(out: &mut Vec<u8>, arch: Arch, value: u32) -> bool {
    if value != 0 {
        write_flags(out, open_table(arch), u64::from(value));
    }
    value != 0
}

/// Whether flags of open make the kernel look at the mode: O_CREAT and __O_TMPFILE, alike on all architectures here.
pub(super) fn creates(value: u64) -> bool {
    value & 0x0040_0040 != 0
}

/// `mmap` of i386 and s390 takes one pointer to its arguments (kernel: sys_old_mmap).
pub(super) fn mmap(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let arch = call.arch;
    if arch == Arch::I386 || arch == Arch::S390 || arch == Arch::S390X {
        return false;
    }
    match call.n {
        2 => flags(out, tables::PROTECTIONS, u64::from(call.word())),
        _ => mmap_flags(out, arch, call.word()),
    }
}

pub(super) fn mmap_flags(out: &mut Vec<u8>, arch: Arch, value: u32) -> bool {
    let table = match arch {
        _ if is_powerpc(arch) => tables::MMAP_FLAGS_PPC,
        Arch::X86_64 | Arch::I386 => tables::MMAP_FLAGS,
        _ => tables::MMAP_FLAGS_GENERIC,
    };
    // The size of huge pages stands as a logarithm in the six bits from 26 on (linux/mman.h: MAP_HUGE_SHIFT).
    let (kinds, pages) = (value & 0x03ff_ffff, value >> 26);
    let huge = pages != 0 && value & 0x0004_0000 != 0;
    if !flags(out, table, u64::from(if huge { kinds } else { value })) {
        return false;
    }
    if huge {
        out.extend_from_slice(b"|");
        write_decimal(out, i64::from(pages));
        out.extend_from_slice(b"<<MAP_HUGE_SHIFT");
    }
    true
}

/// Flags of clone are the first argument, the second on s390 (kernel: CONFIG_CLONE_BACKWARDS2); their low byte is
/// the signal that the parent gets at the end.
pub(super) fn clone(out: &mut Vec<u8>, call: &Call<'_>, place: usize) -> bool {
    let second = call.arch == Arch::S390 || call.arch == Arch::S390X;
    if second != (place == 1) || call.word() == 0 {
        return false;
    }
    let named = flags(out, tables::CLONE_FLAGS, u64::from(call.word() & !0xff));
    let signal = call.word() & 0xff;
    if signal != 0 {
        if named {
            out.push(b'|');
        }
        if !write_signal(out, signal) {
            write_hex(out, u64::from(signal));
        }
    }
    true
}

/// A signal's name; `SIG0` for the test whether a process is there, `SIGRT_n` from 32 on, else hex.
pub fn write_signal(out: &mut Vec<u8>, signal: u32) -> bool {
    match signal {
        0 => out.extend_from_slice(b"SIG0"),
        32..=64 => {
            out.extend_from_slice(b"SIGRT_");
            write_decimal(out, i64::from(signal - 32));
        }
        _ => return value(out, tables::SIGNALS, u64::from(signal)),
    }
    true
}

/// Flags of mount, without the magic number that old programs put above them (linux/fs.h: MS_MGC_VAL).
pub(super) fn mount(out: &mut Vec<u8>, value: u32) -> bool {
    let value = if value & 0xffff_0000 == 0xc0ed_0000 {
        value & 0xffff
    } else {
        value
    };
    flags(out, tables::MOUNT_FLAGS, u64::from(value))
}

/// Flags of swapon, with the priority in the low 15 bits when it is asked for (sys/swap.h).
pub(super) fn swap(out: &mut Vec<u8>, value: u32) -> bool {
    let prefers = value & 0x8000 != 0;
    let priority = value & 0x7fff;
    let named = flags(
        out,
        tables::SWAP_FLAGS,
        u64::from(if prefers { value & !0x7fff } else { value }),
    );
    if prefers {
        out.push(b'|');
        write_decimal(out, i64::from(priority));
    }
    named
}

/// A personality and its flags; -1 asks for the present one and changes nothing.
pub(super) fn personality(out: &mut Vec<u8>, persona: u32) -> bool {
    if persona == u32::MAX {
        return false;
    }
    if value(out, tables::PERSONALITIES, u64::from(persona)) {
        return true;
    }
    let (base, bits) = (persona & 0xff, persona & !0xff);
    if bits == 0 {
        return false;
    }
    match name_of(tables::PERSONALITIES, u64::from(base)) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => write_hex(out, u64::from(base)),
    }
    out.push(b'|');
    flags(out, tables::PERSONALITY_FLAGS, u64::from(bits))
}

/// A scheduling policy, with the flag that children do not inherit it (linux/sched.h: SCHED_RESET_ON_FORK).
pub(super) fn scheduler(out: &mut Vec<u8>, policy: u32) -> bool {
    let named = value(out, tables::SCHEDULERS, u64::from(policy & !0x4000_0000));
    if named && policy & 0x4000_0000 != 0 {
        out.extend_from_slice(b"|SCHED_RESET_ON_FORK");
    }
    named
}
