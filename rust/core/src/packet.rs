//! One netlink datagram from the audit family, told apart: a record, or a reply to something that was asked.

/// `AUDIT_USER` and `AUDIT_LOGIN` (include/uapi/linux/audit.h): the two records numbered among the control messages.
const USER: u16 = 1005;
const LOGIN: u16 = 1006;
/// First type that carries a record from user space; below it are the requests and their replies.
const FIRST_USER_RECORD: u16 = 1100;
/// `AUDIT_REPLACE`: the kernel asking whether the registered daemon still listens. It wants no answer.
const REPLACE: u16 = 1329;
/// `struct nlmsghdr` (include/uapi/linux/netlink.h).
const HEADER: usize = 16;

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// An audit record: its type and the text from `audit(` on.
    Record {
        /// Record type, `nlmsg_type`.
        kind: u16,
        /// The text, without the padding that ends some messages.
        text: &'a [u8],
    },
    /// A reply, an acknowledgement or the kernel's ping: nothing to log.
    Control(u16),
    /// Shorter than a netlink header.
    Short,
}

/// Reads one datagram as `recv` returned it.
///
/// `nlmsg_len` is not looked at: for records sent to the registered daemon the kernel sets it to the length of the
/// payload alone (kernel/audit.c, `audit_log_end`), so only the received size says where the text ends.
#[must_use]
pub fn packet(datagram: &[u8]) -> Packet<'_> {
    let (Some(&[low, high]), Some(mut text)) = (datagram.get(4..6), datagram.get(HEADER..)) else {
        return Packet::Short;
    };
    let kind = u16::from_ne_bytes([low, high]);
    if (kind < FIRST_USER_RECORD && kind != USER && kind != LOGIN) || kind == REPLACE {
        return Packet::Control(kind);
    }
    while let [head @ .., b'\0' | b'\n'] = text {
        text = head;
    }
    Packet::Record { kind, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(length: u32, kind: u16, text: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(text);
        bytes
    }

    #[test]
    fn trusts_the_received_size() {
        for length in [0, 4, 20, 9999] {
            let bytes = datagram(length, 1300, b"audit(1.000:2): a=1\0\0");
            assert_eq!(
                packet(&bytes),
                Packet::Record {
                    kind: 1300,
                    text: b"audit(1.000:2): a=1"
                }
            );
        }
    }

    #[test]
    fn tells_replies_apart() {
        for kind in [2, 3, 1000, 1013, 1019, 1329] {
            assert_eq!(packet(&datagram(16, kind, b"")), Packet::Control(kind));
        }
        for kind in [1005, 1006, 1100, 1320, 2999] {
            assert_eq!(
                packet(&datagram(16, kind, b"x")),
                Packet::Record { kind, text: b"x" }
            );
        }
        assert_eq!(packet(&[0; 15]), Packet::Short);
    }
}
