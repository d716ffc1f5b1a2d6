//! `source`, `destination` and `network`: the two ends of a connection, wherever they are from.

mod named;
mod programs;
mod socket;

pub use named::{Named, write_ip};
pub use socket::{says, sockets, summary};

use crate::action::Action;
use crate::decode::sockaddr::SocketAddress;
use crate::ecs::pen::{Pen, Related};
use crate::endpoint::call::Role;
use crate::endpoint::flow::{
    CommunityId, {End, Flow},
};
use crate::event::View;
use crate::json::{self, Object};
use crate::record::kind;

/// Writes source, destination and network of what is not an internet connection of a system call: UNIX sockets, the
/// peers that programs name, the firewall's packets.
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, action: Option<&Action>) {
    if let Some(part) = view.first(kind::SOCKADDR) {
        local_socket(view, pen, parent, part);
    } else if let Some(action) = action
        && action.source.is_some()
    {
        programs::login_source(view, pen, parent, action);
    } else if view.part(view.lead()).kind == kind::NETFILTER_PKT {
        programs::packet(view, pen, parent);
    }
}

/// Writes the path of a UNIX socket as the end that the record holds, as Auditbeat has it.
fn local_socket(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, part: usize) {
    let role = view.operation().and_then(|call| Role::of(call.name()));
    let mut bytes = Vec::new();
    let (Some(role), Some(address)) = (role, socket::socket_address(view, part, &mut bytes)) else {
        return;
    };
    let Some(direction) = role.direction() else {
        return;
    };
    let local = matches!(address, SocketAddress::Unix { .. });
    if let SocketAddress::Unix { path, .. } = address {
        let member = if role.is_inward() {
            "source"
        } else {
            "destination"
        };
        let end = Object::member(pen.out, parent, member);
        pen.text(&end, "path", path);
        end.close(pen.out);
    }
    let object = Object::member(pen.out, parent, "network");
    pen.text(&object, "direction", direction.as_bytes());
    if local {
        pen.text(&object, "type", b"unix");
    }
    object.close(pen.out);
}

/// Writes both ends of a connection and what follows from them.
pub fn flow(out: &mut Vec<u8>, parent: &Object, related: &mut Related, flow: &Flow) {
    for (member, end) in [("source", &flow.source), ("destination", &flow.destination)] {
        one_end(out, parent, member, end, related);
    }
    let object = Object::member(out, parent, "network");
    let mut text = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            object.name(out, name);
            json::plain_string(out, value.as_bytes());
        }
    };
    let ip = flow.source.ip.or(flow.destination.ip);
    text("direction", flow.direction);
    text(
        "type",
        ip.map(|ip| if ip.is_ipv4() { "ipv4" } else { "ipv6" }),
    );
    text("transport", flow.transport());
    text("protocol", flow.application());
    let community_id = flow.community_id();
    text(
        "community_id",
        community_id.as_ref().map(CommunityId::as_str),
    );
    object.close(out);
}

fn one_end(out: &mut Vec<u8>, parent: &Object, member: &str, end: &End, related: &mut Related) {
    let object = Object::member(out, parent, member);
    if let Some(ip) = end.ip {
        let mut shown = Vec::with_capacity(48);
        write_ip(&mut shown, ip);
        for name in ["ip", "address"] {
            object.name(out, name);
            json::plain_string(out, &shown);
        }
        related.addresses.add(&shown);
    }
    if let Some(port) = end.port {
        object.name(out, "port");
        json::number(out, port);
    }
    object.close(out);
}
