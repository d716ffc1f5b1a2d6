"""Writing past the page cache: in a storm of lines most of a write is pages that are found, cleared and filled.

A piece goes there that is large, as long as the disk is not waited for most of the time. One that is, also one that has
let itself be written to quickly for a while, is left to the cache and to the kernel for a while, longer the next time.
To wait for a disk for a moment is better than that: in a storm, where the processors are taken, a thread that fills the
cache comes to its turn too seldom to keep up.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import time
from collections.abc import Callable

_LEAST = 128 << 10
_MOST = 2 << 20
"""Bytes of a piece that goes past the cache. The memory that it goes from is kept: so much for each file."""

_MOMENT = 0.001
"""Seconds. When a piece took longer it is looked closely at what the next one waits for: the disk, or a processor."""

SHARE = 0.5
SLACK = 0.25
"""A disk is slow that is waited for more than this share of the time, and so many seconds beyond: a shared one stands
still for a tenth of a second now and then, and what comes in these seconds finds room in the queue."""

_REST = 10.0
_LONGEST_REST = 3600.0
"""Seconds that a disk which was slower is left alone: twice as long each time that it was slow again when tried."""

_BLOCK = 4096
"""What place, length and memory of such a write are multiples of (open(2), O_DIRECT): no disk in use has larger blocks,
and one that has refuses."""


class Trust:
    """Whether a disk is to be waited for, by how long it let itself be waited for. All times are seconds."""

    def __init__(self) -> None:
        self.rests_until = float("-inf")
        """Until then it is left alone."""
        self._rest = _REST
        self._looked = 0.0
        self._waited = 0.0

    def note(self, now: float, waited: float) -> None:
        """Takes in how long the disk let a thread wait until now."""
        self._waited = max(self._waited - (now - self._looked) * SHARE, 0.0) + waited
        self._looked = now
        if self._waited > SLACK:
            again = now < self.rests_until + self._rest
            self._rest = min(self._rest * 2, _LONGEST_REST) if again else _REST
            self.rests_until = now + self._rest
            self._waited = 0.0


class PastCache:
    """Appends to a regular file, past the cache what can go there."""

    def __init__(
        self,
        *,
        wanted: bool,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] | None = None,
    ) -> None:
        """`clock` gives seconds; `busy` those of them in which the thread that writes ran or could have."""
        self._wanted = wanted
        self._clock = clock
        self._thread = ThreadTime()
        self._busy = busy or self._thread.seconds
        self._trust = Trust()
        self._doubted = False
        self._memory: mmap.mmap | None = None

    def write(self, fd: int, size: int, lines: memoryview) -> int:
        """Writes the beginning of `lines` to the end of a file of so many bytes; returns how many.

        `fd` appends. A file system that has no such way is written to as any other from then on. Raises OSError, unless
        something was written before.
        """
        if not self._wanted or len(lines) < _LEAST or self._clock() < self._trust.rests_until:
            return os.write(fd, lines)
        lines = lines[:_MOST]
        head = -size % _BLOCK
        end = head + (len(lines) - head) // _BLOCK * _BLOCK
        done = 0
        try:
            for part in (lines[:head], lines[head:end], lines[end:]):
                put = self._write_past if len(part) >= _BLOCK else os.write
                if part:
                    written = put(fd, part)
                    done += written
                    if written < len(part):
                        break
        except OSError:
            if not done:
                raise
        return done

    def close(self) -> None:
        """Lets go of what was opened beside the file."""
        self._thread.close()

    def _write_past(self, fd: int, blocks: memoryview) -> int:
        if self._memory is None:
            self._memory = _one_page(_MOST)
        self._memory[: len(blocks)] = blocks
        usual = fcntl.fcntl(fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, usual | os.O_DIRECT)
            began = self._clock()
            busy = self._busy() if self._doubted else 0.0
            try:
                written = os.write(fd, memoryview(self._memory)[: len(blocks)])
            finally:
                fcntl.fcntl(fd, fcntl.F_SETFL, usual)
            now = self._clock()
            if self._doubted:
                # In a storm a thread that could run waits for a processor longer than it waits for a disk.
                self._trust.note(now, now - began - (self._busy() - busy))
            self._doubted = now - began > _MOMENT
            return written
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._wanted = False
            self._memory = None
            return os.write(fd, blocks)


def _one_page(size: int) -> mmap.mmap:
    """Memory that is one page, where the kernel has such (madvise(2)), and goes to the disk as one stretch."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class ThreadTime:
    """How long one thread, the first that asks, ran or waited for a processor."""

    def __init__(self) -> None:
        self._fd: int | None = None

    def seconds(self) -> float:
        """Seconds of it (Documentation/scheduler/sched-stats.rst); 0 where the kernel does not tell."""
        try:
            if self._fd is None:
                self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            ran, waited, _ = os.pread(self._fd, 80, 0).split()
        except OSError:
            return 0.0
        return (int(ran) + int(waited)) / 1e9

    def close(self) -> None:
        """Lets go of what was opened to know it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
