"""Sessions while they happen: batches of the core in, objects to the sinks, the state kept for the next start."""

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from tsauditd.journal import Journal
from tsauditd.timelines import Timelines
from tsauditd.timelines.facts import time_text
from tsauditd.timelines.lines import push_lines, uncollected
from tsauditd.timelines.tracker import Alive

_TAIL = 4 << 20
"""Bytes at the end of the sessions' file in which an object is looked for that may have been written."""

_TOGETHER = 1 << 20
"""Bytes of events that wait at most: what Python does in one go costs half of what it does bit by bit."""


class LiveSessions:
    """The sessions of this host, as long as the daemon runs and from one run to the next."""

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        *,
        journal: Journal | None,
        idle: Callable[[], bool],
        wall: Callable[[], float],
        say: Callable[[str], None],
        later: Callable[[Callable[[], None]], object],
        alive: Alive | None,
    ) -> None:
        """`deliver` takes whole lines; `idle`: whether all that was delivered has been written.

        `wall`: seconds since the epoch; `say` tells a line on standard error; `later` calls in a moment what it is
        given; `alive`: `sessions_alive`, or None where not every process can be seen.
        """
        self._deliver = deliver
        self._journal = journal
        self._idle = idle
        self._wall = wall
        self._say = say
        self._later = later
        self._fresh: list[bytes] = []
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._alive = alive
        self._objects: list[bytes] = []
        # At once, while the rows are still at hand and before more take memory.
        self._timelines = Timelines(lambda document: self._objects.append(orjson.dumps(document)))

    def begin(self, boot_id: str | None, written: Iterable[Path]) -> None:
        """Takes up the sessions that the last run has left open. `written`: the files that objects went to."""
        if self._journal is None:
            return
        now = int(self._wall() * 1000)
        kept = self._journal.load()
        known = _written(written) if kept.objects else set()
        # Given to be written, and killed before it was.
        self._give([orjson.dumps(document) for document in kept.objects if _key(document) not in known])
        for session in kept.sessions:
            self._timelines.resume(session)
        push_lines(self._timelines, kept.waiting)
        sessions = list(self._timelines.sessions.values())
        living = {session.id for session in sessions} if self._alive is None else self._alive(sessions)
        for session in sessions:
            if session.host.get("boot", {}).get("id") != boot_id:
                self._timelines.gone(session.id, "reboot")
            elif session.id not in living:
                self._timelines.gone(session.id, "unwatched")
            else:
                row = session.add("blind", session.last, time_text(session.last), None)
                row["duration"] = max(now - session.last, 0) * 1_000_000
                row["text"] = "the daemon was not running"
                session.last = max(session.last, now)
        self._give(self._objects)
        self._objects.clear()
        self._timelines.changed.clear()
        self._restart()

    def batch(self, lines: bytes) -> None:
        """Takes what sessions need of a batch: kept in a moment, worked on at the next `tick` or when it is much."""
        first = not self._fresh
        self._fresh.append(lines)
        self._waiting_bytes += len(lines)
        if self._waiting_bytes >= _TOGETHER:
            self.take()
        elif first:
            self._later(self.keep)

    def keep(self) -> None:
        """Has the journal keep what has come: from then on a kill loses none of it."""
        if not self._fresh:
            return
        lines = b"".join(self._fresh)
        self._fresh.clear()
        self._waiting.append(lines)
        if self._journal is not None:
            try:
                self._journal.keep(lines)
            except OSError as error:
                self._fail(error)

    def take(self) -> None:
        """Works on what waits."""
        waiting = self._waiting + self._fresh
        if not waiting:
            return
        self._waiting.clear()
        self._fresh.clear()
        self._waiting_bytes = 0
        with uncollected():
            push_lines(self._timelines, b"".join(waiting))
            self._settle()

    def lost(self, text: str, count: int) -> None:
        """Records were lost just now."""
        self.take()
        self._timelines.lost(text, int(self._wall() * 1000), count)

    def tick(self) -> None:
        """To be called about once a second."""
        self.take()
        self._timelines.tick(int(self._wall() * 1000), self._alive)
        self._settle()
        if self._journal is not None and self._journal.is_large and self._idle():
            self._restart()

    def flush(self) -> None:
        """Writes what waits."""
        self.take()
        self._timelines.flush()
        self._settle()

    def keep_at(self, path: str) -> None:
        """Keeps the state in this file from now on."""
        if self._journal is not None and self._journal.path != path:
            self.take()
            old, self._journal = self._journal, Journal(path)
            self._restart()
            old.close()
            with contextlib.suppress(OSError):
                os.unlink(old.path)

    def close(self) -> None:
        """Writes what waits. Open sessions stay in the journal for the next run."""
        self.flush()
        if self._journal is not None:
            self._journal.close()

    def _settle(self) -> None:
        changed = self._timelines.changed
        if not changed and not self._objects:
            return
        objects = self._objects.copy()
        self._objects.clear()
        if self._journal is not None:
            opened = self._timelines.sessions
            try:
                self._journal.append(
                    objects,
                    [opened[name] for name in changed if name in opened],
                    [name for name in changed if name not in opened],
                )
            except OSError as error:
                self._fail(error)
        changed.clear()
        self._give(objects)

    def _give(self, objects: list[bytes]) -> None:
        if objects:
            self._deliver(b"\n".join(objects) + b"\n")

    def _restart(self) -> None:
        if self._journal is None:
            return
        try:
            self._journal.begin(self._timelines.sessions.values())
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Sessions go on without being kept: what a kill then costs is told."""
        path = self._journal.path if self._journal is not None else ""
        self._journal = None
        self._say(
            f"{path}: {error.strerror}: open sessions are not kept from now on should the daemon be killed"
        )


def _key(document: dict[str, Any]) -> tuple[str, int]:
    inner = document["tsauditd"]
    if "session" in inner:
        return inner["session"]["id"], inner["session"]["part"]
    return inner["logins"]["events"][0], -1


def _written(files: Iterable[Path]) -> set[tuple[str, int]]:
    """What is at the end of the files."""
    found = set()
    for path in files:
        try:
            with path.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
                data = file.read()
        except OSError:
            continue
        for line in data.splitlines():
            try:
                found.add(_key(orjson.loads(line)))
            except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
                continue
    return found


def state_path(sessions_file: str | None) -> str:
    """Where the state of open sessions is kept: beside the file they go to, else where it lives as long as the boot."""
    return f"{sessions_file}.state" if sessions_file is not None else "/run/tsauditd/sessions.state"
