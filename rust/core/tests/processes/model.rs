//! A made-up machine that does whatever bytes say: processes that fork, run programs, make sessions, enter containers,
//! end and leave their numbers to others; and what the events must say of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tsauditd_core::system::{Image, Stat};
use tsauditd_core::{Engine, Host, Settings, System};

const FIRST: u32 = 1;
/// Numbers that processes get: few, so that they come again.
const NUMBERS: std::ops::Range<u32> = 3..24;
const PROGRAMS: [&str; 6] = [
    "/bin/a",
    "/bin/b",
    "/usr/sbin/sshd",
    "/usr/sbin/cron",
    "/usr/bin/runc",
    "/usr/bin/systemd-nspawn",
];

/// A process as it is.
#[derive(Debug, Clone)]
struct Alive {
    ticks: u64,
    parent: u32,
    session: u32,
    program: &'static str,
    container: Option<u8>,
}

type Processes = Arc<Mutex<BTreeMap<u32, Alive>>>;

/// What /proc shows.
struct Machine {
    processes: Processes,
    text: Vec<u8>,
}

impl Machine {
    fn get(&self, pid: u32) -> Option<Alive> {
        self.processes.lock().ok()?.get(&pid).cloned()
    }
}

fn started(ticks: u64) -> u64 {
    1_600_000_000_000 + ticks * 10
}

fn identity(container: u8) -> String {
    format!("{container:064x}")
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
        let processes = self.processes.lock();
        processes.map_or_else(|_| Vec::new(), |all| all.keys().copied().collect())
    }

    fn stat(&mut self, pid: u32) -> Option<Stat> {
        let alive = self.get(pid)?;
        Some(Stat {
            ticks: alive.ticks,
            start: started(alive.ticks),
            parent: alive.parent,
            session: alive.session,
            terminal: (0, 0),
        })
    }

    fn image(&mut self, pid: u32) -> Option<Image> {
        Some(Image {
            executable: self.get(pid)?.program.into(),
            name: b"name".to_vec(),
            ..Image::default()
        })
    }

    fn arguments(&mut self, pid: u32) -> Option<&[u8]> {
        self.text = format!("{}\0", self.get(pid)?.program).into_bytes();
        Some(&self.text)
    }

    fn cgroup(&mut self, pid: u32) -> Option<&[u8]> {
        let path = match self.get(pid)?.container {
            Some(container) => format!("system.slice/docker-{}.scope", identity(container)),
            None => "system.slice/a.service".to_owned(),
        };
        self.text = format!("0::/{path}\n").into_bytes();
        Some(&self.text)
    }
}

/// The machine, the engine that is told of it, and who was called what.
pub struct World {
    processes: Processes,
    engine: Engine,
    serial: u64,
    /// Milliseconds since the epoch.
    now: u64,
    /// The number that was given last.
    newest: u32,
    /// The names of processes by number and start, and the other way round.
    names: HashMap<(u32, u64), String>,
    owners: HashMap<String, (u32, u64)>,
}

impl World {
    /// One that has just started.
    #[must_use]
    pub fn new() -> Self {
        let first = Alive {
            ticks: 1,
            parent: 0,
            session: 1,
            program: "/sbin/init",
            container: None,
        };
        let processes: Processes = Arc::new(Mutex::new([(FIRST, first)].into()));
        let machine = Machine {
            processes: Arc::clone(&processes),
            text: Vec::new(),
        };
        let host = Host {
            name: None,
            id: Some("host".into()),
            boot_id: Some("boot".into()),
        };
        let settings = Settings {
            host,
            ..Settings::default()
        };
        let mut engine = Engine::new(settings, Box::new(machine));
        engine.seed();
        Self {
            processes,
            engine,
            serial: 0,
            now: started(1_000),
            newest: FIRST,
            names: HashMap::new(),
            owners: HashMap::new(),
        }
    }

    /// Does one thing. Told is of all of it with `births`, or else of what processes open and run.
    ///
    /// # Panics
    /// When an event does not say what it must.
    pub fn act(&mut self, what: u8, who: u8, with: u8, births: bool) {
        self.now += 20;
        let all: Vec<u32> = self.get(|all| all.keys().copied().collect());
        let pid = all[usize::from(who) % all.len()];
        match what % 8 {
            0 | 1 => self.fork(pid, with, births),
            2 => self.run(pid, PROGRAMS[usize::from(with) % PROGRAMS.len()], births),
            3 if pid != FIRST => self.lead(pid, births),
            4 if pid != FIRST => self.end(pid, births),
            5 if pid != FIRST => self.enter(pid, with % 4, births),
            6 => self.now += u64::from(with) * 500,
            7 if pid != FIRST => {
                // It opens something, and has ended when that is read.
                let alive = self.get(|all| all[&pid].clone());
                self.end(pid, false);
                let record = self.call(pid, &alive, 257, 3);
                let event = self.told(&[(1300, record)]);
                if births {
                    self.is_called(pid, alive.ticks, &event);
                }
                if births {
                    let record = self.call(pid, &alive, 231, 0);
                    self.told(&[(1300, record)]);
                }
            }
            _ => {
                let alive = self.get(|all| all[&pid].clone());
                let record = self.call(pid, &alive, 257, 3);
                let event = self.told(&[(1300, record)]);
                self.is_told(pid, &event, births);
            }
        }
    }

    fn get<T>(&self, look: impl FnOnce(&BTreeMap<u32, Alive>) -> T) -> T {
        look(&self.processes.lock().unwrap())
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Alive>)) {
        change(&mut self.processes.lock().unwrap());
    }

    fn fork(&mut self, parent: u32, with: u8, births: bool) {
        // A whole round takes long: the newest number is not given again at once.
        let free = |pid: &u32| {
            *pid != self.newest
                && self.get(|all| {
                    !all.contains_key(pid) && all.values().all(|one| one.session != *pid)
                })
        };
        // In turn, and sometimes a good deal later in it.
        let from = self.newest + 1 + u32::from(with & 0x80 != 0) * u32::from(with % 16);
        let turn = (from..NUMBERS.end).chain(NUMBERS);
        let Some(pid) = turn.into_iter().find(free) else {
            return;
        };
        self.newest = pid;
        let ticks = (self.now - 1_600_000_000_000) / 10;
        let old = self.get(|all| all[&parent].clone());
        let child = Alive {
            ticks,
            parent,
            ..old.clone()
        };
        self.change(|all| {
            all.insert(pid, child);
        });
        if births {
            // In a container the number is the container's own.
            let number = if old.container.is_some() {
                u32::from(with)
            } else {
                pid
            };
            let record = self.call(parent, &old, 56, i64::from(number));
            let event = self.told(&[(1300, record)]);
            self.is_told(parent, &event, births);
        }
    }

    fn run(&mut self, pid: u32, program: &'static str, births: bool) {
        self.change(|all| {
            if let Some(one) = all.get_mut(&pid) {
                one.program = program;
            }
        });
        let alive = self.get(|all| all[&pid].clone());
        let line = match program {
            "/usr/bin/runc" => "argc=3 a0=\"runc\" a1=\"run\" a2=\"hand\"".to_owned(),
            _ => format!("argc=1 a0=\"{program}\""),
        };
        let record = self.call(pid, &alive, 59, 0);
        let event = self.told(&[(1300, record), (1309, line)]);
        self.is_told(pid, &event, births);
    }

    fn lead(&mut self, pid: u32, births: bool) {
        self.change(|all| {
            if let Some(one) = all.get_mut(&pid) {
                one.session = pid;
            }
        });
        if births {
            let alive = self.get(|all| all[&pid].clone());
            let record = self.call(pid, &alive, 112, i64::from(pid));
            let event = self.told(&[(1300, record)]);
            self.is_told(pid, &event, births);
        }
    }

    /// As runtimes do it: whoever goes in leads a session of its own, and runs another program.
    fn enter(&mut self, pid: u32, container: u8, births: bool) {
        if self.get(|all| all[&pid].container.is_some() || all[&pid].session == pid) {
            return;
        }
        self.lead(pid, births);
        self.change(|all| {
            if let Some(one) = all.get_mut(&pid) {
                one.container = Some(container);
            }
        });
        self.run(pid, "/bin/a", births);
    }

    fn end(&mut self, pid: u32, births: bool) {
        let alive = self.get(|all| all[&pid].clone());
        if births {
            let record = self.call(pid, &alive, 231, 0);
            let event = self.told(&[(1300, record)]);
            self.is_told(pid, &event, births);
        }
        self.change(|all| {
            all.remove(&pid);
            for one in all.values_mut().filter(|one| one.parent == pid) {
                one.parent = FIRST;
            }
        });
    }

    fn call(&self, pid: u32, alive: &Alive, call: u32, exit: i64) -> String {
        format!(
            "arch=c000003e syscall={call} success=yes exit={exit} a0=11 a1=0 a2=0 a3=0 items=0 ppid={} pid={pid} \
             auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 \
             comm=\"name\" exe=\"{}\" key=(null)",
            alive.parent, alive.program
        )
    }

    /// Has the engine told of a system call; returns its one line.
    fn told(&mut self, records: &[(u16, String)]) -> Value {
        self.serial += 1;
        self.engine.number_given(self.newest);
        for (kind, text) in records.iter().chain([&(1320, String::new())]) {
            let mut bytes = 0u32.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            let (seconds, millis) = (self.now / 1000, self.now % 1000);
            bytes
                .extend(format!("audit({seconds}.{millis:03}:{}): {text}", self.serial).as_bytes());
            self.engine.packet(&bytes, 1);
        }
        let text = std::mem::take(self.engine.output());
        serde_json::from_slice(&text).expect("one line of JSON")
    }

    /// Of a process that is there: everything.
    fn is_told(&mut self, pid: u32, event: &Value, births: bool) {
        let alive = self.get(|all| all[&pid].clone());
        self.is_called(pid, alive.ticks, event);
        let process = &event["process"];
        assert_eq!(process["pid"], pid);
        assert_eq!(process["parent"]["pid"], alive.parent);
        assert_eq!(process["executable"], alive.program);
        if births {
            assert_eq!(process["session_leader"]["pid"], alive.session, "{event}");
        }
        let container = alive.container.map(identity);
        assert_eq!(
            event["container"]["id"].as_str(),
            container.as_deref(),
            "{event}"
        );
    }

    /// A process is called the same as long as it lives, and no other is.
    fn is_called(&mut self, pid: u32, ticks: u64, event: &Value) {
        let name = event["process"]["entity_id"].as_str().expect("a name");
        let known = self
            .names
            .entry((pid, ticks))
            .or_insert_with(|| name.to_owned());
        assert_eq!(known, name, "{event}");
        let owner = self.owners.entry(name.to_owned()).or_insert((pid, ticks));
        assert_eq!(*owner, (pid, ticks), "{event}");
    }
}
