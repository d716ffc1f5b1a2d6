//! /proc: what the system says of a process while it lives (proc(5)). Each look is one file, of few system calls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tsauditd_core::system::{Image, Stat};

use crate::system;

/// The longest file read: the arguments of a program, of which the core keeps less.
const FILE_BYTES: usize = 16 << 10;

/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h: the pid namespace whose numbers the kernel's audit tells.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// The processes of this machine.
pub struct Proc {
    directory: OwnedFd,
    /// Clock ticks a second, as /proc counts them.
    hertz: u64,
    /// When the system started, in milliseconds since the epoch.
    started: u64,
    path: Vec<u8>,
    text: Vec<u8>,
}

impl Proc {
    /// Opens /proc. An error where it is not readable, or shows the processes of a container by other numbers.
    pub fn open() -> io::Result<Self> {
        if std::fs::read_link("/proc/self/ns/pid")? != Path::new(FIRST_NAMESPACE) {
            return Err(io::Error::other("/proc shows another pid namespace"));
        }
        Ok(Self {
            directory: File::open("/proc")?.into(),
            hertz: system::clock_ticks(),
            started: system::started_ms(),
            path: Vec::new(),
            text: vec![0; FILE_BYTES],
        })
    }

    /// The pids of all processes, in ascending order.
    pub fn all(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable();
        pids
    }

    /// The path of a file of a process below /proc, with a NUL at its end.
    fn path(&mut self, pid: u32, file: &str) -> &[u8] {
        self.path.clear();
        // Writing to a Vec does not fail.
        let _ = write!(self.path, "{pid}/{file}\0");
        &self.path
    }

    /// The beginning of a file of a process; `None` when the process is gone, or not ours to see.
    pub fn read(&mut self, pid: u32, file: &str) -> Option<&[u8]> {
        self.path(pid, file);
        let mut file = File::from(system::open_below(self.directory.as_fd(), &self.path).ok()?);
        // The kernel gives such a file whole, or as much of it as there is room for, in one call.
        let length = file.read(&mut self.text).ok()?;
        self.text.get(..length)
    }

    /// Where a link of a process leads; empty if that cannot be seen.
    fn link(&mut self, pid: u32, file: &str) -> Vec<u8> {
        self.path(pid, file);
        system::link_below(self.directory.as_fd(), &self.path).unwrap_or_default()
    }

    /// `stat` of a process.
    pub fn stat(&mut self, pid: u32) -> Option<Stat> {
        if system::is_gone(pid) {
            return None;
        }
        let (hertz, started) = (self.hertz, self.started);
        let text = self.read(pid, "stat")?;
        // The name in brackets may hold anything; what follows its last bracket are numbers.
        let after = text.iter().rposition(|byte| *byte == b')')?;
        let text = std::str::from_utf8(text.get(after + 1..)?).ok()?;
        // State, the third field of proc_pid_stat(5), is the first here.
        let mut fields = text.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let device: u32 = fields.next()?.parse::<i32>().ok()?.cast_unsigned();
        let ticks: u64 = fields.nth(14)?.parse().ok()?;
        Some(Stat {
            ticks,
            start: started + ticks.saturating_mul(1000) / hertz,
            parent,
            session,
            // new_encode_dev, include/linux/kdev_t.h
            terminal: (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00),
        })
    }

    /// The program of a process.
    pub fn image(&mut self, pid: u32) -> Option<Image> {
        let name = self.read(pid, "comm")?.trim_ascii_end().to_vec();
        let login = self
            .read(pid, "sessionid")
            .and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
        Some(Image {
            executable: self.link(pid, "exe"),
            name,
            directory: self.link(pid, "cwd"),
            login: login.filter(|login| *login != u32::MAX),
        })
    }
}

/// Which process is the newest: the last number in /proc/loadavg (proc_loadavg(5)).
pub struct Newest(File);

impl Newest {
    /// Opens the file. An error where it is not readable, or tells of a container's processes.
    pub fn open() -> io::Result<Self> {
        if std::fs::read_link("/proc/self/ns/pid")? != Path::new(FIRST_NAMESPACE) {
            return Err(io::Error::other("/proc shows another pid namespace"));
        }
        File::open("/proc/loadavg").map(Self)
    }

    /// Its number; `None` where it cannot be read.
    pub fn number(&self) -> Option<u32> {
        let mut text = [0; 128];
        let length = self.0.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.split_ascii_whitespace().nth(4)?.parse().ok()
    }
}
