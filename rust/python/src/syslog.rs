//! `SyslogFormat`: JSON lines to syslog messages.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tsauditd_core::syslog::Syslog;

#[pyclass(frozen, module = "tsauditd._core")]
pub struct SyslogFormat(Syslog);

#[pymethods]
impl SyslogFormat {
    #[new]
    #[pyo3(signature = (*, facility, old, host, pid, ahead, longest, counted))]
    fn new(
        facility: u8,
        old: bool,
        host: String,
        pid: u32,
        ahead: i64,
        longest: usize,
        counted: bool,
    ) -> Self {
        Self(Syslog {
            facility,
            old,
            host,
            pid,
            ahead,
            longest,
            counted,
        })
    }

    #[pyo3(signature = (lines, /))]
    fn messages<'py>(
        &self,
        py: Python<'py>,
        lines: &[u8],
    ) -> (Bound<'py, PyBytes>, Vec<usize>, u64) {
        let made = py.detach(|| self.0.messages(lines));
        (PyBytes::new(py, &made.bytes), made.ends, made.cut)
    }
}
