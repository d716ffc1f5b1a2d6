"""Another process comes to have the audit pid, or somebody switches auditing off, while the daemon runs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from live import PATIENCE_S, auditctl, events, numbers, opened, running, wait_until

from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

GIVES_BACK = """
import os, sys, threading

def give_back():
    open({fifo!r}).close()
    from tsauditd.kernel.registration import release
    release()

if "run" in sys.orig_argv:
    threading.Thread(target=give_back, daemon=True).start()
"""
"""Into the daemon's own process, which alone may give its pid back (audit_receive_msg in kernel/audit.c)."""

TAKES = """
import socket, sys
from tsauditd.errors import TsauditdError
from tsauditd.kernel.registration import open_unicast, register, release
with open_unicast(1 << 22) as sock:
    print("tries", flush=True)
    while True:
        try:
            register(sock)
            break
        except TsauditdError:
            pass
    print("has it", flush=True)
    sys.stdin.read()
    release()
"""
"""Another daemon, which takes the pid the moment it is free and reads nothing."""


def notices(output: Path) -> list[dict[str, Any]]:
    return [event for event in events(output) if "kernel" in event.get("tsauditd", {})]


def actions(output: Path) -> list[str]:
    return [event["event"]["action"] for event in notices(output)]


def asked(config: Path) -> dict[str, Any]:
    """What `tsauditd status` says of the daemon."""
    command = [sys.executable, "-m", "tsauditd", "status", "--json", "-c", str(config)]
    answer = subprocess.run(command, capture_output=True, check=True).stdout
    daemon: dict[str, Any] = json.loads(answer)["daemon"]
    return daemon


def test_the_audit_pid_is_taken_and_comes_back(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: what the kernel made of events between the one losing it and the other telling; here nothing is made then.

    While the other has the pid events come by the multicast group; when it is free again, as before.
    """
    output, prefix, fifo = tmp_path / "out.json", f"{tmp_path}/missing/", tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "sitecustomize.py").write_text(GIVES_BACK.format(fifo=str(fifo)))
    config = tmp_path / "tsauditd.toml"
    config.write_text(
        f'[daemon]\nstatus_socket = "{tmp_path}/sock"\n[[output]]\ntype = "file"\npath = "{output}"\n'
    )
    words = ["-c", str(config), "--rules", str(flood_rules)]
    with (
        running(tmp_path, *words, key="flood", through=["env", f"PYTHONPATH={tmp_path}"]) as daemon,
        subprocess.Popen(
            [sys.executable, "-c", TAKES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
    ):
        assert other.stdin
        assert other.stdout
        try:
            assert other.stdout.readline() == "tries\n"
            assert asked(config)["problems"] == []
            fifo.write_text("")
            assert other.stdout.readline() == "has it\n"
            wait_until(lambda: actions(output)[-1:] == ["audit-pid-lost"], "it is told")
            lost = notices(output)[-1]
            assert lost["tsauditd"]["kernel"]["pid"] == other.pid == status().pid
            assert lost["event"]["outcome"] == "failure"
            assert any(f"kill {other.pid}" in line for line in daemon.said)
            found = asked(config)
            assert str(other.pid) in found["reading"]
            assert "has the audit pid" in found["problems"][0]
            subprocess.run([flood, "open", "100", f"{prefix}1-"], check=True, timeout=PATIENCE_S)
            wait_until(lambda: b"1-00099" in output.read_bytes(), "events come all the same")
            other.stdin.close()
            wait_until(lambda: actions(output)[-1:] == ["audit-pid-regained"], "it has the pid again")
        finally:
            other.kill()
        assert status().pid == daemon.pid
        assert asked(config)["problems"] == []
        subprocess.run([flood, "open", "100", f"{prefix}2-"], check=True, timeout=PATIENCE_S)
        wait_until(lambda: b"2-00099" in output.read_bytes(), "events come as before")
        daemon.stop()
    found_events = events(output)
    for part in ("1-", "2-"):
        assert opened(found_events, f"{prefix}{part}") == numbers(100), "each once"


def test_auditing_is_switched_off_by_somebody(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: all that happens until it is on again, which nobody can count; that it is off is told."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    with running(tmp_path, "--rules", str(flood_rules), "--output", str(output), key="flood") as daemon:
        auditctl("-e", "0")
        wait_until(lambda: actions(output) == ["audit-switched-off"], "it is told")
        auditctl("-e", "1")
        wait_until(lambda: actions(output)[1:] == ["audit-switched-on"], "and the way back")
        subprocess.run([flood, "open", "10", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: b"/00009" in output.read_bytes(), "events come again")
        daemon.stop()
        assert any("auditctl -e 1" in line for line in daemon.said)
    assert opened(events(output), prefix) == numbers(10)
