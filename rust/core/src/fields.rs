//! The names of fields, as numbers, and where a field stands in its event.

use crate::assembled::Span;

/// Makes a number of each field name that the event's meaning asks for, in the order in which the records have them.
macro_rules! names {
    ($($constant:ident = $number:literal $text:literal),* $(,)?) => {
        /// Known field names by number; [`OTHER`](name::OTHER) is any other.
        #[allow(missing_docs)]
        pub mod name {
            $(pub const $constant: u8 = $number;)*
            pub const OTHER: u8 = 0;
            /// One past the last.
            pub const COUNT: usize = [$($number),*].len() + 1;
        }
        /// The names with `=` behind them, by number.
        pub(crate) static LITERALS: [&[u8]; name::COUNT] = [b"\0", $(concat!($text, "=").as_bytes()),*];
    };
}

names! {
    ARCH = 1 "arch", SYSCALL = 2 "syscall", SUCCESS = 3 "success", EXIT = 4 "exit", A0 = 5 "a0", A1 = 6 "a1",
    A2 = 7 "a2", A3 = 8 "a3", ITEMS = 9 "items", PPID = 10 "ppid", PID = 11 "pid", AUID = 12 "auid", UID = 13 "uid",
    GID = 14 "gid", EUID = 15 "euid", SUID = 16 "suid", FSUID = 17 "fsuid", EGID = 18 "egid", SGID = 19 "sgid",
    FSGID = 20 "fsgid", TTY = 21 "tty", SES = 22 "ses", COMM = 23 "comm", EXE = 24 "exe", SUBJ = 25 "subj",
    KEY = 26 "key", PER = 27 "per", ITEM = 28 "item", NAME = 29 "name", INODE = 30 "inode", DEV = 31 "dev",
    MODE = 32 "mode", OUID = 33 "ouid", OGID = 34 "ogid", RDEV = 35 "rdev", OBJ = 36 "obj", NAMETYPE = 37 "nametype",
    CAP_FP = 38 "cap_fp", CAP_FI = 39 "cap_fi", CAP_FE = 40 "cap_fe", CAP_FVER = 41 "cap_fver",
    CAP_FROOTID = 42 "cap_frootid", CWD = 43 "cwd", PROCTITLE = 44 "proctitle", ARGC = 45 "argc", SADDR = 46 "saddr",
    ACCT = 47 "acct", ADDR = 48 "addr", HOSTNAME = 49 "hostname", TERMINAL = 50 "terminal", RES = 51 "res",
    RESULT = 52 "result", OP = 53 "op", ID = 54 "id", MSG = 55 "msg", SERESULT = 56 "seresult", SEPERMS = 57 "seperms",
    MESSAGE = 58 "message", OLD_AUID = 59 "old-auid", NEW_AUID = 60 "new-auid", RPORT = 61 "rport", LADDR = 62 "laddr",
    LPORT = 63 "lport", OBJTYPE = 64 "objtype", NEW_GROUP = 65 "new_group", GRP = 66 "grp", SIG = 67 "sig",
}

/// A name as the scanner looks for it.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    /// Its first eight bytes with the `=` behind it as a number, the lowest first, and which bits of it count.
    pub head: u64,
    pub mask: u64,
    /// All of it, with the `=`.
    pub text: &'static [u8],
    pub len: usize,
}

impl Default for Name {
    fn default() -> Self {
        NAMES[0]
    }
}

/// The names by number. The one in place 0 is nobody's.
pub(crate) static NAMES: [Name; name::COUNT] = {
    let mut names = [Name {
        head: u64::MAX,
        mask: 0,
        text: b"",
        len: 0,
    }; name::COUNT];
    let mut number = 1;
    while number < name::COUNT {
        let text = LITERALS[number];
        let (mut head, mut mask, mut at) = (0u64, 0u64, 0);
        while at < 8 && at < text.len() {
            head |= (text[at] as u64) << (8 * at);
            mask |= 0xff << (8 * at);
            at += 1;
        }
        names[number] = Name {
            head,
            mask,
            text,
            len: text.len(),
        };
        number += 1;
    }
    names
};

/// Places for the names that fit a number of eight bytes with their `=`, some eight for each.
const SHORT_BITS: u32 = 9;

/// Where in [`SHORT`] a name is looked for first.
const fn short_place(head: u64) -> usize {
    (head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SHORT_BITS)) as usize
}

/// The numbers of the short names by [`short_place`], and by the next free one where several share a place.
static SHORT: [u8; 1 << SHORT_BITS] = {
    let mut places = [name::OTHER; 1 << SHORT_BITS];
    let mut number = 1;
    while number < name::COUNT {
        if NAMES[number].len <= 8 {
            let mut at = short_place(NAMES[number].head);
            while places[at] != name::OTHER {
                at = (at + 1) % places.len();
            }
            places[at] = number as u8;
        }
        number += 1;
    }
    places
};

/// The number of the known name that stands in the first `length` bytes of `word`, whose next byte is `=`.
#[inline]
pub(crate) fn short(word: u64, length: usize) -> Option<u8> {
    let others = 56usize.checked_sub(8 * length)?;
    let head = word & (u64::MAX >> others);
    let mut at = short_place(head);
    loop {
        let number = *SHORT.get(at % SHORT.len())?;
        if number == name::OTHER {
            return None;
        }
        if NAMES.get(number as usize)?.head == head {
            return Some(number);
        }
        at += 1;
    }
}

/// A field: which name, and where name and value stand in the event's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Number of the name in [`name`].
    pub name: u8,
    /// The value stood in double quotes: it is text as it is, not hex.
    pub quoted: bool,
    /// The value can stand in JSON as it is; false where that was not looked into.
    pub plain: bool,
    /// The name itself; empty for words that had none.
    pub label: Span,
    /// The value, without its quotes.
    pub value: Span,
}

/// The name's text, for a known number.
#[must_use]
pub fn literal(name: u8) -> &'static [u8] {
    let with_sign = LITERALS.get(name as usize).copied().unwrap_or_default();
    with_sign
        .get(..with_sign.len().saturating_sub(1))
        .unwrap_or_default()
}

/// Where in [`PLACES`] a name is looked for first.
const fn place(label: &[u8]) -> usize {
    let (first, last) = match label {
        [] => (0, 0),
        [only] => (*only as usize, 0),
        [first, .., last] => (*first as usize, *last as usize),
    };
    (first * 5 + last * 11 + label.len() * 31) % 512
}

/// The names by [`place`], and by the next free one where several share a place.
static PLACES: [u8; 512] = {
    let mut places = [name::OTHER; 512];
    let mut number = 1;
    while number < name::COUNT {
        let (label, _) = LITERALS[number].split_at(LITERALS[number].len() - 1);
        let mut at = place(label);
        while places[at] != name::OTHER {
            at = (at + 1) % 512;
        }
        places[at] = number as u8;
        number += 1;
    }
    places
};

/// The number of a name.
#[must_use]
pub fn number(label: &[u8]) -> u8 {
    let start = place(label);
    for step in 0..PLACES.len() {
        match PLACES.get((start + step) % PLACES.len()) {
            Some(&number) if number != name::OTHER => {
                if literal(number) == label {
                    return number;
                }
            }
            _ => break,
        }
    }
    name::OTHER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_keep_their_numbers() {
        for place in 1..name::COUNT {
            let place = u8::try_from(place).unwrap();
            assert_eq!(number(literal(place)), place);
        }
        assert_eq!(number(b"nothing"), name::OTHER);
        assert_eq!(number(b""), name::OTHER);
    }
}
