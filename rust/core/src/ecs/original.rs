//! `event.original`: the records themselves.

use crate::assemble::Span;
use crate::event::View;
use crate::json;
use crate::tables;

/// Puts `"original":[...]` where it belongs: the records as a log has them.
///
/// Where a record was not valid UTF-8 itself, its bytes are there as hex beside it, so that nothing is lost.
pub fn write(view: &View<'_>, out: &mut Vec<u8>, at: usize) {
    let tail = out.split_off(at);
    let mut valid = true;
    let mut lines = Vec::new();
    out.extend_from_slice(b",\"original\":[");
    for (place, part) in view.event.parts.iter().enumerate() {
        let mut line = Vec::new();
        let node = view.event.at(view.event.node);
        if !node.is_empty() {
            line.extend_from_slice(b"node=");
            line.extend_from_slice(node);
            line.push(b' ');
        }
        line.extend_from_slice(b"type=");
        match tables::record_type_name(part.kind) {
            Some(name) => line.extend_from_slice(name.as_bytes()),
            None if part.name != Span::default() => {
                line.extend_from_slice(view.event.at(part.name))
            }
            None => line.extend_from_slice(format!("UNKNOWN[{}]", part.kind).as_bytes()),
        }
        let stamp = view.event.stamp;
        line.extend_from_slice(
            format!(
                " msg=audit({}.{:03}:{}): ",
                stamp.seconds, stamp.millis, stamp.serial
            )
            .as_bytes(),
        );
        line.extend_from_slice(view.event.at(part.body));
        if part.enriched != Span::default() {
            line.push(0x1d);
            line.extend_from_slice(view.event.at(part.enriched));
        }
        if place > 0 {
            out.push(b',');
        }
        valid &= json::string(out, &line);
        lines.push(line);
    }
    out.push(b']');
    if !valid {
        out.extend_from_slice(b",\"original_hex\":[");
        for (place, line) in lines.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
            for byte in line {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
            out.push(b'"');
        }
        out.push(b']');
    }
    out.extend_from_slice(&tail);
}
