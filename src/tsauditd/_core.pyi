"""Bytes in, JSON out: the compiled core (rust/core) and the thread that feeds it from a socket (rust/python).

Times are milliseconds since the epoch. JSON output is always whole lines, each ending in a newline.
"""

from collections.abc import Sequence
from typing import final

__all__ = [
    "Decoder",
    "Listener",
    "SyslogFormat",
    "__version__",
    "give_memory_back",
    "record_type_name",
    "record_type_number",
    "send_datagrams",
    "syscall_name",
    "syscall_number",
]

__version__: str

def syscall_number(arch: str, name: str) -> int | None:
    """The number of a system call on an architecture, both named as the kernel's audit does (x86_64, i386, aarch64,
    ...); None if either is unknown."""

def syscall_name(arch: str, number: int) -> str | None:
    """The name of a system call's number on an architecture, or None."""

def record_type_number(name: str) -> int | None:
    """The number of a record type, such as 1300 for SYSCALL, or None."""

def record_type_name(number: int) -> str | None:
    """The name of a record type's number, or None."""

def give_memory_back() -> None:
    """Gives memory that is free back to the kernel, as far as the allocator can (malloc_trim(3)); some milliseconds."""

def send_datagrams(fd: int, messages: bytes, ends: list[int], first: int, /) -> tuple[int, int]:
    """Sends messages that stand in a row, each to its end, from number `first` on, as datagrams to a connected socket.
    Returns how many went, and errno where one did not, else 0. Raises ValueError: the ends are not theirs."""

@final
class Decoder:
    """Audit logs in any cut, JSON lines out. One decoder reads one stream of files in order.

    Records of an event are joined across the files of a rotated set. Memory is bounded whatever the input.
    """

    def __new__(
        cls,
        *,
        original: bool = False,
        resolve: bool = False,
        since: int | None = None,
        until: int | None = None,
        max_argument_bytes: int = 2_097_152,
        timelines: bool = False,
    ) -> Decoder:
        """original: add event.original. resolve: name users and groups as this machine does. since, until: keep
        events with since <= time < until (milliseconds). max_argument_bytes: the longest process.args kept.
        timelines: keep what timeline() gives."""

    def feed(self, data: bytes, /) -> bytes:
        """Reads the next bytes of the current file, cut anywhere, and returns the lines of the events completed."""

    def read(self, data: bytes, /) -> memoryview:
        """As feed(), without a copy of the lines: their room is used again when nobody has them any more."""

    def end_file(self) -> bytes:
        """Ends the current file: a last line without a newline is read. Open events go on into the next file."""

    def finish(self) -> bytes:
        """Ends the input: everything still open is returned."""

    def timeline(self) -> bytes:
        """Those lines of the last feed(), end_file() or finish() that a session's timeline needs, without members that
        no timeline reads."""

    def unreadable(self) -> list[tuple[int, str, str]]:
        """Takes the unreadable lines seen since the last call: (line number in its file from 1, why, the text).

        At most 1,000 are kept between calls; counters() has them all.
        """

    def counters(self) -> dict[str, int]:
        """lines, records, events, unreadable, incomplete, late, gaps (serials never seen)."""

@final
class Listener:
    """A thread that drains audit packets from a datagram socket and turns them into JSON lines, off the GIL."""

    def __new__(
        cls,
        fd: int,
        *,
        early: Sequence[bytes] = (),
        netlink: bool = True,
        lines: bool = False,
        gather_us: int = 100,
        original: bool = False,
        raw: str | None = None,
        host_name: str | None = None,
        host_id: str | None = None,
        boot_id: str | None = None,
        max_argument_bytes: int = 2_097_152,
        context: bool = True,
        timelines: bool = False,
        connections: bool = False,
        accepts: bool = False,
    ) -> Listener:
        """fd: an open datagram socket; a descriptor of its own is made, so the caller may close his, and the socket
        lives until stop(). early: packets read before the listener was there. netlink: take the kernel's packets only
        (false for a socket that replays stored packets). lines: fd is a stream of any kind that another daemon of this
        machine writes lines to as the records come, with end markers, as auditd does for its plugins. gather_us: the
        pause before draining while packets come densely, in microseconds, at most 1,000,000; 0 for none. raw: also
        write the records as auditd does, `raw` or `enriched`, for take_raw().
        context: tell of processes, containers and the ends of connections more than an event's own records do.
        timelines: keep what timeline() gives. connections: some are to be expected, so that the kernel's tracepoints
        are opened at the start, and not with the first; accepts: such as are accepted.

        From start() to stop() nothing else may receive from the socket: what it asks (to give the audit pid back,
        say) goes over another one, or the thread takes the answer. Names of users and groups are this machine's; one
        that is not known at once is missing in that event and there in the next.

        Raises OSError if fd is not a datagram socket (EBADF, ENOTSOCK, EPROTOTYPE; with lines only EBADF), ValueError
        for gather_us or raw."""

    def start(self) -> None:
        """Starts the thread. Raises RuntimeError when it was started before."""

    def fileno(self) -> int:
        """An eventfd that is readable while take() has something to give; valid as long as this object.

        Rung once for a batch: at once for an event after a rest, each few milliseconds under load.
        """

    def take(self) -> memoryview:
        """Takes the JSON lines of the events completed since the last call; empty if there are none.

        Nobody writes to them. Those of a flow are not copied: their memory is used again when nobody has them any more,
        and is a third larger at most.
        """

    def timeline(self) -> bytes:
        """Those lines of the last take() that a session's timeline needs, without members that no timeline reads."""

    def raw_fileno(self) -> int:
        """As fileno(), for take_raw()."""

    def take_raw(self) -> memoryview:
        """As take(), the lines of audit.log for the records that came since the last call; whole lines, without EOE."""

    def change(self, *, original: bool, raw: str | None, max_argument_bytes: int, timelines: bool) -> None:
        """Goes on by other settings, from the next event and the next raw record on. Raises ValueError for raw."""

    def rules_read(self, *, titles: bool, doubts: int) -> None:
        """Says what the kernel's rules are, as they were read after the counter `doubts` was this.

        titles: by them every event of a system call has PROCTITLE, so that end markers need not come once the listener
        has seen it to be so. Until this is said they all come, and wherever others than the kernel may send."""

    def talkers(self) -> dict[str, list[tuple[str, int]]]:
        """Events by rule key (`keys`) and by executable (`executables`), the most frequent first, at most 256 each.
        Only what is rare may be missing, or counted too high."""

    def add_record(self, kind: int, text: str, *, last: bool = False) -> None:
        """Puts a record of the daemon's own among the kernel's: its type, and its text from `audit(` on. One added
        before start() comes first, one before stop() is still delivered. last: it comes after everything else, at
        stop()."""

    def narrow(self, narrow: bool) -> None:
        """Has reading stop when 256 KiB wait for take() rather than 64 MiB: for one who takes only now and then."""

    def unreadable(self) -> list[tuple[int, str, str]]:
        """Takes what could not be read since the last call, of the first 100: (its number among all that came, why,
        the beginning of the text)."""

    def counters(self) -> dict[str, int]:
        """packets, records, events, overruns (ENOBUFS), rejected (sender not the kernel), truncated (longer than
        20,480 bytes), control, unreadable, incomplete, late, gaps, stalls (64 MiB waited for take(), so reading
        stopped until it came), wakeups, pauses (to gather), receives (system calls), bytes_in, bytes_out,
        raw_cut (lines for take_raw() that were longer than 8,969 bytes, and shortened), doubts (records that told
        of rules by which PROCTITLE may be missing, or that such may be made in silence), ended (1 once nothing
        more will be read: the socket failed or its peer closed it, or stop()), cpu_ns (of the thread).

        Of connections' ends: ends_event, ends_listener, ends_trace, ends_pidfd, ends_destroyed, ends_unknown (events
        by who knew the end that is not in the record: tsauditd.endpoint), accepts and connects (inet connections
        taken, made or begun), accepts_known and connects_known (those with both ends), looks (sockets looked at),
        looks_off (1 when that is not possible: no CAP_SYS_PTRACE, or pidfd_getfd(2) refused), trace_off (1 when there
        are no tracepoints: no CAP_PERFMON, no tracefs).

        True to the thread's last batch; cpu_ns to this moment.
        """

    def stop(self) -> None:
        """Reads what the socket still holds (at most for a second, if it does not become empty), ends the open
        events, stops the thread and joins it. What is finished is still there to take(). Harmless a second time.
        Dropping the object does the same."""

@final
class SyslogFormat:
    """JSON lines as syslog messages, of RFC 5424 or 3164."""

    def __new__(
        cls, *, facility: int, old: bool, host: str, pid: int, ahead: int, longest: int, counted: bool
    ) -> SyslogFormat:
        """old: RFC 3164. host: empty leaves it out. ahead: seconds of local time before UTC. longest: bytes of a
        message. counted: each begins with its length (RFC 6587)."""

    def messages(self, lines: bytes, /) -> tuple[bytes, list[int], int]:
        """A message for each line: all of them in a row, where each ends, and how many were cut."""
