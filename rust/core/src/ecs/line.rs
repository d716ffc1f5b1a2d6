//! The end of a line: what is known last is written last.

use std::ops::Range;

use crate::ecs::network;
use crate::ecs::pen::Related;
use crate::endpoint::flow::Flow;
use crate::json::{self, Object};

/// A line whose ends of a connection are not known yet: all but `tsauditd`'s last member, the ends and `related`.
#[derive(Debug)]
pub struct OpenLine {
    text: Vec<u8>,
    related: Related,
    extra: Object,
    /// A session's timeline needs it.
    pub timeline: bool,
}

impl OpenLine {
    /// Takes what was written of a line from `start` of `out` on; `extra` is its open object `tsauditd`.
    #[must_use]
    pub fn take(
        out: &mut Vec<u8>,
        start: usize,
        extra: Object,
        related: Related,
        timeline: bool,
    ) -> Self {
        Self {
            text: out.split_off(start),
            related,
            extra: extra.moved(start, 0),
            timeline,
        }
    }

    /// The bytes that it holds, but for a few of its own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.capacity()
    }

    /// Writes it whole.
    pub fn write(mut self, out: &mut Vec<u8>, flow: &Flow) {
        let extra = self.extra.moved(0, out.len());
        out.append(&mut self.text);
        end(out, extra, &mut self.related, Some(flow));
    }
}

/// Ends a line: closes `tsauditd`, writes the ends of a connection and `related`. Returns where the last is.
pub fn end(
    out: &mut Vec<u8>,
    extra: Object,
    related: &mut Related,
    flow: Option<&Flow>,
) -> Range<usize> {
    if let Some(origin) = flow.and_then(|flow| flow.origin) {
        extra.name(out, "endpoint");
        json::plain_string(out, origin.word().as_bytes());
    }
    extra.close(out);
    let top = Object::continued();
    if let Some(flow) = flow {
        network::flow(out, &top, related, flow);
    }
    let start = out.len();
    related.write(out, &top);
    let end = out.len();
    top.close(out);
    out.push(b'\n');
    start..end
}
