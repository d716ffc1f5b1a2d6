//! A machine whose processes the tests make up, and the events of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tsauditd_core::system::{Image, Stat};
use tsauditd_core::{Engine, Settings, System};

/// A process: its stat, program, arguments and control group.
type Shown = (Stat, String, String, String);

/// What /proc would show; the tests change it as processes come and go.
#[derive(Default, Clone)]
pub struct Running(Arc<Mutex<HashMap<u32, Shown>>>);

impl Running {
    /// A process that runs now: start in ticks, parent, leader of its session, program, arguments, control group.
    pub fn start(&self, pid: u32, ticks: u64, parent: u32, session: u32, line: &str, cgroup: &str) {
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

    pub fn end(&self, pid: u32) {
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
        self.of(pid, |shown| shown.0)
    }
    fn image(&mut self, pid: u32) -> Option<Image> {
        self.of(pid, |shown| Image {
            name: b"name".to_vec(),
            executable: shown.1.clone().into_bytes(),
            ..Image::default()
        })
    }
    fn arguments(&mut self, pid: u32) -> Option<&[u8]> {
        self.text = self.of(pid, |shown| shown.2.clone().into_bytes())?;
        Some(&self.text)
    }
    fn cgroup(&mut self, pid: u32) -> Option<&[u8]> {
        self.text = self.of(pid, |shown| shown.3.clone().into_bytes())?;
        Some(&self.text)
    }
}

impl Machine {
    fn of<T>(&self, pid: u32, what: impl Fn(&Shown) -> T) -> Option<T> {
        self.running.0.lock().unwrap().get(&pid).map(what)
    }
}

pub struct Host {
    pub engine: Engine,
    serial: u64,
    pub seconds: u64,
}

impl Host {
    pub fn live(running: &Running) -> Self {
        let host = tsauditd_core::Host {
            name: None,
            id: Some("host-and-machine".into()),
            boot_id: Some("boot-and-days".into()),
        };
        let machine = Machine {
            running: running.clone(),
            text: Vec::new(),
        };
        let mut engine = Engine::new(
            Settings {
                host,
                timelines: true,
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

    pub fn offline() -> Self {
        let engine = Engine::new(Settings::default(), Box::new(tsauditd_core::Nobody));
        Self {
            engine,
            serial: 1,
            seconds: 1_700_000_000,
        }
    }

    pub fn records(&mut self, records: &[(u16, String)]) -> Value {
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
    pub fn call(
        &mut self,
        call: u32,
        exit: i64,
        parent: u32,
        pid: u32,
        exe: &str,
        ses: u32,
    ) -> Value {
        self.records(&[(1300, syscall(call, exit, parent, pid, exe, ses))])
    }

    pub fn open(&mut self, parent: u32, pid: u32, exe: &str) -> Value {
        self.call(257, 3, parent, pid, exe, 7)
    }

    pub fn exec(&mut self, parent: u32, pid: u32, line: &str) -> Value {
        self.exec_in(parent, pid, line, 7)
    }

    pub fn exec_in(&mut self, parent: u32, pid: u32, line: &str, ses: u32) -> Value {
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

pub fn syscall(call: u32, exit: i64, parent: u32, pid: u32, exe: &str, ses: u32) -> String {
    let comm = exe.rsplit('/').next().unwrap();
    format!(
        "arch=c000003e syscall={call} success=yes exit={exit} a0=11 a1=0 a2=0 a3=0 items=0 ppid={parent} pid={pid} \
         auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts1 ses={ses} comm=\"{comm}\" \
         exe=\"{exe}\" key=(null)"
    )
}

pub const UNSET: u32 = u32::MAX;

pub fn entity(event: &Value) -> &str {
    event["process"]["entity_id"].as_str().unwrap()
}
