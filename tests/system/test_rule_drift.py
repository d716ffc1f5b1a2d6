"""Somebody else changes the kernel's rules while the daemon runs: it is told, once, and so is the way back."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from live import auditctl, events, running, wait_until

from tsauditd.kernel.rules.drift import LOADED
from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

FIRST = "-a always,exit -S all -F pid=1 -F ppid=77 -F key=drift"
SECOND = "-a always,exit -S all -F pid=2 -F ppid=77 -F key=drift"


def told(output: Path) -> list[dict[str, Any]]:
    return [
        event["tsauditd"]["rules"]
        for event in events(output)
        if event["event"]["action"] == "audit-rules-changed"
    ]


def test_auditctl_and_a_new_load_are_told_apart(audit_lock: Snapshot, tmp_path: Path) -> None:
    output, own = tmp_path / "out", tmp_path / "own.rules"
    own.write_text(f"{FIRST}\n{SECOND}\n")
    loaded = LOADED.read_bytes() if LOADED.exists() else None
    try:
        with running(tmp_path, "--rules", str(own), "--output", str(output), key="drift") as daemon:
            auditctl("-d", *FIRST.split()[1:])
            wait_until(lambda: len(told(output)) == 1, "the missing rule is told")
            assert told(output)[0]["missing"] == [FIRST]
            auditctl("-a", *FIRST.split()[1:])
            wait_until(lambda: len(told(output)) == 2, "the other order is told")
            assert told(output)[1] == {"missing_count": 0, "added_count": 0, "moved": True}
            subprocess.run([sys.executable, "-m", "tsauditd", "rules", "load", str(own)], check=True)
            wait_until(lambda: len(told(output)) == 3, "what was loaded since is what counts")
            assert told(output)[2] == {"missing_count": 0, "added_count": 0, "moved": False}
            daemon.stop()
            assert any("1 are missing, 0 were added" in line for line in daemon.said)
    finally:
        if loaded is None:
            LOADED.unlink(missing_ok=True)
        else:
            LOADED.write_bytes(loaded)
