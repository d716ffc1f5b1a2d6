"""From the system call to the line on disk: a program opens files with numbers, and a reader of the log waits for them.

The clock starts just before the call and stops when the line can be read in the file that the contender writes (what
the kernel then does with the page is its own affair). The reader looks again each millisecond.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

LOOK_SECONDS = 0.001
WAIT_SECONDS = 10.0
PROBE_MICROS = 10_000
MARK = "probe-"

_NUMBER = re.compile(rb"probe-(\d{6})")


class Reader(threading.Thread):
    """Reads a log while it grows and is rotated, and notes when each number was first there."""

    def __init__(self, find: Callable[[], list[Path]]) -> None:
        super().__init__(daemon=True)
        self._find = find
        self._open: dict[int, tuple[BinaryIO, bytes]] = {}
        self._old = {file.stat().st_ino: file.stat().st_size for file in find()}
        self._over = threading.Event()
        self.seen: dict[int, int] = {}

    def run(self) -> None:
        """Until stop()."""
        while not self._over.wait(LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        """Ends it."""
        self._over.set()
        self.join()
        self.close()

    def close(self) -> None:
        """Lets go of the files."""
        for file, _ in self._open.values():
            file.close()

    def look(self) -> None:
        """Reads what has come."""
        for path in self._find()[:2]:
            try:
                inode = path.stat().st_ino
                if inode not in self._open:
                    file = path.open("rb")
                    file.seek(self._old.get(inode, 0))
                    self._open[inode] = file, b""
            except FileNotFoundError:
                continue
        for inode, (opened, rest) in self._open.items():
            if data := opened.read():
                now = time.monotonic_ns()
                data = rest + data
                for found in _NUMBER.finditer(data):
                    self.seen.setdefault(int(found[1]), now)
                self._open[inode] = opened, data[-len(MARK) - 6 :]


def measure(program: Path, find: Callable[[], list[Path]], directory: Path, probes: int) -> dict[str, Any]:
    """Milliseconds from call to line, sorted; `missing` is how many numbers had not come after ten seconds."""
    made = directory / "probes"
    made.mkdir()
    reader = Reader(find)
    reader.start()
    try:
        done = subprocess.run(
            [program, "probe", made / MARK, str(probes), str(PROBE_MICROS)],
            stdout=subprocess.PIPE,
            check=True,
            start_new_session=True,
        )
        began = [int(line) for line in done.stdout.split()]
        until = time.monotonic() + WAIT_SECONDS
        while len(reader.seen) < probes and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        reader.stop()
        shutil.rmtree(made)
    took = sorted((reader.seen[n] - at) / 1e6 for n, at in enumerate(began) if n in reader.seen)
    return {"ms": took, "missing": probes - len(took)}
