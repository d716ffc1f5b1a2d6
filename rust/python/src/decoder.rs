//! `Decoder`: audit logs in any cut, JSON lines out.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView};
use tsauditd_core::{Engine, Nobody, Settings, System, Unreadable};

use crate::lines::{Lines, Room};
use crate::nss::AskedNames;

#[pyclass(frozen, module = "tsauditd._core")]
pub struct Decoder {
    engine: Mutex<Engine>,
    /// What timelines need of the lines returned last.
    timeline: Mutex<Vec<u8>>,
    /// The lines that Python had last, to be written over.
    room: Arc<Room>,
}

impl Decoder {
    /// Lets the engine work without the GIL. Always detached, so that nobody waits for the engine holding the GIL.
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Engine) -> T + Send) -> T {
        py.detach(|| work(&mut self.engine.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Lets the engine work and returns the lines that came of it.
    fn work(&self, py: Python<'_>, work: impl FnOnce(&mut Engine) + Send) -> Lines {
        let room = self.room.take().unwrap_or_default();
        let (lines, timeline) = self.with(py, |engine| {
            if engine.output().is_empty() {
                *engine.output() = room;
            }
            work(engine);
            let (lines, timeline) = engine.batch();
            (std::mem::take(lines), std::mem::take(timeline))
        });
        *self.timeline.lock().unwrap_or_else(PoisonError::into_inner) = timeline;
        Lines::new(lines, Some(Arc::clone(&self.room)))
    }

    /// As [`Self::work`], as Python's own bytes.
    fn lines<'py>(
        &self,
        py: Python<'py>,
        work: impl FnOnce(&mut Engine) + Send,
    ) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.work(py, work).bytes())
    }
}

#[pymethods]
impl Decoder {
    #[new]
    #[pyo3(signature = (*, original = false, resolve = false, since = None, until = None,
        max_argument_bytes = 2_097_152, timelines = false))]
    fn new(
        original: bool,
        resolve: bool,
        since: Option<u64>,
        until: Option<u64>,
        max_argument_bytes: usize,
        timelines: bool,
    ) -> Self {
        let settings = Settings {
            original,
            max_argument_bytes,
            timelines,
            log: true,
            since,
            until,
            ..Settings::default()
        };
        let names: Box<dyn System + Send> = if resolve {
            Box::new(AskedNames::default())
        } else {
            Box::new(Nobody)
        };
        Self {
            engine: Mutex::new(Engine::new(settings, names)),
            timeline: Mutex::default(),
            room: Room::new(1, usize::MAX),
        }
    }

    #[pyo3(signature = (data, /))]
    fn feed<'py>(&self, py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
        self.lines(py, |engine| engine.line_bytes(data))
    }

    #[pyo3(signature = (data, /))]
    fn read<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyMemoryView>> {
        self.work(py, |engine| engine.line_bytes(data)).view(py)
    }

    fn end_file<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.lines(py, Engine::end_file)
    }

    fn finish<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.lines(py, |engine| {
            engine.end_file();
            engine.flush();
        })
    }

    fn timeline<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let timeline = self.timeline.lock();
        PyBytes::new(py, &timeline.unwrap_or_else(PoisonError::into_inner))
    }

    fn unreadable(&self, py: Python<'_>) -> Vec<(u64, &'static str, String)> {
        let lines = self.with(py, Engine::unreadable);
        lines.iter().map(told).collect()
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.with(py, |engine| engine.counters());
        let counters = PyDict::new(py);
        for (name, value) in [
            ("lines", counts.lines),
            ("records", counts.records),
            ("events", counts.events),
            ("unreadable", counts.unreadable),
            ("incomplete", counts.incomplete),
            ("late", counts.late),
            ("gaps", counts.gaps),
        ] {
            counters.set_item(name, value)?;
        }
        Ok(counters)
    }
}

/// As Python gets it: where it was, why, and the text.
pub fn told(unreadable: &Unreadable) -> (u64, &'static str, String) {
    let text = String::from_utf8_lossy(&unreadable.text).into_owned();
    (unreadable.line, unreadable.reason, text)
}
