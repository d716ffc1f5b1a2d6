"""One contender's turn: started, put through the work, ended, and what it has left read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from borrowed import borrowed_audit
from readers import BACKLOG_LIMIT, RECEIVE_BUFFER

from showdown import written
from showdown.contenders import Contender
from showdown.pipeline import Pipeline, written_bytes
from showdown.work import Done, Work
from tsauditd.errors import TsauditdError
from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import open_unicast, register, release
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.lists import add_rule, delete_all
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.parse import parse_line
from tsauditd.kernel.rules.rule import Place

SETTLE_SECONDS = 60.0
LOOK_SECONDS = 0.02


class Arena:
    """A contender that runs, and the kernel's audit, which is its own meanwhile."""

    def __init__(self, contender: Contender, control: ControlSocket, at: Path) -> None:
        self.contender = contender
        self.control = control
        self.at = at
        self.pipeline = Pipeline(at)

    def start(self) -> None:
        """Starts it and waits until it reads. Raises TsauditdError when it does not."""
        kernel.set_backlog_limit(BACKLOG_LIMIT, self.control)
        commands = self.contender.commands(self.at)
        for number, command in enumerate(commands):
            pid = self.pipeline.start(command)
            if number + 1 == len(commands):
                self.pipeline.wait_for(partial(self._is_read_by, pid), "the audit pid")
            else:
                self.pipeline.wait_for((self.at / self.contender.listens).exists, self.contender.listens)
        kernel.set_backlog_limit(BACKLOG_LIMIT, self.control)
        kernel.set_enabled(int(self.contender.audit), self.control)
        self.settle()

    def _is_read_by(self, pid: int) -> bool:
        return kernel.status(self.control).pid == pid

    def settle(self) -> bool:
        """Waits for the rest of all."""
        return self.pipeline.settle(lambda: kernel.status(self.control).backlog > 0, SETTLE_SECONDS)

    @contextlib.contextmanager
    def under(self, rules: Sequence[str]) -> Iterator[None]:
        """These rules alone."""
        names = core_names()
        for text in rules:
            for command in parse_line(text, Place(), names):
                assert command.rule is not None
                add_rule(encode(command.rule), self.control)
        try:
            yield
        finally:
            delete_all(self.control)

    def measured(self, work: Work) -> tuple[Done, dict[str, Any]]:
        """The work done, from rest to rest, and what that cost."""
        with self.under(work.rules(lean=self.contender.lean)):
            self.pipeline.forget_peaks()
            size, status, spent = written_bytes(self.at), kernel.status(self.control), self.pipeline.spent()
            began = time.monotonic_ns()
            with watched_backlog() as most:
                done = work.do()
            during = self.pipeline.spent().since(spent)
            wall = time.monotonic_ns() - began
            settled = self.settle()
            after = kernel.status(self.control)
            if after.backlog_limit != BACKLOG_LIMIT or after.enabled != int(self.contender.audit):
                raise TsauditdError("somebody else has changed the kernel's audit state during the run")
            return done, {
                **asdict(self.pipeline.spent().since(spent)),
                "busy_share": during.cpu_ns / wall,
                "work": done.told,
                "events": done.events,
                "known": done.truth.total(),
                "lost": after.lost - status.lost,
                "backlog_waits": after.backlog_wait_time_actual - status.backlog_wait_time_actual,
                "backlog_most": most(),
                "peak_mb": self.pipeline.resident_mb("VmHWM"),
                "others_peak_mb": self.pipeline.resident_mb("VmHWM", others=True),
                "bytes": written_bytes(self.at) - size,
                "settled": settled,
            }

    def end(self) -> None:
        """Ends it; what it has to write is written then."""
        kernel.set_enabled(0, self.control)
        self.pipeline.end()
        drain(self.control)

    def files(self) -> list[Path]:
        """Where its lines are."""
        return sorted(self.at.glob(self.contender.logs)) if self.contender.logs else []

    def delivered(self, work: Work, done: Done) -> written.Delivered | None:
        """Of the work's events; None where nothing is kept."""
        if self.contender.form is None:
            return None
        return written.delivered(self.contender.form, self.files(), work.key, done.truth)


@contextlib.contextmanager
def turn(contender: Contender, at: Path) -> Iterator[Arena]:
    """A contender's turn, in an empty directory; the machine's audit is as it was after it."""
    at.mkdir(mode=0o755)
    with borrowed_audit(BACKLOG_LIMIT) as control:
        arena = Arena(contender, control, at)
        try:
            arena.start()
            yield arena
        finally:
            arena.end()


@contextlib.contextmanager
def watched_backlog() -> Iterator[Callable[[], int]]:
    """Looks at the kernel's queue fifty times a second; gives the most that was in it."""
    seen, over = [0], threading.Event()

    def look() -> None:
        with ControlSocket() as control:
            while not over.wait(LOOK_SECONDS):
                seen[0] = max(seen[0], kernel.status(control).backlog)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: seen[0]
    finally:
        over.set()
        thread.join()


def drain(control: ControlSocket) -> None:
    """Takes what the kernel has kept for want of a reader, so that the next one does not get it."""
    with open_unicast(RECEIVE_BUFFER) as sock:
        register(sock)
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while sock.recv(1 << 16):
                pass
        release(control)
