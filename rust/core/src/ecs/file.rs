//! `file`: the file that an event is about, from its PATH record.

use crate::action::{Action, Object as Kind};
use crate::assemble::Span;
use crate::decode::value::Owner;
use crate::ecs::meaning::Meaning;
use crate::ecs::memo::Section;
use crate::ecs::pen::Pen;
use crate::ecs::user::{known_name, selinux};
use crate::event::{View, text};
use crate::fields::{Field, name};
use crate::json::{self, Object};
use crate::record::kind;

/// File types by the bits of st_mode (include/uapi/linux/stat.h), as ECS `file.type` and as Auditbeat's summary names them.
const TYPES: [(u32, &str, &str); 7] = [
    (0o100_000, "file", "file"),
    (0o040_000, "dir", "directory"),
    (0o120_000, "symlink", "symlink"),
    (0o020_000, "device", "character-device"),
    (0o060_000, "device", "block-device"),
    (0o010_000, "fifo", "named-pipe"),
    (0o140_000, "socket", "socket"),
];

/// The PATH record that an action is about.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The part.
    pub part: usize,
    mode: Option<u32>,
}

impl Target {
    /// The file that an event is about, if it is about one. What an io_uring request works on, its call's row tells.
    #[must_use]
    pub fn of(view: &View<'_>, meaning: &Meaning<'_>) -> Option<Self> {
        let row = if view.part(view.lead()).kind == kind::URINGOP {
            meaning.call
        } else {
            meaning.lead
        };
        row.filter(|row| row.object == Kind::File)
            .and_then(|row| Self::find(view, row))
    }

    /// Finds it: the row's index, or the first after it that is neither a parent directory nor unknown.
    fn find(view: &View<'_>, action: &Action) -> Option<Self> {
        let count = view.parts(kind::PATH).count();
        let skip = if count > action.path { action.path } else { 0 };
        let hinted = view.parts(kind::PATH).nth(skip)?;
        let named = |part: &usize| {
            let kind = view
                .field(*part, name::NAMETYPE)
                .map(|field| view.value(field))
                .unwrap_or_default();
            !matches!(kind, b"PARENT" | b"UNKNOWN")
        };
        let part = view
            .parts(kind::PATH)
            .skip(skip)
            .find(named)
            .unwrap_or(hinted);
        let mode = view
            .field(part, name::MODE)
            .and_then(|field| octal(view.value(field)));
        Some(Self { part, mode })
    }

    /// The object's type as Auditbeat's summary has it.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        self.types().map(|types| types.2)
    }

    fn types(&self) -> Option<&'static (u32, &'static str, &'static str)> {
        let kind = self.mode? & 0o170_000;
        TYPES.iter().find(|types| types.0 == kind)
    }

    /// Writes `"file":{...}`.
    pub fn write(&self, view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
        let object = Object::member(pen.out, parent, "file");
        let value = |number| {
            view.field(self.part, number)
                .map(|field| view.value(field))
                .unwrap_or_default()
        };
        if let Some(field) = view
            .field(self.part, name::NAME)
            .filter(|field| !is_null(view, field))
        {
            path(view, pen, &object, field);
        }
        let rest = pen.out.len();
        pen.text(&object, "inode", value(name::INODE));
        let write = |pen: &mut Pen<'_>| {
            if let Some(types) = self.types() {
                pen.word(&object, "type", types.1);
            }
            pen.text(&object, "device", value(name::RDEV));
            if let Some(mode) = self.mode {
                object.name(pen.out, "mode");
                let bits = mode & 0o7777;
                let digit = |shift: u32| b'0' + (bits >> shift & 7) as u8;
                pen.out
                    .extend_from_slice(&[b'"', digit(9), digit(6), digit(3), digit(0), b'"']);
            }
            for (id_member, name_member, number, id) in [
                ("uid", "owner", name::OUID, Owner::User),
                ("gid", "group", name::OGID, Owner::Group),
            ] {
                let id_text = value(number);
                pen.text(&object, id_member, id_text);
                if let Some(found) = known_name(
                    view,
                    pen.system,
                    self.part,
                    crate::fields::literal(number),
                    id_text,
                    id,
                ) {
                    object.name(pen.out, name_member);
                    pen.intact &= json::string(pen.out, found);
                }
            }
            selinux(pen, &object, value(name::OBJ));
        };
        match usual_tail(view, self.part) {
            Some((_, tail, enriched)) => pen.again(&object, Section::File, tail, enriched, write),
            None => write(pen),
        }
        pen.not_for_timelines(rest);
        object.close(pen.out);
    }
}

/// Whether a record has no name: `name=(null)`.
pub fn is_null(view: &View<'_>, field: &Field) -> bool {
    !field.quoted && view.value(field) == b"(null)"
}

/// Writes `file.path`: absolute where the record and the working directory make it so.
///
/// A relative name belongs to the working directory unless the call was given a directory's descriptor.
fn path(view: &View<'_>, pen: &mut Pen<'_>, object: &Object, field: &Field) {
    let mut scratch = std::mem::take(pen.scratch);
    let decoded = text(view.value(field), field.quoted, &mut scratch);
    let cwd = view
        .first(kind::CWD)
        .and_then(|part| view.field(part, name::CWD));
    match cwd {
        Some(cwd)
            if decoded.first() != Some(&b'/') && !decoded.is_empty() && !below_descriptor(view) =>
        {
            let mut joined = Vec::new();
            let directory = text(view.value(cwd), cwd.quoted, &mut joined).to_vec();
            let full = join(&directory, decoded);
            pen.text(object, "path", &full);
        }
        _ => pen.text(object, "path", decoded),
    }
    *pen.scratch = scratch;
}

/// Whether the call's names are relative to a directory that it was given as a descriptor.
fn below_descriptor(view: &View<'_>) -> bool {
    let Some(call) = view.call().1 else {
        return false;
    };
    let directory = match call.name() {
        "openat" | "openat2" | "mkdirat" | "mknodat" | "fchownat" | "futimesat" | "newfstatat"
        | "fstatat64" | "unlinkat" | "renameat" | "renameat2" | "linkat" | "readlinkat"
        | "fchmodat" | "fchmodat2" | "faccessat" | "faccessat2" | "utimensat" | "execveat"
        | "statx" | "name_to_handle_at" | "open_tree" | "setxattrat" | "getxattrat"
        | "listxattrat" | "removexattrat" | "file_getattr" | "file_setattr" => name::A0,
        "symlinkat" => name::A1,
        _ => return false,
    };
    // AT_FDCWD is -100 (include/uapi/linux/fcntl.h); the record has it in 32 or 64 bits.
    !matches!(view.of_actor(directory), b"ffffff9c" | b"ffffffffffffff9c")
}

/// Joins a name to a directory and folds `.`, `..` and doubled slashes, as the records' reader would by hand.
fn join(directory: &[u8], relative: &[u8]) -> Vec<u8> {
    let mut full: Vec<u8> = Vec::with_capacity(directory.len() + relative.len() + 1);
    for step in directory
        .split(|byte| *byte == b'/')
        .chain(relative.split(|byte| *byte == b'/'))
    {
        match step {
            b"" | b"." => {}
            b".." => {
                let parent = memchr::memrchr(b'/', &full).unwrap_or(0);
                full.truncate(parent);
            }
            _ => {
                full.push(b'/');
                full.extend_from_slice(step);
            }
        }
    }
    if full.is_empty() || relative.last() == Some(&b'/') {
        full.push(b'/');
    }
    full
}

/// Octal digits as a number.
#[must_use]
pub fn octal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    text.iter().try_fold(0u32, |value, byte| {
        let digit = char::from(*byte).to_digit(8)?;
        Some(value << 3 | digit)
    })
}

/// The end of a PATH record as the kernel writes it, from the device on, and the names for it: what many files share.
/// With it the number of fields before.
pub fn usual_tail<'a>(view: &View<'a>, part: usize) -> Option<(usize, &'a [u8], &'a [u8])> {
    let fields = view.opened.fields(part);
    let at = fields.iter().position(|field| field.name == name::DEV)?;
    // In the kernel's order no name comes twice, and none is unknown.
    let in_order = fields.iter().all(|field| field.name >= name::ITEM)
        && fields.is_sorted_by(|one, next| one.name < next.name);
    let body = view.part(part).body;
    let tail = Span {
        start: fields.get(at)?.label.start,
        end: body.end,
    };
    in_order.then(|| {
        (
            at,
            view.event.at(tail),
            view.event.at(view.part(part).enriched),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_and_folded() {
        for (directory, name, wanted) in [
            ("/home/a", "b", "/home/a/b"),
            ("/home/a", "../b/./c", "/home/b/c"),
            ("/", "..", "/"),
            ("/x", "y/", "/x/y/"),
            ("/x//y", "z", "/x/y/z"),
        ] {
            assert_eq!(
                String::from_utf8(join(directory.as_bytes(), name.as_bytes())).unwrap(),
                wanted
            );
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(octal(b"0100644"), Some(0o100_644));
        assert_eq!(octal(b"9"), None);
        assert_eq!(octal(b""), None);
    }
}
