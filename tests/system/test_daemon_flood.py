"""The daemon under a flood: every event once, in order, whole; also when it is killed in the middle."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from live import PATIENCE_S, auditctl, events, losses, numbers, opened, running, state, wait_until

from tsauditd.kernel.borrowed import DIRECTORY
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

EVENTS = 50_000
RUNS = 2_000
ARGUMENTS = ["two words", "", '"quoted"', "line\nend", "é"]


def entries() -> list[Path]:
    """What daemons have written down of the state they found."""
    return sorted(DIRECTORY.glob("borrowed-*")) if DIRECTORY.exists() else []


def test_fifty_thousand_events_each_once_in_order(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    lost = status().lost
    with running(tmp_path, "--output", str(output), "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", str(EVENTS), prefix], check=True, timeout=PATIENCE_S)
        subprocess.run([flood, "run", str(RUNS)], check=True, timeout=PATIENCE_S)
        summary = daemon.stop()
    assert status().lost == lost
    found = events(output)

    assert opened(found, prefix) == numbers(EVENTS)
    leaves = [e for e in found if e.get("process", {}).get("args", [])[1:2] == ["leaf"]]
    assert [e["process"]["args"] for e in leaves] == [
        [flood, "leaf", number, *ARGUMENTS] for number in numbers(RUNS)
    ]
    assert all(e["process"]["args_count"] == 3 + len(ARGUMENTS) for e in leaves)

    serials = [e["event"]["sequence"] for e in found if e.get("file", {}).get("path", "").startswith(prefix)]
    assert serials == sorted(serials)
    assert len({e["event"]["id"] for e in found}) == len(found)
    assert not [e for e in found if "incomplete" in e.get("tsauditd", {})]
    assert losses(found) == []
    # Neither overruns nor missing serials: the summary would name them after what was lost.
    assert summary.startswith(f"tsauditd: {len(found)} events, ")
    assert ", 0 lost, " in summary
    assert summary.endswith(" CPU per event")
    assert summary.count(",") == 3
    assert entries() == []


def test_killed_in_a_flood_and_started_again(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    before = state()
    first, second, prefix = tmp_path / "1.json", tmp_path / "2.json", f"{tmp_path}/missing/"
    words = ["--rules", str(flood_rules), "--output"]
    with running(tmp_path, *words, str(first), key="flood") as daemon:
        workload = subprocess.Popen([flood, "open", str(EVENTS), prefix])
        wait_until(lambda: first.stat().st_size > 1 << 20, "events of the flood")
        daemon.send(signal.SIGKILL)
        daemon.process.wait()
    assert workload.wait(PATIENCE_S) == 0, "nobody waits for a daemon that is dead"
    assert state() != before
    assert [path.stat().st_mode & 0o777 for path in entries()] == [0o600]

    with running(tmp_path, *words, str(second), key="flood") as daemon:
        assert any("a daemon that was killed has left audit rules" in line for line in daemon.said)
        assert auditctl("-l").count("key=flood") == 2
        subprocess.run([flood, "open", "1000", f"{prefix}again-"], check=True, timeout=PATIENCE_S)
        daemon.stop()
    assert state() == before, "what the killed daemon found is put back"
    assert entries() == []

    # The last line of the killed one may be cut.
    whole = [json.loads(line) for line in first.read_bytes().split(b"\n")[:-1]]
    seen = opened(whole, prefix)
    assert seen == numbers(len(seen))
    assert opened(events(second), f"{prefix}again-") == numbers(1000)


def test_what_was_changed_since_a_kill_stays(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    limit = status().backlog_limit
    other = ["-S", "all", "-F", "pid=4242", "-F", "ppid=4242", "-k", "administrator"]
    with running(tmp_path, "--rules", str(flood_rules), key="flood") as daemon:
        daemon.send(signal.SIGKILL)
        daemon.process.wait()
    auditctl("-a", "always,exit", *other)
    auditctl("-b", "9999")
    # With other rules: those of the killed one go at once.
    with running(tmp_path) as daemon:
        assert "flood" not in auditctl("-l")
        daemon.stop()
    assert "key=administrator" in auditctl("-l")
    assert status().backlog_limit == 9999
    assert status().enabled == 0
    auditctl("-d", "always,exit", *other)
    auditctl("-b", str(limit))
