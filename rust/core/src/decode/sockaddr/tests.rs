use super::*;
use crate::decode::hex::unhex;
use proptest::prelude::*;

#[test]
fn reads_internet_addresses_in_either_byte_order() {
    let inet = SocketAddress::Inet {
        addr: [192, 168, 0, 1],
        port: 22,
    };
    assert_eq!(
        SocketAddress::parse(b"\x02\0\0\x16\xc0\xa8\0\x01\0\0\0\0\0\0\0\0", false),
        inet
    );
    assert_eq!(
        SocketAddress::parse(b"\0\x02\0\x16\xc0\xa8\0\x01", true),
        inet
    );
    let mut six = b"\x0a\0\x01\xbb\0\0\0\x05".to_vec();
    six.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let addr = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let parsed = SocketAddress::parse(&six, false);
    assert_eq!(
        parsed,
        SocketAddress::Inet6 {
            addr,
            port: 443,
            flowinfo: 5,
            scope: 0
        }
    );
    let mut scoped = six.clone();
    scoped.extend([2, 0, 0, 0]);
    let parsed = SocketAddress::parse(&scoped, false);
    assert_eq!(
        parsed,
        SocketAddress::Inet6 {
            addr,
            port: 443,
            flowinfo: 5,
            scope: 2
        }
    );
}

#[test]
fn reads_local_names_of_any_length() {
    let unix = |path: &'static [u8], abstract_| SocketAddress::Unix { path, abstract_ };
    assert_eq!(SocketAddress::parse(b"\x01\0", false), unix(b"", false));
    assert_eq!(SocketAddress::parse(b"\x01\0\0", false), unix(b"", false));
    assert_eq!(
        SocketAddress::parse(b"\x01\0/run/x", false),
        unix(b"/run/x", false)
    );
    assert_eq!(
        SocketAddress::parse(b"\x01\0/run/x\0junk", false),
        unix(b"/run/x", false)
    );
    assert_eq!(
        SocketAddress::parse(b"\x01\0\0name\0tail", false),
        unix(b"name\0tail", true)
    );
}

#[test]
fn reads_the_other_families() {
    use SocketAddress as A;
    let cases: &[(&[u8], SocketAddress)] = &[
        (b"\0\0rest", A::Unspec),
        (
            b"\x10\0\0\0\xd2\x04\0\0\x01\0\0\0",
            A::Netlink {
                pid: 1234,
                groups: 1,
            },
        ),
        (
            b"\x28\0\0\0\x16\0\0\0\x03\0\0\0",
            A::Vsock { cid: 3, port: 22 },
        ),
        (
            b"\x11\0\x08\x06\x02\0\0\0\x01\0\0\x06\xaa\xbb\xcc\xdd\xee\xff\0\0",
            A::Packet {
                protocol: 0x806,
                ifindex: 2,
                hatype: 1,
                pkttype: 0,
                hwaddr: b"\xaa\xbb\xcc\xdd\xee\xff",
            },
        ),
        (
            b"\x03\0\x96\xa4\xa2\xa0\x9a\x40\x62",
            A::Ax25 {
                call: *b"KRQPM ",
                ssid: 1,
            },
        ),
        (b"\x09\x00123456\0\0", A::X25 { address: b"123456" }),
        (
            b"\x1d\0\0\0\x03\0\0\0",
            A::Can {
                ifindex: 3,
                rx_id: 0,
                tx_id: 0,
            },
        ),
        (
            b"\x26\0skcipher\0\0\0\0\0\0\0\0\0\0\0\0\0\0cbc(aes)\0\0",
            A::Alg {
                kind: b"skcipher",
                name: b"cbc(aes)",
            },
        ),
        (
            b"\x2c\0\0\0\x02\0\0\0\x05\0\0\0\0\0\0\0",
            A::Xdp {
                ifindex: 2,
                queue: 5,
            },
        ),
        (
            b"\x1f\0\x03\0\x01\0",
            A::Hci {
                device: 3,
                channel: 1,
            },
        ),
        (
            b"\x1f\0\x06\x05\x04\x03\x02\x01",
            A::Bluetooth {
                device: [1, 2, 3, 4, 5, 6],
                channel: None,
            },
        ),
        (
            b"\x1f\0\x06\x05\x04\x03\x02\x01\x07\0",
            A::Bluetooth {
                device: [1, 2, 3, 4, 5, 6],
                channel: Some(7),
            },
        ),
        (
            b"\x1f\0\x19\0\x06\x05\x04\x03\x02\x01\0\0\0\0",
            A::Bluetooth {
                device: [1, 2, 3, 4, 5, 6],
                channel: Some(25),
            },
        ),
        (
            b"\x08\0\0\0\x01\0\x02\0\x03\0\0\0",
            A::AtmPvc {
                interface: 1,
                vpi: 2,
                vci: 3,
            },
        ),
        (
            b"\x04\0\x04\x51\0\0\0\x01\x01\x02\x03\x04\x05\x06\0\0",
            A::Ipx {
                network: 1,
                node: [1, 2, 3, 4, 5, 6],
                port: 0x451,
            },
        ),
        (
            b"\x05\0\x80\0\x00\x02\x07\0",
            A::Appletalk {
                network: 2,
                node: 7,
                port: 128,
            },
        ),
        (
            b"\x1b\0\x01\x02",
            A::Unknown {
                family: 27,
                bytes: b"\x01\x02",
            },
        ),
        (
            b"\xff\xff",
            A::Unknown {
                family: 65535,
                bytes: b"",
            },
        ),
        (b"\x02\0\0\x16", A::TooShort { family: Some(2) }),
        (b"\x02", A::TooShort { family: None }),
        (b"", A::TooShort { family: None }),
    ];
    for (bytes, expected) in cases {
        assert_eq!(SocketAddress::parse(bytes, false), *expected);
    }
}

fn read(hex: &str) -> Option<String> {
    let (mut bytes, mut out) = (Vec::new(), Vec::new());
    assert!(unhex(hex.as_bytes(), &mut bytes));
    SocketAddress::parse(&bytes, false)
        .write(&mut out)
        .then(|| String::from_utf8_lossy(&out).into_owned())
}

/// What `ausearch -i` (audit 3.0.9) prints for the same bytes.
#[test]
fn reads_as_ausearch_does() {
    for (hex, reading) in [
        (
            "02000016C0A800010000000000000000",
            "{ saddr_fam=inet laddr=192.168.0.1 lport=22 }",
        ),
        (
            "0A0000160000000000000000000000000000FFFF7F00000100000000",
            "{ saddr_fam=inet6 laddr=::ffff:127.0.0.1 lport=22 }",
        ),
        ("01002F746D702F7800", "{ saddr_fam=local path=/tmp/x }"),
        ("01002F746D702F78", "{ saddr_fam=local path=/tmp/x }"),
        (
            "10000000D204000000000000",
            "{ saddr_fam=netlink nlnk-fam=16 nlnk-pid=1234 }",
        ),
        (
            "0900313233343536373839303132333435",
            "{ saddr_fam=x25 laddr=123456789012345 }",
        ),
        ("0200", "{ saddr_fam=inet sockaddr len too short }"),
    ] {
        assert_eq!(read(hex).as_deref(), Some(reading));
    }
}

/// What ausearch loses or leaves unread.
#[test]
fn reads_more_than_ausearch() {
    for (hex, reading) in [
        ("0100006162006300", "{ saddr_fam=local path=@ab@c }"),
        ("0100", "{ saddr_fam=local path= }"),
        (
            "0A0000160000000120010DB8000000000000000000000001",
            "{ saddr_fam=inet6 laddr=2001:db8::1 lport=22 flowinfo=0x1 }",
        ),
        (
            "0A00001600000000FE80000000000000000000000000000102000000",
            "{ saddr_fam=inet6 laddr=fe80::1%2 lport=22 }",
        ),
        (
            "10000000D204000001000000",
            "{ saddr_fam=netlink nlnk-fam=16 nlnk-pid=1234 nlnk-grp=0x1 }",
        ),
        (
            "280000001600000003000000",
            "{ saddr_fam=vsock cid=3 port=22 }",
        ),
        (
            "110008060200000001000006AABBCCDDEE0F0000",
            "{ saddr_fam=packet protocol=0x806 ifindex=2 hatype=1 pkttype=0 hwaddr=aa:bb:cc:dd:ee:0f }",
        ),
        ("030096A4A2A09A4062", "{ saddr_fam=ax25 call=KRQPM-1 }"),
        ("1F0003000100", "{ saddr_fam=bluetooth hci=3 channel=1 }"),
        ("0000", "{ saddr_fam=unspec }"),
    ] {
        assert_eq!(read(hex).as_deref(), Some(reading));
    }
    assert_eq!(read("1B000102"), None);
    assert_eq!(read("FFFF"), None);
    assert_eq!(read("02"), None);
}

proptest! {
    #[test]
    fn reads_any_bytes(family in 0u8..48, rest: Vec<u8>, big: bool) {
        let mut bytes = if big { vec![0, family] } else { vec![family, 0] };
        bytes.extend(rest);
        for end in 0..bytes.len() {
            let address = SocketAddress::parse(bytes.get(..end).unwrap_or_default(), big);
            address.write(&mut Vec::new());
        }
    }
}
