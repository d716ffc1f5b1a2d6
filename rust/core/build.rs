//! Turns the tables of `data/` into Rust: `tables.rs` (constants, lookups by number and by name) and
//! `arguments.rs` (how each system call's arguments are read), both included by the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/tables/hash.rs"]
mod hash;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// No entry, in an index of 16-bit numbers.
const NONE: u16 = u16::MAX;
/// Record types are numbers from 1000 to 2999 (linux/audit.h).
const FIRST_RECORD_TYPE: u64 = 1000;
const RECORD_TYPES: usize = 2000;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=data");
    println!("cargo:rerun-if-changed=src/tables/hash.rs");
    let data = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("data");
    let out = env::var("OUT_DIR")?;
    let mut text = String::new();
    values(&data, &mut text)?;
    let calls = syscalls(&data, &mut text)?;
    arches(&data, &mut text)?;
    record_types(&data, &mut text)?;
    errnos(&data, &mut text)?;
    fs::write(Path::new(&out).join("tables.rs"), text)?;
    fs::write(
        Path::new(&out).join("arguments.rs"),
        arguments(&data, &calls)?,
    )?;
    Ok(())
}

/// The rows of a tab-separated file, without comments and empty lines.
fn rows(path: &Path) -> Result<Vec<Vec<String>>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect())
}

/// One cell of a row, or an error that names the file.
fn cell<'a>(row: &'a [String], n: usize, path: &Path) -> Result<&'a str> {
    let missing = || format!("{}: a row lacks column {}: {row:?}", path.display(), n + 1);
    Ok(row.get(n).ok_or_else(missing)?)
}

/// A number written in decimal, hexadecimal (0x) or octal (leading 0).
fn number(text: &str, path: &Path) -> Result<u64> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8),
        None => text.parse(),
    };
    Ok(parsed.map_err(|e| format!("{}: {text:?} is no number: {e}", path.display()))?)
}

/// `values/<table>.tsv` becomes `pub static <TABLE>: &[(u64, &str)]`, sorted by value.
fn values(data: &Path, text: &mut String) -> Result<()> {
    let mut paths: Vec<_> = fs::read_dir(data.join("values"))?
        .map(|e| Ok(e?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "tsv"));
    paths.sort();
    for path in paths {
        let mut table = BTreeMap::new();
        for row in rows(&path)? {
            table
                .entry(number(cell(&row, 0, &path)?, &path)?)
                .or_insert(cell(&row, 1, &path)?.to_owned());
        }
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        writeln!(text, "/// The table `data/values/{stem}.tsv`.")?;
        writeln!(
            text,
            "pub static {}: &[(u64, &str)] = &[",
            stem.to_uppercase()
        )?;
        for (value, name) in table {
            writeln!(text, "    ({value}, {name:?}),")?;
        }
        text.push_str("];\n");
    }
    Ok(())
}

/// Names of all system calls in order of name, an index of numbers for each call table, a hash of names.
/// Returns the names: a call's place among them is its `SyscallId`.
fn syscalls(data: &Path, text: &mut String) -> Result<Vec<String>> {
    let mut tables = BTreeMap::new();
    for entry in fs::read_dir(data.join("syscalls"))? {
        let path = entry?.path();
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_owned();
        let mut table = BTreeMap::new();
        for row in rows(&path)? {
            table.insert(
                number(cell(&row, 0, &path)?, &path)?,
                cell(&row, 1, &path)?.to_owned(),
            );
        }
        tables.insert(stem, table);
    }
    let names: BTreeSet<String> = tables
        .values()
        .flat_map(BTreeMap::values)
        .cloned()
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    let place = |name: &String| names.binary_search(name).map_or(NONE, |i| i as u16);
    writeln!(
        text,
        "static SYSCALL_NAMES: [&str; {}] = {names:?};",
        names.len()
    )?;
    for (stem, table) in &tables {
        // ARM's private calls (0xf0000 and up) are answered before audit sees them (arch/arm/kernel/traps.c).
        let audited = || table.range(..MOST_SYSCALLS);
        let length = audited().last().map_or(0, |(last, _)| *last as usize + 1);
        let mut index = vec![NONE; length];
        for (number, name) in audited() {
            index[*number as usize] = place(name);
        }
        writeln!(
            text,
            "static SYSCALLS_{}: &[u16] = &{index:?};",
            stem.to_uppercase()
        )?;
    }
    hashed("SYSCALL_HASH", &names, text)?;
    Ok(names)
}

/// System calls are numbered below this.
const MOST_SYSCALLS: u64 = 4096;

/// An open-addressed table of places in `names`, twice as large as needed at least.
fn hashed(table: &str, names: &[String], text: &mut String) -> Result<()> {
    let size = (names.len() * 2).next_power_of_two();
    let mut slots = vec![NONE; size];
    for (place, name) in names.iter().enumerate() {
        let mut slot = hash::fnv1a(name.as_bytes()) as usize & (size - 1);
        while slots[slot] != NONE {
            slot = (slot + 1) & (size - 1);
        }
        slots[slot] = place as u16;
    }
    writeln!(text, "static {table}: [u16; {size}] = {slots:?};")?;
    Ok(())
}

/// The architectures: a constant for each, their facts, and the match from audit's number.
fn arches(data: &Path, text: &mut String) -> Result<()> {
    let path = data.join("arches.tsv");
    let (mut facts, mut constants, mut arms) = (String::new(), String::new(), String::new());
    for (i, row) in rows(&path)?.iter().enumerate() {
        let (elf, name) = (number(cell(row, 0, &path)?, &path)?, cell(row, 1, &path)?);
        let table = cell(row, 2, &path)?.to_uppercase();
        writeln!(
            facts,
            "    Facts {{ elf: {elf:#x}, name: {name:?}, syscalls: SYSCALLS_{table} }},"
        )?;
        writeln!(
            constants,
            "    /// The architecture {name}.\n    pub const {}: Arch = Arch({i});",
            name.to_uppercase()
        )?;
        writeln!(arms, "        {elf:#x} => Some(Arch({i})),")?;
    }
    writeln!(text, "static ARCHES: &[Facts] = &[\n{facts}];")?;
    writeln!(text, "impl Arch {{\n{constants}}}")?;
    writeln!(
        text,
        "fn arch_of(elf: u32) -> Option<Arch> {{\n    match elf {{\n{arms}        _ => None,\n    }}\n}}"
    )?;
    Ok(())
}

/// Names of record types in order of number, an index by number, a hash of names.
fn record_types(data: &Path, text: &mut String) -> Result<()> {
    let path = data.join("record_types.tsv");
    let mut index = vec![NONE; RECORD_TYPES];
    let (mut numbers, mut names) = (Vec::new(), Vec::new());
    for row in rows(&path)? {
        let value = number(cell(&row, 0, &path)?, &path)?;
        let offset = value
            .checked_sub(FIRST_RECORD_TYPE)
            .ok_or("record_types.tsv: a number below 1000")?;
        *index
            .get_mut(offset as usize)
            .ok_or("record_types.tsv: a number above 2999")? = names.len() as u16;
        numbers.push(value);
        names.push(cell(&row, 1, &path)?.to_owned());
    }
    writeln!(text, "const FIRST_RECORD_TYPE: u16 = {FIRST_RECORD_TYPE};")?;
    writeln!(
        text,
        "static RECORD_TYPE_NAMES: [&str; {}] = {names:?};",
        names.len()
    )?;
    writeln!(
        text,
        "static RECORD_TYPE_NUMBERS: [u16; {}] = {numbers:?};",
        numbers.len()
    )?;
    writeln!(
        text,
        "static RECORD_TYPE_INDEX: [u16; {RECORD_TYPES}] = {index:?};"
    )?;
    hashed("RECORD_TYPE_HASH", &names, text)
}

/// Error names and texts by number; an empty name where there is none.
fn errnos(data: &Path, text: &mut String) -> Result<()> {
    let path = data.join("errno.tsv");
    let mut table: Vec<(String, String)> = Vec::new();
    for row in rows(&path)? {
        let place = number(cell(&row, 0, &path)?, &path)? as usize;
        if table.len() <= place {
            table.resize(place + 1, Default::default());
        }
        table[place] = (
            cell(&row, 1, &path)?.to_owned(),
            cell(&row, 2, &path)?.to_owned(),
        );
    }
    writeln!(text, "static ERRNOS: &[(&str, &str)] = &{table:?};")?;
    Ok(())
}

/// `arguments.tsv` (system call, kinds of a0 to a3) becomes an array of kinds by `SyscallId`. A kind is `-`,
/// `WAY:TABLE` (a table of `values/`) or a word, the name of a variant of `Kind` in snake case.
fn arguments(data: &Path, calls: &[String]) -> Result<String> {
    let path = data.join("arguments.tsv");
    let mut kinds = vec![["Kind::Raw"; 4].map(str::to_owned); calls.len()];
    for row in rows(&path)? {
        let call = cell(&row, 0, &path)?.to_owned();
        let at = calls
            .binary_search(&call)
            .map_err(|_| format!("arguments.tsv: no system call {call}"))?;
        for (n, place) in kinds[at].iter_mut().enumerate() {
            let kind = cell(&row, n + 1, &path)?;
            *place = match kind.split_once(':') {
                _ if kind == "-" => continue,
                Some((way, table)) => {
                    format!("Kind::{}(tables::{})", camel(way), table.to_uppercase())
                }
                None => format!("Kind::{}", camel(kind)),
            };
        }
    }
    let rows: Vec<String> = kinds
        .iter()
        .map(|row| format!("    [{}],", row.join(", ")))
        .collect();
    Ok(format!(
        "static ARGUMENTS: [[Kind; 4]; {}] = [\n{}\n];\n",
        calls.len(),
        rows.join("\n")
    ))
}

/// `open_flags` as `OpenFlags`.
fn camel(snake: &str) -> String {
    snake
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        })
        .collect()
}
