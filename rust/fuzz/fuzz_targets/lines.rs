//! Any bytes as a log: whole input and input cut anywhere give the same lines, and every line is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsauditd_core::{Engine, Nobody, Settings};

fn engine() -> Engine {
    Engine::new(Settings { log: true, ..Settings::default() }, Box::new(Nobody))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let mut whole = engine();
    whole.line_bytes(bytes);
    whole.flush();
    let mut cut = engine();
    for piece in bytes.chunks(usize::from(step) + 1) {
        cut.line_bytes(piece);
    }
    cut.flush();
    assert!(whole.output() == cut.output(), "the cut changed the lines");
    assert!(whole.counters() == cut.counters(), "the cut changed the counts");
    for line in whole.output().split_inclusive(|byte| *byte == b'\n') {
        serde_json::from_slice::<serde_json::Value>(line).expect("a line that is not JSON");
    }
});
