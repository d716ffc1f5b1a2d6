//! Numbers and internet addresses as text, straight into a buffer.

/// Appends a number in decimal.
pub fn write_decimal(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number in hexadecimal, without a prefix and without leading zeros.
pub(super) fn write_digits(out: &mut Vec<u8>, number: u64) {
    let digits = (16 - number.leading_zeros() / 4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (place * 4) & 0xf) as u8;
        out.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
    }
}

/// Appends an IPv4 address in dotted form.
pub fn write_ipv4(out: &mut Vec<u8>, address: &[u8; 4]) {
    for (index, octet) in address.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        write_decimal(out, *octet);
    }
}

/// Appends an IPv6 address as RFC 5952 writes it: lower case, the longest run of two or more zero groups (the first
/// of equals) as `::`, and a mapped IPv4 address in dotted form (section 5).
pub fn write_ipv6(out: &mut Vec<u8>, address: &[u8; 16]) {
    if let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = *address {
        out.extend_from_slice(b"::ffff:");
        return write_ipv4(out, &[a, b, c, d]);
    }
    let (pairs, _) = address.as_chunks::<2>();
    let groups = || pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    let (mut gap, mut gap_length, mut run) = (8, 1, 0);
    for (index, group) in groups().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > gap_length {
            (gap, gap_length) = (index + 1 - run, run);
        }
    }
    for (index, group) in groups().enumerate() {
        if index == gap {
            out.extend_from_slice(b"::");
        }
        if index >= gap && index < gap + gap_length {
            continue;
        }
        if index > 0 && index != gap + gap_length {
            out.push(b':');
        }
        write_digits(out, u64::from(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn v6(text: &str) -> String {
        let mut out = Vec::new();
        write_ipv6(&mut out, &text.parse::<Ipv6Addr>().unwrap().octets());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn shortens_as_rfc_5952_says() {
        for text in [
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8:0:1:1:1:1:1",
            "2001:0:0:1::1",
            "2001:db8::1:0:0:1",
            "::ffff:192.0.2.1",
            "fe80::1",
            "1:2:3:4:5:6:7:8",
            "0:1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:0",
            "::2:3:4:5:6:7:8",
        ] {
            assert_eq!(v6(text), text.parse::<Ipv6Addr>().unwrap().to_string());
        }
        assert_eq!(v6("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");
        assert_eq!(v6("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(parts in prop::array::uniform16(prop_oneof![3 => Just(0u8), 1 => any::<u8>()])) {
            let mut out = Vec::new();
            write_ipv6(&mut out, &parts);
            prop_assert_eq!(String::from_utf8(out).unwrap(), Ipv6Addr::from(parts).to_string());
        }

        #[test]
        fn writes_ipv4_and_numbers(address: [u8; 4], number: u64) {
            let mut out = Vec::new();
            write_ipv4(&mut out, &address);
            out.push(b' ');
            write_digits(&mut out, number);
            let expected = format!("{} {number:x}", Ipv4Addr::from(address));
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
