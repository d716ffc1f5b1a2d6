//! The readings of single fields: what a number, a bit mask or encoded text means.
//!
//! Spellings are those of `ausearch -i` wherever those are right, so that one vocabulary serves both.

use super::address::write_decimal;
use super::hex::{self, unescape, unhex};
use super::keystrokes;
use super::mode;
use super::readings;
use super::sockaddr::SocketAddress;
use crate::record::decimal;
use crate::tables::{self, Arch, name_of};

pub use super::readings::{Owner, Reading, is_escaped, owner, reading};

/// `struct sockaddr_storage` is the most that the kernel copies into a record.
const LONGEST_ADDRESS: usize = 128;

/// What some readings need besides the value itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context {
    /// The architecture of the event's SYSCALL record; `None` is taken for a little-endian machine.
    pub arch: Option<Arch>,
}

/// Appends what `value` means in `field` of a record of type `record_type`, as plain bytes without any escaping.
///
/// `false`, with `out` as it was: the raw value says it all, as it does where it is not what the field usually holds.
/// Decoded text may hold any byte; a list of rule keys still has its separators (0x01).
pub fn read(
    record_type: u16,
    field: &[u8],
    value: &[u8],
    context: &Context,
    out: &mut Vec<u8>,
) -> bool {
    read_as(readings::reading(record_type, field), value, context, out)
}

/// As [`read`], for a field whose reading is known.
pub fn read_as(reading: Reading, value: &[u8], context: &Context, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let read = match reading {
        Reading::Raw => None,
        Reading::Escaped | Reading::Proctitle | Reading::Keystrokes if value.is_empty() => None,
        Reading::Escaped => decoded(value, out),
        Reading::Proctitle => proctitle(value, out),
        Reading::Keystrokes => keystrokes::read(value, out),
        Reading::User | Reading::Group | Reading::UserOrGroup | Reading::Session => {
            unset(value, out)
        }
        Reading::Arch => hexadecimal(value)
            .and_then(|elf| Arch::from_elf(u32::try_from(elf).ok()?))
            .and_then(|arch| put(out, Some(arch.name()))),
        Reading::Syscall => syscall(value, context, out),
        Reading::UringOp => put(
            out,
            decimal(value).and_then(|op| name_of(tables::URING_OPERATIONS, op)),
        ),
        Reading::Exit => put(out, value.strip_prefix(b"-").and_then(errno)),
        Reading::Errno => put(out, errno(value.strip_prefix(b"-").unwrap_or(value))),
        Reading::FileMode => mode::file(value, out),
        Reading::Permissions => mode::permissions(value, out),
        Reading::Access => mode::access(value, out),
        Reading::OpenFlags => mode::open_flags(value, context.arch, out),
        Reading::MmapFlags => mode::mmap_flags(value, context.arch, out),
        Reading::Resolve => mode::resolve(value, out),
        Reading::SocketAddress => socket_address(value, context, out),
        Reading::Capability => table(value, tables::CAPABILITIES, out),
        Reading::Capabilities => hexadecimal(value).and_then(|set| capabilities(set, out)),
        Reading::Signal => put(out, decimal(value).and_then(signal)),
        Reading::FilterList => table(value, tables::FILTER_LISTS, out),
        Reading::Success => put(out, choice(value, ["no", "yes"])),
        Reading::Promiscuous => put(out, decimal(value).map(promiscuous)),
        Reading::Personality => {
            hexadecimal(value).and_then(|personality| mode::personality(personality, out))
        }
        Reading::Seccomp => put(out, hexadecimal(value).and_then(seccomp)),
        Reading::IoctlRequest => put(
            out,
            hexadecimal(value).and_then(|request| name_of(tables::IOCTL_REQUESTS, request)),
        ),
        Reading::MulticastGroup => table(value, tables::MULTICAST_GROUPS, out),
        Reading::NetfilterFamily => table(value, tables::NETFILTER_FAMILIES, out),
        Reading::NetfilterHook => table(value, tables::NETFILTER_HOOKS, out),
        Reading::NetfilterAction => table(value, tables::NETFILTER_ACTIONS, out),
        Reading::IcmpType => put(out, decimal(value).and_then(icmp_type)),
        Reading::Protocol => table(value, tables::IP_PROTOCOLS, out),
        Reading::EthernetProtocol => put(out, hexadecimal(value).and_then(ethernet)),
        // include/uapi/linux/fanotify.h: FAN_ALLOW 1, FAN_DENY 2, FAN_AUDIT 0x10.
        Reading::FanotifyResponse => put(out, decimal(value).and_then(fanotify_response)),
        // FAN_RESPONSE_INFO_NONE, FAN_RESPONSE_INFO_AUDIT_RULE.
        Reading::FanotifyType => put(out, choice(value, ["none", "rule_info"])),
        // The rule's number, which fs/notify and kernel/auditsc.c write in hexadecimal.
        Reading::FanotifyInfo => hexadecimal(value).map(|rule| write_decimal(out, rule)),
        Reading::Trust => put(out, choice(value, ["no", "yes", "unknown"])),
    };
    if read.is_none() {
        out.truncate(start);
    }
    read.is_some()
}

/// Appends a name, if there is one.
fn put(out: &mut Vec<u8>, name: Option<&str>) -> Option<()> {
    name.map(|name| out.extend_from_slice(name.as_bytes()))
}

/// The name of a decimal number.
fn table(value: &[u8], names: &[(u64, &'static str)], out: &mut Vec<u8>) -> Option<()> {
    put(
        out,
        decimal(value).and_then(|number| name_of(names, number)),
    )
}

/// The word of a single digit.
fn choice<const N: usize>(value: &[u8], words: [&'static str; N]) -> Option<&'static str> {
    let [digit] = value else { return None };
    words.get(usize::from(digit.checked_sub(b'0')?)).copied()
}

/// Hexadecimal with or without `0x`, as the kernel's `%lx`, `%x` and `%#x` write it.
pub(super) fn hexadecimal(value: &[u8]) -> Option<u64> {
    hex::number(value.strip_prefix(b"0x").unwrap_or(value))
}

/// Text of the untrusted kind; what is absent or bare says all by itself.
fn decoded(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if let [b'"', inside @ .., b'"'] | [b'"', inside @ ..] = value {
        out.extend_from_slice(inside);
        return Some(());
    }
    unescape(value, out).then_some(())
}

/// A process title: the NULs between arguments become blanks, those at the end go.
fn proctitle(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    decoded(value, out)?;
    while out.len() > start && out.last() == Some(&0) {
        out.pop();
    }
    for byte in out.iter_mut().skip(start).filter(|byte| **byte == 0) {
        *byte = b' ';
    }
    Some(())
}

/// The id -1, which means that none was set; as 32 bits or with its sign.
fn unset(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    matches!(value, b"4294967295" | b"-1").then(|| out.extend_from_slice(b"unset"))
}

fn syscall(value: &[u8], context: &Context, out: &mut Vec<u8>) -> Option<()> {
    let id = tables::syscall(context.arch?, decimal(value)?)?;
    put(out, Some(id.name()))
}

fn errno(digits: &[u8]) -> Option<&'static str> {
    error_name(u32::try_from(decimal(digits)?).ok()?)
}

/// The name of an error number: errno, or one that only the kernel uses, such as 512, ERESTARTSYS, which a system call
/// that a signal interrupts leaves in its record.
#[must_use]
pub fn error_name(number: u32) -> Option<&'static str> {
    tables::errno_name(number).or_else(|| name_of(tables::KERNEL_ERRORS, u64::from(number)))
}

/// The address is put together at the end of `out`, so that nothing is allocated.
fn socket_address(value: &[u8], context: &Context, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    if value.len() > 2 * LONGEST_ADDRESS || !unhex(value, out) {
        return None;
    }
    let mut storage = [0u8; LONGEST_ADDRESS];
    let length = out.len() - start;
    let bytes = storage.get_mut(..length)?;
    bytes.copy_from_slice(out.get(start..)?);
    out.truncate(start);
    let big_endian = context.arch.is_some_and(Arch::is_big_endian);
    SocketAddress::parse(bytes, big_endian)
        .write(out)
        .then_some(())
}

/// Names of the capabilities in a set; bits without a name follow as one hexadecimal number.
fn capabilities(set: u64, out: &mut Vec<u8>) -> Option<()> {
    if set == 0 {
        return put(out, Some("none"));
    }
    let (start, mut rest, mut unnamed) = (out.len(), set, 0u64);
    while rest != 0 {
        let bit = rest.trailing_zeros();
        rest &= rest - 1;
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        if let Some(name) = name_of(tables::CAPABILITIES, u64::from(bit)) {
            out.extend_from_slice(name.as_bytes());
        } else {
            out.truncate(before);
            unnamed |= 1 << bit;
        }
    }
    if unnamed != 0 {
        if out.len() > start {
            out.push(b',');
        }
        tables::write_hex(out, unnamed);
    }
    Some(())
}

/// An Ethernet protocol's name, as ETH_P_* has it behind the prefix.
fn ethernet(protocol: u64) -> Option<&'static str> {
    name_of(tables::ETHERNET_PROTOCOLS, protocol)?.strip_prefix("ETH_P_")
}

/// IFF_PROMISC of include/uapi/linux/if.h.
fn promiscuous(flags: u64) -> &'static str {
    if flags & 0x100 == 0 { "no" } else { "yes" }
}

fn signal(number: u64) -> Option<&'static str> {
    if number == 0 {
        Some("SIG0")
    } else {
        name_of(tables::SIGNALS, number)
    }
}

/// SECCOMP_RET_ACTION_FULL; the lower 16 bits are the filter's own data.
fn seccomp(code: u64) -> Option<&'static str> {
    name_of(tables::SECCOMP_ACTIONS, code & 0xffff_0000)
}

/// The type of an ICMP or, from 128 on where only that has names, of an ICMPv6 message.
fn icmp_type(number: u64) -> Option<&'static str> {
    name_of(
        if number < 128 {
            tables::ICMP_TYPES
        } else {
            tables::ICMPV6_TYPES
        },
        number,
    )
}

fn fanotify_response(response: u64) -> Option<&'static str> {
    match response & !0x10 {
        1 => Some("allow"),
        2 => Some("deny"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
