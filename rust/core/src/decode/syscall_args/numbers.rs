//! Numbers, modes and ids.

use super::Call;
use crate::tables::{Arch, write_decimal};

/// `AT_FDCWD` of linux/fcntl.h.
const AT_FDCWD: i32 = -100;

pub(super) fn signed(out: &mut Vec<u8>, value: i64) -> bool {
    write_decimal(out, value);
    true
}

/// A length: what does not fit 63 bits is no length but a value to be seen raw.
pub(super) fn count(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    i64::try_from(call.value()).is_ok_and(|value| signed(out, value))
}

pub(super) fn offset(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let wide = call.value() as i64;
    signed(
        out,
        if call.arch.is_64_bit() {
            wide
        } else {
            i64::from(wide as i32)
        },
    )
}

pub(super) fn dirfd(out: &mut Vec<u8>, fd: i32) -> bool {
    if fd == AT_FDCWD {
        out.extend_from_slice(b"AT_FDCWD");
        return true;
    }
    signed(out, i64::from(fd))
}

/// Architectures whose oldest calls take ids of 16 bits (kernel: CONFIG_UID16, `sys_setuid16`).
fn has_short_ids(arch: Arch) -> bool {
    arch == Arch::I386 || arch == Arch::ARM || arch == Arch::ARMEB || arch == Arch::S390
}

pub(super) fn id(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let short = call.word() as u16;
    match has_short_ids(call.arch) {
        true if short == u16::MAX => id32(out, u32::MAX),
        true => id32(out, u32::from(short)),
        false => id32(out, call.word()),
    }
}

/// A user or group in decimal; -1, which leaves an id as it is, is `unset` to `ausearch -i`.
pub(super) fn id32(out: &mut Vec<u8>, id: u32) -> bool {
    if id == u32::MAX {
        out.extend_from_slice(b"unset");
        return true;
    }
    signed(out, i64::from(id))
}

/// Permissions as `0644`, with `suid`, `sgid` and `sticky` in front as words.
pub(super) fn mode(out: &mut Vec<u8>, mode: u32) -> bool {
    special_bits(out, mode);
    out.push(b'0');
    octal(out, mode);
    true
}

/// The type of a file in front of its permissions: `fifo,644`.
pub(super) fn file_mode(out: &mut Vec<u8>, mode: u32) -> bool {
    // S_IFMT of linux/stat.h; mknod takes 0 for a plain file.
    let kind: &[u8] = match mode & 0o170_000 {
        0 => b"",
        0o010_000 => b"fifo",
        0o020_000 => b"character",
        0o040_000 => b"dir",
        0o060_000 => b"block",
        0o100_000 => b"file",
        0o120_000 => b"link",
        0o140_000 => b"socket",
        _ => return false,
    };
    if kind.is_empty() {
        return self::mode(out, mode);
    }
    out.extend_from_slice(kind);
    out.push(b',');
    special_bits(out, mode);
    octal(out, mode);
    true
}

fn special_bits(out: &mut Vec<u8>, mode: u32) {
    for (bit, word) in [
        (0o4000, &b"suid,"[..]),
        (0o2000, b"sgid,"),
        (0o1000, b"sticky,"),
    ] {
        if mode & bit != 0 {
            out.extend_from_slice(word);
        }
    }
}

/// The nine bits of permissions as three octal digits.
pub(super) fn octal(out: &mut Vec<u8>, mode: u32) {
    out.extend([6, 3, 0].map(|shift| b'0' + (mode >> shift & 7) as u8));
}

/// `MAJOR:MINOR` of a device number as the kernel takes it (linux/kdev_t.h: new_decode_dev).
pub(super) fn device(out: &mut Vec<u8>, device: u32) -> bool {
    if device == 0 {
        return false;
    }
    let (major, minor) = (
        (device & 0xfff00) >> 8,
        (device & 0xff) | (device >> 12 & 0xfff00),
    );
    write_decimal(out, i64::from(major));
    out.push(b':');
    signed(out, i64::from(minor))
}

pub(super) fn exit_status(out: &mut Vec<u8>, status: i32) -> bool {
    match status {
        0 => out.extend_from_slice(b"EXIT_SUCCESS"),
        1 => out.extend_from_slice(b"EXIT_FAILURE"),
        _ => write_decimal(out, i64::from(status)),
    }
    true
}
