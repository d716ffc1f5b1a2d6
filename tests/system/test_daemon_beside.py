"""The daemon beside another one that has the audit pid: auditd, or a second tsauditd."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import PATIENCE_S, auditctl, events, numbers, opened, running, state, wait_until

from tsauditd.kernel.state import KernelState, Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

AUDITD = """\
log_file = {0}/audit.log
log_format = RAW
flush = NONE
plugin_dir = {0}/plugins.d
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
"""


@contextmanager
def auditd(directory: Path, after: Snapshot) -> Iterator[int]:
    """Debian's auditd with a configuration of its own; its pid. When it has ended the state is `after`."""
    (directory / "plugins.d").mkdir(parents=True)
    (directory / "auditd.conf").write_text(AUDITD.format(directory))
    directory.chmod(0o750)
    process = subprocess.Popen(["/sbin/auditd", "-n", "-c", str(directory)], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: status().pid == process.pid and status().enabled == 1, "auditd is registered")
        yield process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        KernelState().restore(after)


def test_beside_auditd(untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path) -> None:
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    with auditd(tmp_path / "auditd", untouched) as pid:
        auditctl("-a", "always,exit", "-S", "all", "-F", "pid=4242", "-F", "ppid=4242", "-k", "theirs")
        theirs = state()
        words = ["--output", str(output), "--rules", str(flood_rules)]
        with running(tmp_path, *words, key="flood", observe=True) as daemon:
            place = f"auditd (pid {pid}) has the audit pid: reading the multicast group beside it"
            assert daemon.said == [
                f"tsauditd: {place} (to take its place stop it first: auditctl --signal TERM)"
            ]
            assert status().pid == pid
            subprocess.run([flood, "open", "5000", prefix], check=True, timeout=PATIENCE_S)
            summary = daemon.stop()
        assert state() == theirs, "auditd's pid, its rules and the settings"
        log = tmp_path / "auditd" / "audit.log"
        wait_until(lambda: f"{prefix}04999".encode() in log.read_bytes(), "auditd has them as well")
    assert opened(events(output), prefix) == numbers(5000)
    assert ", 0 lost, " in summary


def test_who_reads_beside_goes_on_when_the_other_ends(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing. The audit pid stays free: to take it is for whoever starts the daemon again."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = ["--output", str(output), "--rules", str(flood_rules)]
    with (
        auditd(tmp_path / "auditd", untouched) as pid,
        running(tmp_path, *words, key="flood", observe=True) as daemon,
    ):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: status().pid == 0, "auditd has ended")
        subprocess.run([flood, "open", "100", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: opened(events(output), prefix) == numbers(100), "events come all the same")
        assert status().pid == 0
        daemon.stop()


def test_auditd_that_comes_later_goes_on_when_the_daemon_ends(
    untouched: Snapshot, flood_rules: Path, tmp_path: Path
) -> None:
    words = ["--observe", "--rules", str(flood_rules)]
    with (
        running(tmp_path, *words, key="flood", observe=True) as daemon,
        auditd(tmp_path / "auditd", untouched) as pid,
    ):
        daemon.stop()
        assert (status().pid, status().enabled) == (pid, 1)
        assert auditctl("-l") == "No rules\n"


def test_a_second_daemon_reads_beside_the_first(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    first, second, prefix = tmp_path / "1.json", tmp_path / "2.json", f"{tmp_path}/missing/"
    words = ["--rules", str(flood_rules), "--output"]
    with running(tmp_path, *words, str(first), key="flood") as one:
        during = state()
        with running(tmp_path, *words, str(second), key="flood", observe=True) as two:
            assert len(two.said) == 1
            assert f"(pid {one.pid}) has the audit pid: reading the multicast group beside it" in two.said[0]
            subprocess.run([flood, "open", "1000", prefix], check=True, timeout=PATIENCE_S)
            two.stop()
        assert state() == during
        one.stop()
    assert opened(events(first), prefix) == opened(events(second), prefix) == numbers(1000)


def test_observing_leaves_the_audit_pid_alone(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = ["--observe", "--rules", str(flood_rules), "--output", str(output)]
    with running(tmp_path, *words, key="flood", observe=True) as daemon:
        assert status().pid == 0
        subprocess.run([flood, "open", "100", prefix], check=True, timeout=PATIENCE_S)
        summary = daemon.stop()
        assert daemon.said == [summary]
    assert opened(events(output), prefix) == numbers(100)


JOURNAL = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, b"systemd-journald", 0, 0, 0)  # PR_SET_NAME
group = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
group.bind((0, 1))
print("listening", flush=True)
sys.stdin.read()
"""


def test_journald_beside_it_is_told_with_the_remedy(untouched: Snapshot, tmp_path: Path) -> None:
    """A process of journald's name in the multicast group, which is all that journald's audit socket is."""
    words = [sys.executable, "-c", JOURNAL]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as journal:
        assert journal.stdout is not None
        assert journal.stdout.readline() == b"listening\n"
        with running(tmp_path) as daemon:

            def told() -> list[str]:
                return [line for line in daemon.said if "journald reads every audit record too" in line]

            # It has the pid before it looks at who else listens.
            wait_until(told, "the daemon tells of journald")
            assert len(told()) == 1
            assert "systemctl disable --now systemd-journald-audit.socket" in told()[0]
            daemon.stop()
