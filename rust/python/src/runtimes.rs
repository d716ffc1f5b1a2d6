//! What container runtimes know of their containers, from the files that they keep. The reading thread never waits for a
//! file: another thread reads, and what is not known yet is missing in this event and there in a later one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, read_dir};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tsauditd_core::container::{Container, is_name, state};
use tsauditd_core::{Details, Rendered};

/// Names change (`docker rename`): known containers are read again after this.
const KNOWN_MS: u64 = 10 * 60 * 1000;

/// One that nothing is known of is asked for again after this.
const UNKNOWN_MS: u64 = 60 * 1000;

/// Runtimes write some of their files after the container's first process has started: so often it is looked for them,
/// after pauses that double, three seconds in all.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Containers remembered before all are forgotten, and questions that may wait.
const REMEMBERED: usize = 1 << 12;
const WAITING_QUESTIONS: usize = 1 << 8;

/// The largest file read; the list of all containers of a large host is a few hundred KiB.
const LONGEST_FILE: u64 = 8 << 20;

/// Namespaces of containerd looked into.
const MOST_NAMESPACES: usize = 64;

struct Known {
    /// Without an answer so far: what the control group says.
    rendered: Rendered,
    ask_at: u64,
}

/// Answers on their way back.
#[derive(Default)]
struct Answers {
    given: AtomicU64,
    list: Mutex<Vec<(Container, Option<Rendered>)>>,
}

/// The containers known so far.
pub struct Runtimes {
    known: HashMap<Container, Known>,
    questions: SyncSender<Container>,
    answers: Arc<Answers>,
    /// How many answers were given when they were last taken.
    learned: u64,
    /// How often an answer changed something, or somebody is to be asked again.
    changes: u64,
    /// When that is the next time.
    due: u64,
    now_ms: Arc<AtomicU64>,
}

/// A question that had no answer yet.
struct Open {
    container: Container,
    tries: u32,
    next: Instant,
}

/// Answers questions until nobody can ask any more. Sleeps while there is none.
fn answer(questions: &Receiver<Container>, answers: &Answers) {
    let mut open: Vec<Open> = Vec::new();
    loop {
        let asked = match open.iter().map(|open| open.next).min() {
            None => questions.recv().map_err(RecvTimeoutError::from),
            Some(next) => questions.recv_timeout(next.saturating_duration_since(Instant::now())),
        };
        let now = Instant::now();
        match asked {
            Ok(container) => open.push(Open {
                container,
                tries: 0,
                next: now,
            }),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        open.retain_mut(|open| {
            if open.next > now {
                return true;
            }
            let container = &open.container;
            let rendered = details(container).map(|details| Rendered::new(container, &details));
            open.tries += 1;
            if rendered.is_none() && open.tries < TRIES {
                open.next = now + FIRST_PAUSE * (1 << open.tries);
                return true;
            }
            answers
                .list
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((container.clone(), rendered));
            answers.given.fetch_add(1, Release);
            false
        });
        let many = open.len().saturating_sub(WAITING_QUESTIONS);
        open.drain(..many);
    }
}

impl Runtimes {
    /// Starts the reading of files, which ends with this object. `now_ms` is kept by the thread that reads the events.
    /// If no thread can be started, containers have what their control group says.
    pub fn start(now_ms: Arc<AtomicU64>) -> Self {
        let (questions, asked) = sync_channel(WAITING_QUESTIONS);
        let answers = Arc::new(Answers::default());
        let theirs = Arc::clone(&answers);
        // Not joined: a file system that hangs must not keep the daemon from ending.
        let _ = std::thread::Builder::new()
            .name("containers".into())
            .spawn(move || answer(&asked, &theirs));
        Self {
            known: HashMap::new(),
            questions,
            answers,
            learned: 0,
            changes: 0,
            due: u64::MAX,
            now_ms,
        }
    }

    /// How often what [`Runtimes::container`] says may have changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes the answers that have come, if it can be done without waiting.
    pub fn learn(&mut self) {
        if self.now_ms.load(Relaxed) >= self.due {
            self.due = u64::MAX; // whoever is asked about again sets the next
            self.changes += 1;
        }
        if self.answers.given.load(Acquire) == self.learned {
            return;
        }
        let Ok(mut list) = self.answers.list.try_lock() else {
            return;
        };
        self.learned = self.answers.given.load(Relaxed);
        let now = self.now_ms.load(Relaxed);
        for (container, rendered) in list.drain(..) {
            let Some(known) = self.known.get_mut(&container) else {
                continue;
            };
            // What was known once stays: a container's last events come when its runtime has put it away.
            if let Some(rendered) = rendered {
                self.changes += u64::from(known.rendered != rendered);
                known.rendered = rendered;
                known.ask_at = now + KNOWN_MS;
            }
        }
    }

    /// What is known of a container now.
    pub fn container(&mut self, container: &Container) -> &Rendered {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(container) {
            self.known.clear();
        }
        let now = self.now_ms.load(Relaxed);
        let known = self
            .known
            .entry(container.clone())
            .or_insert_with(|| Known {
                rendered: Rendered::new(container, &Details::default()),
                // A user's claim is not looked after: its files would be his, too.
                ask_at: if container.claimed { u64::MAX } else { 0 },
            });
        if now >= known.ask_at {
            let _ = self.questions.try_send(container.clone());
            known.ask_at = now + UNKNOWN_MS;
        }
        self.due = self.due.min(known.ask_at);
        &known.rendered
    }
}

/// The runtime that was told by hand to run a container of this name: it has a directory of that name in its own.
pub fn runs(name: &str) -> Option<&'static str> {
    if !is_name(name) {
        return None;
    }
    [("runc", "state.json"), ("crun", "status")]
        .into_iter()
        .find_map(|(runtime, file)| {
            let path = Path::new("/run").join(runtime).join(name).join(file);
            path.symlink_metadata().is_ok().then_some(runtime)
        })
}

/// Reads a file that root alone can have written, and no more than is sensible of it.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .ok()?;
    let about = file.metadata().ok()?;
    let sound = about.is_file()
        && about.uid() == 0
        && about.mode() & 0o022 == 0
        && about.len() <= LONGEST_FILE;
    if !sound {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// `directory/NAMESPACE/below` for containerd's namespaces, and whose they are.
fn in_namespaces(directory: &str, below: &Path) -> Vec<(PathBuf, &'static str)> {
    let Ok(list) = read_dir(directory) else {
        return Vec::new();
    };
    list.flatten()
        .take(MOST_NAMESPACES)
        .map(|one| {
            let docker = one.file_name() == "moby";
            let runtime = if docker { "docker" } else { "containerd" };
            (one.path().join(below), runtime)
        })
        .collect()
}

/// What any runtime of this host knows of a container; `None` if none does.
fn details(container: &Container) -> Option<Details> {
    let id = container.id.as_str();
    if !is_name(id) {
        return None;
    }
    let mut found: Option<Details> = None;
    let mut add = |details: Option<Details>, runtime: &str| {
        if let Some(mut details) = details {
            if details.runtime.is_empty() {
                runtime.clone_into(&mut details.runtime);
            }
            match &mut found {
                Some(found) => state::complete(found, details),
                None => found = Some(details),
            }
        }
    };
    if matches!(container.runtime, "" | "docker") {
        let data = read(Path::new("/etc/docker/daemon.json")).and_then(|text| state::root(&text));
        let data = PathBuf::from(data.unwrap_or_else(|| "/var/lib/docker".into()));
        let file = data.join("containers").join(id).join("config.v2.json");
        add(read(&file).and_then(|text| state::docker(&text)), "docker");
    }
    if matches!(container.runtime, "lxc" | "systemd-nspawn") {
        // These are known by their names, and need not be registered anywhere.
        let named = Details {
            name: id.to_owned(),
            ..Details::default()
        };
        let file = Path::new("/run/systemd/machines").join(id);
        add(read(&file).and_then(|text| state::machine(&text)), "");
        add(Some(named), "");
    } else {
        for (bundle, runtime) in bundles(id) {
            let text = read(&bundle.join("config.json"));
            let mut details = text.and_then(|text| state::bundle(&text));
            if let Some(details) = &mut details
                && details.name.is_empty()
                && !is_long(id)
            {
                id.clone_into(&mut details.name);
            }
            // podman's and CRI-O's bundle is STORAGE/DRIVER-containers/ID/userdata; who is first says the name
            let all = bundle.parent().and_then(Path::parent);
            let text = all.and_then(|all| read(&all.join("containers.json")));
            if text.is_some() {
                let root = all.and_then(Path::parent);
                add(root.and_then(|root| podman(root, id)), "podman");
            }
            add(details, runtime);
            add(text.and_then(|text| state::storage(&text, id)), "");
        }
        if matches!(container.runtime, "podman" | "cri-o" | "") {
            let conf = read(Path::new("/etc/containers/storage.conf"));
            let root = conf.and_then(|text| state::root(&text));
            let root = PathBuf::from(root.unwrap_or_else(|| "/var/lib/containers/storage".into()));
            add(podman(&root, id), "podman");
            for driver in ["overlay", "vfs", "btrfs", "zfs"] {
                let all = root.join(format!("{driver}-containers"));
                let own = read(&all.join(id).join("userdata/config.json"));
                add(own.and_then(|text| state::bundle(&text)), "podman");
                let text = read(&all.join("containers.json"));
                add(text.and_then(|text| state::storage(&text, id)), "podman");
            }
        }
    }
    found
}

/// podman's databases, below the root of its storage: of SQLite since podman 5, as a rule, and of bbolt before.
const DATABASES: [&str; 3] = ["db.sql", "libpod/db.sql", "libpod/bolt_state.db"];

/// What podman's database says.
fn podman(root: &Path, id: &str) -> Option<Details> {
    DATABASES.iter().find_map(|database| {
        // Between two looks at it podman may write.
        (0..3).find_map(|_| state::podman(&read(&root.join(database))?, id))
    })
}

/// Whether an id is one that no person chose: the container has another name, or none.
fn is_long(id: &str) -> bool {
    id.len() == 64
}

/// The directories that may be a container's bundle, and the runtime that a container with no other is of.
fn bundles(id: &str) -> Vec<(PathBuf, &'static str)> {
    let hand = |runtime| if is_long(id) { "" } else { runtime };
    let mut states = vec![
        (
            PathBuf::from(format!("/run/runc/{id}/state.json")),
            hand("runc"),
        ),
        (
            PathBuf::from(format!("/run/crun/{id}/status")),
            hand("crun"),
        ),
    ];
    let below = Path::new(id).join("state.json");
    for directory in ["/run/containerd/runc", "/run/k3s/containerd/runc"] {
        states.extend(in_namespaces(directory, &below));
    }
    let mut bundles: Vec<_> = states
        .into_iter()
        .filter_map(|(path, runtime)| {
            let bundle = state::bundle_directory(&read(&path)?)?;
            Some((PathBuf::from(bundle), runtime))
        })
        .collect();
    for directory in ["/run/containerd", "/run/k3s/containerd"] {
        let tasks = format!("{directory}/io.containerd.runtime.v2.task");
        bundles.extend(in_namespaces(&tasks, Path::new(id)));
    }
    bundles.dedup_by(|one, other| one.0 == other.0);
    bundles
}
