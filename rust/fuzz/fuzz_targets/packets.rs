//! Any datagram, with any type and any text behind a good header: no panic, and every line is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsauditd_core::{Engine, Nobody, Settings};

fuzz_target!(|input: (u16, &[u8], &[u8])| {
    let (kind, raw, body) = input;
    let mut engine = Engine::new(Settings::default(), Box::new(Nobody));
    engine.packet(raw, 0);
    let mut datagram = 0u32.to_ne_bytes().to_vec();
    datagram.extend(kind.to_ne_bytes());
    datagram.extend([0; 10]);
    datagram.extend(b"audit(1700000000.000:1): ");
    datagram.extend(body);
    engine.packet(&datagram, 1);
    engine.flush();
    for line in engine.output().split_inclusive(|byte| *byte == b'\n') {
        serde_json::from_slice::<serde_json::Value>(line).expect("a line that is not JSON");
    }
});
