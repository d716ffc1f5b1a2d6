"""From the system call to the line on disk: a program opens files with numbers, and the log is watched as it grows.

The clock starts just before the call and stops when the line can be read in the file that the contender writes (what
the kernel then does with the page is its own affair). The file's size is looked at each millisecond, and what is in it
is read when all is over: a reader that searches the lines while they come takes a third of a processor from a contender
that writes 150 MB a second, has the disk give back what went past the page cache, and may itself be what is late.
"""

from __future__ import annotations

import bisect
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.001
MORE_SECONDS = 1.0
"""So long all goes on after the last call: no storm ends before lines that are late in it."""

PROBE_MICROS = 10_000
MARK = b"probe-"
DIGITS = 6

_CHUNK = 4 << 20
_NEWEST = 2
"""Files that lines may come to: the one that is written to, and the one that was until a moment ago."""

_SETTLED_NS = 100_000_000
"""So long after a directory's last change a further one may have the same time."""


@dataclass(slots=True)
class _File:
    """A file that was open, also when it is renamed or deleted since: how large it was, and when first so."""

    fd: int
    start: int
    sizes: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def look(self, now: int) -> None:
        size = os.fstat(self.fd).st_size
        if size > (self.sizes[-1] if self.sizes else self.start):
            self.sizes.append(size)
            self.times.append(now)

    def since(self, place: int) -> int | None:
        """When the byte at this place could be read."""
        at = bisect.bisect_right(self.sizes, place)
        return self.times[at] if at < len(self.times) else None


class Watch(threading.Thread):
    """Looks how a log grows and is rotated, and says afterwards when each number was there."""

    def __init__(self, find: Callable[[], list[Path]]) -> None:
        """`find` gives the log's files, the one that is written to first."""
        super().__init__(daemon=True)
        self._find = find
        self._files: dict[int, _File] = {}
        self._directory: Path | None = None
        self._changed = 0
        self._over = threading.Event()
        for path in find()[:_NEWEST]:
            self._open(path, path.stat().st_size)

    def run(self) -> None:
        """Until stop()."""
        while not self._over.wait(LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        """Ends it."""
        self._over.set()
        self.join()

    def close(self) -> None:
        """Lets go of the files."""
        for file in self._files.values():
            os.close(file.fd)
        self._files.clear()

    def look(self) -> None:
        """Sees what has come."""
        self._look_for_others()
        now = time.monotonic_ns()
        for file in self._files.values():
            file.look(now)

    def seen(self) -> dict[int, int]:
        """When the end of the first line with each number could be read, ns of CLOCK_MONOTONIC."""
        seen: dict[int, int] = {}
        for file in self._files.values():
            for number, end in _numbers(file.fd, file.start):
                when = file.since(end)
                if when is not None:
                    seen[number] = min(when, seen.get(number, when))
        return seen

    def _look_for_others(self) -> None:
        if self._directory is not None:
            changed = self._directory.stat().st_mtime_ns
            if changed == self._changed and time.time_ns() - changed > _SETTLED_NS:
                return
            self._changed = changed
        for path in self._find()[:_NEWEST]:
            self._directory = path.parent
            with suppress(FileNotFoundError):
                self._open(path, 0)

    def _open(self, path: Path, start: int) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        inode = os.fstat(fd).st_ino
        if inode in self._files:
            os.close(fd)
        else:
            self._files[inode] = _File(fd, start)


def _numbers(fd: int, start: int) -> Iterator[tuple[int, int]]:
    """Each number in a file from there on, with the place of the byte that ends its line."""
    place, rest = start, b""
    while data := os.pread(fd, _CHUNK, place + len(rest)):
        data = rest + data
        whole = data.rfind(b"\n") + 1
        at = data.find(MARK, 0, whole)
        while at >= 0:
            digits = data[at + len(MARK) : at + len(MARK) + DIGITS]
            if len(digits) == DIGITS and digits.isdigit():
                yield int(digits), place + data.index(b"\n", at)
            at = data.find(MARK, at + len(MARK), whole)
        place, rest = place + whole, data[whole:]


def measure(
    program: Path, find: Callable[[], list[Path]], directory: Path, probes: int, rest: Callable[[], object]
) -> dict[str, Any]:
    """Milliseconds from call to line, sorted; `missing` is how many numbers had not come after `rest`.

    `rest` ends what else goes on and waits until nothing is on its way any more.
    """
    made = directory / "probes"
    made.mkdir()
    watch = Watch(find)
    watch.start()
    try:
        try:
            done = subprocess.run(
                [program, "probe", made / MARK.decode(), str(probes), str(PROBE_MICROS)],
                stdout=subprocess.PIPE,
                check=True,
                start_new_session=True,
            )
            time.sleep(MORE_SECONDS)
        finally:
            rest()
            watch.stop()
            shutil.rmtree(made)
        seen = watch.seen()
    finally:
        watch.close()
    began = [int(line) for line in done.stdout.split()]
    took = sorted((seen[n] - at) / 1e6 for n, at in enumerate(began) if n in seen)
    return {"ms": took, "missing": probes - len(took)}
