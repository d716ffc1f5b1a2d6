//! `tsauditd.session`: the session that an event belongs to.

use crate::ecs::extra::Beside;
use crate::ecs::pen::Pen;
use crate::ecs::{Host, process};
use crate::event::View;
use crate::json::{self, Object};

/// What stands before a session's number in its id: the first digits of the machine's and of the boot's id, which are
/// random (machine-id(5), random(4)) and together tell every boot of every host from every other.
pub(super) fn prefix(host: &Host) -> Vec<u8> {
    let head = |id: &Option<String>| {
        let id = id.as_deref().unwrap_or_default();
        id.get(..8).map(str::to_owned)
    };
    match (head(&host.id), head(&host.boot_id)) {
        (Some(machine), Some(boot)) => format!("{machine}-{boot}-").into_bytes(),
        _ => Vec::new(),
    }
}

/// Writes `"session":{"id":..}` for an event of this machine that has a session: by its number, or where a program runs
/// without one in a container that it was put into, by the process that was.
pub(super) fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, beside: &Beside<'_>) {
    let (prefix, number) = (beside.session_prefix, process::session(view));
    let number = Some(number).filter(|number| !number.is_empty());
    let Some(number) = number.or(beside.joined) else {
        return;
    };
    if prefix.is_empty() || !view.event.at(view.event.node).is_empty() {
        return;
    }
    let object = Object::member(pen.out, parent, "session");
    object.name(pen.out, "id");
    pen.out.push(b'"');
    json::escaped(pen.out, prefix);
    json::escaped(pen.out, number);
    pen.out.push(b'"');
    object.close(pen.out);
}
