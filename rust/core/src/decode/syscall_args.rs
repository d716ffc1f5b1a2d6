//! The readings of a system call's arguments, `a0` to `a3` of a SYSCALL record.
//!
//! Which argument is of which kind stands in `data/arguments.tsv`; `build.rs` makes an array of it, so that an
//! event costs one look into it for each argument. Words are those of `ausearch -i` where that is right.

mod control;
mod flags;
mod numbers;
mod socket;

pub use flags::write_signal;

use crate::tables::{self, Arch, SyscallId};

/// A table of names, as `build.rs` makes them.
type Table = &'static [(u64, &'static str)];

/// How one argument is read.
#[derive(Clone, Copy)]
enum Kind {
    /// The raw value says it all: pointers, padding, unused.
    Raw,
    /// Names of bits, joined by `|`.
    Flags(Table),
    /// One name.
    Value(Table),
    /// Flags above nine bits of permissions: `IPC_CREAT|0600`.
    ModeFlags(Table),
    /// A signed number of 32 bits: pids, ids of the kernel's objects, priorities.
    Int,
    /// An unsigned number of 32 bits.
    Number,
    /// A length or a count.
    Count,
    /// A signed position in a file, one register wide.
    Offset,
    /// The same, where the register is 64 bits wide; split over two on narrower ones.
    Offset64,
    /// A file descriptor.
    Fd,
    /// A file descriptor or `AT_FDCWD`.
    Dirfd,
    /// A user's or group's number, of 16 bits on the oldest calls of 32-bit architectures.
    Id,
    /// A user's or group's number of 32 bits.
    Id32,
    /// Permissions in octal.
    Mode,
    /// Permissions in octal behind the file's type.
    FileMode,
    /// A device's numbers, `MAJOR:MINOR`.
    Device,
    /// EXIT_SUCCESS, EXIT_FAILURE or a number.
    ExitStatus,
    /// Flags of open.
    OpenFlags,
    /// Flags of open where no access mode goes with them.
    OpenFlagsOnly,
    /// The mode behind the flags of open: only if they create a file.
    OpenMode,
    /// Protection (a2) and flags (a3) of the call `mmap`, which takes a pointer to them on some architectures.
    Mmap,
    MmapFlags,
    /// Flags of clone, with the signal in their low byte.
    CloneFlags,
    /// The same in the second argument, where s390 has them.
    CloneFlagsSecond,
    Signal,
    MountFlags,
    SwapFlags,
    Personality,
    Scheduler,
    SocketType,
    SocketProtocol,
    SocketLevel,
    SocketOption,
    PtraceRequest,
    IoctlRequest,
    IpcCall,
    PrctlArgument,
    FcntlArgument,
    QuotaCommand,
    KeyctlArgument,
    Keyring,
}

include!(concat!(env!("OUT_DIR"), "/arguments.rs"));

/// What a reading may look at: where the call ran, which argument is read, and all four.
#[derive(Clone, Copy)]
struct Call<'a> {
    arch: Arch,
    n: usize,
    all: &'a [u64; 4],
}

impl Call<'_> {
    /// The argument that is read.
    fn value(&self) -> u64 {
        self.argument(self.n)
    }

    /// Argument `n`, 0 when the record has none such.
    fn argument(&self, n: usize) -> u64 {
        self.all.get(n).copied().unwrap_or_default()
    }

    /// The low 32 bits, all that the kernel looks at in an `int`; what is above is left over in the register.
    fn word(&self) -> u32 {
        self.value() as u32
    }
}

/// Writes the reading of argument `n` (0 to 3) of `syscall` on `arch` to `out`, given all four in `a`.
///
/// Returns false and writes nothing when the raw value in hex says all there is: pointers, numbers without a name,
/// flags of which none is set. What is written is plain ASCII without quotes and backslashes.
pub fn argument(syscall: SyscallId, arch: Arch, n: usize, a: &[u64; 4], out: &mut Vec<u8>) -> bool {
    let kind = ARGUMENTS
        .get(syscall.index())
        .and_then(|kinds| kinds.get(n))
        .copied()
        .unwrap_or(Kind::Raw);
    read(kind, &Call { arch, n, all: a }, out)
}

/// The call behind a number of `socketcall`: a0 of that call, and whose arguments a SOCKETCALL record lists.
pub fn socketcall(number: u64) -> Option<SyscallId> {
    SyscallId::from_name(tables::name_of(tables::SOCKETCALLS, number)?.as_bytes())
}

fn read(kind: Kind, call: &Call<'_>, out: &mut Vec<u8>) -> bool {
    match kind {
        Kind::Raw => false,
        Kind::Flags(table) => flags::flags(out, table, u64::from(call.word())),
        Kind::Value(table) => flags::value(out, table, u64::from(call.word())),
        Kind::ModeFlags(table) => flags::mode_flags(out, table, u64::from(call.word())),
        Kind::Int | Kind::Fd => numbers::signed(out, i64::from(call.word() as i32)),
        Kind::Number => numbers::signed(out, i64::from(call.word())),
        Kind::Count => numbers::count(out, call),
        Kind::Offset => numbers::offset(out, call),
        Kind::Offset64 => call.arch.is_64_bit() && numbers::offset(out, call),
        Kind::Dirfd => numbers::dirfd(out, call.word() as i32),
        Kind::Id => numbers::id(out, call),
        Kind::Id32 => numbers::id32(out, call.word()),
        Kind::Mode => numbers::mode(out, call.word()),
        Kind::FileMode => numbers::file_mode(out, call.word()),
        Kind::Device => numbers::device(out, call.word()),
        Kind::ExitStatus => numbers::exit_status(out, call.word() as i32),
        Kind::OpenFlags => flags::open(out, call.arch, call.word()),
        Kind::OpenFlagsOnly => flags::open_only(out, call.arch, call.word()),
        Kind::OpenMode => {
            flags::creates(call.argument(call.n.wrapping_sub(1))) && numbers::mode(out, call.word())
        }
        Kind::Mmap => flags::mmap(out, call),
        Kind::MmapFlags => flags::mmap_flags(out, call.arch, call.word()),
        Kind::CloneFlags => flags::clone(out, call, 0),
        Kind::CloneFlagsSecond => flags::clone(out, call, 1),
        Kind::Signal => write_signal(out, call.word()),
        Kind::MountFlags => flags::mount(out, call.word()),
        Kind::SwapFlags => flags::swap(out, call.word()),
        Kind::Personality => flags::personality(out, call.word()),
        Kind::Scheduler => flags::scheduler(out, call.word()),
        Kind::SocketType => socket::kind(out, call.word()),
        Kind::SocketProtocol => socket::protocol(out, call),
        Kind::SocketLevel => socket::level(out, call.word()),
        Kind::SocketOption => socket::option(out, call),
        Kind::PtraceRequest => control::ptrace(out, call),
        Kind::IoctlRequest => control::ioctl(out, call),
        Kind::IpcCall => flags::value(out, tables::IPC_CALLS, u64::from(call.word() & 0xffff)),
        Kind::PrctlArgument => control::prctl(out, call),
        Kind::FcntlArgument => control::fcntl(out, call),
        Kind::QuotaCommand => control::quota(out, call.word()),
        Kind::KeyctlArgument => control::keyctl(out, call),
        Kind::Keyring => control::keyring(out, call.word()),
    }
}

#[cfg(test)]
mod tests;
