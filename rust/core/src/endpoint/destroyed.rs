//! What the kernel broadcasts of a socket that is gone (`inet_diag_handler_get_info`, net/ipv4/inet_diag.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Lengths of `struct nlmsghdr` and `struct inet_diag_msg` (linux/netlink.h, linux/inet_diag.h).
const HEADER: usize = 16;
const MESSAGE: usize = 72;
/// Attributes: `INET_DIAG_INFO` is `struct tcp_info`, `INET_DIAG_PROTOCOL` one byte.
const INFO: u16 = 2;
const PROTOCOL: u16 = 10;
/// In `struct tcp_info` (linux/tcp.h).
const LAST_DATA_SENT: usize = 44;
const DATA_SEGMENTS_OUT: usize = 156;

/// A socket that is gone. The kernel fills in neither its owner nor its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destroyed {
    /// Its own address.
    pub local: SocketAddr,
    /// The other end; port 0 if it had none.
    pub peer: SocketAddr,
    /// IPPROTO_TCP or IPPROTO_UDP.
    pub protocol: u8,
    /// How long it had not sent anything when it went, in milliseconds, of TCP. If it never sent data, this is its age:
    /// the time then stands at the handshake (`tcp_finish_connect`, net/ipv4/tcp_input.c).
    pub idle: Option<u64>,
    /// It has sent data.
    pub used: bool,
}

/// Reads every socket of a datagram.
pub fn destroyed(mut datagram: &[u8]) -> impl Iterator<Item = Destroyed> {
    std::iter::from_fn(move || {
        while let Some(length) = number32(datagram, 0).map(|length| length as usize) {
            let message = datagram.get(..length.max(HEADER)).unwrap_or(datagram);
            datagram = datagram
                .get(length.max(HEADER).next_multiple_of(4)..)
                .unwrap_or_default();
            if let Some(found) = message.get(HEADER..).and_then(one) {
                return Some(found);
            }
        }
        None
    })
}

fn one(message: &[u8]) -> Option<Destroyed> {
    let address = |at: usize| match message.first()? {
        2 => Some(IpAddr::V4(Ipv4Addr::from(array::<4>(message, at)?))),
        10 => Some(IpAddr::V6(Ipv6Addr::from(array::<16>(message, at)?)).to_canonical()),
        _ => None,
    };
    let port = |at| Some(u16::from_be_bytes(array(message, at)?));
    let mut found = Destroyed {
        local: SocketAddr::new(address(8)?, port(4)?),
        peer: SocketAddr::new(address(24)?, port(6)?),
        protocol: 0,
        idle: None,
        used: true,
    };
    let mut rest = message.get(MESSAGE..)?;
    while let Some(head) = array::<4>(rest, 0) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]])).max(4);
        let value = rest.get(4..length).unwrap_or_default();
        match u16::from_ne_bytes([head[2], head[3]]) {
            PROTOCOL => found.protocol = value.first().copied().unwrap_or_default(),
            INFO => {
                found.idle = number32(value, LAST_DATA_SENT).map(u64::from);
                found.used = number32(value, DATA_SEGMENTS_OUT) != Some(0);
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A datagram as the kernel makes it; `segments` of data were sent, the last `idle` ms ago.
    pub fn datagram(local: &str, peer: &str, idle: u32, segments: u32) -> Vec<u8> {
        let (local, peer): (SocketAddr, SocketAddr) =
            (local.parse().unwrap(), peer.parse().unwrap());
        let mut message = vec![0; HEADER + MESSAGE];
        message[HEADER] = if local.is_ipv4() { 2 } else { 10 };
        for (at, end) in [(4, local), (6, peer)] {
            message[HEADER + at..HEADER + at + 2].copy_from_slice(&end.port().to_be_bytes());
        }
        for (at, end) in [(8, local), (24, peer)] {
            let bytes = match end.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            message[HEADER + at..HEADER + at + bytes.len()].copy_from_slice(&bytes);
        }
        message.extend([5, 0, 10, 0, 6, 0, 0, 0]);
        let mut info = vec![0; 280];
        info[LAST_DATA_SENT..LAST_DATA_SENT + 4].copy_from_slice(&idle.to_ne_bytes());
        info[DATA_SEGMENTS_OUT..DATA_SEGMENTS_OUT + 4].copy_from_slice(&segments.to_ne_bytes());
        message.extend(284_u16.to_ne_bytes());
        message.extend(INFO.to_ne_bytes());
        message.extend(info);
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message
    }

    #[test]
    fn reads_both_ends_and_the_age() {
        let mut two = datagram("127.0.0.1:40000", "127.0.0.1:80", 48, 0);
        two.extend(datagram(
            "[::ffff:10.0.0.1]:80",
            "[::ffff:10.0.0.2]:99",
            1,
            3,
        ));
        let found: Vec<_> = destroyed(&two).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].local, "127.0.0.1:40000".parse().unwrap());
        assert_eq!((found[0].idle, found[0].used), (Some(48), false));
        assert_eq!(found[0].protocol, 6);
        assert_eq!(found[1].peer, "10.0.0.2:99".parse().unwrap());
        assert_eq!((found[1].idle, found[1].used), (Some(1), true));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = datagram("[2001:db8::1]:1", "[2001:db8::2]:2", 0, 0);
        for end in 0..whole.len() {
            assert!(destroyed(&whole[..end]).count() <= 1);
            let mut bad = whole.clone();
            bad[end] ^= 0xff;
            let _ = destroyed(&bad).count();
        }
    }
}
