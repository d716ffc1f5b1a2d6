//! `Lines`: what the engine wrote, handed to Python where it stands; and the room that it is written to.

use std::os::raw::c_int;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

/// Room for lines that nobody reads any more, for the next ones.
pub struct Room {
    spare: Mutex<Vec<Vec<u8>>>,
    most: usize,
    largest: usize,
}

impl Room {
    /// Keeps so many buffers, of so many bytes each.
    pub fn new(most: usize, largest: usize) -> Arc<Self> {
        Arc::new(Self {
            spare: Mutex::default(),
            most,
            largest,
        })
    }

    /// An empty buffer that was used before.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop()
    }

    /// Gives a buffer to be used again, if there is place for it.
    pub fn give(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.most && (1..=self.largest).contains(&bytes.capacity()) {
            spare.push(bytes);
        }
    }
}

/// Lines that Python reads through the buffer protocol. They do not change while they live.
#[pyclass(frozen, module = "tsauditd._core")]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where their memory is used again.
    room: Option<Arc<Room>>,
}

impl Lines {
    pub fn new(bytes: Vec<u8>, room: Option<Arc<Room>>) -> Self {
        Self { bytes, room }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As Python gets them.
    pub fn view(self, py: Python<'_>) -> PyResult<Bound<'_, PyMemoryView>> {
        PyMemoryView::from(Bound::new(py, self)?.as_any())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.give(std::mem::take(&mut self.bytes));
        }
    }
}

#[pymethods]
impl Lines {
    /// # Safety
    /// Python calls it with a `view` to be filled, as the buffer protocol has it.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let bytes = &slf.get().bytes;
        let length = bytes.len().try_into()?;
        let start = bytes.as_ptr().cast_mut().cast();
        // SAFETY: the view keeps a reference to `slf`, whose bytes stay where they are and as they are while it lives;
        // the view is read-only (1), so that nobody writes through the pointer.
        let done = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, length, 1, flags) };
        if done == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }
}
