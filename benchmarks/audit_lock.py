"""This machine's audit lock, and the kernel's auditing at rest for whoever holds it.

The kernel's audit state is one per machine. Who changes it for a test, a benchmark or a capture holds the lock, finds
auditing at rest, and leaves what was found: rules, settings, kauditd's scheduling. What was found is written down
before anything is changed, as the daemon does it (`tsauditd.kernel.borrowed`), so that what a killed holder left behind
is put back by the next one. Like that module this one needs Python's standard library alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tsauditd.errors import TsauditdError
from tsauditd.kernel import sender
from tsauditd.kernel import status as kernel
from tsauditd.kernel.borrowed import Borrowed, Entry, enter, left_behind
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import open_unicast, process_name, register, release
from tsauditd.kernel.state import KernelState, Snapshot

LOCK = Path("/run/tsauditd-audit.lock")
"""Whoever changes this machine's audit state holds an exclusive flock(2) on this file meanwhile."""

DIRECTORY = Path("/run/tsauditd-borrowed")
"""What the holder found, until it is put back. Daemons write theirs elsewhere, and the service may remove that."""

MARK = "TSAUDITD_AUDIT_LOCK"
"""In the environment of what a holder starts: the holder's pid and when it began, which no later process has."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a program, and wait while things are put back."""

FAILURE_PRINTK = 1
BACKLOG_LIMIT = 64
"""AUDIT_BACKLOG_LIMIT, the kernel's own (kernel/audit.c)."""

_PROC = Path("/proc")
_LOOK_SECONDS = 0.02
"""Others ask for the lock as well, and who asks seldom waits for long."""
_END_SECONDS = 30.0
_ORPHAN_SECONDS = 5.0


@contextlib.contextmanager
def audit_at_rest(seconds: float, waiting: Callable[[str], None] | None = None) -> Iterator[ControlSocket]:
    """`locked` and `at_rest`."""
    with locked(seconds, waiting), ControlSocket() as control, at_rest(control):
        yield control


@contextlib.contextmanager
def locked(seconds: float, waiting: Callable[[str], None] | None = None, path: Path = LOCK) -> Iterator[None]:
    """Holds the lock; `waiting` is told, once, if others have it. Raises TsauditdError when they do for `seconds`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TsauditdError(f"{path} is held by another process for {seconds:.0f} s") from None
            if waiting:
                waiting(f"waiting for {path}")
                waiting = None
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def at_rest(control: ControlSocket) -> Iterator[None]:
    """No rules, auditing off, nobody reading, kauditd scheduled as usual; then all as it was found. For the holder.

    Settings are the kernel's own except the backlog wait time, which stays. What killed holders and killed daemons
    have left is put back as well, in the end, and what those holders had started is ended before. A daemon that was
    started in the block and has the audit pid at its end is ended. Raises TsauditdError when it cannot be had: no audit
    here, locked until reboot, or in a living process' use.
    """
    found, entry = _entered(control)
    try:
        kernel.set_enabled(0, control)  # first, so that the rest leaves no record
        _free(control)
        usual = sender.USUAL if found.sender in (sender.BATCH, os.SCHED_IDLE) else found.sender
        status = dataclasses.replace(
            found.status, enabled=0, failure=FAILURE_PRINTK, rate_limit=0, backlog_limit=BACKLOG_LIMIT
        )
        KernelState(control).restore(Snapshot(status, (), usual))
        with marking():
            yield
    finally:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            _put_back(control, found, entry)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def marking() -> Iterator[None]:
    """What is started meanwhile is known as this process' own, should it be gone then."""
    before = os.environ.get(MARK)
    os.environ[MARK] = _mark_of(os.getpid()) or ""
    try:
        yield
    finally:
        os.environ.pop(MARK)
        if before is not None:
            os.environ[MARK] = before


def orphans() -> list[int]:
    """Processes that holders who are gone have started, as far as the environment (proc_pid_environ(5)) still tells."""
    found = []
    for pid in (int(each.name) for each in _PROC.iterdir() if each.name.isdigit()):
        mark = _mark_in(pid)
        if mark is not None and pid != os.getpid():
            holder = mark.partition(":")[0]
            if not holder.isdecimal() or _mark_of(int(holder)) != mark:
                found.append(pid)
    return found


def _entered(control: ControlSocket) -> tuple[Snapshot, Entry]:
    """What is to be put back in the end, and that written down, in place of what was left behind."""
    with contextlib.ExitStack() as stack:
        left = left_behind(DIRECTORY)
        if left:
            _end(orphans, _ORPHAN_SECONDS)
        left = [*left_behind(), *left]
        for each in left:
            stack.callback(each.close)
        found = KernelState(control).snapshot()
        if found.status.locked:
            raise TsauditdError("auditing is locked until reboot (enabled is 2): it cannot be put to rest")
        if _alive(found.status.pid):
            name = process_name(found.status.pid) or "a process"
            raise TsauditdError(
                f"{name} (pid {found.status.pid}) receives this machine's audit records: stop it first"
            )
        for each in left:
            known = each.borrowed
            # Daemons alone say what they have changed, and count nothing.
            found = known.given_back(found) if known.after else known.before
        try:
            entry = enter(Borrowed(found, None), DIRECTORY)
        except OSError as error:
            raise TsauditdError(
                f"{DIRECTORY}: {error.strerror}: what is to be put back cannot be kept"
            ) from None
        stack.pop_all()
    for each in left:
        each.remove()
    return found, entry


def _put_back(control: ControlSocket, found: Snapshot, entry: Entry) -> None:
    """All as it was found, and the entry removed; the next holder has it when that fails."""
    try:
        kernel.set_enabled(0, control)
        _end(lambda: _ours(kernel.status(control).pid), _END_SECONDS)
        _free(control)
        KernelState(control).restore(found)
        # The counters are not settings, but who finds 0 leaves 0.
        if not found.status.lost:
            kernel.reset_lost(control)
        if not found.status.backlog_wait_time_actual:
            kernel.reset_backlog_wait_time_actual(control)
    except BaseException:
        entry.close()
        raise
    # What daemons that were killed in the block had borrowed is put back by that, too.
    for each in (*left_behind(), entry):
        each.remove()


def _free(control: ControlSocket) -> None:
    """Takes the audit pid from a process that is gone: the kernel finds that out when it has a record to send."""
    holder = kernel.status(control).pid
    if holder and not _alive(holder):
        with open_unicast(1 << 20) as sock:
            register(sock)
            release(control)


def _ours(holder: int) -> list[int]:
    """The process, if this one has started it."""
    stat = _stat(holder)
    child = stat is not None and int(stat[1]) == os.getpid()
    started = _alive(holder) and (child or _mark_in(holder) == _mark_of(os.getpid()))
    return [holder] if started else []


def _end(found: Callable[[], list[int]], seconds: float) -> None:
    """Ends processes: kindly, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in found():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + seconds
        while found() and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)


def _mark_of(pid: int) -> str | None:
    """What a process marks with; None if it is gone."""
    stat = _stat(pid)
    return f"{pid}:{stat[19].decode()}" if stat and _alive(pid) else None


def _mark_in(pid: int) -> str | None:
    """What a process was marked with; None for one that was not, or is gone."""
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    marks = [each.partition(b"=")[2] for each in variables if each.startswith(f"{MARK}=".encode())]
    return marks[0].decode("ascii", "replace") if marks else None


def _alive(pid: int) -> bool:
    """Whether a process is there and not only waits for its parent."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in (b"Z", b"X")


def _stat(pid: int) -> list[bytes] | None:
    """proc_pid_stat(5) behind the name, from the third field on; None for a process that is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
