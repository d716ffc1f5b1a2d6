//! Arguments of `socket` and `setsockopt`.

use super::Call;
use super::flags::{flags, is_powerpc, value};
use crate::tables;

/// Bits of a socket's type below its flags (kernel: SOCK_TYPE_MASK in linux/net.h).
const TYPE_MASK: u32 = 0xf;

/// The type and its flags: `SOCK_STREAM|SOCK_CLOEXEC`.
pub(super) fn kind(out: &mut Vec<u8>, socket_type: u32) -> bool {
    if !value(
        out,
        tables::SOCKET_TYPES,
        u64::from(socket_type & TYPE_MASK),
    ) {
        return false;
    }
    let bits = u64::from(socket_type & !TYPE_MASK);
    if bits != 0 {
        out.push(b'|');
        flags(out, tables::SOCKET_FLAGS, bits);
    }
    true
}

/// The protocol, whose meaning depends on the family in a0.
pub(super) fn protocol(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let protocol = call.word();
    // Numbers of linux/socket.h.
    match call.argument(0) as u32 {
        2 | 10 => value(out, tables::IP_PROTOCOLS, u64::from(protocol)),
        16 => value(out, tables::NETLINK_PROTOCOLS, u64::from(protocol)),
        17 => {
            // In network byte order; 0 receives nothing.
            let host = if call.arch.is_big_endian() {
                protocol as u16
            } else {
                (protocol as u16).swap_bytes()
            };
            host != 0 && value(out, tables::ETHERNET_PROTOCOLS, u64::from(host))
        }
        _ => false,
    }
}

/// The level of an option: an IP protocol by its own name, other levels as `SOL_...`.
pub(super) fn level(out: &mut Vec<u8>, level: u32) -> bool {
    let level = u64::from(level);
    match level {
        // SOL_SOCKET shares its number with ICMP, SOL_RAW lies among the protocols.
        0 | 2..=254 => {
            value(out, tables::IP_PROTOCOLS, level) || value(out, tables::SOCKET_LEVELS, level)
        }
        _ => value(out, tables::SOCKET_LEVELS, level),
    }
}

/// The option, whose meaning depends on the level in a1.
pub(super) fn option(out: &mut Vec<u8>, call: &Call<'_>) -> bool {
    let table = match call.argument(1) as u32 {
        0 if matches!(call.word(), 64 | 65) => tables::IPTABLES_OPTIONS,
        0 => tables::IP_OPTIONS,
        1 if is_powerpc(call.arch) => tables::SOCKET_OPTIONS_PPC,
        1 => tables::SOCKET_OPTIONS,
        6 => tables::TCP_OPTIONS,
        17 | 136 => tables::UDP_OPTIONS,
        41 => tables::IPV6_OPTIONS,
        263 => tables::PACKET_OPTIONS,
        270 => tables::NETLINK_OPTIONS,
        _ => return false,
    };
    value(out, table, u64::from(call.word()))
}
