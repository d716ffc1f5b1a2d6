"""The kernel's audit, borrowed for a benchmark: locked, emptied, and put back exactly, however the benchmark ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cost import PROC
from report import fail, say

from tsauditd.errors import TsauditdError
from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import open_unicast, process_name, register, release
from tsauditd.kernel.rules.lists import delete_all
from tsauditd.kernel.state import KernelState, Snapshot

LOCK = Path("/run/tsauditd-audit.lock")
"""Whoever changes this machine's audit state holds an exclusive flock on this file meanwhile."""

LOCK_SECONDS = 600.0
FAILURE_PRINTK = 1

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_END_SECONDS = 30.0


def needs_root() -> None:
    """Ends the benchmark, with exit code 4, if it is not root's."""
    if os.geteuid() != 0:
        fail("root is needed to take the audit pid", 4)


@contextlib.contextmanager
def workplace(where: str) -> Iterator[Path]:
    """A directory in `where` for what a benchmark writes, which everybody may enter.

    What breaks the block off ends the benchmark with its one line: exit code 1, or 130 when interrupted.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tsauditd-bench-", dir=where) as name:
            os.chmod(name, 0o755)
            yield Path(name)
    except TsauditdError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the kernel's audit is as it was", 130)


@contextlib.contextmanager
def borrowed_audit(backlog_limit: int) -> Iterator[ControlSocket]:
    """Auditing without rules, off, with nobody reading and room for `backlog_limit` records; then all as it was.

    Raises TsauditdError when it cannot be had: no audit here, locked until reboot, or in somebody's use.
    Signals that end a program end the block like Ctrl-C does, and wait while things are put back.
    """
    interruptible()
    lock = _locked()
    try:
        control, before = _looked_at()
        with control:
            try:
                delete_all(control)
                kernel.set_enabled(0, control)
                kernel.set_failure(FAILURE_PRINTK, control)
                kernel.set_backlog_limit(backlog_limit, control)
                yield control
            finally:
                signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
                try:
                    _put_back(control, before)
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    finally:
        os.close(lock)


def interruptible() -> None:
    """From now on signals that end a program end it as Ctrl-C does, with everything put back.

    The first one counts: another one would break off what the first one began.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _locked() -> int:
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TsauditdError(f"{LOCK} is held by another process for {LOCK_SECONDS:.0f} s") from None
            if not told:
                say(f"waiting for {LOCK}")
                told = True
            time.sleep(0.02)  # others ask as well, and who asks seldom waits for long
        else:
            return descriptor


def _looked_at() -> tuple[ControlSocket, Snapshot]:
    control = ControlSocket()
    before = KernelState(control).snapshot()
    if before.status.locked:
        raise TsauditdError("auditing is locked until reboot (enabled is 2): nothing can be measured")
    if before.status.pid:
        name = process_name(before.status.pid) or "a process"
        raise TsauditdError(
            f"{name} (pid {before.status.pid}) receives this machine's audit records: stop it first"
        )
    return control, before


def _put_back(control: ControlSocket, before: Snapshot) -> None:
    kernel.set_enabled(0, control)
    holder = kernel.status(control).pid
    if holder and _parent(holder) == os.getpid():
        _end(holder)
    if kernel.status(control).pid and not (PROC / str(holder)).exists():
        # Nobody is there any more, but the kernel finds out only when it has a record to send.
        with open_unicast(1 << 20) as sock:
            register(sock)
            release(control)
    KernelState(control).restore(before)
    # The counters are not settings, but who finds 0 leaves 0.
    if not before.status.lost:
        kernel.reset_lost(control)
    if not before.status.backlog_wait_time_actual:
        kernel.reset_backlog_wait_time_actual(control)


def _parent(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _end(pid: int) -> None:
    """Ends a child of ours: kindly, then not."""
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + _END_SECONDS
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.05)
