//! The meaning of raw values: system call arguments, fields, addresses.

pub mod address;
pub mod argv;
pub mod hex;
mod keystrokes;
mod mode;
mod readings;
pub mod sockaddr;
pub mod syscall_args;
pub mod value;
