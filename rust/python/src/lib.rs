//! The Python face of tsauditd-core: `Decoder` for logs, `Listener` for live packets. Contract: `_core.pyi`.
//!
//! Everything that asks the system (sockets, clocks, names of users) lives in this crate; the core has none of it.

mod arena;
mod asking;
mod broadcast;
mod counters;
mod decoder;
mod lines;
mod listener;
mod live;
mod local;
mod losses;
mod machine;
mod nss;
mod outbox;
mod proc;
mod reader;
mod runtimes;
mod shared;
mod sockets;
mod syslog;
mod system;
mod tracepoints;
mod tracing;

use pyo3::prelude::*;
use tsauditd_core::tables;

/// The number of a system call on an architecture, as the kernel's audit names both.
#[pyfunction]
fn syscall_number(arch: &str, name: &str) -> Option<u32> {
    tables::syscall_number(tables::arch_named(arch)?, name)
}

/// The name of a system call's number on an architecture.
#[pyfunction]
fn syscall_name(arch: &str, number: u64) -> Option<&'static str> {
    tables::syscall(tables::arch_named(arch)?, number).map(tables::SyscallId::name)
}

/// The number of a record type's name.
#[pyfunction]
fn record_type_number(name: &str) -> Option<u16> {
    tables::record_type_number(name.as_bytes())
}

/// The name of a record type's number.
#[pyfunction]
fn record_type_name(number: u16) -> Option<&'static str> {
    tables::record_type_name(number)
}

/// Gives memory that is free back to the kernel.
#[pyfunction]
fn give_memory_back(py: Python<'_>) {
    py.detach(system::give_memory_back);
}

#[pymodule(gil_used = false)]
#[pyo3(name = "_core")]
fn core_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    system::keep_memory();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(syscall_number, module)?)?;
    module.add_function(wrap_pyfunction!(syscall_name, module)?)?;
    module.add_function(wrap_pyfunction!(record_type_number, module)?)?;
    module.add_function(wrap_pyfunction!(record_type_name, module)?)?;
    module.add_function(wrap_pyfunction!(give_memory_back, module)?)?;
    module.add_function(wrap_pyfunction!(syslog::send_datagrams, module)?)?;
    module.add_class::<decoder::Decoder>()?;
    module.add_class::<syslog::SyslogFormat>()?;
    module.add_class::<listener::Listener>()
}
