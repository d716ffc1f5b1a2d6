//! The files of bbolt, in which podman keeps what it knows of its containers (go.etcd.io/bbolt, page.go, bucket.go). Numbers
//! are in the host's order of bytes.

/// The marks of a meta page: its number and the version of the format.
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// Bytes of a page's header, and of each element's behind it.
const HEADER: usize = 16;
const ELEMENT: usize = 16;

/// Kinds of pages, and the flag of an element that is a bucket.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const BUCKET: u32 = 1;

/// No tree is that high.
const MOST_LEVELS: usize = 16;

/// The value behind `path`, the names of buckets and a key. A file that is being written may say anything: what is found
/// must be looked at.
#[must_use]
pub fn find<'a>(file: &'a [u8], path: &[&[u8]]) -> Option<&'a [u8]> {
    let (size, root) = root(file)?;
    let (key, buckets) = path.split_last()?;
    let mut at = page(file, size, root)?;
    for bucket in buckets {
        let (flags, value) = search(file, size, at, bucket)?;
        at = match number(value, 0)? {
            0 => value.get(HEADER..)?, // within the value
            root => page(file, size, root)?,
        };
        if flags & BUCKET == 0 {
            return None;
        }
    }
    let (flags, value) = search(file, size, at, key)?;
    (flags & BUCKET == 0).then_some(value)
}

/// The size of pages, and the page where the newest tree begins.
fn root(file: &[u8]) -> Option<(usize, u64)> {
    let first = meta(file, 0);
    let size = first.map_or(4096, |(size, ..)| size);
    let both = [first, meta(file, size)];
    let (size, root, _) = both
        .into_iter()
        .flatten()
        .max_by_key(|(.., written)| *written)?;
    Some((size, root))
}

/// The meta page at `start`: the size of pages, where its tree begins, and which transaction wrote it.
fn meta(file: &[u8], start: usize) -> Option<(usize, u64, u64)> {
    let meta = file.get(start.checked_add(HEADER)?..)?;
    let sum = meta
        .get(..56)?
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
    let sound = half(meta, 0)? == MAGIC && half(meta, 4)? == VERSION && number(meta, 56)? == sum;
    let size = usize::try_from(half(meta, 8)?).ok()?;
    sound.then_some((size, number(meta, 16)?, number(meta, 48)?))
}

fn page(file: &[u8], size: usize, id: u64) -> Option<&[u8]> {
    let start = usize::try_from(id).ok()?.checked_mul(size)?;
    let more = usize::try_from(half(file, start.checked_add(12)?)?).ok()?;
    let length = more.checked_add(1)?.checked_mul(size)?;
    file.get(start..start.checked_add(length)?)
}

/// The flags and the value of a key in the tree that begins at a page.
fn search<'a>(
    file: &'a [u8],
    size: usize,
    mut at: &'a [u8],
    wanted: &[u8],
) -> Option<(u32, &'a [u8])> {
    for _ in 0..MOST_LEVELS {
        let kind = u16::from_ne_bytes(at.get(8..10)?.try_into().ok()?);
        let count = u16::from_ne_bytes(at.get(10..12)?.try_into().ok()?);
        let elements = (0..usize::from(count)).map(|place| HEADER + place * ELEMENT);
        match kind {
            LEAF => {
                return elements.into_iter().find_map(|element| {
                    let key = element.checked_add(part(at, element + 4)?)?;
                    let value = key.checked_add(part(at, element + 8)?)?;
                    let end = value.checked_add(part(at, element + 12)?)?;
                    let is_it = at.get(key..value)? == wanted;
                    is_it.then_some((half(at, element)?, at.get(value..end)?))
                });
            }
            BRANCH => {
                // The last child that does not begin behind the key.
                let mut child = None;
                for element in elements {
                    let key = element.checked_add(part(at, element)?)?;
                    let end = key.checked_add(part(at, element + 4)?)?;
                    if child.is_some() && at.get(key..end)? > wanted {
                        break;
                    }
                    child = number(at, element + 8);
                }
                at = page(file, size, child?)?;
            }
            _ => return None,
        }
    }
    None
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn part(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(half(bytes, at)?).ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of leaves: flags, key and value of each.
    fn leaf(elements: &[(u32, &[u8], &[u8])]) -> Vec<u8> {
        let mut page = vec![0; HEADER + elements.len() * ELEMENT];
        page[8..10].copy_from_slice(&LEAF.to_ne_bytes());
        page[10..12].copy_from_slice(&u16::try_from(elements.len()).unwrap().to_ne_bytes());
        for (place, (flags, key, value)) in elements.iter().enumerate() {
            let element = HEADER + place * ELEMENT;
            let numbers = [
                *flags,
                u32::try_from(page.len() - element).unwrap(),
                u32::try_from(key.len()).unwrap(),
                u32::try_from(value.len()).unwrap(),
            ];
            for (number, at) in numbers.iter().zip((element..).step_by(4)) {
                page[at..at + 4].copy_from_slice(&number.to_ne_bytes());
            }
            page.extend(*key);
            page.extend(*value);
        }
        page
    }

    fn bucket(root: u64, inline: &[u8]) -> Vec<u8> {
        let mut value = root.to_ne_bytes().to_vec();
        value.extend([0; 8]);
        value.extend(inline);
        value
    }

    fn file() -> Vec<u8> {
        const SIZE: usize = 1024;
        let mut file = vec![0; 6 * SIZE];
        for (page, written) in [(0_usize, 1_u64), (1, 2)] {
            let at = page * SIZE + HEADER;
            let root = 2 + page as u64;
            for (place, half) in [(0, MAGIC), (4, VERSION), (8, SIZE as u32)] {
                file[at + place..at + place + 4].copy_from_slice(&half.to_ne_bytes());
            }
            file[at + 16..at + 24].copy_from_slice(&root.to_ne_bytes());
            file[at + 48..at + 56].copy_from_slice(&written.to_ne_bytes());
            let sum = file[at..at + 56]
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                    (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                });
            file[at + 56..at + 64].copy_from_slice(&sum.to_ne_bytes());
        }
        let mut put = |page: usize, content: &[u8]| {
            file[page * SIZE..page * SIZE + content.len()].copy_from_slice(content);
        };
        let inner = leaf(&[(0, b"config", b"{}"), (0, b"state", b"7")]);
        let containers = leaf(&[(BUCKET, b"one", &bucket(0, &inner))]);
        put(4, &containers);
        put(
            3,
            &leaf(&[(BUCKET, b"ctr", &bucket(5, b"")), (0, b"plain", b"value")]),
        );
        // A branch of which the second child has it.
        let mut branch = vec![0; HEADER + 2 * ELEMENT];
        branch[8..10].copy_from_slice(&BRANCH.to_ne_bytes());
        branch[10..12].copy_from_slice(&2_u16.to_ne_bytes());
        for (place, (key, child)) in [(b"a", 2_u64), (b"n", 4)].into_iter().enumerate() {
            let element = HEADER + place * ELEMENT;
            let offset = u32::try_from(branch.len() - element).unwrap();
            branch[element..element + 4].copy_from_slice(&offset.to_ne_bytes());
            branch[element + 4..element + 8].copy_from_slice(&1_u32.to_ne_bytes());
            branch[element + 8..element + 16].copy_from_slice(&child.to_ne_bytes());
            branch.extend(key);
        }
        put(5, &branch);
        file
    }

    #[test]
    fn a_value_is_found_below_its_buckets() {
        let file = file();
        assert_eq!(find(&file, &[b"plain"]), Some(&b"value"[..]));
        assert_eq!(find(&file, &[b"ctr", b"one", b"config"]), Some(&b"{}"[..]));
        assert_eq!(find(&file, &[b"ctr", b"one", b"state"]), Some(&b"7"[..]));
        for path in [
            &[&b"ctr"[..]][..],
            &[b"ctr", b"two", b"config"],
            &[b"plain", b"x"],
            &[],
        ] {
            assert_eq!(find(&file, path), None);
        }
    }

    #[test]
    fn a_broken_file_is_nothing_worse() {
        let whole = file();
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut file = whole.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = 2 * 1024 + (seed >> 33) as usize % (4 * 1024);
                file[at] = (seed >> 20) as u8;
            }
            let _ = find(&file, &[b"ctr", b"one", b"config"]);
            file.truncate((seed >> 33) as usize % file.len());
            let _ = find(&file, &[b"ctr", b"one", b"config"]);
        }
        assert_eq!(find(&[], &[b"a"]), None);
    }
}
