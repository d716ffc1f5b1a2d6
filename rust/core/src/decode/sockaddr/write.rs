//! A socket address as one readable text, in the form that `ausearch -i` made usual.

use super::SocketAddress;
use crate::decode::address::{write_decimal, write_digits, write_ipv4, write_ipv6};
use crate::tables;

/// Writes `{ saddr_fam=NAME key=value ... }`.
struct Fields<'o>(&'o mut Vec<u8>);

impl Fields<'_> {
    fn start<'o>(out: &'o mut Vec<u8>, family: &str) -> Fields<'o> {
        out.extend_from_slice(b"{ saddr_fam=");
        out.extend_from_slice(family.as_bytes());
        Fields(out)
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.push(b' ');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        self.0
    }

    fn number(&mut self, name: &str, number: impl itoa::Integer) {
        write_decimal(self.name(name), number);
    }

    fn text(&mut self, name: &str, text: &[u8]) {
        self.name(name).extend_from_slice(text);
    }

    fn hex(&mut self, name: &str, number: impl Into<u64>) {
        tables::write_hex(self.name(name), number.into());
    }

    fn hardware(&mut self, name: &str, address: &[u8]) {
        let out = self.name(name);
        for (index, byte) in address.iter().enumerate() {
            if index > 0 {
                out.push(b':');
            }
            if *byte < 16 {
                out.push(b'0');
            }
            write_digits(out, u64::from(*byte));
        }
    }

    fn end(self) -> bool {
        self.0.extend_from_slice(b" }");
        true
    }
}

impl SocketAddress<'_> {
    /// Appends the reading, `{ saddr_fam=inet laddr=192.0.2.1 lport=80 }`; `false`, without a byte written, when
    /// nothing is known beyond the raw value.
    ///
    /// An abstract name starts with `@` and has `@` for the NULs in it, as in /proc/net/unix; those that end it are
    /// left out. An interface is its index: the name would be this machine's, not the log's.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        match *self {
            Self::Unspec => Fields::start(out, "unspec").end(),
            Self::Inet { addr, port } => {
                let mut fields = Fields::start(out, "inet");
                write_ipv4(fields.name("laddr"), &addr);
                fields.number("lport", port);
                fields.end()
            }
            Self::Inet6 {
                addr,
                port,
                flowinfo,
                scope,
            } => {
                let mut fields = Fields::start(out, "inet6");
                write_ipv6(fields.name("laddr"), &addr);
                if scope != 0 {
                    fields.0.push(b'%');
                    write_decimal(fields.0, scope);
                }
                fields.number("lport", port);
                if flowinfo != 0 {
                    fields.hex("flowinfo", flowinfo);
                }
                fields.end()
            }
            Self::Unix { path, abstract_ } => {
                let mut fields = Fields::start(out, "local");
                let written = fields.name("path");
                if abstract_ {
                    written.push(b'@');
                    let kept =
                        path.len() - path.iter().rev().take_while(|byte| **byte == 0).count();
                    written.extend(
                        path.iter()
                            .take(kept)
                            .map(|byte| if *byte == 0 { b'@' } else { *byte }),
                    );
                } else {
                    written.extend_from_slice(path);
                }
                fields.end()
            }
            Self::Netlink { pid, groups } => {
                let mut fields = Fields::start(out, "netlink");
                fields.number("nlnk-fam", 16u8);
                fields.number("nlnk-pid", pid);
                if groups != 0 {
                    fields.hex("nlnk-grp", groups);
                }
                fields.end()
            }
            Self::TooShort {
                family: Some(family),
            } => match family_name(family) {
                Some(name) => {
                    out.extend_from_slice(b"{ saddr_fam=");
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b" sockaddr len too short }");
                    true
                }
                None => false,
            },
            Self::Unknown { .. } | Self::TooShort { family: None } => false,
            _ => self.write_rare(out),
        }
    }

    /// The families that few programs use.
    fn write_rare(&self, out: &mut Vec<u8>) -> bool {
        let Some(name) = self.family().and_then(family_name) else {
            return false;
        };
        let mut fields = Fields::start(out, name);
        match *self {
            Self::Vsock { cid, port } => {
                fields.number("cid", cid);
                fields.number("port", port);
            }
            Self::Packet {
                protocol,
                ifindex,
                hatype,
                pkttype,
                hwaddr,
            } => {
                fields.hex("protocol", protocol);
                fields.number("ifindex", ifindex);
                fields.number("hatype", hatype);
                fields.number("pkttype", pkttype);
                fields.hardware("hwaddr", hwaddr);
            }
            Self::Ax25 { call, ssid } => {
                fields.text("call", call.trim_ascii());
                fields.0.push(b'-');
                write_decimal(fields.0, ssid);
            }
            Self::X25 { address } => fields.text("laddr", address),
            Self::Can {
                ifindex,
                rx_id,
                tx_id,
            } => {
                fields.number("ifindex", ifindex);
                if rx_id != 0 || tx_id != 0 {
                    fields.hex("rx_id", rx_id);
                    fields.hex("tx_id", tx_id);
                }
            }
            Self::Alg { kind, name } => {
                fields.text("type", kind);
                fields.text("name", name);
            }
            Self::Xdp { ifindex, queue } => {
                fields.number("ifindex", ifindex);
                fields.number("queue", queue);
            }
            Self::Bluetooth { device, channel } => {
                fields.hardware("device", &device);
                if let Some(channel) = channel {
                    fields.number("channel", channel);
                }
            }
            Self::Hci { device, channel } => {
                fields.number("hci", device);
                fields.number("channel", channel);
            }
            Self::Tipc { kind, words } => {
                fields.number("addrtype", kind);
                let names = match kind {
                    1 => ["type", "lower", "upper"],
                    2 => ["type", "instance", "domain"],
                    _ => ["ref", "node", "word"],
                };
                for (name, word) in names.into_iter().zip(words) {
                    fields.number(name, word);
                }
            }
            Self::Nfc {
                device,
                target,
                protocol,
            } => {
                fields.number("device", device);
                fields.number("target", target);
                fields.number("protocol", protocol);
            }
            Self::Ieee802154 { pan, address, .. } => {
                fields.hex("pan", pan);
                fields.hardware("address", address);
            }
            Self::AtmPvc {
                interface,
                vpi,
                vci,
            } => {
                fields.number("int", interface);
                fields.number("vpi", vpi);
                fields.number("vci", vci);
            }
            Self::Ipx {
                network,
                node,
                port,
            } => {
                fields.hex("network", network);
                fields.hardware("node", &node);
                fields.hex("lport", port);
            }
            Self::Llc { sap, mac } => {
                fields.hex("sap", sap);
                fields.hardware("mac", &mac);
            }
            Self::Appletalk {
                network,
                node,
                port,
            } => {
                fields.number("network", network);
                fields.number("node", node);
                fields.number("lport", port);
            }
            Self::Qipcrtr { node, port } => {
                fields.number("node", node);
                fields.number("lport", port);
            }
            Self::Phonet {
                object,
                device,
                resource,
            } => {
                fields.hex("object", object);
                fields.hex("device", device);
                fields.hex("resource", resource);
            }
            Self::Iucv { user, name } => {
                fields.text("user", user.trim_ascii());
                fields.text("name", name.trim_ascii());
            }
            _ => {}
        }
        fields.end()
    }

    /// The family's number (AF_*); `None` where the bytes did not hold one.
    #[must_use]
    pub fn family(&self) -> Option<u16> {
        use super::family;
        Some(match *self {
            Self::Unspec => family::UNSPEC,
            Self::Inet { .. } => family::INET,
            Self::Inet6 { .. } => family::INET6,
            Self::Unix { .. } => family::UNIX,
            Self::Netlink { .. } => family::NETLINK,
            Self::Vsock { .. } => family::VSOCK,
            Self::Packet { .. } => family::PACKET,
            Self::Ax25 { .. } => family::AX25,
            Self::X25 { .. } => family::X25,
            Self::Can { .. } => family::CAN,
            Self::Alg { .. } => family::ALG,
            Self::Xdp { .. } => family::XDP,
            Self::Bluetooth { .. } | Self::Hci { .. } => family::BLUETOOTH,
            Self::Tipc { .. } => family::TIPC,
            Self::Nfc { .. } => family::NFC,
            Self::Ieee802154 { .. } => family::IEEE802154,
            Self::AtmPvc { .. } => family::ATMPVC,
            Self::Ipx { .. } => family::IPX,
            Self::Llc { .. } => family::LLC,
            Self::Appletalk { .. } => family::APPLETALK,
            Self::Qipcrtr { .. } => family::QIPCRTR,
            Self::Phonet { .. } => family::PHONET,
            Self::Iucv { .. } => family::IUCV,
            Self::Unknown { family, .. } => family,
            Self::TooShort { family } => return family,
        })
    }
}

/// The family's name as audit tools spell it: `local`, `inet6`.
#[must_use]
pub fn family_name(family: u16) -> Option<&'static str> {
    tables::name_of(tables::ADDRESS_FAMILIES, u64::from(family))
}
