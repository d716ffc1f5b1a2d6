//! The process table by what the events say: who is who, started by whom, come by which door.

mod entries;
mod host;
mod joined;
mod table;
