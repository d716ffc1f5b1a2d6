//! The address in an event's SOCKADDR record.

use std::net::SocketAddr;

use crate::decode::hex;
use crate::decode::sockaddr::SocketAddress;
use crate::event::View;
use crate::fields::name;
use crate::record::kind;

/// An address, or why there is none.
pub enum Address {
    /// Of an internet socket, never a mapped one.
    Inet(SocketAddr),
    /// Of another kind.
    Other,
    /// No record.
    Missing,
}

/// The address of the first SOCKADDR record.
pub fn address(view: &View<'_>) -> Address {
    let Some(part) = view.first(kind::SOCKADDR) else {
        return Address::Missing;
    };
    let mut bytes = Vec::new();
    let big_endian = view
        .call()
        .0
        .is_some_and(crate::tables::Arch::is_big_endian);
    let text = view.field(part, name::SADDR).map(|field| view.value(field));
    if !text.is_some_and(|text| hex::unhex(text, &mut bytes)) {
        return Address::Other;
    }
    match SocketAddress::parse(&bytes, big_endian) {
        SocketAddress::Inet { addr, port } => Address::Inet((addr, port).into()),
        SocketAddress::Inet6 { addr, port, .. } => {
            let address = SocketAddr::from((addr, port));
            Address::Inet(SocketAddr::new(address.ip().to_canonical(), port))
        }
        _ => Address::Other,
    }
}
