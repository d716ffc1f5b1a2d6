//! The few system calls of the listener, each as one safe function.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Turns a C return value into a result: negative is `errno`.
pub fn check(value: libc::c_int) -> io::Result<libc::c_int> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

/// A bell between threads, and to an event loop: an eventfd, readable from `ring` to `clear`.
pub struct Bell(OwnedFd);

impl Bell {
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; a descriptor it returns is new and ours alone.
        let fd = unsafe {
            OwnedFd::from_raw_fd(check(libc::eventfd(
                0,
                libc::EFD_CLOEXEC | libc::EFD_NONBLOCK,
            ))?)
        };
        Ok(Self(fd))
    }

    /// Cannot fail but by overflow of the counter at 2^64, when the bell rings anyhow.
    pub fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: writes the 8 bytes of `one` to a descriptor that self keeps open.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: reads at most the 8 bytes of `count` from a descriptor that self keeps open.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor of our own for what is behind `fd`. `EBADF`.
pub fn own(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes no pointers; a descriptor it returns is new and ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(check(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3))?) })
}

/// Reads what is there into `buffer`, without waiting: `EAGAIN` when nothing is. 0 is the end.
///
/// The descriptor may be shared with others, so that it is not made non-blocking for it.
pub fn read_now(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    if !readable(fd) {
        return Err(io::Error::from_raw_os_error(libc::EAGAIN));
    }
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    let length = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

/// Whether `fd` has something to read, its end included.
fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd, alive for the call, which does not wait.
    unsafe { libc::poll(&raw mut polled, 1, 0) > 0 }
}

/// A descriptor of our own for the socket behind `fd`, and the socket's type (SOCK_RAW ...). `ENOTSOCK`, `EBADF`, or
/// `EPROTOTYPE` for a stream, which has no packets.
pub fn own_socket(fd: i32) -> io::Result<(OwnedFd, libc::c_int)> {
    let own = own(fd)?;
    let mut kind: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `kind`, an int, which is what SO_TYPE holds.
    check(unsafe {
        libc::getsockopt(
            own.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut length,
        )
    })?;
    if kind == libc::SOCK_STREAM {
        Err(io::Error::from_raw_os_error(libc::EPROTOTYPE))
    } else {
        Ok((own, kind))
    }
}

/// Whether a netlink socket takes the kernel's messages alone: it is in no group, and is connected to the kernel's port
/// here if it was not before (`netlink_getsockbyportid`, net/netlink/af_netlink.c).
pub fn hears_kernel_alone(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: sockaddr_nl is a plain C structure, valid when all its bytes are zero.
    let (mut own, mut kernel) = unsafe {
        (
            std::mem::zeroed::<libc::sockaddr_nl>(),
            std::mem::zeroed::<libc::sockaddr_nl>(),
        )
    };
    let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    // SAFETY: the kernel writes at most `length` bytes to `own`, and reads those of `kernel`, which are as many.
    unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut own).cast(), &raw mut length) == 0
            && i32::from(own.nl_family) == libc::AF_NETLINK
            && own.nl_groups == 0
            && libc::connect(
                socket.as_raw_fd(),
                (&raw const kernel).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            ) == 0
    }
}

/// Has the kernel leave out netlink messages of this type, or none, before they come to the socket (`netlink_unicast` asks
/// the socket's filter, net/netlink/af_netlink.c). Where that is refused, all come as before.
pub fn leave_out(socket: BorrowedFd<'_>, kind: Option<u16>) {
    /// Of struct nlmsghdr: `nlmsg_type`.
    const TYPE: u32 = 4;
    const ALL: u32 = u32::MAX;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    // The filter reads as if the network's order were the message's (BPF_ABS).
    let left_out = u32::from(kind.unwrap_or_default().to_be());
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, TYPE),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, left_out),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, ALL),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as libc::c_ushort,
        filter: steps.as_mut_ptr(),
    };
    let option = match kind {
        Some(_) => libc::SO_ATTACH_FILTER,
        None => libc::SO_DETACH_FILTER,
    };
    // SAFETY: the kernel reads the program and its steps, which live for the call.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        );
    }
}

/// Whether nothing is left of a process (getpgid(2), ESRCH): far cheaper than to look for it in /proc in vain, and of
/// no interest to anybody's audit rules.
pub fn is_gone(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return false;
    };
    // SAFETY: getpgid takes no pointers.
    check(unsafe { libc::getpgid(pid) })
        .is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

/// Opens a file below a directory for reading. `path` ends in NUL.
pub fn open_below(directory: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let path = CStr::from_bytes_with_nul(path).map_err(io::Error::other)?;
    // SAFETY: the path is a C string alive for the call; a descriptor that is returned is new and ours alone.
    unsafe {
        Ok(OwnedFd::from_raw_fd(check(libc::openat(
            directory.as_raw_fd(),
            path.as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        ))?))
    }
}

/// Where a link below a directory leads. `path` ends in NUL.
pub fn link_below(directory: BorrowedFd<'_>, path: &[u8]) -> io::Result<Vec<u8>> {
    let path = CStr::from_bytes_with_nul(path).map_err(io::Error::other)?;
    let mut target = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the path is a C string, and the kernel writes at most `target.len()` bytes into `target`.
    let length = unsafe {
        libc::readlinkat(
            directory.as_raw_fd(),
            path.as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        )
    };
    target.truncate(usize::try_from(length).map_err(|_| io::Error::last_os_error())?);
    Ok(target)
}

/// Clock ticks a second in what the kernel tells of times (USER_HZ).
pub fn clock_ticks() -> u64 {
    // SAFETY: sysconf takes no pointers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks)
        .ok()
        .filter(|ticks| *ticks > 0)
        .unwrap_or(100)
}

/// When the system started, in milliseconds since the epoch by the clock as it is set now.
pub fn started_ms() -> u64 {
    let ms = |clock| read_clock(clock).map_or(0, |time| time.as_millis() as u64);
    ms(libc::CLOCK_REALTIME).saturating_sub(ms(libc::CLOCK_BOOTTIME))
}

/// Sleeps until one of `fds` is readable or in error, or `timeout_ms` (negative: for ever) has passed. Returns whether
/// the second is.
pub fn wait<const N: usize>(fds: &[BorrowedFd<'_>; N], timeout_ms: i32) -> bool {
    let mut polled = fds.map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: `polled` is an array of pollfd, alive for the call. EINTR is a short sleep, no more.
    unsafe {
        libc::poll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            timeout_ms,
        )
    };
    polled.get(1).is_some_and(|second| second.revents != 0)
}

/// Sleeps until `fd` is readable or in error.
pub fn wait_one(fd: BorrowedFd<'_>) {
    wait(&[fd], -1);
}

/// Sleeps for `pause`; the kernel's timer slack (50 µs by default) comes on top.
pub fn sleep(pause: Duration) {
    let request = libc::timespec {
        tv_sec: pause.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(pause.subsec_nanos() as i32),
    };
    // SAFETY: `request` is a valid timespec; the remainder is not asked for.
    unsafe { libc::nanosleep(&raw const request, std::ptr::null_mut()) };
}

fn read_clock(clock: libc::clockid_t) -> Option<Duration> {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel fills `now` when it returns 0, and only then is it read.
    let now = unsafe {
        if libc::clock_gettime(clock, now.as_mut_ptr()) != 0 {
            return None;
        }
        now.assume_init()
    };
    Some(Duration::new(
        u64::try_from(now.tv_sec).ok()?,
        u32::try_from(now.tv_nsec).ok()?,
    ))
}

/// Milliseconds of CLOCK_MONOTONIC.
pub fn monotonic_ms() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC).map_or(0, |now| now.as_millis() as u64)
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC).map_or(0, |now| now.as_nanos() as u64)
}

/// What to add to nanoseconds of CLOCK_MONOTONIC for those since the epoch; rather more than less.
pub fn epoch_of_monotonic() -> u64 {
    const BRIEF_NS: u64 = 5_000;
    let mut best = (u64::MAX, 0);
    for _ in 0..8 {
        let before = monotonic_ns();
        let real = read_clock(libc::CLOCK_REALTIME).map_or(0, |now| now.as_nanos() as u64);
        let took = monotonic_ns().wrapping_sub(before);
        best = best.min((took, real.wrapping_sub(before)));
        if took < BRIEF_NS {
            break; // else something came in between
        }
    }
    best.1
}

/// Milliseconds between two ticks, which is how exact the times of events and files are (CLOCK_REALTIME_COARSE).
pub fn tick_ms() -> u64 {
    let mut tick = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel fills `tick` when it returns 0, and only then is it read.
    let nanos = unsafe {
        if libc::clock_getres(libc::CLOCK_REALTIME_COARSE, tick.as_mut_ptr()) != 0 {
            return 10; // of the slowest kernels
        }
        tick.assume_init().tv_nsec
    };
    u64::try_from(nanos).map_or(10, |nanos| nanos.div_ceil(1_000_000))
}

/// Milliseconds since the epoch by the clock that stamps audit records (CLOCK_REALTIME_COARSE: `audit_log_start`
/// takes the time of the last tick).
pub fn realtime_ms() -> u64 {
    read_clock(libc::CLOCK_REALTIME_COARSE).map_or(0, |now| now.as_millis() as u64)
}

/// The CPU clock of the calling thread, readable from any thread of the process while this one lives.
pub fn thread_cpu_clock() -> Option<libc::clockid_t> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: pthread_self is always valid for its caller; the id is written to `clock`.
    let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
    (failed == 0).then_some(clock)
}

/// Nanoseconds of CPU on `clock`; None when its thread is gone.
pub fn cpu_ns(clock: libc::clockid_t) -> Option<u64> {
    read_clock(clock).map(|time| time.as_nanos() as u64)
}

/// Has the allocator keep some memory that was given back: batches of lines come and go, and each page that goes back to
/// the kernel costs a fault when it comes again. At most `KEPT_BYTES` at the top of each heap.
pub fn keep_memory() {
    #[cfg(target_env = "gnu")]
    {
        const KEPT_BYTES: libc::c_int = 4 << 20;
        // SAFETY: mallopt takes no pointers and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
        }
    }
}

/// Gives what the allocator has kept back to the kernel, all heaps' (malloc_trim(3)): some milliseconds, and faults later.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointers and may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Runs `spawn` with every signal blocked, so that a thread it makes never takes one meant for Python.
pub fn without_signals<T>(spawn: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills `all` before it is used; pthread_sigmask then fills `before`. Neither can fail with
    // these arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = spawn();
    // SAFETY: `before` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    result
}
