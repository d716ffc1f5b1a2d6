//! Who is put into a container that runs already begins a session there, if he has none.

use serde_json::Value;

use crate::host::{Host, Running, UNSET, entity};

const CONTAINER: &str = "0::/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";
const EXEC: &str = "/usr/bin/runc exec --process /tmp/p --detach \
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn host() -> (Running, Host) {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/init.scope");
    let shim = "/usr/bin/containerd-shim-runc-v2";
    running.start(30, 300, 1, 30, shim, "0::/system.slice/containerd.service");
    running.start(40, 400, 30, 40, "/bin/server", CONTAINER);
    let host = Host::live(&running);
    (running, host)
}

fn session(event: &Value) -> Option<&str> {
    event["tsauditd"]["session"]["id"].as_str()
}

#[test]
fn what_is_run_in_a_container_that_runs_has_a_session_of_its_own() {
    let (running, mut host) = host();
    let outside = host.exec_in(30, 50, EXEC, UNSET);
    assert_eq!(session(&outside), None);
    running.start(60, 600, 50, 60, "/bin/sh", CONTAINER);
    let first = host.exec_in(50, 60, "/bin/sh", UNSET);
    let wanted = format!("host-and-boot-and-{}", entity(&first));
    assert_eq!(session(&first), Some(&*wanted));
    assert_eq!(first["process"]["entry_leader"]["pid"], 60);
    // One that has ended before anybody could look at it, and one whose parent has ended meanwhile.
    let child = host.exec_in(60, 61, "/bin/ls", UNSET);
    assert_eq!(session(&child), Some(&*wanted));
    host.call(56, 62, 60, 61, "/bin/ls", UNSET);
    let grandchild = host.exec_in(61, 62, "/bin/id", UNSET);
    assert_eq!(session(&grandchild), Some(&*wanted));
    assert!(grandchild["auditd"].get("session").is_none());
    // The next one is another session.
    host.exec_in(30, 70, EXEC, UNSET);
    let second = host.exec_in(70, 71, "/bin/sh", UNSET);
    assert_eq!(
        session(&second),
        Some(&*format!("host-and-boot-and-{}", entity(&second)))
    );
}

#[test]
fn a_runtime_that_leaves_first_is_remembered_for_one_program() {
    let (running, mut host) = host();
    host.exec_in(30, 50, EXEC, UNSET);
    host.exec_in(30, 50, EXEC, UNSET); // it runs itself again
    running.start(60, 600, 30, 60, "/bin/sh", CONTAINER);
    let event = host.exec_in(30, 60, "/bin/sh", UNSET);
    assert_eq!(
        session(&event),
        Some(&*format!("host-and-boot-and-{}", entity(&event)))
    );
    // The shim starts the container's own process anew.
    running.start(61, 610, 30, 61, "/bin/server", CONTAINER);
    assert_eq!(session(&host.exec_in(30, 61, "/bin/server", UNSET)), None);
    // Into another container, and too late.
    let other = EXEC.replace("0123456789abcdef0123", "aaaaaaaaaaaaaaaaaaaa");
    host.exec_in(30, 51, &other, UNSET);
    running.start(62, 620, 30, 62, "/bin/sh", CONTAINER);
    assert_eq!(session(&host.exec_in(30, 62, "/bin/sh", UNSET)), None);
    host.exec_in(30, 52, EXEC, UNSET);
    host.seconds += 60;
    running.start(63, 630, 30, 63, "/bin/sh", CONTAINER);
    assert_eq!(session(&host.exec_in(30, 63, "/bin/sh", UNSET)), None);
}

#[test]
fn what_the_container_runs_by_itself_has_none() {
    let (_, mut host) = host();
    assert_eq!(session(&host.exec_in(30, 40, "/bin/server", UNSET)), None);
    assert_eq!(session(&host.exec_in(40, 41, "/bin/worker", UNSET)), None);
}

#[test]
fn who_has_a_log_in_keeps_it() {
    let (_, mut host) = host();
    host.exec(30, 50, EXEC);
    let inside = host.exec(50, 60, "/bin/sh");
    assert_eq!(session(&inside), Some("host-and-boot-and-7"));
}

#[test]
fn timelines_get_the_events_of_both_and_no_others() {
    let (_, mut host) = host();
    let given = |host: &mut Host| std::mem::take(host.engine.batch().1);
    host.exec_in(30, 50, EXEC, UNSET);
    assert_eq!(given(&mut host), b"");
    host.exec_in(50, 60, "/bin/sh", UNSET);
    assert!(!given(&mut host).is_empty());
    host.exec_in(40, 41, "/bin/worker", UNSET);
    assert_eq!(given(&mut host), b"");
    host.exec(40, 41, "/bin/worker");
    assert!(!given(&mut host).is_empty());
}
