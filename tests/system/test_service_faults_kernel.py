"""Faults on the kernel's side while records come; each test states what was lost, by counting."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest
from live import (
    PATIENCE_S,
    Event,
    auditctl,
    events,
    go_on,
    losses,
    numbers,
    opened,
    running,
    wait_until,
)

from tsauditd.event import record_type_name
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

ROUNDS = 'n=1000; until [ -e "$2" ]; do "$0" open 500 "$1$n-"; n=$((n + 1)); sleep 0.02; done; echo $n'
"""Floods in rounds of 500 until a file is there, then says how many there were."""

UNKNOWN = 2876
"""A type that programs may send (AUDIT_FIRST_USER_MSG2 to AUDIT_LAST_USER_MSG2) and that nobody has named."""


def unaccounted(found: list[Event]) -> int:
    """Serials between the first and the last event that neither came nor were told to be missing."""
    serials = {
        event["auditd"]["sequence"]
        for event in found
        if "auditd" in event and not event["auditd"]["message_type"].startswith("daemon_")
    }
    told = losses(found)
    gap: int = told[-1]["total"]["gap"] if told else 0
    span: int = max(serials) - min(serials) + 1
    return span - len(serials) - gap


def config(tmp_path: Path, output: Path, kernel: str) -> list[str]:
    path = tmp_path / "tsauditd.toml"
    path.write_text(f'[kernel]\n{kernel}\n[[output]]\ntype = "file"\npath = "{output}"\n')
    return ["-c", str(path)]


def test_killed_and_started_again_under_load(
    audit_lock: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: one stretch, from what the killed daemon had not written to what the new one gets first.

    Without `audit=1` on the kernel's command line the kernel keeps nothing while there is no daemon. Before and after
    it nothing is missing, nothing comes twice, and the order is kept.
    """
    first, second, prefix, enough = (
        tmp_path / "1",
        tmp_path / "2",
        f"{tmp_path}/missing/",
        tmp_path / "enough",
    )
    words = ["--rules", str(flood_rules), "--output"]
    with running(tmp_path, *words, str(first), key="flood") as daemon:
        load = subprocess.Popen(
            ["sh", "-c", ROUNDS, flood, prefix, str(enough)], stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: first.stat().st_size > 4 << 20, "events of the load")
        daemon.send(signal.SIGKILL)
        daemon.process.wait()
    with running(tmp_path, *words, str(second), key="flood") as daemon:
        wait_until(lambda: second.stat().st_size > 4 << 20, "events of the load, again")
        enough.touch()
        rounds = int(load.communicate(timeout=PATIENCE_S)[0])
        daemon.stop()
    did = [f"{each}-{number}" for each in range(1000, rounds) for number in numbers(500)]
    before, after = opened(events(first), prefix), opened(events(second), prefix)
    assert before == did[: len(before)]
    assert after == did[-len(after) :]
    assert len(before) + len(after) < len(did), "what was lost"
    assert b'"daemon_end"' not in first.read_bytes(), "which is how its end is known for what it was"
    assert losses(events(second)) == []


def test_rules_that_somebody_deletes(
    audit_lock: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: what the rules would have recorded while they were gone, which nobody can count. Told: both at once."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"

    def told(action: str) -> list[Event]:
        return [event for event in events(output) if event["event"]["action"] == action]

    with running(tmp_path, "--output", str(output), "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "100", f"{prefix}1-"], check=True, timeout=PATIENCE_S)
        auditctl("-D")
        subprocess.run([flood, "open", "100", f"{prefix}2-"], check=True, timeout=PATIENCE_S)
        wait_until(lambda: len(told("audit-rules-changed")) == 1, "it is told")
        assert told("audit-rules-changed")[0]["tsauditd"]["rules"]["missing_count"] == 2
        auditctl("-R", str(flood_rules))
        subprocess.run([flood, "open", "100", f"{prefix}3-"], check=True, timeout=PATIENCE_S)
        wait_until(lambda: len(told("audit-rules-changed")) == 2, "the way back is told")
        assert told("audit-rules-changed")[1]["tsauditd"]["rules"]["missing_count"] == 0
        daemon.stop()
    found = events(output)
    assert opened(found, prefix) == [f"{part}-{number}" for part in (1, 3) for number in numbers(100)]
    removed = [e for e in found if e.get("auditd", {}).get("data", {}).get("op") == "remove_rule"]
    assert len(removed) >= 2, "the kernel's own records of who did it"


def test_another_daemon_that_wants_the_audit_pid_is_refused(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing. The attempt is in the stream."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    theirs = tmp_path / "auditd"
    (theirs / "plugins.d").mkdir(parents=True)
    theirs.chmod(0o750)
    (theirs / "auditd.conf").write_text(
        f"log_file = {theirs}/audit.log\nplugin_dir = {theirs}/plugins.d\nspace_left = 2\nadmin_space_left = 1\n"
    )
    with running(tmp_path, "--output", str(output), "--rules", str(flood_rules), key="flood") as daemon:
        load = subprocess.Popen([flood, "open", "20000", prefix])
        auditd = subprocess.run(
            ["/sbin/auditd", "-n", "-c", str(theirs)], stdin=subprocess.DEVNULL, timeout=60
        )
        assert auditd.returncode == 1
        assert load.wait(PATIENCE_S) == 0
        assert status().pid == daemon.pid
        daemon.stop()
    found = events(output)
    assert opened(found, prefix) == numbers(20_000)
    assert losses(found) == []
    attempts = [event for event in found if "audit_pid" in event["auditd"].get("data", {})]
    assert {event["event"]["outcome"] for event in attempts} == {"failure"}


def test_a_daemon_that_stands_still(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: what the kernel gave up to deliver (after half a second each), counted exactly by the serials.

    Who makes events waits meanwhile, as the kernel's backlog is full.
    """
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = config(tmp_path, output, "backlog_limit = 64\nreceive_buffer = 65536")
    with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
        daemon.send(signal.SIGSTOP)
        load = subprocess.Popen([flood, "open", "5000", prefix])
        # Not by the backlog's length: the kernel may have put it aside to send it again.
        waits = Path(f"/proc/{load.pid}/wchan")
        wait_until(lambda: waits.read_text() == "audit_log_start", "it waits")
        daemon.send(signal.SIGCONT)
        assert load.wait(PATIENCE_S) == 0
        auditctl("-m", "last")
        daemon.stop()
    found = events(output)
    came = opened(found, prefix)
    assert len(set(came)) == len(came)
    assert came[-1] == "04999", "it goes on"
    assert unaccounted(found) == 0
    assert len(came) == 5000 or losses(found)


def test_a_file_that_blocks_holds_reading_back(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing. What its queue of 64 KiB has no room for waits in the kernel, some 4 MB of events."""
    pipe, prefix = tmp_path / "pipe", f"{tmp_path}/missing/"
    os.mkfifo(pipe)
    path = tmp_path / "tsauditd.toml"
    path.write_text(f'[[output]]\ntype = "file"\npath = "{pipe}"\nqueue_bytes = 65536\n')
    got: list[bytes] = []

    def read() -> None:
        with pipe.open("rb") as lines:
            got.extend(lines)

    with (
        pipe.open("r+b", buffering=0),  # so that it is open for whoever writes
        running(tmp_path, "-c", str(path), "--rules", str(flood_rules), key="flood") as daemon,
    ):
        subprocess.run([flood, "open", "2000", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: any("holds them back" in line for line in daemon.said), "it is told")
        go_on("the file blocks")
        reader = threading.Thread(target=read)
        reader.start()
        wait_until(lambda: any(b"/01999" in line for line in got[-50:]), "all comes")
        summary = daemon.stop()
    reader.join(PATIENCE_S)
    found = [json.loads(line) for line in got]
    assert opened(found, prefix) == numbers(2000)
    assert losses(found) == []
    assert "dropped" not in summary


def test_an_overrun_of_the_socket(untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path) -> None:
    """Lost: what did not fit into the buffer of one who reads beside, counted exactly by the serials."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = config(tmp_path, output, "observe = true\nreceive_buffer = 65536")
    with running(tmp_path, *words, "--rules", str(flood_rules), key="flood", observe=True) as daemon:
        subprocess.run([flood, "open", "10", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: f"{prefix}00009".encode() in output.read_bytes(), "the first are written")
        daemon.send(signal.SIGSTOP)
        subprocess.run([flood, "open", "20000", f"{prefix}during-"], check=True, timeout=PATIENCE_S)
        daemon.send(signal.SIGCONT)
        wait_until(lambda: losses(events(output)), "the overrun is told")
        auditctl("-m", "last")
        daemon.stop()
    found = events(output)
    during = opened(found, f"{prefix}during-")
    assert during == numbers(len(during)), "the first, as many as there was room for"
    lost = losses(found)[-1]["total"]
    assert lost["overrun"] >= 1
    assert lost["gap"] > 19_000
    assert unaccounted(found) == 0


def test_ten_thousand_records_of_an_unknown_type(untouched: Snapshot, tmp_path: Path) -> None:
    """Lost: nothing, of what is not understood either."""
    assert record_type_name(UNKNOWN) is None
    output = tmp_path / "out.json"
    with (
        running(tmp_path, "--output", str(output)) as daemon,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as line,
    ):
        wait_until(lambda: status().enabled == 1, "audit is on")
        for number in numbers(10_000):
            text = f"unheard-of={number} noise=\x01\xff {{".encode("latin-1") + b"\0"
            line.sendto(struct.pack("=IHHII", 16 + len(text), UNKNOWN, 1, 1, 0) + text, (0, 0))
        summary = daemon.stop()
    found = [event for event in events(output) if str(UNKNOWN) in event["auditd"]["message_type"]]
    assert [event["auditd"]["data"]["unheard-of"] for event in found] == numbers(10_000)
    assert ", 0 lost" in summary
