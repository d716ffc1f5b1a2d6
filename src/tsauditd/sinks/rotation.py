"""Rotated files: NAME.1 is the newest, NAME.2 the one before; NAME.1.zst when it is compressed."""

import contextlib
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from tsauditd.zstd import zstd

_PART = ".part"
_CHUNK = 1 << 20
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of what was rotated; 0 is no limit. `group_reads`: mode 0440 rather than 0400."""

    files: int
    days: int
    compress: bool
    group_reads: bool


class Rotation:
    """Renames, compresses and deletes the files that once were `path`."""

    def __init__(self, path: str, kept: Kept) -> None:
        self._path = Path(path)
        self._kept = kept
        self._form = re.compile(re.escape(self._path.name) + r"\.([1-9][0-9]*)(\.zst)?")
        self._compressor: threading.Thread | None = None

    def rotated(self) -> list[tuple[int, Path]]:
        """The rotated files with their numbers, newest first. Raises OSError."""
        entries = self._path.parent.iterdir()
        matches = ((self._form.fullmatch(entry.name), entry) for entry in entries)
        return sorted((int(match[1]), entry) for match, entry in matches if match)

    def shift(self, now: float) -> None:
        """Makes NAME.1 of the file, after every older one has moved by one; deletes what is over the limits.

        `now`: seconds since the epoch. Raises OSError; nothing is overwritten then.
        """
        self.settle()
        for number, old in reversed(self.rotated()):
            suffix = ".zst" if old.name.endswith(".zst") else ""
            old.rename(self._path.with_name(f"{self._path.name}.{number + 1}{suffix}"))
        first = self._path.with_name(f"{self._path.name}.1")
        self._path.rename(first)
        first.chmod(0o440 if self._kept.group_reads else 0o400)
        self.prune(now)
        if self._kept.compress:
            self._compressor = threading.Thread(target=self._compress, name="compress", daemon=True)
            self._compressor.start()

    def prune(self, now: float) -> None:
        """Deletes what is too many or too old, by the time it was last written. Raises OSError."""
        for place, (_, old) in enumerate(self.rotated(), 1):
            expired = self._kept.days and now - old.stat().st_mtime > self._kept.days * _DAY
            if expired or (self._kept.files and place > self._kept.files):
                old.unlink()

    def free(self) -> bool:
        """Deletes the oldest rotated file to make room; false when there is none. Raises OSError."""
        self.settle()
        old = self.rotated()
        if old:
            old[-1][1].unlink()
        return bool(old)

    def settle(self) -> None:
        """Waits until nothing is being compressed: its name must not change meanwhile."""
        if self._compressor is not None:
            self._compressor.join()
            self._compressor = None

    def _compress(self) -> None:
        # Also what an earlier process left behind. A full disk leaves the file as it was.
        with contextlib.suppress(OSError):
            for _, old in self.rotated():
                if not old.name.endswith(".zst"):
                    compress(old)


def compress(path: Path) -> None:
    """Puts PATH.zst in PATH's place, with its mode, owner and times. Raises OSError, and PATH is as it was."""
    part, done = path.with_name(path.name + _PART), path.with_name(path.name + ".zst")
    try:
        with path.open("rb") as source, zstd.open(part, "wb", level=3) as target:
            state = os.fstat(source.fileno())
            while chunk := source.read(_CHUNK):
                target.write(chunk)
        os.chmod(part, state.st_mode & 0o7777)
        os.chown(part, state.st_uid, state.st_gid)
        os.utime(part, ns=(state.st_atime_ns, state.st_mtime_ns))
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(done)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    path.unlink()
