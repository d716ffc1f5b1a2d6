//! `host`: the machine that an event is of.

use crate::ecs::pen::Pen;
use crate::event::View;
use crate::json::Object;

/// Who this machine is, for events that it wrote itself. What is `None` is left out.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// `host.name`, unless the record brings its own.
    pub name: Option<String>,
    /// `host.id`.
    pub id: Option<String>,
    /// `host.boot.id`.
    pub boot_id: Option<String>,
}

/// Writes `"host":{...}`. A record that brings its host's name is not from this machine.
pub fn write(view: &View<'_>, pen: &mut Pen<'_>, parent: &Object, host: &Host) {
    let node = view.event.at(view.event.node);
    let object = Object::member(pen.out, parent, "host");
    if node.is_empty() {
        pen.text(
            &object,
            "name",
            host.name.as_deref().unwrap_or_default().as_bytes(),
        );
        pen.text(
            &object,
            "id",
            host.id.as_deref().unwrap_or_default().as_bytes(),
        );
        if let Some(id) = &host.boot_id {
            let boot = Object::member(pen.out, &object, "boot");
            pen.text(&boot, "id", id.as_bytes());
            boot.close(pen.out);
        }
    } else {
        pen.text(&object, "name", node);
        pen.related.hosts.add(node);
    }
    object.close(pen.out);
}
