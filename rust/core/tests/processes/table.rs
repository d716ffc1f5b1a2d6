//! Who is who: names, programs, numbers that pass on.

use proptest::prelude::*;

use crate::host::{Host, Running, entity, syscall};

#[test]
fn a_process_keeps_its_name_over_events_programs_and_daemons() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/init.scope");
    running.start(50, 500, 1, 50, "/bin/bash", "0::/a.service");
    running.start(60, 600, 50, 50, "/bin/ls", "0::/a.service");
    let mut host = Host::live(&running);
    let first = host.exec(50, 60, "/bin/ls -l");
    assert_eq!(first["process"]["start"], "1970-01-01T00:16:46.000Z");
    assert_eq!(first["process"]["parent"]["executable"], "/bin/bash");
    assert_eq!(
        first["process"]["parent"]["args"],
        serde_json::json!(["/bin/bash"])
    );
    assert_eq!(first["process"]["session_leader"]["pid"], 50);
    let again = host.open(50, 60, "/bin/ls");
    let other = host.exec(50, 60, "/bin/cat x");
    let restarted = Host::live(&running).open(50, 60, "/bin/ls");
    for event in [&again, &other, &restarted] {
        assert_eq!(entity(event), entity(&first));
    }
    assert_eq!(
        again["process"]["args"],
        serde_json::json!(["/bin/ls", "-l"])
    );
}

#[test]
fn a_number_that_passes_on_is_another_process() {
    let running = Running::default();
    running.start(50, 500, 1, 50, "/bin/bash", "");
    running.start(60, 600, 50, 50, "/bin/ls", "");
    let mut host = Host::live(&running);
    let one = host.exec(50, 60, "/bin/ls one");
    running.start(60, 900, 50, 50, "/bin/ls", "");
    let two = host.exec(50, 60, "/bin/ls two");
    assert_ne!(entity(&one), entity(&two));
    // A child that runs no program of its own is noticed by the look a minute later.
    running.start(60, 1200, 50, 50, "/bin/ls", "");
    host.seconds += 61;
    let three = host.open(50, 60, "/bin/ls");
    assert_ne!(entity(&two), entity(&three));
    // Gone before it could be looked at, then another one that lives.
    running.end(60);
    let gone = host.exec(50, 61, "/bin/ls");
    running.start(61, 1500, 50, 50, "/bin/ls", "");
    assert_ne!(entity(&gone), entity(&host.exec(50, 61, "/bin/ls")));
}

#[test]
fn a_number_is_looked_at_again_when_its_turn_has_come() {
    let running = Running::default();
    running.start(50, 500, 1, 50, "/bin/worker", "");
    running.start(60, 600, 50, 50, "/bin/worker", "");
    let mut host = Host::live(&running);
    host.engine.number_given(60);
    let one = host.open(50, 60, "/bin/worker");
    running.start(60, 601, 50, 50, "/bin/worker", "");
    host.engine.number_given(61);
    assert_eq!(
        entity(&one),
        entity(&host.open(50, 60, "/bin/worker")),
        "not looked at"
    );
    host.engine.number_given(10);
    host.engine.number_given(60);
    assert_ne!(entity(&one), entity(&host.open(50, 60, "/bin/worker")));
}

#[test]
fn a_log_tells_numbers_that_pass_on_by_ends_and_births() {
    let mut host = Host::offline();
    let one = host.exec(50, 60, "/bin/ls one");
    assert_eq!(
        entity(&one),
        entity(&host.exec(50, 60, "/bin/cat")),
        "one process, two programs"
    );
    host.call(231, 0, 50, 60, "/bin/cat", 7);
    let late = {
        host.seconds -= 5; // written before its end, and read after it
        host.open(50, 60, "/bin/cat")
    };
    assert_eq!(
        entity(&one),
        entity(&late),
        "an event that comes after the end"
    );
    host.seconds += 10;
    let two = host.exec(50, 60, "/bin/ls two");
    assert_ne!(entity(&one), entity(&two));
    host.exec(1, 50, "/bin/bash");
    host.call(57, 60, 1, 50, "/bin/bash", 7);
    assert_ne!(entity(&two), entity(&host.exec(50, 60, "/bin/ls three")));
}

#[test]
fn an_orphan_has_the_parent_that_took_it_up_and_stays_itself() {
    let mut host = Host::offline();
    host.exec(1, 50, "/bin/bash");
    let before = host.exec(50, 60, "/bin/sleep 9");
    let after = host.open(1, 60, "/bin/sleep");
    assert_eq!(entity(&before), entity(&after));
    assert_eq!(before["process"]["parent"]["executable"], "/bin/bash");
    assert_eq!(after["process"]["parent"], serde_json::json!({"pid": 1}));
}

#[test]
fn threads_are_no_processes_and_run_programs_as_their_process() {
    let mut host = Host::offline();
    let before = host.exec(50, 60, "/bin/java");
    // clone with CLONE_THREAD; the record's a0 is hex.
    let record = syscall(56, 61, 50, 60, "/bin/java", 7).replace("a0=11", "a0=3d0f00");
    host.records(&[(1300, record)]);
    // The kernel gives the thread that runs a program the number of its process (de_thread, fs/exec.c).
    let after = host.exec(50, 60, "/bin/ls");
    assert_eq!(entity(&before), entity(&after));
    assert!(host.exec(60, 61, "/bin/cat")["process"]["parent"]["executable"] == "/bin/ls");
}

#[test]
fn the_title_comes_from_the_table_when_the_kernel_leaves_it_out() {
    let mut host = Host::offline();
    let long = format!("/bin/ls {}", "x".repeat(200));
    let started = host.exec(50, 60, &long);
    let later = host.open(50, 60, "/bin/ls");
    assert_eq!(later["process"]["title"], long[..128]);
    assert_eq!(started["process"]["title"], long[..128]);
    assert_eq!(later["process"]["working_directory"], "/home");
    let child = host.open(60, 61, "/bin/ls");
    assert_eq!(
        child["process"]["title"],
        long[..128],
        "a child runs what its parent does"
    );
    let titled = host.records(&[
        (1300, syscall(257, 3, 50, 60, "/bin/ls", 7)),
        (1327, "proctitle=\"own\"".into()),
    ]);
    assert_eq!(titled["process"]["title"], "own");
}

#[test]
fn arguments_that_are_long_when_written_are_cut() {
    let mut host = Host::offline();
    let rude = "01".repeat(4_000);
    host.records(&[
        (1300, syscall(59, 0, 50, 60, "/bin/sh", 7)),
        (1309, format!("argc=3 a0=\"sh\" a1={rude} a2=\"end\"")),
    ]);
    let process = &host.open(50, 60, "/bin/sh")["process"];
    let args = process["args"].as_array().unwrap();
    assert_eq!((&args[0], args.len()), (&"sh".into(), 2));
    assert!(args[1].as_str().unwrap().len() > 600);
    assert_eq!(process["args_count"], 3);
    for member in ["args", "command_line"] {
        assert!(process[member].to_string().len() <= 4_096 + 8, "{member}");
    }
    let child = host.exec(60, 61, "/bin/id");
    assert!(child.to_string().len() < 16_384);
}

#[test]
fn a_fork_bomb_stays_within_bounds() {
    let mut host = Host::offline();
    let long = "x".repeat(4_000);
    for pid in 100..18_100 {
        host.exec(pid - 1, pid, &format!("/bin/bomb {long}"));
        host.call(57, i64::from(pid) + 1, pid - 1, pid, "/bin/bomb", 7);
    }
    let (processes, bytes) = host.engine.processes();
    assert!(processes <= 16_384, "{processes}");
    assert!(bytes <= 49 << 20, "{bytes}");
    assert_eq!(host.open(1, 7, "/bin/bash")["process"]["pid"], 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever comes in whatever order: of one pid between two programs nothing changes, and no event is lost.
    #[test]
    fn any_order_of_turns_is_taken(turns in prop::collection::vec((0u8..6, 1u32..12, 1u32..12), 1..200)) {
        let mut host = Host::offline();
        for (turn, parent, pid) in turns {
            let event = match turn {
                0 => host.exec(parent, pid, "/bin/a b"),
                1 => host.call(57, i64::from(parent), parent, pid, "/bin/a", 7),
                2 => host.call(231, 0, parent, pid, "/bin/a", 7),
                3 => host.call(112, i64::from(pid), parent, pid, "/bin/a", 7),
                4 => host.open(parent, pid, "/bin/c"),
                _ => host.open(parent, pid, "/bin/a"),
            };
            prop_assert_eq!(&event["process"]["pid"], pid);
            prop_assert_eq!(&event["process"]["parent"]["pid"], parent);
            prop_assert_eq!(entity(&event).len(), 16);
            let same = host.open(parent, pid, event["process"]["executable"].as_str().unwrap());
            if turn != 2 {
                prop_assert_eq!(entity(&event), entity(&same));
            }
        }
    }
}

#[test]
fn what_was_gone_before_it_was_looked_at_is_known_from_its_birth() {
    let running = Running::default();
    running.start(20, 200, 1, 20, "/bin/daemon start", "0::/\n");
    let mut host = Host::live(&running);
    host.exec(1, 20, "/bin/daemon start");
    // A double fork: both are gone when their events come, and the second was taken up by the first process.
    host.call(57, 30, 1, 20, "/bin/daemon", 7);
    let leader = host.call(112, 30, 20, 30, "/bin/daemon", 7);
    assert_eq!(leader["process"]["session_leader"]["pid"], 30);
    host.call(57, 31, 20, 30, "/bin/daemon", 7);
    host.call(231, 0, 20, 30, "/bin/daemon", 7);
    let last = host.open(1, 31, "/bin/daemon");
    assert_eq!(last["process"]["args"][1], "start");
    assert_eq!(last["process"]["session_leader"]["pid"], 30);
    assert!(last["process"]["start"].is_string());
}
