//! `tags`: the rules that asked for an event.

use crate::ecs::pen::Pen;
use crate::event::{self, View};
use crate::fields::name;
use crate::json::Object;
use crate::record::kind;

/// Writes `"tags":[...]`: the keys of the rules that asked for the event, which the kernel joins with \x01
/// (`AUDIT_KEY_SEPARATOR`, libaudit).
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
    let keyed = [Some(view.actor()), view.first(kind::URINGOP)];
    let mut keys = keyed
        .into_iter()
        .flatten()
        .filter_map(|part| view.field(part, name::KEY));
    let Some(field) =
        keys.find(|field| field.quoted || !matches!(view.value(field), b"(null)" | b""))
    else {
        return;
    };
    let value = view.value(field);
    let mut scratch = std::mem::take(pen.scratch);
    let keys = event::text(value, field.quoted, &mut scratch);
    pen.list(
        parent,
        "tags",
        keys.split(|byte| *byte == 1).filter(|key| !key.is_empty()),
    );
    *pen.scratch = scratch;
}
