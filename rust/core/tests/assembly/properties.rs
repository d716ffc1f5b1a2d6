//! What holds for any order, any cut and any bytes.

use proptest::prelude::*;
use serde_json::Value;

use crate::{engine, lines, originals, packet};

/// A log of a few events whose records are shuffled within what interleaving can do.
fn interleaved() -> impl Strategy<Value = (usize, Vec<String>)> {
    (1usize..12, 1usize..5).prop_flat_map(|(events, records)| {
        let mut all = Vec::new();
        for serial in 0..events {
            for record in 0..records {
                all.push((serial, record));
            }
        }
        Just(all).prop_shuffle().prop_map(move |order| {
            let text = order
                .into_iter()
                .map(|(serial, record)| {
                    let kind = ["SYSCALL", "CWD", "PATH", "EXECVE"][record];
                    format!(
                        "type={kind} msg=audit(1700000000.000:{serial}): r{record}=\"{serial}\"\n"
                    )
                })
                .collect();
            (events, text)
        })
    })
}

proptest! {
    #[test]
    fn interleaving_changes_no_event((events, text) in interleaved()) {
        let mut engine = engine(true);
        text.iter().for_each(|line| engine.line_bytes(line.as_bytes()));
        engine.flush();
        let got = lines(&mut engine);
        prop_assert_eq!(got.len(), events);
        let records = text.len() / events;
        prop_assert!(got.iter().all(|event| originals(event) == records));
    }

    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(1usize..40, 1..40), text in "[ -~\n]{0,200}") {
        let log = format!(
            "type=SYSCALL msg=audit(1.000:1): syscall=2 exit=-2 items=1\ntype=PATH msg=audit(1.000:1): item=0 name=\"/x\"\n\
             {text}\ntype=PROCTITLE msg=audit(1.000:1): proctitle=2F78\r\ntype=USER msg=audit(1.000:2): msg='a'"
        );
        let mut whole = engine(true);
        whole.line_bytes(log.as_bytes());
        whole.flush();
        let mut cut = engine(true);
        let mut rest = log.as_bytes();
        for size in cuts.iter().cycle() {
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            cut.line_bytes(head);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        cut.flush();
        prop_assert_eq!(lines(&mut whole), lines(&mut cut));
        prop_assert_eq!(whole.counters(), cut.counters());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in any::<u16>()) {
        let mut log = engine(true);
        log.line_bytes(&bytes);
        let mut framed = b"type=AVC msg=audit(1.000:1): ".to_vec();
        framed.extend(&bytes);
        log.line_bytes(&framed);
        log.flush();
        lines(&mut log);
        let mut live = engine(false);
        live.packet(&bytes, 0);
        let mut datagram = packet(kind, "audit(1.000:1): ");
        datagram.extend(&bytes);
        live.packet(&datagram, 0);
        live.flush();
        lines(&mut live);
    }

    #[test]
    fn foreign_fields_keep_their_values(value in "[ -~]{0,30}", label in "[a-z][a-z0-9_]{0,12}") {
        prop_assume!(!value.contains('"') && !["key", "socket"].contains(&label.as_str()));
        let mut engine = engine(true);
        engine.line_bytes(format!("type=USER_TEST msg=audit(1.000:1): zz{label}=\"{value}\"\n").as_bytes());
        engine.flush();
        let got = lines(&mut engine);
        prop_assert_eq!(&got[0]["auditd"]["data"][format!("zz{label}")], &Value::String(value));
    }
}
