//! This machine, as far as the core asks: names of ids, processes, and their sockets.

use tsauditd_core::system::{Ask, Image, Socket, Stat};
use tsauditd_core::{Container, Rendered, System};

use crate::live::LiveNames;
use crate::losses::Losses;
use crate::proc::Proc;
use crate::runtimes::{Runtimes, runs};
use crate::sockets::Sockets;
use crate::system::realtime_ms;

/// Who can be asked. Without `processes` and `sockets` the events alone tell of those.
pub struct Machine {
    pub names: LiveNames,
    pub processes: Option<Proc>,
    pub sockets: Option<Sockets>,
    pub losses: Option<Losses>,
    pub runtimes: Runtimes,
}

impl System for Machine {
    fn user(&mut self, id: u32) -> Option<&str> {
        self.names.user(id)
    }

    fn group(&mut self, id: u32) -> Option<&str> {
        self.names.group(id)
    }

    fn at(&mut self, time: u64) {
        self.names.at(time);
        self.runtimes.learn();
    }

    fn accounts_changed(&mut self) {
        self.names.accounts_changed();
    }

    fn generation(&self) -> u64 {
        // Both count changes; what is kept must not outlive either.
        let containers = self.runtimes.changes();
        self.names
            .generation()
            .wrapping_add(containers.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn sees_processes(&self) -> bool {
        self.processes.is_some()
    }

    fn processes(&mut self) -> Vec<u32> {
        self.processes.as_ref().map(Proc::all).unwrap_or_default()
    }

    fn stat(&mut self, pid: u32) -> Option<Stat> {
        self.processes.as_mut()?.stat(pid)
    }

    fn image(&mut self, pid: u32) -> Option<Image> {
        self.processes.as_mut()?.image(pid)
    }

    fn arguments(&mut self, pid: u32) -> Option<&[u8]> {
        self.processes.as_mut()?.read(pid, "cmdline")
    }

    fn runtime_of(&mut self, name: &str) -> Option<&'static str> {
        runs(name)
    }

    fn container(&mut self, container: &Container) -> Option<&Rendered> {
        Some(self.runtimes.container(container))
    }

    fn cgroup(&mut self, pid: u32) -> Option<&[u8]> {
        self.processes.as_mut()?.read(pid, "cgroup")
    }

    fn sees_sockets(&self) -> bool {
        self.sockets.as_ref().is_some_and(Sockets::can_look)
    }

    fn socket(&mut self, pid: u32, fd: u32, ask: Ask) -> Option<Socket> {
        self.sockets.as_mut()?.look(pid, fd, ask)
    }

    fn losses(&mut self, now: u64, waits: bool) -> Option<(u64, u64)> {
        self.losses.as_mut()?.count(now, waits)
    }

    fn time(&mut self) -> u64 {
        realtime_ms()
    }
}
