//! Sessions and doors by what the events and /proc say: who leads, and how it came to be on the host.

use serde_json::Value;

use crate::host::{Host, Running, UNSET};

#[test]
fn doors() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/init.scope");
    running.start(
        10,
        10,
        1,
        10,
        "/usr/sbin/sshd",
        "0::/system.slice/ssh.service",
    );
    running.start(
        11,
        11,
        1,
        11,
        "/usr/sbin/cron",
        "0::/system.slice/cron.service",
    );
    running.start(
        12,
        12,
        1,
        12,
        "/bin/login",
        "0::/user.slice/user-0.slice/session-1.scope",
    );
    running.start(
        20,
        20,
        10,
        20,
        "/usr/lib/openssh/sshd-session",
        "0::/system.slice/ssh.service",
    );
    running.start(
        21,
        21,
        20,
        20,
        "/usr/lib/openssh/sshd-session",
        "0::/system.slice/ssh.service",
    );
    let mut host = Host::live(&running);
    let login = "pid=20 uid=0 auid=1000 ses=7 msg='op=login acct=\"a\" exe=\"/usr/lib/openssh/sshd-session\" \
                 hostname=? addr=::ffff:192.0.2.7 terminal=/dev/pts/1 res=success'";
    host.records(&[(1112, login.into())]);
    let door = |event: &Value| {
        let leader = &event["process"]["entry_leader"];
        (
            leader["pid"].as_u64().unwrap(),
            leader["entry_meta"]["type"].as_str().unwrap().to_owned(),
        )
    };
    running.start(
        30,
        30,
        21,
        30,
        "/bin/bash",
        "0::/user.slice/user-0.slice/session-7.scope",
    );
    let shell = host.exec(21, 30, "/bin/bash");
    assert_eq!(door(&shell), (30, "sshd".into()));
    assert_eq!(
        shell["process"]["entry_leader"]["entry_meta"]["source"]["ip"],
        "192.0.2.7"
    );
    running.start(
        31,
        31,
        30,
        30,
        "/bin/ls",
        "0::/user.slice/user-0.slice/session-7.scope",
    );
    assert_eq!(door(&host.exec(30, 31, "/bin/ls")), (30, "sshd".into()));
    // sudo makes a session of its own, which came by the same door.
    running.start(
        32,
        32,
        30,
        32,
        "/usr/bin/sudo",
        "0::/user.slice/user-0.slice/session-7.scope",
    );
    let own = host.exec(30, 32, "/usr/bin/sudo");
    assert_eq!(
        (door(&own).0, &own["process"]["session_leader"]["pid"]),
        (30, &32.into())
    );
    running.start(33, 33, 11, 33, "/bin/sh", "0::/system.slice/cron.service");
    assert_eq!(
        door(&host.exec_in(11, 33, "/bin/sh -c job", 8)),
        (33, "cron".into())
    );
    running.start(
        34,
        34,
        12,
        34,
        "/bin/bash",
        "0::/user.slice/user-0.slice/session-1.scope",
    );
    assert_eq!(
        door(&host.exec_in(12, 34, "/bin/bash", 1)),
        (34, "console".into())
    );
    running.start(
        35,
        35,
        1,
        35,
        "/usr/sbin/nginx",
        "0::/system.slice/nginx.service",
    );
    assert_eq!(
        door(&host.exec_in(1, 35, "/usr/sbin/nginx", UNSET)),
        (35, "systemd".into())
    );
    let id = "0123456789abcdef".repeat(4);
    running.start(
        36,
        36,
        35,
        36,
        "/bin/sh",
        &format!("0::/system.slice/docker-{id}.scope\n"),
    );
    assert_eq!(
        door(&host.exec_in(35, 36, "/bin/sh", UNSET)),
        (36, "container".into())
    );
    // Gone before it could be looked at: it is where its parent is.
    assert_eq!(
        door(&host.exec_in(36, 37, "/bin/true", UNSET)),
        (36, "container".into())
    );
    // Its line is broken, its log-in is not.
    running.start(
        38,
        38,
        1,
        30,
        "/bin/sleep",
        "0::/user.slice/user-0.slice/session-7.scope",
    );
    assert_eq!(door(&host.exec(1, 38, "/bin/sleep 9")), (30, "sshd".into()));
}

#[test]
fn a_program_that_takes_the_name_of_a_door_is_none() {
    let mut host = Host::offline();
    host.exec_in(1, 40, "/usr/sbin/sshd -D", UNSET);
    let shell = host.exec(40, 50, "/bin/bash");
    assert_eq!(
        shell["process"]["entry_leader"]["entry_meta"]["type"],
        "sshd"
    );
    // The second is the first in a mount namespace of the user's own.
    for (pid, fake) in [
        (60, "/tmp/sshd"),
        (70, "/usr/sbin/cron"),
        (80, "/home/a/login"),
    ] {
        host.exec(50, pid, fake);
        let child = host.exec(pid, pid + 1, "/bin/id");
        assert_eq!(child["process"]["entry_leader"]["pid"], 50, "{fake}");
    }
    // Left by its parents before it was seen.
    host.exec(1, 90, "/tmp/cron");
    let child = host.exec(90, 91, "/bin/id");
    assert_eq!(child["process"]["entry_leader"]["pid"], 50);
    // The job of a cron that somebody has started by hand has a log-in of its own.
    host.exec(50, 100, "/usr/sbin/cron");
    let job = host.exec_in(100, 101, "/bin/sh -c job", 9);
    assert_eq!(job["process"]["entry_leader"]["entry_meta"]["type"], "cron");
}

#[test]
fn what_a_program_writes_of_itself_is_not_believed_while_it_can_be_looked_at() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "");
    running.start(60, 600, 1, 60, "/tmp/tool", "");
    let mut host = Host::live(&running);
    let told = "uid=0 auid=1000 ses=7 msg='op=login id=0 exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.66 \
                terminal=ssh res=success'";
    running.start(61, 610, 60, 61, "/tmp/tool", "");
    for pid in [60, 61, 62] {
        host.records(&[(1112, format!("pid={pid} {told}"))]);
        running.start(pid + 10, 700, pid, pid + 10, "/bin/id", "");
        let child = host.exec(pid, pid + 10, "/bin/id");
        let process = &child["process"];
        assert_ne!(process["parent"]["executable"], "/usr/sbin/sshd", "{pid}");
        let meta = &process["entry_leader"]["entry_meta"];
        assert_ne!(meta["type"], "sshd", "{pid}");
        assert_eq!(meta.get("source"), None, "{pid}");
    }
}

#[test]
fn a_double_fork_keeps_its_line() {
    let mut host = Host::offline();
    host.exec_in(1, 40, "/usr/sbin/sshd -D", UNSET);
    host.exec(40, 50, "/bin/bash");
    host.call(57, 60, 40, 50, "/bin/bash", 7);
    host.call(57, 70, 50, 60, "/bin/bash", 7);
    host.call(231, 0, 50, 60, "/bin/bash", 7);
    let orphan = host.exec(1, 70, "/bin/sleep 9");
    assert_eq!(orphan["process"]["parent"]["pid"], 1);
    assert_eq!(orphan["process"]["entry_leader"]["pid"], 50);
    assert_eq!(
        orphan["process"]["entry_leader"]["entry_meta"]["type"],
        "sshd"
    );
}

fn leader(event: &Value, of: &str) -> (u64, bool) {
    let leader = &event["process"][of];
    (
        leader["pid"].as_u64().unwrap_or_default(),
        leader["entity_id"].is_string(),
    )
}

fn came_by(event: &Value) -> &str {
    let meta = &event["process"]["entry_leader"]["entry_meta"];
    meta["type"].as_str().unwrap_or_default()
}

#[test]
fn a_session_whose_leader_has_gone_is_known_by_its_number() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/");
    running.start(50, 500, 1, 40, "/bin/runner", "0::/");
    let mut host = Host::live(&running);
    running.start(60, 600, 50, 40, "/bin/ls", "0::/");
    let seen = [
        host.open(1, 50, "/bin/runner"),
        host.exec_in(50, 60, "/bin/ls", UNSET),
    ];
    running.end(60);
    // Gone before it could be looked at: it is in its parent's.
    for event in seen.iter().chain([&host.open(60, 61, "/bin/ls")]) {
        assert_eq!(leader(event, "session_leader"), (40, false), "{event}");
        assert_eq!(leader(event, "entry_leader"), (50, true), "{event}");
        assert_eq!(came_by(event), "unknown");
    }
    // A process that led no session when it was seen is not who had this number as a session's leader.
    running.start(62, 620, 50, 63, "/bin/ls", "0::/");
    host.open(50, 63, "/bin/other");
    let event = host.exec(50, 62, "/bin/ls");
    assert_eq!(leader(&event, "session_leader"), (63, false));
    // One that has made a session since it was seen, and another that has a number which was seen before.
    for (number, ticks) in [(64, 640), (65, 650)] {
        running.start(number, 630, 50, 40, "/bin/other", "0::/");
        host.open(50, number, "/bin/other");
        running.start(number, ticks, 50, number, "/bin/daemon", "0::/");
        running.start(66, ticks, 50, number, "/bin/ls", "0::/");
        let event = host.exec(50, 66, "/bin/ls");
        assert_eq!(leader(&event, "session_leader"), (u64::from(number), true));
        running.end(66);
    }
}

#[test]
fn what_the_first_process_starts_without_a_session_is_in_none() {
    let running = Running::default();
    running.start(1, 0, 0, 0, "/init", "0::/");
    running.start(2, 0, 0, 0, "", "0::/");
    running.start(20, 5, 2, 0, "", "0::/");
    running.start(30, 300, 1, 0, "/bin/agent", "0::/");
    running.start(40, 400, 30, 0, "/bin/runner", "0::/");
    let mut host = Host::live(&running);
    running.start(60, 600, 40, 0, "/bin/ls", "0::/");
    let all = [
        host.exec_in(40, 60, "/bin/ls", UNSET),
        host.open(60, 61, "/bin/ls"),
    ];
    for event in &all {
        assert_eq!(leader(event, "session_leader"), (0, false));
        assert_eq!(leader(event, "entry_leader"), (30, true));
        assert_eq!(came_by(event), "systemd");
    }
    // Left by its parent and taken up by the first process, it has come by the same door.
    host.call(57, 70, 40, 60, "/bin/ls", UNSET);
    running.start(70, 700, 1, 0, "/bin/ls", "0::/");
    for event in [
        host.call(257, 3, 1, 70, "/bin/ls", UNSET),
        host.exec_in(1, 70, "/bin/cat", UNSET),
    ] {
        assert_eq!(leader(&event, "entry_leader"), (30, true), "{event}");
    }
    // The kernel starts programs by threads of its own.
    running.start(80, 800, 20, 0, "/sbin/modprobe", "0::/");
    let event = host.exec_in(20, 80, "/sbin/modprobe x", UNSET);
    assert_eq!(leader(&event, "entry_leader"), (80, true));
    assert_eq!(came_by(&event), "unknown");
}

#[test]
fn a_session_of_the_first_process_is_told_and_is_no_entry() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/");
    let mut host = Host::live(&running);
    running.start(30, 300, 1, 1, "/bin/agent", "0::/");
    let event = host.exec_in(1, 30, "/bin/agent", UNSET);
    assert_eq!(leader(&event, "session_leader"), (1, true));
    assert_eq!(leader(&event, "entry_leader"), (30, true));
    assert_eq!(came_by(&event), "systemd");
}

#[test]
fn who_is_in_the_session_of_a_container_is_in_the_container() {
    let id = "0123456789abcdef".repeat(4);
    let inside = format!("0::/system.slice/docker-{id}.scope\n");
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/");
    running.start(30, 300, 1, 30, "/bin/bash", "0::/");
    running.start(50, 500, 30, 50, "/bin/sh", &inside);
    let mut host = Host::live(&running);
    let first = host.exec(30, 50, "/bin/sh");
    assert_eq!(first["container"]["id"], id.as_str());
    // Its parent was never seen; its own control group is there to be read, or no more.
    for (pid, cgroup) in [(60, inside.as_str()), (61, "")] {
        running.start(pid, 600, 59, 50, "/bin/ls", cgroup);
        let event = host.exec(59, pid, "/bin/ls");
        assert_eq!(event["container"]["id"], id.as_str(), "{pid}");
        assert_eq!(leader(&event, "entry_leader"), (50, true), "{pid}");
    }
    // Nothing is there to say that it is in the container: nor does its entry.
    let event = host.exec(59, 62, "/bin/ls");
    assert_eq!(event.get("container"), None);
    assert_ne!(came_by(&event), "container");
}

#[test]
fn the_shell_of_a_login_at_a_console_is_its_entry_with_a_session_or_without() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/");
    running.start(40, 400, 1, 40, "/usr/bin/login", "0::/");
    let mut host = Host::live(&running);
    // util-linux's login makes a session for the shell, shadow's does not; it starts others, which are no shells.
    for (pid, session) in [(50, 50), (51, 40)] {
        running.start(pid, 500, 40, session, "/bin/bash", "0::/");
        let records = [
            (1300, crate::host::syscall(59, 0, 40, pid, "/bin/bash", 7)),
            (1309, "argc=1 a0=\"-bash\"".to_owned()),
        ];
        let event = host.records(&records);
        assert_eq!(leader(&event, "entry_leader"), (pid.into(), true));
        assert_eq!(came_by(&event), "console", "{pid}");
        assert_eq!(came_by(&host.exec(pid, pid + 10, "/bin/ls")), "console");
    }
    running.start(52, 520, 40, 40, "/bin/run-parts", "0::/");
    let event = host.exec(40, 52, "/bin/run-parts /etc/update-motd.d");
    assert_eq!(leader(&event, "entry_leader"), (40, true));
}
