"""kauditd, the kernel's thread that sends the records: whether it interrupts whoever makes them.

The first record that waits wakes it (`audit_log_end`, kernel/audit.c). Scheduled as usual it then takes the processor
from whoever made that record, often for it alone. With SCHED_BATCH it waits for its turn, which is at once where a
processor is idle, and finds several (sched(7); `check_preempt_wakeup_fair`, kernel/sched/fair.c).
"""

import functools
import os
from pathlib import Path

from tsauditd.errors import TsauditdError

USUAL, BATCH = os.SCHED_OTHER, os.SCHED_BATCH

_KERNEL_THREAD = 0x0020_0000
"""PF_KTHREAD of the flags in proc_pid_stat(5) (include/linux/sched.h): nobody else can give himself that."""


@functools.cache
def find(proc: Path = Path("/proc")) -> int | None:
    """Its pid, which it keeps until the next boot; None where it cannot be seen, as in most containers."""
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            if (proc / str(pid) / "comm").read_bytes() != b"kauditd\n":
                continue
            # The name in brackets may hold anything.
            fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if int(fields[6]) & _KERNEL_THREAD:
            return pid
    return None


def policy() -> int | None:
    """How it is scheduled: USUAL, BATCH, or what somebody else has chosen; None where it cannot be seen."""
    pid = find()
    try:
        return None if pid is None else os.sched_getscheduler(pid)
    except OSError:
        return None


def set_policy(wanted: int) -> None:
    """Has it scheduled so, USUAL or BATCH; its nice value stays. Harmless where it cannot be seen.

    Raises TsauditdError: it takes CAP_SYS_NICE (`cap_task_setscheduler`, security/commoncap.c).
    """
    if (pid := find()) is not None:
        try:
            os.sched_setscheduler(pid, wanted, os.sched_param(0))
        except OSError as error:
            raise TsauditdError(f"kauditd's scheduling stays: {error.strerror}") from None
