//! `auditd.data.socket` and what the summary says of a socket: the SOCKADDR records as they are.

use std::net::IpAddr;

use crate::decode::address::write_decimal;
use crate::decode::hex;
use crate::decode::sockaddr::{SocketAddress, family_name};
use crate::ecs::head::Mark;
use crate::ecs::network::{Named, write_ip};
use crate::ecs::pen::Pen;
use crate::event::View;
use crate::fields::name;
use crate::json::Object;
use crate::record::kind;

/// Writes `"socket":{...}` for the SOCKADDR records: an object, or a list where there are several.
///
/// Family, address, port and path are Auditbeat's; families it does not know have their reading beside the bytes.
pub fn sockets(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
    let count = view.parts(kind::SOCKADDR).count();
    if count == 0 {
        return;
    }
    parent.name(pen.out, "socket");
    for (place, part) in view.parts(kind::SOCKADDR).enumerate() {
        if count > 1 {
            pen.out.push(if place == 0 { b'[' } else { b',' });
        }
        let object = Object::open(pen.out);
        socket(view, pen, &object, part);
        object.close(pen.out);
    }
    if count > 1 {
        pen.out.push(b']');
    }
}

fn socket(view: &View<'_>, pen: &mut Pen<'_>, object: &Object, part: usize) {
    let mut bytes = Vec::new();
    let raw = view
        .field(part, name::SADDR)
        .map(|field| view.value(field))
        .unwrap_or_default();
    let Some(address) = socket_address(view, part, &mut bytes) else {
        pen.text(object, "saddr", raw);
        return;
    };
    let mut scratch = std::mem::take(pen.scratch);
    scratch.clear();
    match address {
        SocketAddress::Inet { addr, port } => {
            pen.text(object, "family", b"ipv4");
            ends(pen, object, ["addr", "port"], addr.into(), port);
        }
        SocketAddress::Inet6 {
            addr,
            port,
            flowinfo,
            scope,
        } => {
            pen.text(object, "family", b"ipv6");
            ends(pen, object, ["addr", "port"], addr.into(), port);
            for (member, number) in [("flow", flowinfo), ("scope", scope)] {
                if number != 0 {
                    scratch.clear();
                    write_decimal(&mut scratch, number);
                    pen.text(object, member, &scratch);
                }
            }
        }
        SocketAddress::Unix { path, abstract_ } => {
            pen.text(object, "family", b"unix");
            pen.text(object, "path", path);
            if abstract_ {
                pen.text(object, "namespace", b"abstract");
            }
        }
        other => {
            let family = other.family().and_then(family_name).unwrap_or("unknown");
            pen.text(object, "family", family.as_bytes());
            if other.write(&mut scratch) {
                pen.text(object, "reading", &scratch);
            }
            pen.text(object, "saddr", raw);
        }
    }
    *pen.scratch = scratch;
}

/// Writes what `auditd.summary.object` says of a socket: the address or path, and the port.
pub fn summary(view: &View<'_>, pen: &mut Pen<'_>, object: &Object) {
    let mut bytes = Vec::new();
    let address = view
        .first(kind::SOCKADDR)
        .and_then(|part| socket_address(view, part, &mut bytes));
    let members = ["primary", "secondary"];
    match address {
        Some(SocketAddress::Inet { addr, port }) => ends(pen, object, members, addr.into(), port),
        Some(SocketAddress::Inet6 { addr, port, .. }) => {
            ends(pen, object, members, addr.into(), port);
        }
        Some(SocketAddress::Unix { path, .. }) => pen.text(object, "primary", path),
        _ => {}
    }
}

/// Writes an address and its port, as the two members, and notes where they are.
fn ends(pen: &mut Pen<'_>, object: &Object, members: [&str; 2], ip: IpAddr, port: u16) {
    let [address, number] = members;
    object.name(pen.out, address);
    pen.out.push(b'"');
    pen.marked(Mark::Address, |out| write_ip(out, ip));
    pen.out.push(b'"');
    object.name(pen.out, number);
    pen.out.push(b'"');
    pen.marked(Mark::Port, |out| write_decimal(out, port));
    pen.out.push(b'"');
}

/// Whether the first SOCKADDR record, as its fields were found, says the address `named`.
#[must_use]
pub fn says(view: &View<'_>, named: &Named) -> bool {
    let mut bytes = Vec::new();
    let part = view.first(kind::SOCKADDR);
    named.is((part.and_then(|part| socket_address(view, part, &mut bytes))).as_ref())
}

/// Decodes a SOCKADDR record into `bytes`.
pub fn socket_address<'b>(
    view: &View<'_>,
    part: usize,
    bytes: &'b mut Vec<u8>,
) -> Option<SocketAddress<'b>> {
    let value = view.value(view.field(part, name::SADDR)?);
    let big_endian = view
        .call()
        .0
        .is_some_and(crate::tables::Arch::is_big_endian);
    hex::unhex(value, bytes).then(|| SocketAddress::parse(bytes, big_endian))
}
