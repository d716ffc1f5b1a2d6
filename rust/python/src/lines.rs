//! `Lines`: what the engine wrote, handed to Python where it stands.

use std::os::raw::c_int;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Room for lines that nobody reads any more, for the next ones.
pub type Spare = Arc<Mutex<Vec<u8>>>;

/// Lines that Python reads through the buffer protocol. They do not change while they live.
#[pyclass(frozen, module = "tsauditd._core")]
pub struct Lines {
    bytes: Vec<u8>,
    spare: Spare,
}

impl Lines {
    pub fn new(bytes: Vec<u8>, spare: &Spare) -> Self {
        Self {
            bytes,
            spare: Arc::clone(spare),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
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
