//! Records to events: what belongs together comes out together, once, and nothing holds anything back.

mod logs;
mod properties;

use serde_json::Value;
use tsauditd_core::{Engine, Nobody, Settings};

fn engine(log: bool) -> Engine {
    Engine::new(
        Settings {
            log,
            original: true,
            ..Settings::default()
        },
        Box::new(Nobody),
    )
}

fn lines(engine: &mut Engine) -> Vec<Value> {
    let text = std::mem::take(engine.output());
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            assert_eq!(line.last(), Some(&b'\n'));
            serde_json::from_slice(line).unwrap()
        })
        .collect()
}

fn packet(kind: u16, text: &str) -> Vec<u8> {
    let mut bytes = 0u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(text.as_bytes());
    bytes
}

fn syscall(serial: u64) -> Vec<u8> {
    packet(
        1300,
        &format!(
            "audit(1700000000.000:{serial}): arch=c000003e syscall=59 success=yes exit=0 items=0 pid=7"
        ),
    )
}

fn eoe(serial: u64) -> Vec<u8> {
    packet(1320, &format!("audit(1700000000.000:{serial}): "))
}

fn proctitle(serial: u64) -> Vec<u8> {
    packet(
        1327,
        &format!("audit(1700000000.000:{serial}): proctitle=\"x\""),
    )
}

fn sequence(event: &Value) -> u64 {
    event["event"]["sequence"].as_u64().unwrap()
}

fn originals(event: &Value) -> usize {
    event["event"]["original"].as_array().unwrap().len()
}

#[test]
fn an_end_marker_completes_and_nothing_waits_for_another() {
    let mut engine = engine(false);
    engine.packet(&syscall(1), 0);
    for serial in 2..10 {
        engine.packet(&syscall(serial), 0);
        engine.packet(&proctitle(serial), 0);
        engine.packet(&eoe(serial), 0);
        let got = lines(&mut engine);
        assert_eq!(got.iter().map(sequence).collect::<Vec<_>>(), [serial]);
        assert_eq!(originals(&got[0]), 2);
        assert!(got[0]["tsauditd"]["incomplete"].is_null());
    }
    engine.packet(&proctitle(1), 1);
    engine.packet(&eoe(1), 1);
    let got = lines(&mut engine);
    assert_eq!((sequence(&got[0]), originals(&got[0])), (1, 2));
}

#[test]
fn records_from_user_space_stand_alone() {
    let mut engine = engine(false);
    engine.packet(
        &packet(
            1112,
            "audit(1700000000.000:5): pid=1 uid=0 msg='op=login acct=\"a\" res=success'",
        ),
        0,
    );
    let got = lines(&mut engine);
    assert_eq!(got[0]["auditd"]["message_type"], "user_login");
    assert!(got[0]["tsauditd"].is_null());
}

#[test]
fn a_login_travels_with_its_call() {
    let login = "audit(1700000000.000:9): pid=7 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=3 res=1";
    for order in [[0, 1], [1, 0]] {
        let mut engine = engine(false);
        let records = [packet(1006, login), syscall(9)];
        order
            .iter()
            .for_each(|place| engine.packet(&records[*place], 0));
        engine.packet(&proctitle(9), 0);
        assert!(lines(&mut engine).is_empty());
        engine.packet(&eoe(9), 0);
        let got = lines(&mut engine);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0]["auditd"]["message_type"], "login");
        assert_eq!(got[0]["auditd"]["data"]["syscall"], "execve");
        assert_eq!(got[0]["auditd"]["session"].as_str(), Some("3"));
    }
}

/// Looks as often as the engine asks for, until nothing is open; returns the time of the last look.
fn look(engine: &mut Engine, mut now: u64) -> u64 {
    while let Some(next) = engine.tick(now) {
        assert!(next > now);
        now = next;
    }
    now
}

#[test]
fn a_quiet_hosts_last_event_comes_by_the_clock() {
    let mut engine = engine(false);
    engine.packet(&syscall(1), 1_000);
    let over = look(&mut engine, 1_001);
    assert!((3_000..3_200).contains(&over), "{over}");
    let got = lines(&mut engine);
    assert_eq!(
        got[0]["tsauditd"]["incomplete"][0],
        "no end of the event came in time"
    );
    // A record without a system call around it is whole without an end marker.
    engine.packet(
        &packet(
            1305,
            "audit(1700000000.000:2): op=set audit_enabled=1 old=0 res=1",
        ),
        4_000,
    );
    let over = look(&mut engine, 4_001);
    assert!(over <= 4_100, "{over}");
    assert!(lines(&mut engine)[0]["tsauditd"]["incomplete"].is_null());
}

#[test]
fn a_call_that_is_held_up_between_its_records_is_one_event() {
    for silence in [100, 500, 1_900] {
        let mut engine = engine(false);
        engine.packet(&syscall(1), 0);
        engine.packet(&syscall(2), 0);
        let mut now = 0;
        while let Some(next) = engine.tick(now).filter(|next| *next < silence) {
            now = next;
        }
        for serial in [1, 2] {
            engine.packet(&proctitle(serial), silence);
            engine.packet(&eoe(serial), silence);
        }
        let got = lines(&mut engine);
        assert_eq!(got.iter().map(sequence).collect::<Vec<_>>(), [1, 2]);
        assert!(got.iter().all(|event| event["tsauditd"].is_null()));
    }
}

#[test]
fn what_came_while_nobody_looked_is_not_late() {
    let mut engine = engine(false);
    engine.packet(&syscall(1), 0);
    engine.packet(&syscall(2), 0);
    // Stopped for a minute; then the socket has what the kernel sent meanwhile, and is empty for a moment amid it.
    engine.packet(&eoe(2), 60_000);
    engine.tick(60_000);
    engine.packet(&proctitle(1), 60_100);
    engine.packet(&eoe(1), 60_100);
    let got = lines(&mut engine);
    assert_eq!(got.iter().map(sequence).collect::<Vec<_>>(), [2, 1]);
    assert!(got.iter().all(|event| event["tsauditd"].is_null()));
}

#[test]
fn a_busy_host_waits_longer_but_not_for_ever() {
    let mut engine = engine(false);
    engine.packet(&syscall(1), 0);
    for now in 0..40 {
        engine.packet(&syscall(now + 2), now * 50);
        engine.packet(&eoe(now + 2), now * 50);
        engine.tick(now * 50);
    }
    assert!(lines(&mut engine).iter().all(|event| sequence(event) != 1));
    engine.packet(&syscall(100), 2_001);
    let got = lines(&mut engine);
    assert_eq!(got.iter().map(sequence).collect::<Vec<_>>(), [1]);
}

/// An engine that has learned that markers tell nothing.
fn without_markers() -> Engine {
    let mut engine = engine(false);
    engine.rules_read(true, engine.doubts(), 0);
    for serial in 1.. {
        if engine.leaves_out_ends() {
            break;
        }
        assert!(serial < 10_000);
        for packet in [syscall(serial), proctitle(serial), eoe(serial)] {
            engine.packet(&packet, 0);
        }
    }
    lines(&mut engine);
    engine
}

#[test]
fn a_title_ends_its_event_once_all_have_one() {
    let mut engine = without_markers();
    for serial in 20_000..20_010 {
        engine.packet(&syscall(serial), 1);
        assert!(lines(&mut engine).is_empty());
        engine.packet(&proctitle(serial), 1);
        let got = lines(&mut engine);
        assert_eq!((sequence(&got[0]), originals(&got[0])), (serial, 2));
        // Of what was on its way when it was learned.
        engine.packet(&eoe(serial), 1);
        assert!(lines(&mut engine).is_empty());
    }
    assert_eq!(engine.counters().late, 0);
}

#[test]
fn an_operation_without_title_whose_marker_was_left_out_is_whole() {
    let mut engine = without_markers();
    let operation = "audit(1700000000.000:20000): uring_op=18 success=yes exit=0 items=0 pid=7";
    engine.packet(&packet(1336, operation), 1_000);
    assert!(!engine.leaves_out_ends());
    let over = look(&mut engine, 1_001);
    assert!(over <= 1_200, "{over}");
    assert!(lines(&mut engine)[0]["tsauditd"]["incomplete"].is_null());
}

#[test]
fn a_call_without_title_is_told_and_markers_are_wanted_again() {
    let mut engine = without_markers();
    engine.packet(&syscall(20_000), 1_000);
    look(&mut engine, 1_001);
    let got = lines(&mut engine);
    assert!(!got[0]["tsauditd"]["incomplete"].is_null());
    assert!(!engine.leaves_out_ends());
}

#[test]
fn a_late_record_is_an_addition() {
    let mut engine = engine(false);
    engine.packet(&syscall(1), 0);
    engine.packet(&eoe(1), 0);
    engine.packet(&proctitle(1), 5);
    engine.packet(&eoe(1), 5);
    engine.packet(&eoe(1), 6);
    let got = lines(&mut engine);
    assert_eq!(got.len(), 2);
    assert!(got[0]["tsauditd"]["addition"].is_null());
    assert_eq!(got[1]["tsauditd"]["addition"], true);
    assert_eq!(got[0]["event"]["id"], got[1]["event"]["id"]);
    assert_eq!(engine.counters().late, 1);
}

#[test]
fn a_serial_used_again_is_another_event() {
    let mut engine = engine(false);
    engine.packet(&syscall(1), 0);
    engine.packet(&eoe(1), 0);
    engine.packet(
        &packet(
            1300,
            "audit(1800000000.000:1): arch=c000003e syscall=59 items=0",
        ),
        1,
    );
    engine.packet(&packet(1320, "audit(1800000000.000:1): "), 1);
    let got = lines(&mut engine);
    assert_eq!(got.len(), 2);
    assert!(got[1]["tsauditd"]["addition"].is_null());
    assert_eq!(engine.counters().gaps, 0);
}

#[test]
fn clock_steps_are_harmless() {
    for step in [-3_600i64, 3_600] {
        let mut engine = engine(true);
        for serial in 1..=200u64 {
            let at = 1_700_000_000
                + if serial > 100 { step } else { 0 }
                + i64::try_from(serial).unwrap() / 50;
            engine.line_bytes(
                format!("type=SYSCALL msg=audit({at}.000:{serial}): syscall=1 items=0\n")
                    .as_bytes(),
            );
            engine.line_bytes(
                format!("type=CWD msg=audit({at}.000:{serial}): cwd=\"/\"\n").as_bytes(),
            );
        }
        engine.flush();
        let got = lines(&mut engine);
        assert_eq!(got.len(), 200);
        assert!(got.iter().all(|event| originals(event) == 2));
        assert_eq!(engine.counters().gaps, 0);
    }
}

#[test]
fn hosts_are_kept_apart() {
    let mut engine = engine(true);
    engine.line_bytes(
        b"node=a type=SYSCALL msg=audit(1700000000.000:1): syscall=59 items=0\n\
          node=b type=SYSCALL msg=audit(1700009999.000:1): syscall=59 items=0\n\
          node=a type=PROCTITLE msg=audit(1700000000.000:1): proctitle=\"a\"\n\
          node=b type=PROCTITLE msg=audit(1700009999.000:1): proctitle=\"b\"\n",
    );
    engine.flush();
    let got = lines(&mut engine);
    assert_eq!(got.len(), 2);
    for (event, host) in got.iter().zip(["a", "b"]) {
        assert_eq!(
            (
                event["host"]["name"].as_str(),
                event["process"]["title"].as_str()
            ),
            (Some(host), Some(host))
        );
    }
}

#[test]
fn what_never_ends_is_bounded_and_told() {
    let mut engine = engine(false);
    for serial in 0..100_000 {
        engine.packet(&syscall(serial), 0);
    }
    let early = lines(&mut engine);
    assert!(early.len() > 90_000);
    assert_eq!(
        early[0]["tsauditd"]["incomplete"][0],
        "too many unfinished events"
    );
    engine.flush();
    assert_eq!(early.len() + lines(&mut engine).len(), 100_000);
    let mut one = self::engine(false);
    for _ in 0..200_000 {
        one.packet(
            &packet(
                1302,
                &format!(
                    "audit(1700000000.000:1): item=0 name=\"{}\"",
                    "x".repeat(100)
                ),
            ),
            0,
        );
    }
    one.flush();
    let got = lines(&mut one);
    assert_eq!(
        got[0]["tsauditd"]["incomplete"][0],
        "the event is too large"
    );
    assert!(
        got[1..]
            .iter()
            .all(|event| event["tsauditd"]["addition"] == true)
    );
    assert_eq!(got.iter().map(originals).sum::<usize>(), 200_000);
}
