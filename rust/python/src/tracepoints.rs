//! The kernel's tracepoints of connections, through perf_event_open(2).
//!
//! Needs CAP_PERFMON (or CAP_SYS_ADMIN), and tracefs for the tracepoints' numbers. Each processor has a ring of memory
//! that the kernel writes samples into and this process reads, without a system call for either.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Error};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, SeqCst},
};

use tsauditd_core::endpoint::sample::{
    MADE, MADE_AND_TAKEN, REGISTERS, RETURN_FIELDS, SAMPLE_TYPE, STATE_FIELDS, Sample, has_fields,
    sample,
};

use crate::system::{check, epoch_of_monotonic, monotonic_ns};

/// Where tracefs is (Documentation/trace/ftrace.rst).
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// Processors whose samples are read; a list as in "0-3,8".
const PROCESSORS: &str = "/sys/devices/system/cpu/online";
/// A ring, in bytes: a power of two pages, of some 3,500 samples at least. So much each process may lock in any case
/// (perf_event_mlock_kb is 516 by default); more is taken where there are few processors and it is allowed.
const LEAST_RING: usize = 512 << 10;
const MOST_RING: usize = 2 << 20;
const ALL_RINGS: usize = 8 << 20;
/// More than a sample takes.
const ROOM: usize = 1 << 10;
/// How often it is looked whether there are other processors, in milliseconds.
const RECHECK_MS: u64 = 1_000;

/// PERF_TYPE_TRACEPOINT, PERF_FLAG_FD_CLOEXEC, and the requests of linux/perf_event.h.
const TRACEPOINT: u32 = 2;
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
const ENABLE: libc::Ioctl = 0x2400;
const SET_OUTPUT: libc::Ioctl = 0x2405;
const SET_FILTER: libc::Ioctl = 0x4008_2406;
/// `watermark` and `use_clockid` of perf_event_attr's flags.
const FLAGS: u64 = 1 << 14 | 1 << 25;
/// PERF_RECORD_SAMPLE, PERF_RECORD_LOST, PERF_RECORD_LOST_SAMPLES.
const SAMPLE: u32 = 9;
const LOST: [u32; 2] = [2, 13];
/// Of struct perf_event_mmap_page: `data_head`, `data_tail`.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// struct perf_event_attr up to PERF_ATTR_SIZE_VER5.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

/// What a look at the rings found.
pub enum Traced {
    /// All samples since the last look were given.
    All,
    /// Some were lost.
    Lost,
    /// There are other processors now: all is to be opened anew.
    Stale,
}

/// The tracepoints, open.
pub struct Tracepoints {
    rings: Vec<Ring>,
    /// Readable when a ring is half full.
    epoll: OwnedFd,
    states: u16,
    returns: u16,
    processors: String,
    checked_ms: u64,
    /// Samples read, those of a moment ago not given yet, in order of time.
    samples: Vec<Sample>,
}

impl Tracepoints {
    /// Opens them on every processor, with those of `accepts` or without. An error says that this kernel, or what this process may do, does not allow it.
    pub fn open(accepts: bool) -> io::Result<Self> {
        if cfg!(not(all(target_arch = "x86_64", target_endian = "little"))) {
            return Err(Error::from_raw_os_error(libc::EOPNOTSUPP)); // other registers
        }
        let states = number("sock/inet_sock_set_state", &STATE_FIELDS)?;
        let returns = number("syscalls/sys_exit_connect", &RETURN_FIELDS)?;
        let processors = fs::read_to_string(PROCESSORS)?;
        // SAFETY: epoll_create1 takes no pointers; a descriptor that it returns is new and ours alone.
        let epoll =
            unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        let all = list(&processors);
        let filter = if accepts { MADE_AND_TAKEN } else { MADE };
        let filter = CString::new(filter).map_err(Error::other)?;
        let rings = |size| {
            (all.iter())
                .map(|processor| {
                    Ring::open(*processor, [states, returns], &filter, epoll.as_fd(), size)
                })
                .collect::<io::Result<Vec<_>>>()
        };
        let share = (ALL_RINGS / all.len().max(1)).clamp(LEAST_RING, MOST_RING);
        let rings = rings(1 << share.ilog2()).or_else(|_| rings(LEAST_RING))?;
        Ok(Self {
            rings,
            epoll,
            states,
            returns,
            processors,
            checked_ms: 0,
            samples: Vec::new(),
        })
    }

    /// Readable when there is so much to be read that it should be.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Gives every sample of until now to `take`, in order of time. `now`: milliseconds of the monotonic clock.
    pub fn read(&mut self, now: u64, mut take: impl FnMut(&Sample)) -> Traced {
        if now >= self.checked_ms + RECHECK_MS {
            self.checked_ms = now;
            if fs::read_to_string(PROCESSORS).is_ok_and(|online| online != self.processors) {
                return Traced::Stale;
            }
        }
        let Self {
            rings,
            samples,
            states,
            returns,
            ..
        } = self;
        if rings.iter().all(Ring::is_empty) && samples.is_empty() {
            return Traced::All;
        }
        let epoch = epoch_of_monotonic();
        // A ring read later may hold what was before what a ring read earlier does not hold yet.
        let until = monotonic_ns().wrapping_add(epoch);
        let mut whole = true;
        for ring in rings {
            whole &= ring.read(|body| samples.extend(sample(body, *states, *returns, epoch)));
        }
        samples.sort_by_key(|sample| sample.time);
        let ripe = samples.partition_point(|sample| sample.time <= until);
        samples.drain(..ripe).for_each(|sample| take(&sample));
        if whole { Traced::All } else { Traced::Lost }
    }
}

/// The number of a tracepoint whose fields are where they are expected.
fn number(name: &str, fields: &[(&str, usize)]) -> io::Result<u16> {
    let mut failure = Error::from_raw_os_error(libc::ENOENT);
    for root in TRACEFS {
        let read = |file| fs::read_to_string(format!("{root}/events/{name}/{file}"));
        match (read("id"), read("format")) {
            (Ok(id), Ok(format)) if has_fields(&format, fields) => {
                return id.trim().parse().map_err(Error::other);
            }
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => failure = error,
            _ => {}
        }
    }
    Err(failure)
}

/// The numbers in a list like "0-3,8".
fn list(text: &str) -> Vec<libc::c_int> {
    text.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

/// The samples of one processor.
struct Ring {
    memory: NonNull<u8>,
    page: usize,
    /// How large it is, in bytes.
    size: usize,
    /// The descriptors that keep the tracepoints open; the first is the ring's.
    files: Vec<File>,
    /// A record that the ring's end cuts in two.
    whole: Vec<u8>,
}

// SAFETY: the memory is reachable through this value only.
unsafe impl Send for Ring {}

impl Ring {
    fn open(
        processor: libc::c_int,
        tracepoints: [u16; 2],
        filter: &CStr,
        epoll: BorrowedFd<'_>,
        size: usize,
    ) -> io::Result<Self> {
        let files = tracepoints
            .map(|number| event(processor, number, size))
            .into_iter()
            .collect::<io::Result<Vec<_>>>()?;
        let first = files[0].as_raw_fd();
        // SAFETY: sysconf takes no pointers.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        // SAFETY: a new mapping where the kernel chooses, of a descriptor that is open.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                page + size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                first,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let ring = Self {
            memory: NonNull::new(memory.cast()).ok_or(Error::from_raw_os_error(libc::ENOMEM))?,
            page,
            size,
            files,
            whole: Vec::new(),
        };
        let mut wanted = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 0,
        };
        // SAFETY: the requests take no pointers but the filter, a C string, and the event, which both live for the call.
        unsafe {
            check(libc::ioctl(first, SET_FILTER, filter.as_ptr()))?;
            check(libc::ioctl(ring.files[1].as_raw_fd(), SET_OUTPUT, first))?;
            check(libc::epoll_ctl(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                first,
                &raw mut wanted,
            ))?;
            for file in &ring.files {
                check(libc::ioctl(file.as_raw_fd(), ENABLE, 0))?;
            }
        }
        Ok(ring)
    }

    fn counter(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the first page of the mapping is a perf_event_mmap_page, where `at` is an aligned 64-bit counter that
        // the kernel and this process only read and write whole; it lives as long as self.
        unsafe { AtomicU64::from_ptr(self.memory.add(at).cast().as_ptr()) }
    }

    fn is_empty(&self) -> bool {
        self.counter(HEAD).load(Acquire) == self.counter(TAIL).load(Acquire)
    }

    /// Gives the body of each sample to `take`. False when some may have been lost.
    ///
    /// The kernel tells of a loss only before the next sample that it has room for, which is too late: what was read in
    /// between would seem whole. But it loses none while there is room for one.
    fn read(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let head = self.counter(HEAD).load(Acquire);
        let first = self.counter(TAIL).load(Acquire);
        let mut tail = first;
        let mut is_whole = true;
        // SAFETY: the mapping has `size` bytes behind its first page. The kernel does not write between tail and head, and
        // nothing is read but that.
        let data = unsafe {
            std::slice::from_raw_parts(self.memory.add(self.page).as_ptr().cast_const(), self.size)
        };
        let mut whole = std::mem::take(&mut self.whole);
        while tail < head {
            let at = tail as usize % self.size;
            // Records are aligned to 8 bytes, so that a header is never cut.
            let Some(header) = data.get(at..at + 8) else {
                break;
            };
            let kind = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
            let length = usize::from(u16::from_ne_bytes([header[6], header[7]]));
            if length < 8 || length as u64 > head - tail {
                break;
            }
            let record = match data.get(at..at + length) {
                Some(record) => record,
                None => {
                    whole.clear();
                    whole.extend_from_slice(&data[at..]);
                    whole.extend_from_slice(&data[..at + length - self.size]);
                    &whole
                }
            };
            if kind == SAMPLE {
                take(&record[8..]);
            }
            is_whole &= !LOST.contains(&kind);
            tail += length as u64;
        }
        self.whole = whole;
        // Whatever could not be read is passed over.
        self.counter(TAIL).store(head, SeqCst);
        let most = self.counter(HEAD).load(SeqCst).wrapping_sub(first);
        is_whole && most < (self.size - ROOM) as u64
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.page + self.size) };
    }
}

/// Opens a tracepoint on a processor, for all processes, not yet running.
fn event(processor: libc::c_int, number: u16, ring: usize) -> io::Result<File> {
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: number.into(),
        sample_period: 1,
        sample_type: SAMPLE_TYPE,
        sample_regs_user: REGISTERS,
        wakeup_watermark: ring as u32 / 2,
        flags: FLAGS | 1, // `disabled`
        clockid: libc::CLOCK_MONOTONIC,
        ..Attributes::default()
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`, which lives for the call; a descriptor that it returns is
    // new and ours alone.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            -1,
            processor,
            -1,
            CLOSE_ON_EXEC,
        );
        Ok(File::from_raw_fd(check(fd as libc::c_int)?))
    }
}
