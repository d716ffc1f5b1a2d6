"""A file that lines are appended to: its rotation, its permissions, and what is done when the disk fails."""

import contextlib
import errno
import grp
import os
import stat
import time
from collections.abc import Callable

from tsauditd.config import FileOutput
from tsauditd.errors import BadConfiguration
from tsauditd.event import Lines
from tsauditd.sinks.action import Actions
from tsauditd.sinks.pastcache import PastCache
from tsauditd.sinks.rotation import Kept, Rotation
from tsauditd.sinks.space import Limit

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_SOON, _LATER, _REST = 1.0, 5.0, 60.0
"""Seconds to the next look at the clock while nothing is written: when something is amiss or not forced to the disk
yet, when there is space to watch, when old files are all there is to look for."""


class FileWriter:
    """Writes to the file that `output` describes, in the thread of a QueueSink. Raises OSError when made.

    A suspended file takes nothing until `resume`, or until the space is back that it was suspended for.
    """

    pause = 1.0
    backs_off = False
    gathers = 256 << 10
    packs = False
    cut = 0
    uncertain = 0

    def __init__(
        self, output: FileOutput, actions: Actions, *, wall: Callable[[], float] = time.time
    ) -> None:
        """`wall` gives seconds since the epoch."""
        self.name = output.path
        self._actions = actions
        self._wall = wall
        self._set(output)
        self._failing: int | None = None
        self._suspended: str | None = None
        self._size_told = False
        self._unsynced = False
        self._fd = -1
        self._place = (0, 0)
        self._disk = (-1, False)
        self._past = PastCache(wanted=False)
        self._fresh = True
        self._open()

    def _set(self, output: FileOutput) -> None:
        self._output = output
        self._group = group_id(output.group)
        kept = Kept(output.keep_files, output.keep_days, output.compress == "zstd", self._group is not None)
        self._rotation = Rotation(output.path, kept)
        self._limits = [
            Limit("space_left", output.space_left, output.space_left_action),
            Limit("admin_space_left", output.admin_space_left, output.admin_space_left_action),
        ]

    @property
    def state(self) -> str | None:
        """Why it is suspended, or None."""
        return f"suspended ({self._suspended})" if self._suspended else None

    def write(self, lines: Lines, start: int) -> int:
        """See Writer. A line that was cut by a file's end begins anew in the next file."""
        try:
            if self._regular:
                if not self._in_place():
                    self._open()
                if self._fresh and start:
                    start = bytes(lines[:start]).rfind(b"\n") + 1
                if self._due() and (start == 0 or lines[start - 1] == 0x0A):
                    self.rotate()
            written = self._past.write(self._fd, self._size, memoryview(lines)[start:])
            if self._output.sync == "batch":
                os.fdatasync(self._fd)
        except OSError as error:
            self._failed(error)
            raise
        self._size += written
        self._fresh = False
        self._unsynced = True
        if self._failing is not None and start + written == len(lines):
            self._failing = None
        return start + written

    def tick(self) -> float:
        """See Writer: looks at the free space, deletes what is too old, forces to the disk."""
        children = self._actions.reap()
        if self._unsynced and self._output.sync == "second":
            self._unsynced = False
            os.fdatasync(self._fd)
        if not self._regular:
            return _SOON if children else _REST
        watched = any(limit.is_set for limit in self._limits)
        if watched or self._suspended:
            space = os.fstatvfs(self._fd)
            free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
            for limit in self._limits:
                limit.look(free, total, self._act, self._well)
            if self._suspended == "disk_full" and free > _ROOM:
                self._well("disk_full")
        if self._output.keep_days:
            self._rotation.prune(self._wall())
        if children or self._suspended or any(limit.crossed for limit in self._limits):
            return _SOON
        return _LATER if watched else _REST

    def rotate(self) -> None:
        """Begins a new file, unless this one is empty. Raises OSError."""
        if not self._regular or (self._size == 0 and self._in_place()):
            return
        if self._in_place():
            if self._output.sync != "none":
                os.fdatasync(self._fd)
            self._rotation.shift(self._wall())
        self._open()

    def change(self, output: FileOutput) -> None:
        """Goes on with the same file by other rules; a suspension ends. Raises OSError."""
        self._rotation.settle()
        self._set(output)
        self.resume()

    def resume(self) -> None:
        """Ends a suspension and opens the file anew. Raises OSError."""
        self._suspended = self._failing = None
        self._size_told = False
        for limit in self._limits:
            limit.crossed = False
        self._open()

    def close(self) -> None:
        """See Writer."""
        if self._fd >= 0:
            if self._output.sync != "none" and self._regular:
                os.fdatasync(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._past.close()
        self._rotation.settle()

    def abandon(self) -> None:
        """See Writer: a disk that hangs cannot be told to give up."""

    def _open(self) -> None:
        fd = open_append(self.name, self._group)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        state = os.fstat(fd)
        self._regular = stat.S_ISREG(state.st_mode)
        disk = state.st_dev, self._regular and self._output.direct
        if disk != self._disk:  # else what is known of it stays known
            self._past.close()
            self._disk, self._past = disk, PastCache(wanted=disk[1])
        self._size = state.st_size
        self._period = self._period_of(state.st_mtime if state.st_size else self._wall())
        place = (state.st_dev, state.st_ino)
        if place != self._place:
            self._place = place
            self._fresh = True
            if self._regular and self._size and _last_byte(self.name) != b"\n":
                # Whoever wrote before was killed, or had no room, in the middle of a line.
                with contextlib.suppress(OSError):
                    self._size += os.write(fd, b"\n")

    def _period_of(self, when: float) -> int:
        return int(when // self._output.rotate_seconds) if self._output.rotate_seconds else 0

    def _due(self) -> bool:
        """Whether a new file is to begin."""
        output = self._output
        if output.rotate_seconds and (now := self._period_of(self._wall())) != self._period:
            self._period = now
            return self._size > 0
        if not output.rotate_bytes or self._size < output.rotate_bytes:
            return False
        if output.size_action != "rotate" and not self._size_told:
            self._size_told = True
            self._act(output.size_action, f"{self.name} has reached rotate_bytes")
        return output.size_action == "rotate"

    def _in_place(self) -> bool:
        """Whether the path still leads to the open file: somebody may have moved or deleted it."""
        try:
            state = os.lstat(self.name)
        except OSError:
            return False
        return (state.st_dev, state.st_ino) == self._place

    def _failed(self, error: OSError) -> None:
        """Takes the action for a failed write, once for each kind of failure."""
        number = error.errno or 0
        full = number in _FULL
        action = self._output.disk_full_action if full else self._output.disk_error_action
        if isinstance(error, BrokenPipeError) or (number == self._failing and action != "rotate"):
            return
        self._failing = number
        self._act(action, f"{'disk_full' if full else 'disk_error'}: {self.name}: {error.strerror}")

    def _act(self, action: str, why: str) -> None:
        def suspend() -> None:
            self._suspended = why.split(":")[0]

        def rotate() -> None:
            self._rotation.free()

        self._actions.take(action, why, suspend=suspend, rotate=rotate)

    def _well(self, name: str) -> None:
        """There is room again: what was suspended for the want of it goes on."""
        if self._suspended == name:
            self.resume()


_ROOM = 1 << 20
"""Bytes that must be free before a file that was suspended because the disk was full goes on."""


def group_id(group: str) -> int | None:
    """The number of a group by name or number; None for the empty text. Raises BadConfiguration."""
    if not group:
        return None
    if group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        message = f"there is no group {group}"
        raise BadConfiguration(message) from None


def _last_byte(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.pread(fd, 1, max(os.fstat(fd).st_size - 1, 0))
    finally:
        os.close(fd)


def open_append(path: str, group: int | None) -> int:
    """A descriptor that appends to the file at `path`, 0600, or 0640 and of that group. Raises OSError.

    A symbolic link in the last place is refused (O_NOFOLLOW): in a directory that others may write to it would lead
    root's lines elsewhere. A directory that is missing is made (0700, or 0750 and of that group).
    """
    directory = os.path.dirname(path)
    if directory and not os.path.isdir(directory):
        os.mkdir(directory, 0o700 if group is None else 0o750)
        if group is not None:
            os.chown(directory, -1, group)
    # Not to wait for a reader of a named pipe.
    flags = (
        os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    )
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a symbolic link is refused: name the file itself", path) from None
        raise
    os.set_blocking(fd, True)
    if group is not None and stat.S_ISREG(os.fstat(fd).st_mode):
        os.fchown(fd, -1, group)
        os.fchmod(fd, 0o640)
    return fd
