//! `source`, `destination`, `network` and `auditd.data.socket`: the addresses that the records hold.

use std::net::IpAddr;

use crate::action::Action;
use crate::decode::address::{write_decimal, write_ipv4, write_ipv6};
use crate::decode::sockaddr::{SocketAddress, family_name};
use crate::decode::{hex, value};
use crate::ecs::pen::Pen;
use crate::event::{View, text};
use crate::fields::name;
use crate::json::Object;
use crate::record::kind;

/// Writes source, destination and network, as far as the records tell: a system call's record holds one end.
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, action: Option<&Action>) {
    if let Some(part) = view.first(kind::SOCKADDR) {
        let Some((member, direction)) = view.operation().and_then(|call| end_of(call.name()))
        else {
            return;
        };
        let mut bytes = Vec::new();
        let Some(address) = socket_address(view, part, &mut bytes) else {
            return;
        };
        let end = Object::member(pen.out, parent, member);
        let network = write_end(pen, &end, &address);
        end.close(pen.out);
        let object = Object::member(pen.out, parent, "network");
        pen.text(&object, "direction", direction);
        pen.text(&object, "type", network);
        object.close(pen.out);
    } else if let Some(action) = action
        && action.source.is_some()
    {
        login_source(view, pen, parent, action);
    } else if view.part(view.lead()).kind == kind::NETFILTER_PKT {
        packet(view, pen, parent);
    }
}

/// Writes the ends of a packet that a firewall's rule told of (`audit_ip4`, `audit_ip6`, net/netfilter).
fn packet(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
    let fields = view.opened.fields(view.lead());
    let value = |label: &[u8]| {
        let mut fields = fields.iter();
        fields
            .find(|field| view.label(field) == label)
            .map(|field| view.value(field))
            .unwrap_or_default()
    };
    let mut version: &[u8] = b"";
    for (member, address, number) in [
        ("source", value(b"saddr"), value(b"sport")),
        ("destination", value(b"daddr"), value(b"dport")),
    ] {
        let Some(ip) = parsed(address) else { continue };
        let end = Object::member(pen.out, parent, member);
        let shown = ip.to_string();
        pen.text(&end, "ip", shown.as_bytes());
        pen.text(&end, "address", shown.as_bytes());
        pen.related.addresses.add(shown.as_bytes());
        port(pen, &end, number);
        end.close(pen.out);
        version = if ip.is_ipv4() { b"ipv4" } else { b"ipv6" };
    }
    let object = Object::member(pen.out, parent, "network");
    pen.text(&object, "type", version);
    let mut transport = Vec::new();
    let context = value::Context { arch: None };
    if value::read(
        kind::NETFILTER_PKT,
        b"proto",
        value(b"proto"),
        &context,
        &mut transport,
    ) {
        pen.text(&object, "transport", &transport);
        pen.text(&object, "iana_number", value(b"proto"));
    }
    object.close(pen.out);
}

/// An address in text.
fn parsed(address: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// Writes the member `port`, if the text is one.
fn port(pen: &mut Pen<'_>, end: &Object, number: &[u8]) {
    if crate::record::decimal(number).is_some_and(|number| number <= u64::from(u16::MAX)) {
        pen.number(end, "port", number);
    }
}

/// Which end a call's address is, and the direction, as Auditbeat has them. For bind, getsockname and the like the
/// address is neither.
fn end_of(call: &str) -> Option<(&'static str, &'static [u8])> {
    match call {
        "recvfrom" | "recvmsg" | "recvmmsg" | "accept" | "accept4" => Some(("source", b"ingress")),
        "connect" | "sendto" | "sendmsg" | "sendmmsg" => Some(("destination", b"egress")),
        _ => None,
    }
}

/// Decodes a SOCKADDR record into `bytes`.
fn socket_address<'b>(
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

/// Writes one end. Returns `network.type`.
fn write_end(pen: &mut Pen<'_>, end: &Object, address: &SocketAddress<'_>) -> &'static [u8] {
    let mut ip = std::mem::take(pen.scratch);
    ip.clear();
    let (kind, port): (&[u8], _) = match address {
        SocketAddress::Inet { addr, port } => {
            write_ipv4(&mut ip, addr);
            (b"ipv4", *port)
        }
        SocketAddress::Inet6 { addr, port, .. } => {
            // A mapped address is IPv4 on the wire.
            if let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = *addr {
                write_ipv4(&mut ip, &[a, b, c, d]);
                (b"ipv4", *port)
            } else {
                write_ipv6(&mut ip, addr);
                (b"ipv6", *port)
            }
        }
        SocketAddress::Unix { path, .. } => {
            pen.text(end, "path", path);
            (b"", 0)
        }
        _ => (b"", 0),
    };
    if !ip.is_empty() {
        pen.text(end, "ip", &ip);
        pen.text(end, "address", &ip);
        pen.related.addresses.add(&ip);
        end.name(pen.out, "port");
        write_decimal(pen.out, port);
    }
    *pen.scratch = ip;
    kind
}

/// The peer that a program in user space names: its address (addr), or its name (hostname); with sshd's
/// CRYPTO_SESSION both ends and ports.
fn login_source(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, action: &Action) {
    let lead = view.lead();
    let value = |number| {
        view.field(lead, number)
            .map(|field| view.value(field))
            .unwrap_or_default()
    };
    let address = action
        .source
        .map(|source| value(source.number))
        .unwrap_or_default();
    let hostname = view.field(lead, name::HOSTNAME);
    let ip = parsed(address);
    let source = Object::member(pen.out, parent, "source");
    if let Some(ip) = ip {
        let shown = ip.to_canonical().to_string();
        pen.text(&source, "ip", shown.as_bytes());
        pen.text(&source, "address", shown.as_bytes());
        pen.related.addresses.add(shown.as_bytes());
    }
    port(pen, &source, value(name::RPORT));
    if let Some(field) = hostname {
        let mut scratch = std::mem::take(pen.scratch);
        let host = text(view.value(field), field.quoted, &mut scratch);
        if host != b"?" && host != address {
            pen.text(&source, "domain", host);
            pen.related.hosts.add(host);
        }
        *pen.scratch = scratch;
    }
    source.close(pen.out);
    let local = value(name::LADDR);
    if parsed(local).is_some() {
        let destination = Object::member(pen.out, parent, "destination");
        pen.text(&destination, "ip", local);
        pen.text(&destination, "address", local);
        pen.related.addresses.add(local);
        port(pen, &destination, value(name::LPORT));
        destination.close(pen.out);
    }
    if ip.is_some() {
        let network = Object::member(pen.out, parent, "network");
        pen.text(&network, "direction", b"ingress");
        network.close(pen.out);
    }
}

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
            write_ipv4(&mut scratch, &addr);
            pen.text(object, "addr", &scratch);
            port_member(pen, object, "port", port);
        }
        SocketAddress::Inet6 {
            addr,
            port,
            flowinfo,
            scope,
        } => {
            pen.text(object, "family", b"ipv6");
            write_ipv6(&mut scratch, &addr);
            pen.text(object, "addr", &scratch);
            port_member(pen, object, "port", port);
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
    let mut scratch = std::mem::take(pen.scratch);
    scratch.clear();
    match address {
        Some(SocketAddress::Inet { addr, port }) => {
            write_ipv4(&mut scratch, &addr);
            pen.text(object, "primary", &scratch);
            port_member(pen, object, "secondary", port);
        }
        Some(SocketAddress::Inet6 { addr, port, .. }) => {
            write_ipv6(&mut scratch, &addr);
            pen.text(object, "primary", &scratch);
            port_member(pen, object, "secondary", port);
        }
        Some(SocketAddress::Unix { path, .. }) => pen.text(object, "primary", path),
        _ => {}
    }
    *pen.scratch = scratch;
}

fn port_member(pen: &mut Pen<'_>, object: &Object, member: &str, port: u16) {
    object.name(pen.out, member);
    pen.out.push(b'"');
    write_decimal(pen.out, port);
    pen.out.push(b'"');
}
