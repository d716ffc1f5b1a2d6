#!/usr/bin/env python3
"""Record one command with Debian's own auditd, in its own directory and configuration.

    auditd_log.py --out FILE [--format RAW|ENRICHED] [--node NAME] [--signals] [--rule ...] [--auid N] -- COMMAND

The log is what auditd wrote (DAEMON_START first, DAEMON_END last, no EOE), less the line of the marker that shows
that all has arrived. --signals also sends HUP, USR1 and USR2, so that DAEMON_CONFIG, DAEMON_ROTATE and DAEMON_RESUME
are there; the rotated file then comes first. Uses the lock and the care of capture.py.
"""

from __future__ import annotations

import argparse
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from audit_lock import audit_at_rest
from capture import (
    BACKLOG,
    LOCK_SECONDS,
    STATUS_BACKLOG_LIMIT,
    STATUS_ENABLED,
    CaptureError,
    Control,
    auditctl,
    login,
)

from tsauditd.errors import TsauditdError

CONFIG = """\
log_file = {directory}/audit.log
log_format = {format}
log_group = root
flush = NONE
num_logs = 3
max_log_file = 64
max_log_file_action = IGNORE
name_format = {name_format}
{name}
plugin_dir = {directory}/plugins.d
space_left = 2
admin_space_left = 1
space_left_action = IGNORE
admin_space_left_action = IGNORE
disk_full_action = SUSPEND
disk_error_action = SUSPEND
"""


def wait_for(done: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Poll until `done`. Raises CaptureError when the time is up."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise CaptureError(f"auditd: {what} did not happen within {seconds:g} s")
        time.sleep(0.05)


def configure(directory: Path, log_format: str, node: str | None) -> None:
    """Write auditd.conf and an empty plug-in directory."""
    (directory / "plugins.d").mkdir()
    names = {"name_format": "USER", "name": f"name = {node}"} if node else {"name_format": "NONE", "name": ""}
    text = CONFIG.format(directory=directory, format=log_format, **names)
    (directory / "auditd.conf").write_text(text, encoding="utf-8")


def marked(log: Path) -> bytes:
    """Send a marker and wait until it is in the log; the marker."""
    marker = f"marker-{secrets.token_hex(8)}"
    auditctl("-m", marker)
    wait_for(lambda: marker.encode() in log.read_bytes(), "the marker's arrival in the log")
    return marker.encode()


def run(options: argparse.Namespace, directory: Path, control: Control) -> bytes:
    """Start auditd, run the command, stop auditd; the log's bytes."""
    log = directory / "audit.log"
    configure(directory, options.format, options.node)
    auditd = subprocess.Popen(["/sbin/auditd", "-n", "-c", str(directory)], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: log.exists() and control.status().pid == auditd.pid, "its registration")
        control.set(STATUS_BACKLOG_LIMIT, backlog_limit=BACKLOG)
        for rule in options.rule:
            auditctl(*shlex.split(rule))
        subprocess.run(options.command, preexec_fn=login(options.auid), stdin=subprocess.DEVNULL, check=False)
        markers = [marked(log)]
        if options.signals:
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                auditd.send_signal(number)
                time.sleep(1)
            markers.append(marked(log))
        control.set(STATUS_ENABLED, enabled=0)  # so that taking the rules away leaves no record
        auditctl("-D")
    finally:
        auditd.terminate()
        auditd.wait(10)
    files = sorted(directory.glob("audit.log*"), reverse=True)
    lines = b"".join(file.read_bytes() for file in files).splitlines(keepends=True)
    return b"".join(line for line in lines if not any(marker in line for marker in markers))


def main() -> int:
    """Read the arguments and write one log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--format", choices=("RAW", "ENRICHED"), default="RAW")
    parser.add_argument("--node", help="name_format = user with this name")
    parser.add_argument("--signals", action="store_true", help="also send HUP, USR1, USR2")
    parser.add_argument(
        "--rule", action="append", default=[], help="auditctl arguments, may be given many times"
    )
    parser.add_argument("--auid", type=int, help="login user that the command starts with (default: unset)")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs
    directory = Path(tempfile.mkdtemp(prefix="provoke-auditd-", dir="/tmp"))
    try:
        with audit_at_rest(LOCK_SECONDS):
            data = run(options, directory, Control())
    except (CaptureError, TsauditdError, OSError) as error:
        print(f"auditd_log: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    options.out.write_bytes(data)
    print(f"{options.out.name}: {len(data.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
