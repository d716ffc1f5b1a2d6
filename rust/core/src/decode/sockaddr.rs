//! `struct sockaddr` of every family that reaches the audit log, from the bytes that the kernel copied.
//!
//! The layouts are those of include/uapi/linux (in.h, in6.h, un.h, netlink.h, ...). A record's bytes are as long as the
//! caller of bind(2) or connect(2) said, so that any length is possible; the family and all other numbers without a
//! network byte order are in the byte order of the machine that wrote the record.

mod write;

pub use write::family_name;

/// Address families (AF_* of include/linux/socket.h) whose layout is known here.
mod family {
    pub const UNSPEC: u16 = 0;
    pub const UNIX: u16 = 1;
    pub const INET: u16 = 2;
    pub const AX25: u16 = 3;
    pub const IPX: u16 = 4;
    pub const APPLETALK: u16 = 5;
    pub const ATMPVC: u16 = 8;
    pub const X25: u16 = 9;
    pub const INET6: u16 = 10;
    pub const NETLINK: u16 = 16;
    pub const PACKET: u16 = 17;
    pub const LLC: u16 = 26;
    pub const CAN: u16 = 29;
    pub const TIPC: u16 = 30;
    pub const BLUETOOTH: u16 = 31;
    pub const IUCV: u16 = 32;
    pub const PHONET: u16 = 35;
    pub const IEEE802154: u16 = 36;
    pub const ALG: u16 = 38;
    pub const NFC: u16 = 39;
    pub const VSOCK: u16 = 40;
    pub const QIPCRTR: u16 = 42;
    pub const XDP: u16 = 44;
}

/// A socket's address. Numbers are in this machine's order, ports as people write them.
#[allow(missing_docs)] // each variant says what its fields are
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketAddress<'a> {
    /// AF_UNSPEC: connect(2) with it dissolves an association.
    Unspec,
    /// IPv4.
    Inet { addr: [u8; 4], port: u16 },
    /// IPv6; `scope` is the interface's index and 0 where the short form of RFC 2133 left it out.
    Inet6 {
        addr: [u8; 16],
        port: u16,
        flowinfo: u32,
        scope: u32,
    },
    /// A local socket: a path up to its first NUL, or an abstract name without its leading NUL and with every other
    /// byte. An empty path that is not abstract is unnamed.
    Unix { path: &'a [u8], abstract_: bool },
    /// Netlink port and multicast groups (a bit mask).
    Netlink { pid: u32, groups: u32 },
    /// Virtual machines' sockets.
    Vsock { cid: u32, port: u32 },
    /// A packet socket: Ethernet protocol, interface, ARP hardware type, PACKET_* and the hardware address.
    Packet {
        protocol: u16,
        ifindex: u32,
        hatype: u16,
        pkttype: u8,
        hwaddr: &'a [u8],
    },
    /// An amateur radio call sign (ASCII shifted left by one, as on the air) with its station number.
    Ax25 { call: [u8; 6], ssid: u8 },
    /// An X.121 address in digits.
    X25 { address: &'a [u8] },
    /// Controller area network; the ids are those of ISO-TP.
    Can {
        ifindex: u32,
        rx_id: u32,
        tx_id: u32,
    },
    /// The kernel's crypto: type and name of the algorithm.
    Alg { kind: &'a [u8], name: &'a [u8] },
    /// An express data path queue.
    Xdp { ifindex: u32, queue: u32 },
    /// Bluetooth L2CAP, RFCOMM or SCO: device address in writing order, and the PSM or channel if there is one.
    Bluetooth {
        device: [u8; 6],
        channel: Option<u16>,
    },
    /// Bluetooth host controller.
    Hci { device: u16, channel: u16 },
    /// TIPC by address type (1 range, 2 service, 3 socket) and its three words.
    Tipc { kind: u8, words: [u32; 3] },
    /// Near field communication.
    Nfc {
        device: u32,
        target: u32,
        protocol: u32,
    },
    /// IEEE 802.15.4: address type (0 none, 2 short, 3 long), network, address.
    Ieee802154 {
        kind: u32,
        pan: u16,
        address: &'a [u8],
    },
    /// ATM permanent circuit: interface, path, circuit.
    AtmPvc { interface: u16, vpi: u16, vci: u32 },
    /// Novell IPX.
    Ipx {
        network: u32,
        node: [u8; 6],
        port: u16,
    },
    /// Logical link control: service access point and hardware address.
    Llc { sap: u8, mac: [u8; 6] },
    /// AppleTalk.
    Appletalk { network: u16, node: u8, port: u8 },
    /// Qualcomm's IPC router.
    Qipcrtr { node: u32, port: u32 },
    /// Nokia's Phonet.
    Phonet {
        object: u8,
        device: u8,
        resource: u8,
    },
    /// z/VM's IUCV: user and application.
    Iucv { user: &'a [u8], name: &'a [u8] },
    /// A family whose layout is not known here, with what follows it.
    Unknown { family: u16, bytes: &'a [u8] },
    /// Fewer bytes than the family needs; without even a family if there are not two.
    TooShort { family: Option<u16> },
}

/// Reads numbers out of an address, in the writing machine's byte order or the network's.
struct Reader<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    fn host16(&self, at: usize) -> Option<u16> {
        self.array(at).map(if self.big_endian {
            u16::from_be_bytes
        } else {
            u16::from_le_bytes
        })
    }

    fn host32(&self, at: usize) -> Option<u32> {
        self.array(at).map(if self.big_endian {
            u32::from_be_bytes
        } else {
            u32::from_le_bytes
        })
    }

    fn net16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    fn net32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The bytes of a field, as far as they are there.
    fn rest(&self, at: usize, length: usize) -> &'a [u8] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.get(..length).unwrap_or(rest)
    }

    /// A field that holds a C string.
    fn string(&self, at: usize, length: usize) -> &'a [u8] {
        until_nul(self.rest(at, length))
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes)
        .and_then(|end| bytes.get(..end))
        .unwrap_or(bytes)
}

impl<'a> SocketAddress<'a> {
    /// Reads an address from `bytes` (already out of hexadecimal); `big_endian` is the writing machine's byte order.
    #[must_use]
    pub fn parse(bytes: &'a [u8], big_endian: bool) -> Self {
        let reader = Reader { bytes, big_endian };
        let Some(family) = reader.host16(0) else {
            return Self::TooShort { family: None };
        };
        Self::layout(family, &reader).unwrap_or(Self::TooShort {
            family: Some(family),
        })
    }

    /// The family's layout; `None` when a byte that it needs is not there.
    fn layout(family: u16, reader: &Reader<'a>) -> Option<Self> {
        Some(match family {
            family::UNSPEC => Self::Unspec,
            family::UNIX => match reader.bytes.get(2..).unwrap_or_default() {
                [0, name @ ..] if !name.is_empty() => Self::Unix {
                    path: name,
                    abstract_: true,
                },
                path => Self::Unix {
                    path: until_nul(path),
                    abstract_: false,
                },
            },
            family::INET => Self::Inet {
                addr: reader.array(4)?,
                port: reader.net16(2)?,
            },
            family::INET6 => Self::Inet6 {
                addr: reader.array(8)?,
                port: reader.net16(2)?,
                flowinfo: reader.net32(4)?,
                scope: reader.host32(24).unwrap_or(0),
            },
            family::NETLINK => Self::Netlink {
                pid: reader.host32(4)?,
                groups: reader.host32(8)?,
            },
            _ => return Self::rare_layout(family, reader),
        })
    }

    /// The families that few programs use.
    fn rare_layout(family: u16, reader: &Reader<'a>) -> Option<Self> {
        Some(match family {
            family::VSOCK => Self::Vsock {
                port: reader.host32(4)?,
                cid: reader.host32(8)?,
            },
            family::PACKET => Self::Packet {
                protocol: reader.net16(2)?,
                ifindex: reader.host32(4)?,
                hatype: reader.host16(8)?,
                pkttype: reader.byte(10)?,
                hwaddr: reader.rest(12, usize::from(reader.byte(11)?).min(8)),
            },
            family::AX25 => {
                let call: [u8; 6] = reader.array(2)?;
                Self::Ax25 {
                    call: call.map(|letter| letter >> 1),
                    ssid: reader.byte(8)? >> 1 & 0x0f,
                }
            }
            family::X25 => Self::X25 {
                address: reader.string(2, 16),
            },
            family::CAN => Self::Can {
                ifindex: reader.host32(4)?,
                rx_id: reader.host32(8).unwrap_or(0),
                tx_id: reader.host32(12).unwrap_or(0),
            },
            family::ALG => Self::Alg {
                kind: reader.string(2, 14),
                name: reader.string(24, reader.bytes.len()),
            },
            family::XDP => Self::Xdp {
                ifindex: reader.host32(4)?,
                queue: reader.host32(8)?,
            },
            family::BLUETOOTH => Self::bluetooth(reader)?,
            family::TIPC => Self::Tipc {
                kind: reader.byte(2)?,
                words: [reader.host32(4)?, reader.host32(8)?, reader.host32(12)?],
            },
            family::NFC => Self::Nfc {
                device: reader.host32(4)?,
                target: reader.host32(8)?,
                protocol: reader.host32(12)?,
            },
            family::IEEE802154 => {
                let kind = reader.host32(4)?;
                let length = if kind == 3 { 8 } else { 2 };
                Self::Ieee802154 {
                    kind,
                    pan: reader.host16(8)?,
                    address: reader.rest(10, length),
                }
            }
            family::ATMPVC => Self::AtmPvc {
                interface: reader.host16(4)?,
                vpi: reader.host16(6)?,
                vci: reader.host32(8).unwrap_or(0),
            },
            family::IPX => Self::Ipx {
                port: reader.net16(2)?,
                network: reader.net32(4)?,
                node: reader.array(8)?,
            },
            family::LLC => Self::Llc {
                sap: reader.byte(7)?,
                mac: reader.array(8)?,
            },
            family::APPLETALK => Self::Appletalk {
                port: reader.byte(2)?,
                network: reader.net16(4)?,
                node: reader.byte(6)?,
            },
            family::QIPCRTR => Self::Qipcrtr {
                node: reader.host32(4)?,
                port: reader.host32(8)?,
            },
            family::PHONET => Self::Phonet {
                object: reader.byte(2)?,
                device: reader.byte(3)?,
                resource: reader.byte(4)?,
            },
            family::IUCV => Self::Iucv {
                user: reader.rest(16, 8),
                name: reader.rest(24, 8),
            },
            _ => Self::Unknown {
                family,
                bytes: reader.bytes.get(2..).unwrap_or_default(),
            },
        })
    }

    /// The protocol decides the layout (include/net/bluetooth); the record has only the length to tell it by:
    /// 6 HCI, 8 SCO, up to 10 RFCOMM, more L2CAP.
    fn bluetooth(reader: &Reader<'a>) -> Option<Self> {
        let written = |mut device: [u8; 6]| {
            device.reverse();
            device
        };
        Some(match reader.bytes.len() {
            ..8 => Self::Hci {
                device: reader.host16(2)?,
                channel: reader.host16(4)?,
            },
            8 => Self::Bluetooth {
                device: written(reader.array(2)?),
                channel: None,
            },
            9 | 10 => Self::Bluetooth {
                device: written(reader.array(2)?),
                channel: reader.byte(8).map(u16::from),
            },
            _ => Self::Bluetooth {
                device: written(reader.array(4)?),
                channel: reader.array(2).map(u16::from_le_bytes),
            },
        })
    }
}

#[cfg(test)]
mod tests;
