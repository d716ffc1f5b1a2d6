"""The kernel's audit, borrowed for a benchmark: locked, emptied, and put back exactly, however the benchmark ends."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from audit_lock import SIGNALS, audit_at_rest
from report import fail, say

from tsauditd.errors import TsauditdError
from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket

LOCK_SECONDS = 600.0


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
    with audit_at_rest(LOCK_SECONDS, say) as control:
        kernel.set_backlog_limit(backlog_limit, control)
        yield control


def interruptible() -> None:
    """From now on signals that end a program end it as Ctrl-C does, with everything put back.

    The first one counts: another one would break off what the first one began.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
