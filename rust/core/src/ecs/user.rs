//! `user`: who acted, as whom, and who had logged in.

use crate::action::Users;
use crate::decode::value::Owner;
use crate::ecs::pen::Pen;
use crate::event::{View, is_unset, text};
use crate::fields::name;
use crate::json::{self, Object};
use crate::record::decimal;
use crate::system::System;

/// Writes `"id":..,"name":..` for an id given by its text; nothing for "unset". `label` is the field it came from,
/// by which an ENRICHED log names it.
fn identity(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    object: &Object,
    part: usize,
    label: &[u8],
    value: &[u8],
    id: Owner,
) {
    if value.is_empty() || is_unset(value) {
        return;
    }
    pen.text(object, "id", value);
    object_name(view, pen, object, part, label, value, id);
}

fn object_name(
    view: &View<'_>,
    pen: &mut Pen<'_>,
    object: &Object,
    part: usize,
    label: &[u8],
    value: &[u8],
    id: Owner,
) {
    if let Some(found) = known_name(view, pen.system, part, label, value, id) {
        object.name(pen.out, "name");
        pen.intact &= json::string(pen.out, found);
        if id == Owner::User {
            pen.related.users.add(found);
        }
    }
}

/// The name of an id, from the ENRICHED tail or from whoever knows.
pub fn known_name<'n>(
    view: &View<'n>,
    system: &'n mut dyn System,
    part: usize,
    label: &[u8],
    value: &[u8],
    owner: Owner,
) -> Option<&'n [u8]> {
    if let Some(known) = view.enriched(part, label) {
        return Some(known);
    }
    let number = u32::try_from(decimal(value)?).ok()?;
    let known = if owner == Owner::User {
        system.user(number)
    } else {
        system.group(number)
    };
    known.map(str::as_bytes)
}

/// A user and their group as members of `parent`: `"NAME":{"id":..,"name":..,"group":{..}}`.
fn pair(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, member: &str, uid: u8, gid: u8) {
    let object = Object::member(pen.out, parent, member);
    by_number(view, pen, &object, uid, Owner::User);
    let start = pen.out.len();
    let group = Object::member(pen.out, &object, "group");
    by_number(view, pen, &group, gid, Owner::Group);
    group.close(pen.out);
    pen.not_for_timelines(start);
    object.close(pen.out);
}

fn by_number(view: &View<'_>, pen: &mut Pen<'_>, object: &Object, number: u8, id: Owner) {
    identity(
        view,
        pen,
        object,
        view.actor(),
        crate::fields::literal(number),
        view.of_actor(number),
        id,
    );
}

/// Writes `"user":{...}` and, for work on groups, `"group":{...}`.
///
/// `user` is the process's uid. Where a record speaks of an account, it is as Auditbeat has it: a log-in gives the
/// login user and, as `user.effective`, the account; work on accounts gives `user.target`. The ids that have no
/// place then stay in `auditd.data`.
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, users: Users) {
    let user = Object::member(pen.out, parent, "user");
    match users {
        Users::Process => {
            by_number(view, pen, &user, name::UID, Owner::User);
            let start = pen.out.len();
            let group = Object::member(pen.out, &user, "group");
            by_number(view, pen, &group, name::GID, Owner::Group);
            group.close(pen.out);
            pen.not_for_timelines(start);
            pair(view, pen, &user, "effective", name::EUID, name::EGID);
        }
        Users::Login => {
            let old = old_login(view);
            identity(view, pen, &user, view.lead(), old.0, old.1, Owner::User);
            let effective = Object::member(pen.out, &user, "effective");
            by_number(view, pen, &effective, name::AUID, Owner::User);
            effective.close(pen.out);
        }
        Users::Account | Users::TargetUser | Users::TargetGroup => {
            by_number(view, pen, &user, name::AUID, Owner::User);
            let effective = Object::member(pen.out, &user, "effective");
            if users == Users::Account && account(view, pen, &effective, Owner::User) {
            } else {
                by_number(view, pen, &effective, name::UID, Owner::User);
            }
            effective.close(pen.out);
        }
    }
    let start = pen.out.len();
    pair(view, pen, &user, "saved", name::SUID, name::SGID);
    pair(view, pen, &user, "filesystem", name::FSUID, name::FSGID);
    pen.not_for_timelines(start);
    let audit = Object::member(pen.out, &user, "audit");
    by_number(view, pen, &audit, name::AUID, Owner::User);
    audit.close(pen.out);
    if users == Users::TargetUser {
        let target = Object::member(pen.out, &user, "target");
        account(view, pen, &target, Owner::User);
        target.close(pen.out);
    }
    selinux(pen, &user, view.of_actor(name::SUBJ));
    user.close(pen.out);
    if users == Users::TargetGroup {
        let group = Object::member(pen.out, parent, "group");
        account(view, pen, &group, Owner::Group);
        group.close(pen.out);
    }
}

/// The login id before a LOGIN record, by either of its names.
fn old_login<'a>(view: &View<'a>) -> (&'static [u8], &'a [u8]) {
    let fields = view.opened.fields(view.lead());
    let old = fields
        .iter()
        .find(|field| matches!(view.label(field), b"old-auid" | b"old_auid"));
    (
        b"old-auid",
        old.map(|field| view.value(field)).unwrap_or_default(),
    )
}

/// Writes the account that a record names, by name (acct, grp) or id. Returns whether it names one.
fn account(view: &View<'_>, pen: &mut Pen<'_>, object: &Object, id: Owner) -> bool {
    let lead = view.lead();
    let numbers: &[u8] = if id == Owner::Group {
        &[name::GRP, name::NEW_GROUP, name::ACCT]
    } else {
        &[name::ACCT]
    };
    let named = numbers
        .iter()
        .find_map(|number| view.field(lead, *number))
        .filter(|field| {
            let value = view.value(field);
            value != b"?"
                && (field.quoted || !matches!(value, b"" | b"(unknown)" | b"(null)" | b"(none)"))
        });
    if let Some(field) = view.field(lead, name::ID) {
        let value = view.value(field);
        if decimal(value).is_some() && !is_unset(value) {
            pen.text(object, "id", value);
            if named.is_none() {
                object_name(view, pen, object, lead, b"id", value, id);
                return true;
            }
        }
    }
    let Some(field) = named else { return false };
    let value = view.value(field);
    let mut scratch = std::mem::take(pen.scratch);
    let decoded = text(value, field.quoted, &mut scratch);
    pen.text(object, "name", decoded);
    if id == Owner::User {
        pen.related.users.add(decoded);
    }
    *pen.scratch = scratch;
    true
}

/// Writes `"selinux":{...}` for a label `user:role:type:level[:category]`.
pub fn selinux(pen: &mut Pen<'_>, parent: &Object, label: &[u8]) {
    if !is_context(label) {
        return;
    }
    let object = Object::member(pen.out, parent, "selinux");
    let names = ["user", "role", "domain", "level", "category"];
    for (name, value) in names.into_iter().zip(label.splitn(5, |byte| *byte == b':')) {
        pen.text(&object, name, value);
    }
    object.close(pen.out);
}

/// Whether a label has SELinux's form; other modules' labels stay as they are.
#[must_use]
pub fn is_context(label: &[u8]) -> bool {
    label.iter().filter(|byte| **byte == b':').count() >= 2
}
