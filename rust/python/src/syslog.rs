//! `SyslogFormat`: JSON lines to syslog messages; and datagrams sent without Python's lock between them.

use std::io;

use pyo3::exceptions::PyValueError;
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

/// Sends messages in a row, a datagram each, from number `first` on: returns how many went, and errno where one did not.
#[pyfunction]
#[pyo3(signature = (fd, messages, ends, first, /))]
#[allow(clippy::needless_pass_by_value)] // a list of Python's becomes one of our own
pub fn send_datagrams(
    py: Python<'_>,
    fd: i32,
    messages: &[u8],
    ends: Vec<usize>,
    first: usize,
) -> PyResult<(usize, i32)> {
    py.detach(|| {
        let mut start = first
            .checked_sub(1)
            .map_or(Some(0), |at| ends.get(at).copied());
        let mut sent = 0;
        for end in ends.iter().skip(first) {
            let one = start.and_then(|start| messages.get(start..*end));
            let one =
                one.ok_or_else(|| PyValueError::new_err("ends are not those of the messages"))?;
            if let Err(error) = send(fd, one) {
                return Ok((sent, error.raw_os_error().unwrap_or(libc::EIO)));
            }
            sent += 1;
            start = Some(*end);
        }
        Ok((sent, 0))
    })
}

fn send(fd: i32, datagram: &[u8]) -> io::Result<()> {
    loop {
        // SAFETY: reads no more than the bytes of `datagram`; a descriptor that is none gives an error.
        let taken = unsafe {
            libc::send(
                fd,
                datagram.as_ptr().cast(),
                datagram.len(),
                libc::MSG_NOSIGNAL,
            )
        };
        if taken >= 0 {
            return Ok(()); // all of it: a datagram goes whole or not at all
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
