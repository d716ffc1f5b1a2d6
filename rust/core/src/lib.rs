//! Linux audit records in, one ECS JSON object per event out.
//!
//! The walk of an event: [`packet`] or [`line`] finds a [`record`] in foreign bytes, [`assemble`] puts the records
//! of an event together, [`event`] opens their [`fields`], [`process`] knows who acted, [`decode`] reads the values, [`action`] knows what it means,
//! and [`ecs`] writes it. [`Engine`] is all of that with a buffer at either end. Nothing here reads a clock, a file or
//! a socket; no input makes it panic.
#![forbid(unsafe_code)]

pub mod action;
pub mod assemble;
pub mod assembled;
pub mod container;
pub mod decode;
pub mod ecs;
pub mod endpoint;
pub mod engine;
pub mod event;
pub mod fields;
pub mod gaps;
pub mod json;
pub mod line;
mod mix;
pub mod names;
pub mod pace;
pub mod packet;
pub mod process;
pub mod raw;
pub mod record;
pub mod scan;
pub mod syslog;
pub mod system;
pub mod tables;
pub mod talkers;
pub mod timeline;
mod titled;

pub use container::Container;
pub use ecs::Host;
pub use ecs::container::{Details, Rendered};
pub use engine::{Counters, Engine, Settings, Unreadable};
pub use raw::RawFormat;
pub use system::{Nobody, System};
