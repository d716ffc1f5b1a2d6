//! A program that a process runs or ran: what is told of it in its own events and in those of its descendants.

use std::iter::Empty;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::container;
use crate::json::{self, Clock, Object};
use crate::process::Cage;
use crate::process::entity::ENTITY_BYTES;
use crate::process::origin::is_installed;

/// Of the arguments of a program so many bytes are kept as they are written, and of its title as many as the kernel shows
/// (`MAX_PROCTITLE_AUDIT_LEN`, kernel/auditsc.c).
const MOST_ARGUMENTS: usize = 4 << 10;
const MOST_TITLE: usize = 128;

/// The bytes that all programs hold together.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<AtomicUsize>);

impl Held {
    /// How many there are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// What a program is made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The process that runs it.
    pub pid: u32,
    /// When that process started, in milliseconds since the epoch.
    pub start: Option<u64>,
    /// That process's name for good, by [`entity`].
    pub entity: [u8; ENTITY_BYTES],
    /// The file, decoded.
    pub executable: &'a [u8],
    /// The name of the task, decoded.
    pub name: &'a [u8],
    /// The working directory when it was started; empty if that is not known.
    pub directory: &'a [u8],
}

/// A program and the process that runs it, as they are written. It does not change.
#[derive(Debug)]
pub struct Program {
    /// The process.
    pub pid: u32,
    /// When the process started, in milliseconds since the epoch.
    pub start: Option<u64>,
    /// `process.entity_id`.
    pub entity: [u8; ENTITY_BYTES],
    /// It was started as the shell of a log-in.
    pub login_shell: bool,
    /// The container whose processes it starts, if it is a runtime's.
    pub launches: Cage,
    /// It has a program more run in that, which runs already.
    pub joins: bool,
    /// All its texts in one piece, in the order of [`Text`], and where each ends.
    texts: Box<[u8]>,
    ends: [u32; TEXTS],
    held: Held,
}

/// The texts of a program.
#[derive(Debug, Clone, Copy)]
enum Text {
    Executable,
    Name,
    Identity,
    Image,
    Directory,
    Arguments,
    Title,
}

/// The number of texts.
const TEXTS: usize = 7;

/// Writes the texts of a program one after another.
#[derive(Debug)]
struct Texts {
    out: Vec<u8>,
    ends: [u32; TEXTS],
}

impl Texts {
    /// Ends a text, where the next one begins.
    #[allow(clippy::cast_possible_truncation)] // a few KiB each
    fn end(&mut self, text: Text) {
        if let Some(end) = self.ends.get_mut(text as usize) {
            *end = self.out.len() as u32;
        }
    }
}

impl Program {
    /// A program with the arguments that `arguments` gives, if they are known. `count`: how many there are in all.
    pub fn new<'t>(
        facts: Facts<'_>,
        arguments: Option<(u64, impl Iterator<Item = &'t [u8]> + Clone)>,
        clock: &mut Clock,
        held: &Held,
    ) -> Self {
        let mut texts = Texts {
            out: Vec::with_capacity(1 << 10),
            ends: [0; TEXTS],
        };
        texts.out.extend_from_slice(facts.executable);
        texts.end(Text::Executable);
        texts.out.extend_from_slice(facts.name);
        texts.end(Text::Name);
        let out = &mut texts.out;
        let members = Object::inner(out);
        members.name(out, "entity_id");
        json::plain_string(out, &facts.entity);
        if let Some(start) = facts.start {
            members.name(out, "start");
            out.push(b'"');
            #[allow(clippy::cast_possible_truncation)] // below a thousand
            clock.write(out, start / 1000, (start % 1000) as u16);
            out.push(b'"');
        }
        texts.end(Text::Identity);
        let out = &mut texts.out;
        let members = Object::inner(out);
        for (name, text) in [("executable", facts.executable), ("name", facts.name)] {
            if !text.is_empty() {
                members.name(out, name);
                json::string(out, text);
            }
        }
        texts.end(Text::Image);
        let out = &mut texts.out;
        if !facts.directory.is_empty() {
            Object::inner(out).name(out, "working_directory");
            json::string(out, facts.directory);
        }
        texts.end(Text::Directory);
        let (mut launch, mut login_shell) = (None, false);
        if let Some((count, arguments)) = arguments {
            let sound = is_installed(facts.executable) || facts.executable.starts_with(b"/memfd:");
            let runtime = sound.then_some(facts.executable);
            launch =
                runtime.and_then(|executable| container::launches(executable, arguments.clone()));
            let first = arguments.clone().next();
            login_shell = first.is_some_and(|name| name.starts_with(b"-"));
            write_arguments(&mut texts, count, arguments);
        } else {
            texts.end(Text::Arguments);
            texts.end(Text::Title);
        }
        let program = Self {
            pid: facts.pid,
            start: facts.start,
            entity: facts.entity,
            login_shell,
            joins: launch.as_ref().is_some_and(|launch| launch.joins),
            launches: launch.map(|launch| Arc::new(launch.container)),
            texts: texts.out.as_slice().into(),
            ends: texts.ends,
            held: held.clone(),
        };
        held.0.fetch_add(program.size(), Relaxed);
        program
    }
    /// A program with its arguments as /proc has them, a NUL behind each; none if that is empty.
    pub fn of_line(facts: Facts<'_>, line: &[u8], clock: &mut Clock, held: &Held) -> Self {
        // A program that writes its own title leaves it without the last NUL, or with many.
        let mut line = line;
        while let [rest @ .., 0] = line
            && (rest.last() == Some(&0) || rest.is_empty())
        {
            line = rest;
        }
        let line = line.strip_suffix(&[0]).unwrap_or(line);
        let split = || line.split(|byte| *byte == 0);
        let known = (!line.is_empty()).then(|| (split().count() as u64, split()));
        Self::new(facts, known, clock, held)
    }

    /// A program with the arguments of another.
    pub fn like(facts: Facts<'_>, other: &Self, clock: &mut Clock, held: &Held) -> Self {
        let mut program = Self::new(facts, None::<(u64, Empty<&[u8]>)>, clock, held);
        held.0.fetch_sub(program.size(), Relaxed);
        let mut texts = Texts {
            out: program.texts.to_vec(),
            ends: program.ends,
        };
        texts.out.extend_from_slice(other.arguments());
        texts.end(Text::Arguments);
        texts.out.extend_from_slice(other.title());
        texts.end(Text::Title);
        (program.texts, program.ends) = (texts.out.into(), texts.ends);
        program.launches.clone_from(&other.launches);
        program.joins = other.joins;
        program.login_shell = other.login_shell;
        held.0.fetch_add(program.size(), Relaxed);
        program
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.texts.len()
    }

    fn text(&self, text: Text) -> &[u8] {
        let place = text as usize;
        let start = place
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let end = self.ends.get(place).copied().unwrap_or_default();
        self.texts
            .get(start.copied().unwrap_or_default() as usize..end as usize)
            .unwrap_or_default()
    }

    /// The file, decoded.
    #[must_use]
    pub fn executable(&self) -> &[u8] {
        self.text(Text::Executable)
    }

    /// The name of the task, decoded.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.text(Text::Name)
    }

    /// `"entity_id":...,"start":...`
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        self.text(Text::Identity)
    }

    /// `"executable":...,"name":...`
    #[must_use]
    pub fn image(&self) -> &[u8] {
        self.text(Text::Image)
    }

    /// `"working_directory":...` when it was started.
    #[must_use]
    pub fn directory(&self) -> &[u8] {
        self.text(Text::Directory)
    }

    /// `"args":...,"args_count":...,"command_line":...`; empty when they are not known.
    #[must_use]
    pub fn arguments(&self) -> &[u8] {
        self.text(Text::Arguments)
    }

    /// `"title":...` as PROCTITLE would have it.
    #[must_use]
    pub fn title(&self) -> &[u8] {
        self.text(Text::Title)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.size(), Relaxed);
    }
}

/// The last part of a path.
#[must_use]
pub fn base(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Writes the arguments' members, and the title that follows from them: they are what the kernel's PROCTITLE holds.
fn write_arguments<'t>(texts: &mut Texts, count: u64, arguments: impl Iterator<Item = &'t [u8]>) {
    let mut joined: Vec<u8> = Vec::with_capacity(256);
    let out = &mut texts.out;
    let start = out.len();
    out.extend_from_slice(b"\"args\":");
    let end = out.len() + MOST_ARGUMENTS;
    let mut separator = b'[';
    for argument in arguments {
        out.push(separator);
        let written = write_within(out, argument, end);
        if separator == b',' {
            joined.push(b' ');
        }
        joined.extend_from_slice(written);
        separator = b',';
        if written.len() < argument.len() || out.len() + EMPTY > end {
            break;
        }
    }
    if separator == b'[' {
        out.truncate(start);
        texts.end(Text::Arguments);
        texts.end(Text::Title);
        return;
    }
    out.extend_from_slice(b"],\"args_count\":");
    json::number(out, count);
    out.extend_from_slice(b",\"command_line\":");
    json::string(out, &joined);
    texts.end(Text::Arguments);
    let shown = whole_characters(joined.get(..MOST_TITLE).unwrap_or(&joined));
    if !shown.is_empty() {
        texts.out.extend_from_slice(b"\"title\":");
        json::string(&mut texts.out, shown);
    }
    texts.end(Text::Title);
}

/// Bytes of an empty argument with what is around it.
const EMPTY: usize = 4;

/// Writes as much of the beginning of `text` as has room before `end`, as a JSON string; returns that beginning.
fn write_within<'t>(out: &mut Vec<u8>, text: &'t [u8], end: usize) -> &'t [u8] {
    let start = out.len();
    let room = end.saturating_sub(start).max(EMPTY);
    let mut text = text.get(..room).map_or(text, whole_characters);
    loop {
        json::string(out, text);
        let size = out.len() - start;
        if size <= room || text.is_empty() {
            return text;
        }
        out.truncate(start);
        text = whole_characters(text.get(..text.len() * room / size).unwrap_or_default());
    }
}

/// The text without the part of a character that a cut has left at its end.
#[must_use]
pub fn whole_characters(text: &[u8]) -> &[u8] {
    let whole = text
        .utf8_chunks()
        .next()
        .map_or(0, |chunk| chunk.valid().len());
    if text.len() - whole < 4 {
        text.get(..whole).unwrap_or(text)
    } else {
        text
    }
}
