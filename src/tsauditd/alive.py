"""Which sessions a process of this host still belongs to, as /proc shows it (proc(5))."""

import os
import time
from collections.abc import Collection

from tsauditd.timelines.session import Session

_CLOCK_MS = 1_000
"""A process that seems to have begun so much after it was seen is another one: clocks are set, ticks are coarse."""


def sessions_alive(sessions: Collection[Session]) -> set[str]:
    """The ids of the sessions that a process still belongs to.

    By /proc/PID/sessionid; of who joined a container, which has none, the processes that are known.
    """
    joined = {session.id for session in sessions if session.joined and _has_process(session)}
    numbers = _numbers_alive({session.number for session in sessions if not session.joined})
    return joined | {session.id for session in sessions if session.number in numbers}


def _has_process(session: Session) -> bool:
    return any(_runs(pid, process.started) for pid, process in session.processes.items())


def _runs(pid: int, started: int) -> bool:
    """Whether a process still runs that was there at a time, in milliseconds, rather than another of its number."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return False
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    since = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5): (22) starttime
    return since * 1000 <= started + _CLOCK_MS


def _numbers_alive(wanted: Collection[str]) -> set[str]:
    if not wanted:
        return set()
    found: set[str] = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/sessionid", "rb", buffering=0) as file:
                number = file.read(16).decode()
        except OSError:  # it has just ended
            continue
        if number in wanted:
            found.add(number)
            if len(found) == len(wanted):
                break
    return found


_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the pid namespace that all others are in (PROC_PID_INIT_INO, linux/proc_ns.h)."""


def every_process_seen() -> bool:
    """Whether `/proc` shows every process of the host: not in another pid namespace, nor with hidepid (proc(5))."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _FIRST_PID_NAMESPACE and os.access(
            "/proc/1/sessionid", os.R_OK
        )
    except OSError:
        return False
