"""The log of a busy host: what Debian's auditd writes while a program makes events as fast as it can."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from borrowed import borrowed_audit
from readers import BACKLOG_LIMIT, auditd_keeping
from workload import Bench, whole

from tsauditd.errors import NotPrivileged, TsauditdError

OPENS = 20_000
"""Events of the workload; auditd's own few stand beside them in the log."""


def write_storm(path: Path, directory: Path) -> None:
    """Has auditd write the log to `path`, borrowing this machine's audit meanwhile.

    Raises TsauditdError when that is not possible here, or when an event of the workload is not whole in the log.
    """
    if os.geteuid() != 0:
        raise NotPrivileged("root is needed to have auditd write it")
    for tool, package in (("auditd", "auditd"), ("cc", "gcc libc6-dev")):
        if shutil.which(tool) is None:
            raise TsauditdError(f"{tool} is missing: apt-get install {package}")
    with tempfile.TemporaryDirectory(dir=directory) as at, borrowed_audit(BACKLOG_LIMIT) as control:
        runs = Bench(Path(at), OPENS).rounds(control, [auditd_keeping(path)], 1)
    if not all(whole(run, OPENS) for each in runs.values() for run in each):
        raise TsauditdError(f"auditd's log does not have all {OPENS:,} events of the workload")
