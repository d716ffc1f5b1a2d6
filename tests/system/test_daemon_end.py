"""How the daemon ends: by a signal, by a reader that goes, without privilege; and what a slow reader gets."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from live import PATIENCE_S, auditctl, events, losses, numbers, opened, running, wait_until

from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

SUMMARY = r"tsauditd: \d+ events, \d+ records, 0 lost(, \d+\.\d µs CPU per event)?"
CAPTURE = "tests/captures/sudo.log"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_one_summary_line(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    with running(tmp_path, "--output", str(output), "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "1000", prefix], check=True, timeout=PATIENCE_S)
        # At once: what is still in the kernel's queue is delivered.
        summary = daemon.stop(number)
        assert daemon.said == [summary]
    assert re.fullmatch(SUMMARY, summary)
    assert opened(events(output), prefix) == numbers(1000)


def test_a_reader_that_has_enough_ends_it_quietly(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    words = ["--rules", str(flood_rules)]
    with running(tmp_path, *words, key="flood", stdout=subprocess.PIPE) as daemon:
        subprocess.run([flood, "open", "10", f"{tmp_path}/missing/"], check=True, timeout=PATIENCE_S)
        assert json.loads(daemon.stdout.readline())["ecs"]
        daemon.stdout.close()
        subprocess.run([flood, "open", "10", f"{tmp_path}/missing/"], check=True, timeout=PATIENCE_S)
        summary = daemon.ended()
        assert daemon.said == [summary]


def test_a_reader_that_goes_while_nothing_happens_ends_it(untouched: Snapshot, tmp_path: Path) -> None:
    with running(tmp_path, "--observe", observe=True, stdout=subprocess.PIPE) as daemon:
        daemon.stdout.close()
        daemon.ended()


def test_a_slow_reader_is_told_what_was_dropped(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    count, prefix = 5000, f"{tmp_path}/missing/"
    config = tmp_path / "tsauditd.toml"
    config.write_text('[[output]]\ntype = "stdout"\nqueue_bytes = 65536\n')
    got: list[bytes] = []
    words = ["-c", str(config), "--rules", str(flood_rules)]
    with running(tmp_path, *words, key="flood", stdout=subprocess.PIPE) as daemon:
        subprocess.run([flood, "open", str(count), prefix], check=True, timeout=PATIENCE_S)
        # Nobody has read so far, and nothing was held up.
        reader = threading.Thread(target=lambda: got.extend(daemon.stdout))
        reader.start()
        wait_until(lambda: any(b"audit-records-lost" in line for line in list(got)), "the loss is told")
        subprocess.run([flood, "open", "1", f"{prefix}after-"], check=True, timeout=PATIENCE_S)
        summary = daemon.stop()
        reader.join(PATIENCE_S)
    found = [json.loads(line) for line in got]
    dropped = losses(found)[-1]["total"]["dropped"]
    assert dropped > 0
    assert f", 0 lost, {dropped} dropped, " in summary
    kept = opened(found, prefix)
    assert kept[-1] == "after-00000"
    assert kept == sorted(kept), "in order all the same"
    total = int(summary.split()[1])
    assert len(found) - len(losses(found)) + dropped == total


@pytest.mark.parametrize(
    ("wrapper", "reason"),
    [
        (["setpriv", "--bounding-set=-all", "--inh-caps=-all"], "not permitted: run as root"),
        (["unshare", "--user", "--map-root-user", "--net"], "no audit subsystem answers here"),
    ],
    ids=["without privilege", "without audit"],
)
def test_without_the_kernels_audit_a_capture_is_shown(
    untouched: Snapshot, project: Path, wrapper: list[str], reason: str
) -> None:
    run = [*wrapper, sys.executable, "-m", "tsauditd", "run", "--rules", "rules/demonstration/people.rules"]
    shown = subprocess.run(
        [*run, "--or-convert", CAPTURE], cwd=project, capture_output=True, timeout=PATIENCE_S
    )
    assert shown.returncode == 0
    errors = shown.stderr.decode().splitlines()
    assert len(errors) == 1
    assert reason in errors[0]
    assert errors[0].endswith(f"; showing the events of {CAPTURE} instead")
    assert len([json.loads(line) for line in shown.stdout.splitlines()]) > 10

    refused = subprocess.run(run, cwd=project, capture_output=True, timeout=PATIENCE_S)
    assert refused.returncode in (1, 4)
    assert refused.stdout == b""
    assert refused.stderr.count(b"\n") == 1
    assert reason in refused.stderr.decode()


def test_rules_that_the_kernel_refuses_leave_everything_as_it_was(
    untouched: Snapshot, tmp_path: Path
) -> None:
    rules = tmp_path / "bad.rules"
    rules.write_text("-a always,exit -S all -F pid=4242 -k flood\n-w /no/such/directory/file -k flood\n")
    done = subprocess.run(
        [sys.executable, "-m", "tsauditd", "run", "--rules", str(rules)],
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"tsauditd: {rules}:2: a path or the directory that holds it does not exist"
    ]


def test_closed_standard_descriptors_are_no_harm(untouched: Snapshot, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    script = 'exec "$@" <&- >&- 2>&-'
    run = [sys.executable, "-m", "tsauditd", "run", "--output", str(output)]
    process = subprocess.Popen(["sh", "-c", script, "sh", *run])
    try:
        wait_until(lambda: status().pid == process.pid, "it has the audit pid")
        auditctl("-m", "heard")
        wait_until(lambda: b"heard" in output.read_bytes(), "the event")
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
