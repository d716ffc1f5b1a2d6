//! Records in any order, at any time: each comes out exactly once, whatever ends the events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsauditd_core::assemble::{Assembler, Source};
use tsauditd_core::record::kind::{EOE, LOGIN, PROCTITLE};
use tsauditd_core::record::{Record, Stamp};

const KINDS: [u16; 8] = [1300, 1302, 1306, 1309, EOE, PROCTITLE, 1112, LOGIN];

fuzz_target!(|input: (bool, Vec<(u8, u8, u8, u8)>)| {
    let (live, records) = input;
    let mut assembler = Assembler::new(if live { Source::Live } else { Source::Log });
    let (mut done, mut now, mut pushed, mut came) = (Vec::new(), 0u64, 0, 0);
    for (kind, serial, second, wait) in records {
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let stamp = Stamp { seconds: u64::from(second / 16), millis: 0, serial: u64::from(serial) };
        let record = Record { kind, stamp, body: b"a=1", ..Record::default() };
        assembler.push(&record, now, &mut done);
        pushed += usize::from(kind != EOE);
        now += u64::from(wait) * u64::from(wait) / 8;
        assembler.tick(now, &mut done);
        for event in done.drain(..) {
            came += event.parts.len();
            assembler.recycle(event);
        }
    }
    assembler.flush(&mut done);
    came += done.iter().map(|event| event.parts.len()).sum::<usize>();
    assert_eq!(pushed, came);
});
