//! Which call on which socket a SYSCALL record tells of.

use crate::record::decimal;
use crate::tables::{self, Arch};

/// What a call does with a socket's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// connect: the record holds the far end.
    Connect,
    /// accept, accept4: the record holds the far end, if the caller asked for it.
    Accept,
    /// bind: the record holds the near end.
    Bind,
    /// listen: no end in the record.
    Listen,
    /// sendto, sendmsg: the far end, unless the socket is connected.
    Send,
    /// recvfrom, recvmsg: the far end, if the caller asked for it.
    Receive,
    /// getsockname: the near end.
    Name,
    /// getpeername: the far end.
    Peer,
}

impl Role {
    /// The role of a system call by its name.
    #[must_use]
    pub fn of(call: &str) -> Option<Self> {
        Some(match call {
            "connect" => Self::Connect,
            "accept" | "accept4" => Self::Accept,
            "bind" => Self::Bind,
            "listen" => Self::Listen,
            "sendto" | "sendmsg" | "sendmmsg" => Self::Send,
            "recvfrom" | "recvmsg" | "recvmmsg" => Self::Receive,
            "getsockname" => Self::Name,
            "getpeername" => Self::Peer,
            _ => return None,
        })
    }

    /// Whether the call gives its socket a far end, so that a later one like it means another connection.
    #[must_use]
    pub fn opens(self) -> bool {
        matches!(self, Self::Connect | Self::Accept)
    }

    /// Whether the record's address is the near end.
    #[must_use]
    pub fn names_near_end(self) -> bool {
        matches!(self, Self::Bind | Self::Listen | Self::Name)
    }

    /// Whether what comes from the far end is meant: then that is the source.
    #[must_use]
    pub fn is_inward(self) -> bool {
        matches!(self, Self::Accept | Self::Listen | Self::Receive)
    }

    /// `network.direction`, where the call itself tells it.
    #[must_use]
    pub fn direction(self) -> Option<&'static str> {
        match self {
            Self::Accept | Self::Receive => Some("ingress"),
            Self::Connect | Self::Send => Some("egress"),
            _ => None,
        }
    }
}

/// The socket of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What it does.
    pub role: Role,
    /// The calling process.
    pub pid: u32,
    /// The descriptor that the call was given.
    pub given: u32,
    /// The descriptor of the connection: for accept the new one.
    pub fd: u32,
    /// What it returned: `-errno` for a failure.
    pub result: i64,
    /// Its first four arguments: for connect the second is where the address is, the third its length.
    pub arguments: [u64; 4],
}

/// Connections that go on after the call: `-EINPROGRESS`, `-EALREADY`, `-EISCONN` (connect(2)).
#[must_use]
pub fn is_attempt(result: i64) -> bool {
    matches!(result, -115 | -114 | -106)
}

/// Reads SYSCALL records. Remembers the beginning of the last one, which tells the call.
#[derive(Debug, Default)]
pub struct Calls {
    head: Vec<u8>,
    role: Option<Role>,
}

impl Calls {
    /// The call of a SYSCALL record, if it is about a socket's ends and all of it can be read.
    pub fn read(&mut self, body: &[u8]) -> Option<Call> {
        if self.head.is_empty() || !body.starts_with(&self.head) {
            let start = memchr::memmem::find(body, b" syscall=")? + b" syscall=".len();
            let number = body.get(start..)?;
            let end = start + memchr::memchr(b' ', number)? + 1;
            self.head.clear();
            self.head.extend_from_slice(body.get(..end)?);
            self.role = role(self.head.trim_ascii_end());
        }
        let role = self.role?;
        let [result, a0, a1, a2, a3, pid] =
            values(body, [b"exit=", b"a0=", b"a1=", b"a2=", b"a3=", b"pid="])?;
        let result = match result.strip_prefix(b"-") {
            Some(digits) => i64::try_from(decimal(digits)?).ok()?.checked_neg()?,
            None => i64::try_from(decimal(result)?).ok()?,
        };
        let argument = crate::event::hex_number;
        let arguments = [argument(a0)?, argument(a1)?, argument(a2)?, argument(a3)?];
        let given = u32::try_from(arguments[0] & 0xffff_ffff).ok()?;
        let fd = match role {
            Role::Accept => u32::try_from(result).unwrap_or(u32::MAX),
            _ => given,
        };
        Some(Call {
            role,
            pid: u32::try_from(decimal(pid)?).ok()?,
            given,
            fd,
            result,
            arguments,
        })
    }
}

/// The values of these fields, of each the first that stands behind a space: found in one pass, which ends with the last
/// of them. `None` if one is not there.
fn values<'a, const N: usize>(body: &'a [u8], names: [&[u8]; N]) -> Option<[&'a [u8]; N]> {
    let mut found = [None; N];
    let mut left = N;
    let mut rest = body;
    while left > 0 {
        rest = rest.get(memchr::memchr(b' ', rest)? + 1..)?;
        let wanted = (names.iter().zip(&mut found)).find(|(name, _)| rest.starts_with(name));
        if let Some((name, place @ None)) = wanted {
            let value = rest.get(name.len()..)?;
            let end = memchr::memchr(b' ', value).unwrap_or(value.len());
            *place = value.get(..end);
            left -= 1;
        }
    }
    Some(found.map(Option::unwrap_or_default))
}

/// The role of the call in `arch=HEX syscall=NUMBER`.
fn role(head: &[u8]) -> Option<Role> {
    let arch = head.strip_prefix(b"arch=")?;
    let arch = arch.get(..memchr::memchr(b' ', arch)?)?;
    let arch = Arch::from_elf(u32::try_from(crate::event::hex_number(arch)?).ok()?)?;
    let number = head.get(memchr::memrchr(b'=', head)? + 1..)?;
    Role::of(tables::syscall(arch, decimal(number)?)?.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_call() {
        let mut calls = Calls::default();
        let text = "arch=c000003e syscall=42 success=no exit=-115 a0=3 a1=7ffd a2=10 a3=0 items=0 ppid=1 pid=77 \
                    auid=0 comm=\"x\"";
        let wanted = Call {
            role: Role::Connect,
            pid: 77,
            given: 3,
            fd: 3,
            result: -115,
            arguments: [3, 0x7ffd, 16, 0],
        };
        assert_eq!(calls.read(text.as_bytes()), Some(wanted));
        let text = text
            .replace("syscall=42", "syscall=288")
            .replace("-115", "9");
        let call = calls.read(text.as_bytes()).unwrap();
        assert_eq!((call.role, call.given, call.fd), (Role::Accept, 3, 9));
        for other in [
            "",
            "arch=c000003e",
            "arch=c000003e syscall=257 exit=3 a0=1",
            "a syscall=42 b",
        ] {
            assert_eq!(calls.read(other.as_bytes()), None, "{other}");
        }
    }
}
