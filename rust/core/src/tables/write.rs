//! Writing numbers and names of tables as text.

use super::name_of;

/// Flags as `A|B|0x8000`: the names in order of value, then in hex what no name covers. Names of several bits
/// (`O_SYNC`) win over the names of their bits. A value of 0 is the name of 0 where the table has one, else `0x0`.
pub fn write_flags(out: &mut Vec<u8>, table: &[(u64, &'static str)], value: u64) {
    if value == 0 {
        return write_name(out, table, 0);
    }
    let mut left = value;
    // Bits that a chosen name of several bits covers: its parts stay unnamed.
    let mut covered = 0;
    for &(bits, _) in table.iter().rev() {
        if bits.count_ones() > 1 && bits & value == bits && bits & covered == 0 {
            covered |= bits;
        }
    }
    let start = out.len();
    for &(bits, name) in table {
        let chosen = bits != 0
            && bits & left == bits
            && (bits & covered == 0 || (bits.count_ones() > 1 && bits & covered == bits));
        if chosen {
            separate(out, start);
            out.extend_from_slice(name.as_bytes());
            left &= !bits;
        }
    }
    if left != 0 {
        separate(out, start);
        write_hex(out, left);
    }
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b'|');
    }
}

/// The name of a value, or the value as `0x..`.
pub fn write_name(out: &mut Vec<u8>, table: &[(u64, &'static str)], value: u64) {
    match name_of(table, value) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => write_hex(out, value),
    }
}

/// A number as `0x2f`.
pub fn write_hex(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(b"0x");
    let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = (value >> (digit * 4)) as usize & 0xf;
        out.push(b"0123456789abcdef"[nibble]);
    }
}

/// A signed number in decimal.
pub fn write_decimal(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
