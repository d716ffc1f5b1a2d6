//! Modes and flag words.

use super::value::hexadecimal;
use crate::record::decimal;
use crate::tables::{self, Arch, name_of};

/// Octal as the kernel's `%#ho` writes it.
fn octal(value: &[u8]) -> Option<u32> {
    // Ten digits are 30 bits.
    if value.is_empty() || value.len() > 11 || value.len() == 11 && value.first() != Some(&b'0') {
        return None;
    }
    value.iter().try_fold(0, |number, digit| {
        Some(number << 3 | char::from(*digit).to_digit(8)?)
    })
}

/// Appends the digits of permission bits.
fn write_permissions(out: &mut Vec<u8>, mode: u32) {
    for shift in [6, 3, 0] {
        out.push(b'0' + (mode >> shift & 7) as u8);
    }
}

/// Appends `suid,`, `sgid,` and `sticky,` as they are set.
fn write_special(out: &mut Vec<u8>, mode: u32) {
    for (bit, name) in [(0o4000, "suid,"), (0o2000, "sgid,"), (0o1000, "sticky,")] {
        if mode & bit != 0 {
            out.extend_from_slice(name.as_bytes());
        }
    }
}

/// A file's type and permissions, `file,suid,755`; S_IFMT of include/uapi/linux/stat.h.
pub fn file(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mode = octal(value)?;
    let kind: &[u8] = match mode & 0o170_000 {
        0o010_000 => b"fifo",
        0o020_000 => b"character",
        0o040_000 => b"dir",
        0o060_000 => b"block",
        0o100_000 => b"file",
        0o120_000 => b"link",
        0o140_000 => b"socket",
        _ => b"",
    };
    if kind.is_empty() {
        write_permissions(out, mode >> 12);
    } else {
        out.extend_from_slice(kind);
    }
    out.push(b',');
    write_special(out, mode);
    write_permissions(out, mode);
    Some(())
}

/// The mode of an object that has no type, as of IPC or in an open's arguments. Plain permissions say it all.
pub fn permissions(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mode = octal(value)?;
    if mode <= 0o777 {
        return None;
    }
    write_special(out, mode);
    out.push(b'0');
    write_permissions(out, mode);
    Some(())
}

/// What a watch waits for: AUDIT_PERM_* of include/uapi/linux/audit.h, where none means all.
pub fn access(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let wanted = match decimal(value)? {
        0 => 15,
        wanted @ 1..=15 => wanted,
        _ => return None,
    };
    let names = [(4, "read,"), (2, "write,"), (1, "exec,"), (8, "attr,")];
    for (_, name) in names.iter().filter(|(bit, _)| wanted & bit != 0) {
        out.extend_from_slice(name.as_bytes());
    }
    out.pop();
    Some(())
}

/// Flags of open(2): MQ_OPEN writes them in hexadecimal, OPENAT2 in octal (kernel/auditsc.c). One of the three ways
/// of access is always named, O_RDONLY too, whose number is 0.
pub fn open_flags(value: &[u8], arch: Option<Arch>, out: &mut Vec<u8>) -> Option<()> {
    let flags = if value.starts_with(b"0x") {
        hexadecimal(value)?
    } else {
        octal(value).map(u64::from)?
    };
    let names = match arch {
        Some(Arch::ARM | Arch::ARMEB | Arch::AARCH64) => tables::OPEN_FLAGS_ARM,
        Some(Arch::PPC | Arch::PPC64 | Arch::PPC64LE) => tables::OPEN_FLAGS_PPC,
        _ => tables::OPEN_FLAGS,
    };
    if flags & 3 == 0 && flags != 0 {
        tables::write_name(out, names, 0);
        out.push(b'|');
    }
    tables::write_flags(out, names, flags);
    Some(())
}

/// Flags of mmap(2).
pub fn mmap_flags(value: &[u8], arch: Option<Arch>, out: &mut Vec<u8>) -> Option<()> {
    let flags = hexadecimal(value).filter(|flags| *flags != 0)?;
    let names = match arch {
        None | Some(Arch::X86_64 | Arch::I386) => tables::MMAP_FLAGS,
        Some(Arch::PPC | Arch::PPC64 | Arch::PPC64LE) => tables::MMAP_FLAGS_PPC,
        Some(_) => tables::MMAP_FLAGS_GENERIC,
    };
    tables::write_flags(out, names, flags);
    Some(())
}

/// RESOLVE_* of openat2(2).
pub fn resolve(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let flags = hexadecimal(value).filter(|flags| *flags != 0)?;
    tables::write_flags(out, tables::RESOLVE_FLAGS, flags);
    Some(())
}

/// PER_* of personality(2) by its whole value, otherwise by its low byte with the flags behind it.
pub fn personality(value: u64, out: &mut Vec<u8>) -> Option<()> {
    if let Some(name) = name_of(tables::PERSONALITIES, value) {
        out.extend_from_slice(name.as_bytes());
        return Some(());
    }
    let domain = name_of(tables::PERSONALITIES, value & 0xff)?;
    out.extend_from_slice(domain.as_bytes());
    out.push(b'|');
    tables::write_flags(out, tables::PERSONALITY_FLAGS, value & !0xff);
    Some(())
}
