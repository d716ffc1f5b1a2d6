//! `Listener`: the reading thread as Python sees it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView};
use tsauditd_core::{Host, RawFormat, Settings};

use crate::decoder::told;
use crate::reader::{Plan, run};
use crate::shared::{Change, RulesRead, Shared};
use crate::system;

/// The longest gathering pause: a second. Longer ones only fill the kernel's queue.
const GATHER_US: u64 = 1_000_000;

enum State {
    Planned(Box<Plan>),
    Running(JoinHandle<()>),
    Stopped,
}

#[pyclass(frozen, module = "tsauditd._core")]
pub struct Listener {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

fn raw_format(name: Option<&str>) -> PyResult<RawFormat> {
    match name {
        None => Ok(RawFormat::None),
        Some("raw") => Ok(RawFormat::Raw),
        Some("enriched") => Ok(RawFormat::Enriched),
        Some(other) => Err(PyValueError::new_err(format!(
            "raw is {other}; raw or enriched"
        ))),
    }
}

impl Listener {
    /// Leaves `Stopped` behind.
    fn replace_state(&self) -> State {
        std::mem::replace(
            &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner),
            State::Stopped,
        )
    }

    /// Stops and joins the thread if it runs. False: the thread had panicked.
    fn end(&self) -> bool {
        match self.replace_state() {
            State::Running(thread) => {
                self.shared.stop.store(true, Release);
                self.shared.wake.ring();
                thread.join().is_ok()
            }
            State::Planned(_) | State::Stopped => true,
        }
    }
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (fd, *, early = Vec::new(), netlink = true, lines = false, gather_us = 100, original = false, raw = None,
        host_name = None, host_id = None, boot_id = None, max_argument_bytes = 2_097_152,
        context = true, timelines = false, connections = false, accepts = false),
        text_signature = "(fd, *, early=(), netlink=True, lines=False, gather_us=100, original=False, raw=None, \
            host_name=None, host_id=None, boot_id=None, max_argument_bytes=2097152, context=True, \
            timelines=False, connections=False, accepts=False)")]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        fd: i32,
        early: Vec<Vec<u8>>,
        netlink: bool,
        lines: bool,
        gather_us: u64,
        original: bool,
        raw: Option<&str>,
        host_name: Option<String>,
        host_id: Option<String>,
        boot_id: Option<String>,
        max_argument_bytes: usize,
        context: bool,
        timelines: bool,
        connections: bool,
        accepts: bool,
    ) -> PyResult<Self> {
        if gather_us > GATHER_US {
            return Err(PyValueError::new_err(format!(
                "gather_us is {gather_us}; at most {GATHER_US}"
            )));
        }
        let raw = raw_format(raw)?;
        let (socket, kind) = if lines {
            (system::own(fd)?, libc::SOCK_STREAM)
        } else {
            system::own_socket(fd)?
        };
        let kernel_alone = netlink && system::hears_kernel_alone(socket.as_fd());
        let host = Host {
            name: host_name,
            id: host_id,
            boot_id,
        };
        let shared = Arc::new(Shared::new()?);
        let settings = Settings {
            original,
            raw,
            talkers: Some(Arc::clone(&shared.talkers)),
            host,
            max_argument_bytes,
            context,
            timelines,
            ..Settings::default()
        };
        let plan = Plan {
            socket,
            early,
            netlink,
            kernel_alone,
            sequenced: kind == libc::SOCK_SEQPACKET,
            lines,
            gather: Duration::from_micros(gather_us),
            connections,
            accepts,
            settings,
        };
        Ok(Self {
            shared,
            state: Mutex::new(State::Planned(Box::new(plan))),
        })
    }

    fn start(&self) -> PyResult<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Stopped) {
            State::Planned(plan) => {
                let shared = Arc::clone(&self.shared);
                let thread = system::without_signals(|| {
                    std::thread::Builder::new()
                        .name("listener".into())
                        .spawn(move || run(*plan, shared))
                })?;
                *state = State::Running(thread);
                Ok(())
            }
            other => {
                *state = other;
                Err(PyRuntimeError::new_err(
                    "the listener was started before; make a new one",
                ))
            }
        }
    }

    fn fileno(&self) -> i32 {
        self.shared.outbox.ready().as_raw_fd()
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.shared.outbox.take(&self.shared.wake).view(py)
    }

    fn raw_fileno(&self) -> i32 {
        self.shared.raw.ready().as_raw_fd()
    }

    fn take_raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        self.shared.raw.take(&self.shared.wake).view(py)
    }

    #[pyo3(signature = (*, original, raw, max_argument_bytes, timelines))]
    fn change(
        &self,
        original: bool,
        raw: Option<&str>,
        max_argument_bytes: usize,
        timelines: bool,
    ) -> PyResult<()> {
        self.shared.change(Change {
            original,
            max_argument_bytes,
            timelines,
            raw: raw_format(raw)?,
        });
        Ok(())
    }

    #[pyo3(signature = (*, titles, doubts))]
    fn rules_read(&self, titles: bool, doubts: u64) {
        self.shared.set_rules(RulesRead { titles, doubts });
    }

    fn talkers(&self) -> HashMap<&'static str, Vec<(String, u64)>> {
        let talkers = self.shared.talkers.lock();
        let talkers = talkers.unwrap_or_else(PoisonError::into_inner);
        HashMap::from([
            ("keys", talkers.keys()),
            ("executables", talkers.executables()),
        ])
    }

    #[pyo3(signature = (kind, text, *, last = false))]
    fn add_record(&self, kind: u16, text: &str, last: bool) {
        let mut packet = vec![0; 16];
        packet[4..6].copy_from_slice(&kind.to_ne_bytes());
        packet.extend_from_slice(text.as_bytes());
        if last {
            self.shared.set_farewell(packet);
        } else {
            self.shared.add_own(packet);
        }
    }

    fn timeline<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let outbox = &self.shared.outbox;
        outbox.timeline(|lines| PyBytes::new(py, lines))
    }

    fn narrow(&self, narrow: bool) {
        self.shared.outbox.narrow(narrow);
        self.shared.raw.narrow(narrow);
    }

    fn unreadable(&self) -> Vec<(u64, &'static str, String)> {
        let unreadable = self.shared.unreadable.lock();
        let found = std::mem::take(&mut *unreadable.unwrap_or_else(PoisonError::into_inner));
        found.iter().map(told).collect()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, value) in self.shared.count() {
            counters.set_item(name, value)?;
        }
        Ok(counters)
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        if py.detach(|| self.end()) {
            Ok(())
        } else {
            Err(
                io::Error::other("the listener's thread failed; its message is on standard error")
                    .into(),
            )
        }
    }
}

impl Drop for Listener {
    /// The thread never takes the GIL, so joining it here cannot hang.
    fn drop(&mut self) {
        self.end();
    }
}
