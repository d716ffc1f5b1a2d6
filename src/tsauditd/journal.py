"""What the daemon must not forget of open sessions when it is killed: a file that is appended to with each batch."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tsauditd.timelines.session import Session
from tsauditd.timelines.start import is_start
from tsauditd.timelines.state import changes, remade

_COMPACT = 16 << 20
"""Bytes after which the file is written anew, with what is open alone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run has left of its sessions."""

    sessions: list[Session]
    """Those that were open."""

    objects: list[dict[str, Any]]
    """Those that were given to be written, and may not have been."""

    waiting: bytes
    """Events that nothing has come of yet, a line each."""


class Journal:
    """The file. What was written to it survives the process (not the host's sudden end: nothing is forced to disk)."""

    def __init__(self, path: str) -> None:
        """Raises OSError. A file that is there stays until `begin`."""
        self.path = path
        self._fd = -1
        self._size = 0
        self._limit = _COMPACT

    def load(self) -> Kept:
        """What the last run has left.

        A line that was cut by the end of the process is passed over, as is what this version cannot read.
        """
        entries: dict[str, list[dict[str, Any]]] = {}
        objects: list[dict[str, Any]] = []
        waiting: list[bytes] = []
        for text, line in self._lines():
            if line is None:
                waiting.append(text)
                continue
            waiting.clear()  # worked on, and this came of it
            if "object" in line:
                objects.append(line["object"])
                if session := line["object"]["tsauditd"].get("session"):
                    entries.setdefault(session["id"], []).append(line["object"])
            elif "ended" in line:
                entries.pop(line["ended"], None)
            else:
                entries.setdefault(line["state"]["id"], []).append(line)
        sessions = []
        for found in entries.values():
            if not any("state" in entry for entry in found):
                continue  # ended: its objects are all that is left
            try:
                sessions.append(remade(found))
            except (KeyError, TypeError, ValueError):
                continue
        return Kept(sessions, objects, b"\n".join(waiting))

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
        """Each line, and what it says unless it is an event."""
        try:
            data = Path(self.path).read_bytes()
        except FileNotFoundError:
            return
        for text in data.split(b"\n"):
            try:
                line = orjson.loads(text)
            except orjson.JSONDecodeError:
                if is_start(text):
                    yield text, None
                continue
            if not isinstance(line, dict):
                continue
            if "event" in line:
                yield text, None
            elif "object" in line or "ended" in line or "id" in line.get("state", {}):
                yield text, line

    def begin(self, sessions: Iterable[Session]) -> None:
        """Writes the file anew, in one step, with the whole of these sessions. Raises OSError."""
        self.close()
        new = f"{self.path}.new"
        fd = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        size = 0
        try:
            for session in sessions:
                size += _write(fd, [_line(changes(session, whole=True))])
            os.rename(new, self.path)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._size = fd, size
        self._limit = max(_COMPACT, 4 * size)

    def keep(self, lines: bytes) -> None:
        """Takes events that will be worked on in a while, whole lines of JSON. Raises OSError."""
        self._size += _write(self._fd, [lines])

    def append(self, objects: list[bytes], changed: Iterable[Session], ended: Iterable[str]) -> None:
        """Takes what has come of all events since the last call; the objects as they are written. Raises OSError."""
        lines = [b'{"object":%b}\n' % document for document in objects]
        lines += [_line(changes(session, whole=False)) for session in changed]
        lines += [_line({"ended": name}) for name in ended]
        self._size += _write(self._fd, lines)

    @property
    def is_large(self) -> bool:
        """Whether it is time to `begin` anew, once what was given to be written is."""
        return self._size > self._limit

    def close(self) -> None:
        """Lets go of the file; it stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _line(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _write(fd: int, lines: list[bytes]) -> int:
    data = b"".join(lines)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return len(data)
