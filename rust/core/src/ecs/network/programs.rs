//! Ends that programs' and the firewall's records name.

use std::net::IpAddr;

use crate::action::Action;
use crate::decode::value;
use crate::ecs::pen::Pen;
use crate::event::{View, text};
use crate::fields::name;
use crate::json::Object;
use crate::record::kind;

/// Writes the ends of a packet that a firewall's rule told of (`audit_ip4`, `audit_ip6`, net/netfilter).
pub fn packet(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
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

/// The peer that a program in user space names: its address (addr), or its name (hostname); with sshd's
/// CRYPTO_SESSION both ends and ports.
pub fn login_source(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, action: &Action) {
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
