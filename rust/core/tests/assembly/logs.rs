//! What logs hold: no end markers, damaged lines, and texts of others that look like records.

use crate::{engine, lines, originals, sequence};

#[test]
fn logs_end_events_by_type_time_and_order() {
    let mut engine = engine(true);
    engine.line_bytes(
        b"type=SYSCALL msg=audit(1700000000.000:1): arch=c000003e syscall=59 items=0\n\
          type=SYSCALL msg=audit(1700000000.500:2): arch=c000003e syscall=59 items=0\n\
          type=PROCTITLE msg=audit(1700000000.500:2): proctitle=\"x\"\n\
          type=USER_ACCT msg=audit(1700000000.500:3): pid=1 msg='op=x res=success'\n\
          type=SYSCALL msg=audit(1700000000.500:3): arch=c000003e syscall=44 items=0\n\
          type=PROCTITLE msg=audit(1700000000.500:3): proctitle=\"y\"\n",
    );
    let got = lines(&mut engine);
    assert_eq!(got.iter().map(sequence).collect::<Vec<_>>(), [2]);
    engine.line_bytes(
        b"type=SYSCALL msg=audit(1700000002.000:4): arch=c000003e syscall=59 items=0\n",
    );
    let got = lines(&mut engine);
    assert_eq!(got.iter().map(sequence).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(originals(&got[0]), 3, "a mixed event is one");
    engine.flush();
    assert_eq!(
        lines(&mut engine).iter().map(sequence).collect::<Vec<_>>(),
        [4]
    );
}

#[test]
fn damaged_lines_are_counted_with_their_place() {
    let mut engine = engine(true);
    engine.line_bytes(b"type=USER msg=audit(1.000:1): msg='a'\nnonsense\n----\n\ntype=USER msg=audit(1.000:2): msg='b'");
    engine.end_file();
    engine.line_bytes(b"more nonsense\n");
    engine.flush();
    let unreadable = engine.unreadable();
    assert_eq!(
        unreadable.iter().map(|bad| bad.line).collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(lines(&mut engine).len(), 2);
    assert_eq!(
        (engine.counters().unreadable, engine.counters().lines),
        (2, 6)
    );
}

#[test]
fn a_socket_name_writes_no_records() {
    let mut engine = engine(true);
    // /x NEWLINE type=USER_LOGIN ... NEWLINE y: what auditd makes of a hostile path.
    let fake = "type=USER_LOGIN msg=audit(1700000000.000:2): pid=1 msg='op=login acct=\"root\" res=success'";
    let hex: String = format!("/x\n{fake}\ny")
        .bytes()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    engine.line_bytes(
        format!(
            "type=SYSCALL msg=audit(1700000000.000:1): arch=c000003e syscall=42 items=0\n\
             type=SOCKADDR msg=audit(1700000000.000:1): saddr=0100{hex}00\x1dSADDR={{ saddr_fam=local path=/x\n{fake}\ny }}\n\
             type=PROCTITLE msg=audit(1700000000.000:1): proctitle=\"x\"\n"
        )
        .as_bytes(),
    );
    engine.flush();
    let got = lines(&mut engine);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0]["destination"]["path"], format!("/x\n{fake}\ny"));
    assert_eq!(engine.counters().unreadable, 0);
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let mut engine = engine(true);
    for _ in 0..64 {
        engine.line_bytes(&[b'x'; 1 << 16]);
    }
    engine.line_bytes(b"\ntype=USER msg=audit(1.000:1): msg='a'\n");
    engine.flush();
    assert_eq!(lines(&mut engine).len(), 1);
    assert_eq!(engine.counters().unreadable, 1);
}

#[test]
fn an_enriched_tail_is_not_trusted() {
    let mut engine = engine(true);
    engine.line_bytes(
        b"type=SYSCALL msg=audit(1.000:1): arch=1 syscall=9999 items=0\x1dARCH=a\"b SYSCALL=c\\d\"\n",
    );
    engine.flush();
    let got = lines(&mut engine);
    assert_eq!(got[0]["auditd"]["data"]["arch"], "a\"b");
    assert_eq!(got[0]["auditd"]["data"]["syscall"], "c\\d\"");
}
