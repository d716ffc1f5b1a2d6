"""Writing past the page cache: in a storm of lines most of a write is pages that are found, cleared and filled.

A piece goes there that is large, but not so large that the disk seems to be behind: what a slow one does not take at
once is better left to the cache.
"""

import errno
import fcntl
import mmap
import os

_LEAST = 256 << 10
_MOST = 2 << 20
"""Bytes of a piece that goes past the cache. The memory that it goes from is kept: so much for each file."""

_BLOCK = 4096
"""What place, length and memory of such a write are multiples of (open(2), O_DIRECT): no disk in use has larger blocks,
and one that has refuses."""


class PastCache:
    """Appends to a regular file, past the cache what can go there."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._memory: mmap.mmap | None = None

    def write(self, fd: int, size: int, lines: memoryview) -> int:
        """Writes the beginning of `lines` to the end of a file of so many bytes; returns how many.

        `fd` appends. A file system that has no such way is written to as any other from then on. Raises OSError, unless
        something was written before.
        """
        if not self._wanted or not _LEAST <= len(lines) <= _MOST:
            return os.write(fd, lines)
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
            try:
                return os.write(fd, memoryview(self._memory)[: len(blocks)])
            finally:
                fcntl.fcntl(fd, fcntl.F_SETFL, usual)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._wanted = False
            self._memory = None
            return os.write(fd, blocks)
