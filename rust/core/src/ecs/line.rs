//! The end of a line: what is known last is written last.

use std::ops::Range;
use std::sync::Arc;

use crate::ecs::head::{Head, Own};
use crate::ecs::pen::Related;
use crate::ecs::{Written, network};
use crate::endpoint::Answer;
use crate::endpoint::flow::Flow;
use crate::json::{self, Clock, Object};

/// A line whose ends of a connection are not known yet: all but `tsauditd`'s last member, the ends and `related`.
#[derive(Debug)]
pub struct OpenLine {
    beginning: Beginning,
    /// A session's timeline needs it.
    pub timeline: bool,
}

#[derive(Debug)]
enum Beginning {
    Written {
        text: Vec<u8>,
        related: Related,
        extra: Object,
    },
    /// As another event's, but for what is its own.
    Again(Arc<Head>, Own),
}

impl OpenLine {
    /// Takes what was written of a line from `start` of `out` on; `extra` is its open object `tsauditd`.
    #[must_use]
    pub fn take(
        out: &mut Vec<u8>,
        start: usize,
        extra: &Object,
        related: Related,
        timeline: bool,
    ) -> Self {
        Self {
            beginning: Beginning::Written {
                text: out.split_off(start),
                related,
                extra: extra.moved(start, 0),
            },
            timeline,
        }
    }

    /// A line that begins as another.
    #[must_use]
    pub fn again(head: Arc<Head>, own: Own) -> Self {
        Self {
            timeline: head.timeline,
            beginning: Beginning::Again(head, own),
        }
    }

    /// The bytes that it holds, but for a few of its own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.beginning {
            Beginning::Written { text, .. } => text.capacity(),
            Beginning::Again(head, _) => head.bytes(), // others may have let it go
        }
    }

    /// Writes it whole. `scratch` is room for `related`.
    pub fn write(self, clock: &mut Clock, scratch: &mut Related, flow: &Flow, out: &mut Vec<u8>) {
        match self.beginning {
            Beginning::Written {
                mut text,
                mut related,
                extra,
            } => {
                let extra = extra.moved(0, out.len());
                out.append(&mut text);
                end(out, extra, &mut related, Some(flow));
            }
            Beginning::Again(head, own) => head.write(own, clock, scratch, Some(flow), out),
        }
    }
}

/// Writes the line of an event like one whose line is kept, or has it wait. `room`: the clock, and room for `related`.
pub fn write_again(
    head: &Arc<Head>,
    own: Own,
    answer: Answer,
    room: (&mut Clock, &mut Related),
    out: &mut Vec<u8>,
) -> Written {
    let mut waits = None;
    let (clock, related) = room;
    match answer {
        Answer::Nothing => head.write(own, clock, related, None, out),
        Answer::Flow(flow) => head.write(own, clock, related, Some(&flow), out),
        Answer::Wait(wait) => waits = Some((wait, OpenLine::again(Arc::clone(head), own))),
    }
    Written {
        whole: true,
        timeline: head.timeline,
        waits,
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
