"""What a process costs, by the kernel's own account: /proc/PID/task/TID/schedstat of every thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")

_QUIET_NS = 2_000_000
_QUIET_SECONDS = 0.4
"""At rest is who uses less than 2 ms of CPU in 0.4 s: a clock that ticks each second may go on."""


class Account:
    """The CPU time of a process and all that it started, threads that have ended meanwhile included."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[tuple[int, int], int] = {}

    def cpu_ns(self) -> int:
        """Nanoseconds on a processor so far (Documentation/scheduler/sched-stats.rst, first field of schedstat).

        A thread counts as it was when last seen, should it have ended since.
        """
        for pid in family(self._pid):
            with contextlib.suppress(OSError):
                for task in (PROC / str(pid) / "task").iterdir():
                    with contextlib.suppress(OSError):
                        self._seen[pid, int(task.name)] = on_processor(task)
        return sum(self._seen.values())

    def main_ns(self) -> int:
        """Of that the main thread's part of the process itself, as it was when last seen."""
        return self._seen[self._pid, self._pid]

    def threads(self) -> int:
        """How many threads were seen."""
        return len(self._seen)


def on_processor(task: Path) -> int:
    """The first field of the schedstat in a directory of /proc."""
    return int((task / "schedstat").read_text().split()[0])


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may hold anything: what follows its last bracket is state and parent.
                parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def kauditd() -> int:
    """The pid of the kernel's thread that sends the records. Raises LookupError where it is not visible."""
    for entry in PROC.iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "kauditd\n":
                return int(entry.name)
    raise LookupError("the kernel thread kauditd is not visible here")


def settle(account: Account, more: Callable[[], bool], seconds: float, looks: int = 1) -> bool:
    """Waits until the process rests and `more` says that nothing is on its way to it; False when it never did.

    `looks`: how often on end it must have rested; what it does once a second is seen by three.
    """
    until = time.monotonic() + seconds
    before = account.cpu_ns()
    rested = 0
    while time.monotonic() < until:
        time.sleep(_QUIET_SECONDS)
        after = account.cpu_ns()
        rested = rested + 1 if after - before < _QUIET_NS and not more() else 0
        if rested == looks:
            return True
        before = after
    return False


def peak_mb(pid: int) -> float:
    """The most memory that a process had resident, in MB (VmHWM of proc(5))."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
