//! The files of SQLite, in which podman 5 keeps what it knows of its containers (sqlite.org/fileformat2.html): the rows of
//! tables, nothing else. Numbers are big endian.

const MAGIC: &[u8] = b"SQLite format 3\0";

/// The header of the file, which the first page begins with.
const HEADER: usize = 100;

/// Kinds of pages of a table.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// The bytes in a column of the row of a table whose first column is the text `key`. A file that is being written may say
/// anything: what is found must be looked at. Rows that are only in a write-ahead log are not seen.
#[must_use]
pub fn find(file: &[u8], table: &str, key: &str, column: usize) -> Option<Vec<u8>> {
    let mut pages = Pages::new(file)?;
    let schema = pages.row(1, |row| is_text(row, 0, "table") && is_text(row, 1, table))?;
    let root = usize::try_from(number(value(&schema, 3)?.1)?).ok()?;
    let row = pages.row(root, |row| is_text(row, 0, key))?;
    Some(value(&row, column)?.1.to_vec())
}

struct Pages<'a> {
    file: &'a [u8],
    size: usize,
    /// What of a page is used.
    usable: usize,
    /// Pages that may still be looked at: no more than there are, for each of the two tables.
    left: usize,
}

impl<'a> Pages<'a> {
    fn new(file: &'a [u8]) -> Option<Self> {
        let size = match number(file.get(16..18)?)? {
            1 => 65_536,
            size => usize::try_from(size).ok()?,
        };
        let usable = size.checked_sub(usize::from(*file.get(20)?))?;
        let is_utf8 = number(file.get(56..60)?)? == 1;
        (file.starts_with(MAGIC) && is_utf8 && usable >= 480).then(|| Self {
            file,
            size,
            usable,
            left: 2 * file.len() / size,
        })
    }

    fn page(&mut self, number: usize) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let start = number.checked_sub(1)?.checked_mul(self.size)?;
        self.file.get(start..start.checked_add(self.usable)?)
    }

    /// The first row that is wanted in the table that begins at a page.
    fn row(&mut self, root: usize, is_wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut open = vec![root];
        while let Some(place) = open.pop() {
            let page = self.page(place)?;
            let start = if place == 1 { HEADER } else { 0 };
            let count = number(page.get(start + 3..start + 5)?)?;
            let cells = |from: usize| {
                (0..usize::try_from(count).unwrap_or_default()).map(move |cell| from + 2 * cell)
            };
            match *page.get(start)? {
                LEAF => {
                    for at in cells(start + 8) {
                        let row = self.payload(behind(page, at)?)?;
                        if is_wanted(&row) {
                            return Some(row);
                        }
                    }
                }
                INTERIOR => {
                    for at in cells(start + 12) {
                        open.push(child(behind(page, at)?)?);
                    }
                    open.push(child(page.get(start + 8..)?)?);
                }
                _ => return None,
            }
        }
        None
    }

    /// The record in a cell of a leaf, put together from the pages that it goes on in.
    fn payload(&mut self, cell: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = varint(cell)?;
        let (_, rest) = varint(rest)?;
        let length = usize::try_from(length).ok()?;
        let most = self.usable - 35;
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = if length <= most {
            length
        } else {
            let fits = least + (length - least) % (self.usable - 4);
            if fits <= most { fits } else { least }
        };
        let mut bytes = rest.get(..local)?.to_vec();
        let mut next = rest.get(local..)?;
        while bytes.len() < length {
            let page = self.page(child(next)?)?;
            next = page;
            let wanted = (length - bytes.len()).min(self.usable - 4);
            bytes.extend_from_slice(page.get(4..4 + wanted)?);
        }
        Some(bytes)
    }
}

/// What a cell's pointer at `at` leads to.
fn behind(page: &[u8], at: usize) -> Option<&[u8]> {
    page.get(usize::try_from(number(page.get(at..at + 2)?)?).ok()?..)
}

/// The number of a page.
fn child(bytes: &[u8]) -> Option<usize> {
    usize::try_from(number(bytes.get(..4)?)?).ok()
}

/// Of no more than eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    let add = |sum, byte: &u8| sum << 8 | u64::from(*byte);
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, add))
}

/// A number of one to nine bytes, and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut sum = 0_u64;
    for (place, byte) in bytes.iter().enumerate().take(9) {
        if place == 8 {
            return Some((sum << 8 | u64::from(*byte), bytes.get(9..)?));
        }
        sum = sum << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((sum, bytes.get(place + 1..)?));
        }
    }
    None
}

/// The kind and the bytes of a record's value.
fn value(record: &[u8], column: usize) -> Option<(u64, &[u8])> {
    let (length, mut kinds) = varint(record)?;
    let mut values = record.get(usize::try_from(length).ok()?..)?;
    for left in (0..=column).rev() {
        let (kind, rest) = varint(kinds)?;
        kinds = rest;
        let width = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let width = usize::try_from(width).ok()?;
        if left == 0 {
            return Some((kind, values.get(..width)?));
        }
        values = values.get(width..)?;
    }
    None
}

fn is_text(record: &[u8], column: usize, wanted: &str) -> bool {
    value(record, column)
        .is_some_and(|(kind, text)| kind >= 13 && kind % 2 == 1 && text == wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `podman_database` of tests/containers.py: pages of 512 bytes, 60 containers, ids 0 to 59, whose
    /// configurations are of 100 to 1,000 bytes.
    const FILE: &[u8] = include_bytes!("../../tests/podman.sqlite");

    #[test]
    fn a_value_is_found_in_its_table() {
        for place in [0, 1, 30, 59] {
            let id = format!("{place:064x}");
            let json = find(FILE, "ContainerConfig", &id, 3).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["id"], id);
            let name = find(FILE, "ContainerConfig", &id, 1).unwrap();
            assert_eq!(json["name"].as_str().unwrap().as_bytes(), name);
        }
        assert_eq!(find(FILE, "ContainerConfig", "none", 3), None);
        assert_eq!(find(FILE, "NoTable", "none", 3), None);
        assert_eq!(
            find(FILE, "ContainerConfig", &format!("{:064x}", 1), 4),
            None
        );
    }

    #[test]
    fn a_broken_file_is_nothing_worse() {
        let id = format!("{:064x}", 7);
        let mut seed = 1_u64;
        for _ in 0..2_000 {
            let mut file = FILE.to_vec();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Half of them where the tables begin.
                let within = if seed & 1 << 40 == 0 {
                    4_096
                } else {
                    file.len()
                };
                file[(seed >> 33) as usize % within] = (seed >> 20) as u8;
            }
            let _ = find(&file, "ContainerConfig", &id, 3);
            file.truncate((seed >> 33) as usize % file.len());
            let _ = find(&file, "ContainerConfig", &id, 3);
        }
        assert_eq!(find(&[], "a", "b", 0), None);
        let mut file = FILE.to_vec();
        file[16..18].fill(0);
        assert_eq!(
            find(&file, "ContainerConfig", &id, 3),
            None,
            "pages of no bytes"
        );
    }
}
