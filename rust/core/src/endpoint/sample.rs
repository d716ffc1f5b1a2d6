//! Samples of the tracepoints, as perf_event_open(2) lays them out.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What each sample must hold, `PERF_SAMPLE_TID | _TIME | _RAW | _REGS_USER` (linux/perf_event.h).
pub const SAMPLE_TYPE: u64 = 1 << 1 | 1 << 2 | 1 << 10 | 1 << 12;
/// The registers with a system call's first four arguments: rdx, rsi, rdi, r10 (asm/perf_regs.h of x86; 64 bits).
pub const REGISTERS: u64 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 18;
/// The changes of state that are wanted, as a filter (Documentation/trace/events.rst): of TCP (6), into and out of
/// SYN_SENT (2).
pub const MADE: &str = "protocol == 6 && (newstate == 2 || oldstate == 2)";
/// And from SYN_RECV (3) to ESTABLISHED (1), where connections are accepted.
pub const MADE_AND_TAKEN: &str =
    "protocol == 6 && (newstate == 2 || oldstate == 2 || (oldstate == 3 && newstate == 1))";
/// Where `sock/inet_sock_set_state` has its fields, by its `format` file: name and offset.
pub const STATE_FIELDS: [(&str, usize); 7] = [
    ("const void * skaddr", 8),
    ("int oldstate", 16),
    ("int newstate", 20),
    ("__u16 sport", 24),
    ("__u16 dport", 26),
    ("__u8 saddr_v6[16]", 40),
    ("__u8 daddr_v6[16]", 56),
];
/// And `syscalls/sys_exit_connect`.
pub const RETURN_FIELDS: [(&str, usize); 1] = [("long ret", 16)];

/// Of a thread that is in no system call of 64 bits.
pub const NO_ARGUMENTS: [u64; 4] = [u64::MAX; 4];

/// What a sample tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A socket begins to connect.
    Begun {
        /// The kernel's address of the socket.
        socket: u64,
        /// Where to.
        peer: SocketAddr,
    },
    /// It is connected, or refused: either way it has its own end.
    Made {
        /// As above.
        socket: u64,
        /// Its own end.
        local: SocketAddr,
        /// The other.
        peer: SocketAddr,
    },
    /// A connection was taken, for some accept(2) to come.
    Taken {
        /// Its own end.
        local: SocketAddr,
        /// The other.
        peer: SocketAddr,
    },
    /// connect(2) returned.
    Returned(i64),
}

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// The process and the thread; what happens in an interrupt is in the name of whoever was interrupted.
    pub pid: u32,
    /// See `pid`.
    pub thread: u32,
    /// The first four arguments of the system call that the thread was in.
    pub arguments: [u64; 4],
    /// What happened.
    pub what: What,
}

/// Whether a `format` file has the fields where they are looked for.
#[must_use]
pub fn has_fields(format: &str, fields: &[(&str, usize)]) -> bool {
    fields
        .iter()
        .all(|(name, offset)| format.contains(&format!("\tfield:{name};\toffset:{offset};")))
}

/// Reads the body of a `PERF_RECORD_SAMPLE`. `states`, `returns`: the numbers of the two tracepoints. `epoch`: what to
/// add to the sample's clock for nanoseconds since the epoch.
#[must_use]
pub fn sample(body: &[u8], states: u16, returns: u16, epoch: u64) -> Option<Sample> {
    let size = u32::from_ne_bytes(array(body, 16)?) as usize;
    let raw = body.get(20..)?.get(..size)?;
    let registers = body.get(20 + size..)?;
    let register = |at: usize| array(registers, 8 + 8 * at).map(u64::from_ne_bytes);
    // A kernel thread has none (PERF_SAMPLE_REGS_ABI_NONE).
    let arguments = if u64::from_ne_bytes(array(registers, 0)?) == 2 {
        [register(2)?, register(1)?, register(0)?, register(3)?]
    } else {
        NO_ARGUMENTS
    };
    let kind = u16::from_ne_bytes(array(raw, 0)?);
    let what = if kind == states {
        state(raw)?
    } else if kind == returns {
        What::Returned(i64::from_ne_bytes(array(raw, 16)?))
    } else {
        return None;
    };
    Some(Sample {
        time: u64::from_ne_bytes(array(body, 8)?).wrapping_add(epoch),
        pid: u32::from_ne_bytes(array(body, 0)?),
        thread: u32::from_ne_bytes(array(body, 4)?),
        arguments,
        what,
    })
}

fn state(raw: &[u8]) -> Option<What> {
    let number = |at| array(raw, at).map(i32::from_ne_bytes);
    let end = |address, port| {
        let ip = IpAddr::V6(Ipv6Addr::from(array::<16>(raw, address)?)).to_canonical();
        Some(SocketAddr::new(ip, u16::from_ne_bytes(array(raw, port)?)))
    };
    let socket = u64::from_ne_bytes(array(raw, 8)?);
    let (local, peer) = (end(40, 24)?, end(56, 26)?);
    Some(match (number(16)?, number(20)?) {
        (_, 2) => What::Begun { socket, peer },
        (2, _) => What::Made {
            socket,
            local,
            peer,
        },
        (3, 1) => What::Taken { local, peer },
        _ => return None,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample's body as the kernel makes it.
    fn body(raw: &[u8], registers: u64) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(7_u32.to_ne_bytes());
        body.extend(8_u32.to_ne_bytes());
        body.extend(1_000_u64.to_ne_bytes());
        body.extend(u32::try_from(raw.len()).unwrap().to_ne_bytes());
        body.extend(raw);
        body.extend(registers.to_ne_bytes());
        if registers != 0 {
            for register in [16_u64, 0x7ffd, 3, 9] {
                body.extend(register.to_ne_bytes());
            }
        }
        body
    }

    fn change(from: i32, to: i32) -> Vec<u8> {
        let mut raw = vec![0; 76];
        raw[..2].copy_from_slice(&50_u16.to_ne_bytes());
        raw[8..16].copy_from_slice(&77_u64.to_ne_bytes());
        raw[16..20].copy_from_slice(&from.to_ne_bytes());
        raw[20..24].copy_from_slice(&to.to_ne_bytes());
        raw[24..26].copy_from_slice(&4000_u16.to_ne_bytes());
        raw[26..28].copy_from_slice(&80_u16.to_ne_bytes());
        raw[40..56].copy_from_slice(&"::ffff:10.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
        raw[56..72].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        raw
    }

    #[test]
    fn reads_who_when_and_what() {
        let read = |raw: &[u8], registers| sample(&body(raw, registers), 50, 51, 5).unwrap();
        let (local, peer) = (
            "10.0.0.1:4000".parse().unwrap(),
            "[2001:db8::1]:80".parse().unwrap(),
        );
        let socket = 77;
        let begun = read(&change(7, 2), 2);
        assert_eq!((begun.time, begun.pid, begun.thread), (1_005, 7, 8));
        assert_eq!(begun.arguments, [3, 0x7ffd, 16, 9]);
        assert_eq!(begun.what, What::Begun { socket, peer });
        let made = What::Made {
            socket,
            local,
            peer,
        };
        for to in [1, 7] {
            assert_eq!(read(&change(2, to), 2).what, made);
        }
        let taken = read(&change(3, 1), 0);
        assert_eq!(taken.arguments, NO_ARGUMENTS);
        assert_eq!(taken.what, What::Taken { local, peer });
        let mut returned = vec![0; 24];
        returned[..2].copy_from_slice(&51_u16.to_ne_bytes());
        returned[16..24].copy_from_slice(&(-115_i64).to_ne_bytes());
        assert_eq!(read(&returned, 2).what, What::Returned(-115));
        assert_eq!(sample(&body(&returned, 2), 50, 52, 0), None);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = body(&change(7, 2), 2);
        for end in 0..whole.len() {
            assert_eq!(sample(&whole[..end], 50, 51, 0), None);
            let mut bad = whole.clone();
            bad[end] ^= 0xff;
            let _ = sample(&bad, 50, 51, 0);
        }
    }

    #[test]
    fn a_format_with_other_offsets_is_not_taken() {
        let format = "\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n";
        assert!(has_fields(format, &RETURN_FIELDS));
        assert!(!has_fields(&format.replace("16", "24"), &RETURN_FIELDS));
    }
}
