"""The daemon on a quiet host, and one that was stopped while records were lost."""

import contextlib
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from live import PATIENCE_S, auditctl, events, losses, opened, running, wait_until

from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import set_backlog_wait_time, status

pytestmark = pytest.mark.system


def switches(pid: int, thread: str) -> int:
    """How often a thread has gone to sleep so far (proc(5), voluntary_ctxt_switches)."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            lines = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            if lines["Name"].strip() == thread:
                return int(lines["voluntary_ctxt_switches"])
    pytest.fail(f"process {pid} has no thread {thread}")


def test_a_lone_event_comes_by_the_clock(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    with running(tmp_path, "--output", str(output), "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "1", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: f"{prefix}00000".encode() in output.read_bytes(), "the event of several records")
        auditctl("-m", "the lone record")
        wait_until(lambda: b"the lone record" in output.read_bytes(), "the event of one record")
        daemon.stop()


def all_switches(pid: int) -> int:
    """How often any of its threads has gone to sleep so far."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.MULTILINE)
        assert found
        total += int(found[1])
    return total


def test_it_wakes_up_twice_a_second_at_most_while_nothing_happens(
    untouched: Snapshot, tmp_path: Path
) -> None:
    config = tmp_path / "tsauditd.toml"
    config.write_text(
        f"""
        [[output]]
        type = "file"
        path = "{tmp_path}/events.json"
        [[output]]
        type = "file"
        lines = "sessions"
        path = "{tmp_path}/sessions.json"
        """
    )
    with running(tmp_path, "-c", str(config), "--rules", "none") as daemon:

        def rests() -> bool:
            """Whether it did so for a while; what others of this machine have to say may wake it now and then."""
            before, began = all_switches(daemon.pid), time.monotonic()
            time.sleep(4)
            return all_switches(daemon.pid) - before <= 2 * (time.monotonic() - began)

        wait_until(rests, "few wake-ups")
        daemon.stop()


def test_nothing_wakes_the_reading_thread_while_nothing_happens(untouched: Snapshot, tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        auditctl("-m", "something, before nothing")
        time.sleep(1)
        before = switches(daemon.pid, "listener")
        time.sleep(2)
        assert switches(daemon.pid, "listener") - before <= 2
        daemon.stop()


def test_what_the_kernel_lost_is_told_in_the_stream(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    count, output, prefix = 2000, tmp_path / "out.json", f"{tmp_path}/missing/"
    config = tmp_path / "tsauditd.toml"
    config.write_text("[kernel]\nbacklog_limit = 64\nreceive_buffer = 65536\n")
    before = status()
    words = ["-c", str(config), "--output", str(output), "--rules", str(flood_rules)]
    with running(tmp_path, *words, key="flood") as daemon:
        set_backlog_wait_time(0)
        daemon.send(signal.SIGSTOP)
        subprocess.run([flood, "open", str(count), prefix], check=True, timeout=PATIENCE_S)
        lost = status().lost - before.lost
        daemon.send(signal.SIGCONT)
        assert lost > 0
        wait_until(lambda: b"audit-records-lost" in output.read_bytes(), "the loss is told")
        set_backlog_wait_time(before.backlog_wait_time)
        summary = daemon.stop()
    lost = status().lost - before.lost
    found = events(output)
    told = losses(found)
    assert sum(each.get("kernel", 0) for each in told) == told[-1]["total"]["kernel"] == lost
    assert f", {lost} lost, " in summary
    # The kernel counts an event that it could not begin once, and a serial that never came is a gap.
    missing = count - len(opened(found, prefix))
    assert 0 < missing <= lost + told[-1]["total"]["gap"]
    reasons = [
        json.loads(line)["event"]["reason"] for line in output.read_bytes().splitlines() if b"lost in" in line
    ]
    assert reasons[0].endswith("records lost in the kernel") or "records lost in the kernel, " in reasons[0]
