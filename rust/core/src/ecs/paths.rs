//! `auditd.paths`: every PATH record, as the kernel wrote it and with names.

use crate::decode::value::{self, Owner};
use crate::ecs::file::{is_null, usual_tail};
use crate::ecs::memo::Section;
use crate::ecs::pen::Pen;
use crate::ecs::user::{is_context, known_name};
use crate::event::View;
use crate::fields::{Field, name};
use crate::json::{self, Object};
use crate::record::kind;

/// Writes `"paths":[{...}]`: every PATH record, its fields as the kernel wrote them and the name decoded.
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
    let mut separator = b'[';
    for part in view.parts(kind::PATH) {
        if separator == b'[' {
            parent.name(pen.out, "paths");
        }
        pen.out.push(separator);
        separator = b',';
        let object = Object::open(pen.out);
        let fields = view.opened.fields(part);
        let usual = usual_tail(view, part);
        let (head, rest) = fields.split_at(usual.map_or(fields.len(), |usual| usual.0));
        let entry = Entry { view, part };
        entry.members(pen, &object, head);
        let write = |pen: &mut Pen<'_>| {
            entry.members(pen, &object, rest);
            entry.owners(pen, &object);
            entry.capabilities(pen, &object);
        };
        match usual {
            Some((_, tail, enriched)) => pen.again(&object, Section::Path, tail, enriched, write),
            None => write(pen),
        }
        object.close(pen.out);
    }
    if separator == b',' {
        pen.out.push(b']');
    }
}

/// One PATH record on its way into `auditd.paths`.
#[derive(Clone, Copy)]
struct Entry<'v, 'a> {
    view: &'v View<'a>,
    part: usize,
}

impl Entry<'_, '_> {
    /// Whether the record itself has a field of one of our names: then that stays. The kernel's own have none.
    fn is_taken(&self, name: &str) -> bool {
        let fields = self.view.opened.fields(self.part);
        fields.iter().any(|field| field.name == name::OTHER)
            && fields
                .iter()
                .any(|field| self.view.label(field).eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Writes fields by their own names.
    fn members(&self, pen: &mut Pen<'_>, object: &Object, fields: &[Field]) {
        let view = self.view;
        let mut seen = 0u128;
        let strange = fields.iter().any(|field| field.name == name::OTHER);
        for (place, field) in fields.iter().enumerate() {
            let label = view.label(field);
            let earlier = || {
                let mut before = fields.iter().take(place);
                before.any(|earlier| view.label(earlier).eq_ignore_ascii_case(label))
            };
            if seen >> field.name & 1 == 1 && field.name != name::OTHER || strange && earlier() {
                continue; // a damaged record: JSON has room for one of a name
            }
            seen |= 1 << field.name;
            let value = view.value(field);
            if field.name == name::NAME {
                if value.is_empty() {
                    member(pen, object, label, value, true);
                } else if !is_null(view, field) {
                    pen.decoded(object, "name", view, field);
                }
            } else if field.name == name::OBJ
                && is_context(value)
                && !OBJECT_LABELS.into_iter().any(|name| self.is_taken(name))
            {
                labels(pen, object, value);
            } else {
                member(pen, object, label, value, field.plain);
            }
        }
    }

    /// Writes the names of the file's owner and group.
    fn owners(&self, pen: &mut Pen<'_>, object: &Object) {
        for (name, number, owner) in [
            ("owner", name::OUID, Owner::User),
            ("group", name::OGID, Owner::Group),
        ] {
            let Some(field) = self
                .view
                .field(self.part, number)
                .filter(|_| !self.is_taken(name))
            else {
                continue;
            };
            let (label, id) = (crate::fields::literal(number), self.view.value(field));
            if let Some(known) = known_name(self.view, pen.system, self.part, label, id, owner) {
                object.name(pen.out, name);
                pen.intact &= json::string(pen.out, known);
            }
        }
    }

    /// Writes the names of the file's capabilities, where it has any.
    fn capabilities(&self, pen: &mut Pen<'_>, object: &Object) {
        let context = value::Context { arch: None };
        for (member, number) in [("permitted", name::CAP_FP), ("inheritable", name::CAP_FI)] {
            let raw = self
                .view
                .field(self.part, number)
                .map(|field| self.view.value(field));
            let Some(raw) = raw.filter(|raw| *raw != b"0" && !self.is_taken(member)) else {
                continue;
            };
            let mut names = Vec::new();
            if value::read(
                kind::PATH,
                crate::fields::literal(number),
                raw,
                &context,
                &mut names,
            ) {
                pen.text(object, member, &names);
            }
        }
    }
}

/// Writes `"LABEL":"VALUE"` with a label that a record brought.
fn member(pen: &mut Pen<'_>, object: &Object, label: &[u8], value: &[u8], plain: bool) {
    if plain {
        object.plain_label(pen.out, label);
        json::plain_string(pen.out, value);
    } else {
        pen.intact &= object.label(pen.out, label);
        pen.intact &= json::string(pen.out, value);
    }
}

/// The parts of an object's label, as Auditbeat names them.
const OBJECT_LABELS: [&str; 5] = [
    "obj_user",
    "obj_role",
    "obj_domain",
    "obj_level",
    "obj_category",
];

/// An object's label in its parts.
fn labels(pen: &mut Pen<'_>, object: &Object, label: &[u8]) {
    for (name, value) in OBJECT_LABELS
        .into_iter()
        .zip(label.splitn(5, |byte| *byte == b':'))
    {
        pen.text(object, name, value);
    }
}
