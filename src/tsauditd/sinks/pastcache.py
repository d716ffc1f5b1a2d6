"""Writing past the page cache: in a storm of lines most of a write is pages that are found, cleared and filled.

A piece goes there that is large, as long as the disk takes each in a moment. One that does not, also one that has let
itself be written to quickly for a while, is left to the cache and to the kernel for a minute.
"""

import errno
import fcntl
import mmap
import os
import time
from collections.abc import Callable

_LEAST = 128 << 10
_MOST = 2 << 20
"""Bytes of a piece that goes past the cache. The memory that it goes from is kept: so much for each file."""

_MOMENT = 0.005
"""Seconds. For the largest pieces that is 400 MB/s, about what the page cache takes of a flow that goes on, while it
writes to the disk as well; they come when lines come faster than they are written, and of fewer lines smaller ones, for
which a slower disk is quick enough."""

_REST = 60.0
"""Seconds that a disk which was slower is left alone."""

_BLOCK = 4096
"""What place, length and memory of such a write are multiples of (open(2), O_DIRECT): no disk in use has larger blocks,
and one that has refuses."""


class PastCache:
    """Appends to a regular file, past the cache what can go there."""

    def __init__(self, *, wanted: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = wanted
        self._clock = clock
        self._rests_until = float("-inf")
        self._memory: mmap.mmap | None = None

    def write(self, fd: int, size: int, lines: memoryview) -> int:
        """Writes the beginning of `lines` to the end of a file of so many bytes; returns how many.

        `fd` appends. A file system that has no such way is written to as any other from then on. Raises OSError, unless
        something was written before.
        """
        if not self._wanted or len(lines) < _LEAST or self._clock() < self._rests_until:
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

    def _write_past(self, fd: int, blocks: memoryview) -> int:
        if self._memory is None:
            self._memory = mmap.mmap(-1, _MOST)
        self._memory[: len(blocks)] = blocks
        usual = fcntl.fcntl(fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, usual | os.O_DIRECT)
            began = self._clock()
            try:
                written = os.write(fd, memoryview(self._memory)[: len(blocks)])
            finally:
                fcntl.fcntl(fd, fcntl.F_SETFL, usual)
            now = self._clock()
            if now - began > _MOMENT:
                self._rests_until = now + _REST
            return written
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._wanted = False
            self._memory = None
            return os.write(fd, blocks)
