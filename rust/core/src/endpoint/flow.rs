//! Both ends of a connection, as far as they are known.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Protocol numbers (RFC 5237's registry).
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;

/// Where the end came from that the event's own record does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Earlier events of the same socket.
    Event,
    /// The address of the listening socket, which is kept.
    Listener,
    /// The kernel's tracepoints of connections (`sock:inet_sock_set_state`).
    Trace,
    /// The process's socket itself (pidfd_getfd(2)).
    Pidfd,
    /// The kernel's broadcast of destroyed sockets (sock_diag(7)).
    Destroyed,
    /// Nobody knows it.
    Unknown,
}

impl Origin {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Event,
        Self::Listener,
        Self::Trace,
        Self::Pidfd,
        Self::Destroyed,
        Self::Unknown,
    ];

    /// The word for `tsauditd.endpoint`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Listener => "listener",
            Self::Trace => "trace",
            Self::Pidfd => "pidfd",
            Self::Destroyed => "destroyed",
            Self::Unknown => "unknown",
        }
    }
}

/// One end: what is not known, or means "any" (0.0.0.0, ::, port 0), is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct End {
    /// The address, never a mapped one.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: Option<u16>,
}

impl From<SocketAddr> for End {
    fn from(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        Self {
            ip: (!ip.is_unspecified()).then_some(ip),
            port: (address.port() != 0).then_some(address.port()),
        }
    }
}

impl From<Option<SocketAddr>> for End {
    fn from(address: Option<SocketAddr>) -> Self {
        address.map(Self::from).unwrap_or_default()
    }
}

impl End {
    /// Whether both are known.
    #[must_use]
    pub fn whole(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.ip?, self.port?))
    }

    /// Whether an address may be this end: what is known of it is the same.
    #[must_use]
    pub fn admits(&self, address: SocketAddr) -> bool {
        self.ip.is_none_or(|ip| ip == address.ip())
            && self.port.is_none_or(|port| port == address.port())
    }
}

/// A connection as one event shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Where it comes from.
    pub source: End,
    /// Where it goes to.
    pub destination: End,
    /// `network.direction`.
    pub direction: Option<&'static str>,
    /// The protocol's number; 0 is not known.
    pub protocol: u8,
    /// Who knew the end that is not in the record; `None` where nothing was asked for.
    pub origin: Option<Origin>,
}

impl Flow {
    /// The name of the protocol (ECS `network.transport`).
    #[must_use]
    pub fn transport(&self) -> Option<&'static str> {
        crate::tables::name_of(crate::tables::IP_PROTOCOLS, u64::from(self.protocol))
            .filter(|_| self.protocol != 0)
    }

    /// `dns` where the port says so: 53 of either end (RFC 1035), 5353 by UDP (RFC 6762), 853 over TLS (RFC 7858).
    #[must_use]
    pub fn application(&self) -> Option<&'static str> {
        let ports = [self.source.port, self.destination.port];
        let dns = ports.into_iter().flatten().any(|port| match port {
            53 => true,
            853 => self.protocol == TCP,
            5353 => self.protocol == UDP,
            _ => false,
        });
        dns.then_some("dns")
    }

    /// The Community ID, version 1, seed 0 (<https://github.com/corelight/community-id-spec>), where both ends and the
    /// protocol are known: the same for both directions of a connection and on every host that sees it.
    #[must_use]
    pub fn community_id(&self) -> Option<CommunityId> {
        if !matches!(self.protocol, TCP | UDP | 132) {
            return None;
        }
        let (source, destination) = (self.source.whole()?, self.destination.whole()?);
        let (from, to) = (Octets::of(source.ip()), Octets::of(destination.ip()));
        let mut ends = [(from.get(), source.port()), (to.get(), destination.port())];
        ends.sort_unstable();
        let mut hash = Sha1::new();
        hash.update([0, 0]);
        for (octets, _) in ends {
            hash.update(octets);
        }
        hash.update([self.protocol, 0]);
        for (_, port) in ends {
            hash.update(port.to_be_bytes());
        }
        let mut text = *b"1:0123456789012345678901234567";
        let space = text.get_mut(2..)?;
        STANDARD.encode_slice(hash.finalize(), space).ok()?;
        Some(CommunityId(text))
    }
}

/// A Community ID: "1:" and the 28 characters of a SHA-1 in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommunityId([u8; 30]);

impl CommunityId {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The octets of an address.
enum Octets {
    Four([u8; 4]),
    Sixteen([u8; 16]),
}

impl Octets {
    fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::Four(ip.octets()),
            IpAddr::V6(ip) => Self::Sixteen(ip.octets()),
        }
    }

    fn get(&self) -> &[u8] {
        match self {
            Self::Four(octets) => octets,
            Self::Sixteen(octets) => octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(source: &str, destination: &str, protocol: u8) -> Flow {
        Flow {
            source: End::from(source.parse::<SocketAddr>().unwrap()),
            destination: End::from(destination.parse::<SocketAddr>().unwrap()),
            direction: None,
            protocol,
            origin: None,
        }
    }

    /// The reference vectors of the specification (baseline, seed 0).
    #[test]
    fn community_ids_are_those_of_the_specification() {
        for (source, destination, protocol, wanted) in [
            (
                "128.232.110.120:34855",
                "66.35.250.204:80",
                TCP,
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                "66.35.250.204:80",
                "128.232.110.120:34855",
                TCP,
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                "192.168.1.52:54585",
                "8.8.8.8:53",
                UDP,
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (
                "8.8.8.8:53",
                "192.168.1.52:54585",
                UDP,
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
            (
                "[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943",
                "[2607:f8b0:400c:c03::1a]:25",
                TCP,
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
            (
                "192.168.170.8:7",
                "192.168.170.56:7",
                132,
                "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=",
            ),
        ] {
            assert_eq!(
                flow(source, destination, protocol)
                    .community_id()
                    .as_ref()
                    .map(CommunityId::as_str),
                Some(wanted)
            );
        }
        assert_eq!(flow("1.2.3.4:5", "0.0.0.0:80", TCP).community_id(), None);
        assert_eq!(flow("1.2.3.4:5", "6.7.8.9:80", 1).community_id(), None);
    }

    #[test]
    fn addresses_that_mean_any_are_not_ends() {
        let any: SocketAddr = "[::ffff:0.0.0.0]:80".parse().unwrap();
        assert_eq!(
            End::from(any),
            End {
                ip: None,
                port: Some(80)
            }
        );
        let mapped: SocketAddr = "[::ffff:10.1.2.3]:0".parse().unwrap();
        assert_eq!(
            End::from(mapped),
            End {
                ip: Some("10.1.2.3".parse().unwrap()),
                port: None
            }
        );
    }

    #[test]
    fn dns_is_told_by_its_ports() {
        assert_eq!(
            flow("1.2.3.4:5", "6.7.8.9:53", 0).application(),
            Some("dns")
        );
        assert_eq!(flow("1.2.3.4:5", "6.7.8.9:853", UDP).application(), None);
        assert_eq!(flow("1.2.3.4:5", "6.7.8.9:443", TCP).application(), None);
    }
}
