//! An internet address that an event's record names, apart from all else that its records say.

use std::net::{IpAddr, SocketAddr};

use crate::assemble::{Event, Span};
use crate::decode::address::{write_ipv4, write_ipv6};
use crate::decode::hex;
use crate::decode::sockaddr::SocketAddress;
use crate::record::kind;

/// The digits of a `struct sockaddr_in` and of a `struct sockaddr_in6` (include/uapi/linux/in.h, in6.h).
const DIGITS: [usize; 2] = [32, 56];

/// The address in an event's only SOCKADDR record, as a machine with little-endian numbers writes it, and where the
/// digits for it stand. Nothing else is made of these than the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Among the event's bytes.
    pub digits: Span,
    /// As it was given: it may be a mapped one.
    pub address: SocketAddr,
}

impl Named {
    /// The address of `event`; `None` if it has none, several, or one that says more than address and port.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let mut parts = (event.parts.iter()).filter(|part| part.kind == kind::SOCKADDR);
        let part = parts.next().filter(|_| parts.next().is_none())?;
        let text = event.at(part.body).strip_prefix(b"saddr=")?;
        let mut bytes = Vec::with_capacity(28);
        if !DIGITS.contains(&text.len()) || !hex::unhex(text, &mut bytes) {
            return None;
        }
        let end = part.body.end;
        let start = end.checked_sub(u32::try_from(text.len()).ok()?)?;
        let digits = Span { start, end };
        let address = plain(&SocketAddress::parse(&bytes, false))?;
        Some(Self { digits, address })
    }

    /// Whether a record says this, read as `read`.
    #[must_use]
    pub fn is(&self, read: Option<&SocketAddress<'_>>) -> bool {
        read.and_then(plain) == Some(self.address)
    }
}

/// Address and port, where that is all.
fn plain(address: &SocketAddress<'_>) -> Option<SocketAddr> {
    match *address {
        SocketAddress::Inet { addr, port } => Some((addr, port).into()),
        SocketAddress::Inet6 {
            addr,
            port,
            flowinfo: 0,
            scope: 0,
        } => Some((addr, port).into()),
        _ => None,
    }
}

/// Writes an address as text.
pub fn write_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => write_ipv4(out, &ip.octets()),
        IpAddr::V6(ip) => write_ipv6(out, &ip.octets()),
    }
}
