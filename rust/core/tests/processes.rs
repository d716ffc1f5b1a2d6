//! The process table by what the events say: who is who, started by whom, come by which door.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::Value;
use tsauditd_core::system::{Image, Stat};
use tsauditd_core::{Engine, Host, Settings, System};

/// A process: its stat, program, arguments and control group.
type Shown = (Stat, String, String, String);

/// What /proc would show; the tests change it as processes come and go.
#[derive(Default, Clone)]
struct Running(Arc<Mutex<HashMap<u32, Shown>>>);

impl Running {
    /// A process that runs now: start in ticks, parent, leader of its session, program, arguments, control group.
    fn start(&self, pid: u32, ticks: u64, parent: u32, session: u32, line: &str, cgroup: &str) {
        let stat = Stat {
            ticks,
            start: 1_000_000 + ticks * 10,
            parent,
            session,
            terminal: (0, 0),
        };
        let program = line.split(' ').next().unwrap().to_owned();
        let entry = (
            stat,
            program,
            line.replace(' ', "\0") + "\0",
            cgroup.to_owned(),
        );
        self.0.lock().unwrap().insert(pid, entry);
    }

    fn end(&self, pid: u32) {
        self.0.lock().unwrap().remove(&pid);
    }
}

/// The machine; `text` is room for an answer.
struct Machine {
    running: Running,
    text: Vec<u8>,
}

impl System for Machine {
    fn user(&mut self, _: u32) -> Option<&str> {
        None
    }
    fn group(&mut self, _: u32) -> Option<&str> {
        None
    }
    fn sees_processes(&self) -> bool {
        true
    }
    fn processes(&mut self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.running.0.lock().unwrap().keys().copied().collect();
        pids.sort_unstable();
        pids
    }
    fn stat(&mut self, pid: u32) -> Option<Stat> {
        self.running
            .0
            .lock()
            .unwrap()
            .get(&pid)
            .map(|found| found.0)
    }
    fn image(&mut self, pid: u32) -> Option<Image> {
        let running = self.running.0.lock().unwrap();
        let executable = running.get(&pid)?.1.clone().into_bytes();
        Some(Image {
            name: b"name".to_vec(),
            executable,
            ..Image::default()
        })
    }
    fn arguments(&mut self, pid: u32) -> Option<&[u8]> {
        self.text = self
            .running
            .0
            .lock()
            .unwrap()
            .get(&pid)?
            .2
            .clone()
            .into_bytes();
        Some(&self.text)
    }
    fn cgroup(&mut self, pid: u32) -> Option<&[u8]> {
        self.text = self
            .running
            .0
            .lock()
            .unwrap()
            .get(&pid)?
            .3
            .clone()
            .into_bytes();
        Some(&self.text)
    }
}

struct Host1 {
    engine: Engine,
    serial: u64,
    seconds: u64,
}

impl Host1 {
    fn live(running: &Running) -> Self {
        let host = Host {
            name: None,
            id: Some("host".into()),
            boot_id: Some("boot".into()),
        };
        let machine = Machine {
            running: running.clone(),
            text: Vec::new(),
        };
        let mut engine = Engine::new(
            Settings {
                host,
                ..Settings::default()
            },
            Box::new(machine),
        );
        engine.seed();
        Self {
            engine,
            serial: 1,
            seconds: 1_700_000_000,
        }
    }

    fn offline() -> Self {
        let engine = Engine::new(Settings::default(), Box::new(tsauditd_core::Nobody));
        Self {
            engine,
            serial: 1,
            seconds: 1_700_000_000,
        }
    }

    fn records(&mut self, records: &[(u16, String)]) -> Value {
        self.serial += 1;
        self.seconds += 1;
        for (kind, text) in records.iter().chain([&(1320, String::new())]) {
            let mut bytes = 0u32.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(format!("audit({}.000:{}): {text}", self.seconds, self.serial).as_bytes());
            self.engine.packet(&bytes, 1);
        }
        let text = std::mem::take(self.engine.output());
        serde_json::from_slice(&text).unwrap()
    }

    /// A system call of a process.
    fn call(&mut self, call: u32, exit: i64, parent: u32, pid: u32, exe: &str, ses: u32) -> Value {
        self.records(&[(1300, syscall(call, exit, parent, pid, exe, ses))])
    }

    fn open(&mut self, parent: u32, pid: u32, exe: &str) -> Value {
        self.call(257, 3, parent, pid, exe, 7)
    }

    fn exec(&mut self, parent: u32, pid: u32, line: &str) -> Value {
        self.exec_in(parent, pid, line, 7)
    }

    fn exec_in(&mut self, parent: u32, pid: u32, line: &str, ses: u32) -> Value {
        let words: Vec<&str> = line.split(' ').collect();
        let arguments: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(n, word)| format!("a{n}=\"{word}\""))
            .collect();
        self.records(&[
            (1300, syscall(59, 0, parent, pid, words[0], ses)),
            (
                1309,
                format!("argc={} {}", words.len(), arguments.join(" ")),
            ),
            (1307, "cwd=\"/home\"".into()),
        ])
    }
}

fn syscall(call: u32, exit: i64, parent: u32, pid: u32, exe: &str, ses: u32) -> String {
    let comm = exe.rsplit('/').next().unwrap();
    format!(
        "arch=c000003e syscall={call} success=yes exit={exit} a0=11 a1=0 a2=0 a3=0 items=0 ppid={parent} pid={pid} \
         auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts1 ses={ses} comm=\"{comm}\" \
         exe=\"{exe}\" key=(null)"
    )
}

const UNSET: u32 = u32::MAX;

fn entity(event: &Value) -> &str {
    event["process"]["entity_id"].as_str().unwrap()
}

#[test]
fn a_process_keeps_its_name_over_events_programs_and_daemons() {
    let running = Running::default();
    running.start(1, 0, 0, 1, "/sbin/init", "0::/init.scope");
    running.start(50, 500, 1, 50, "/bin/bash", "0::/a.service");
    running.start(60, 600, 50, 50, "/bin/ls", "0::/a.service");
    let mut host = Host1::live(&running);
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
    let restarted = Host1::live(&running).open(50, 60, "/bin/ls");
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
    let mut host = Host1::live(&running);
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
fn a_log_tells_numbers_that_pass_on_by_ends_and_births() {
    let mut host = Host1::offline();
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
fn a_double_fork_keeps_its_line() {
    let mut host = Host1::offline();
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

#[test]
fn an_orphan_has_the_parent_that_took_it_up_and_stays_itself() {
    let mut host = Host1::offline();
    host.exec(1, 50, "/bin/bash");
    let before = host.exec(50, 60, "/bin/sleep 9");
    let after = host.open(1, 60, "/bin/sleep");
    assert_eq!(entity(&before), entity(&after));
    assert_eq!(before["process"]["parent"]["executable"], "/bin/bash");
    assert_eq!(after["process"]["parent"], serde_json::json!({"pid": 1}));
}

#[test]
fn threads_are_no_processes_and_run_programs_as_their_process() {
    let mut host = Host1::offline();
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
    let mut host = Host1::offline();
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
    let mut host = Host1::live(&running);
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
    let mut host = Host1::offline();
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
    let mut host = Host1::live(&running);
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
fn arguments_that_are_long_when_written_are_cut() {
    let mut host = Host1::offline();
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
    let mut host = Host1::offline();
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
        let mut host = Host1::offline();
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
    let mut host = Host1::live(&running);
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
