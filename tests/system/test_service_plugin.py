"""The daemon as a plugin of Debian's auditd: every event once, whole; the signals that auditd passes on; the end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import PATIENCE_S, auditctl, events, losses, numbers, opened, wait_until

from tsauditd.kernel.state import KernelState, Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

AUDITD = """\
log_file = {0}/audit.log
log_format = {1}
flush = NONE
q_depth = 99999
max_restarts = 1
plugin_dir = {0}/plugins.d
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
"""

PLUGIN = """\
active = yes
direction = out
path = {0}
type = always
args = run --plugin
format = string
"""

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def auditd(untouched: Snapshot, flood_rules: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts auditd with log_format and its plugin; ended, with everything as it was, after the test."""
    directory = tmp_path / "auditd"
    (directory / "plugins.d").mkdir(parents=True)
    directory.chmod(0o750)
    # As in a package, where the configuration is in its place and needs no argument.
    program = directory / "tsauditd"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m tsauditd "$@" -c {directory}/tsauditd.toml 2>>{directory}/said\n'
    )
    program.chmod(0o750)
    (directory / "plugins.d/tsauditd.conf").write_text(PLUGIN.format(program))
    (directory / "tsauditd.toml").write_text(configuration(directory / "out.json", tmp_path))
    started: list[subprocess.Popen[bytes]] = []

    def start(log_format: str) -> "subprocess.Popen[bytes]":
        (directory / "auditd.conf").write_text(AUDITD.format(directory, log_format))
        process = subprocess.Popen(["/sbin/auditd", "-n", "-c", str(directory)], stdin=subprocess.DEVNULL)
        started.append(process)
        wait_until(lambda: status().pid == process.pid and status().enabled == 1, "auditd is registered")
        wait_until((tmp_path / "pid").exists, "its plugin has started")
        auditctl("-R", str(flood_rules))
        return process

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
            process.wait(PATIENCE_S)
        KernelState().restore(untouched)


def configuration(output: Path, directory: Path) -> str:
    return (
        f'[[output]]\ntype = "file"\npath = "{output}"\n[daemon]\npid_file = "{directory}/pid"\n'
        f'status_socket = "{directory}/status"\nstate_file = ""\n'
    )


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("log_format", ["RAW", "ENRICHED"])
def test_every_event_that_auditd_hands_on(auditd: Start, flood: str, tmp_path: Path, log_format: str) -> None:
    """Lost: nothing. auditd's own last record comes, too, although both end at the same moment."""
    output, prefix = tmp_path / "auditd/out.json", f"{tmp_path}/missing/"
    daemon = auditd(log_format)
    pid = int((tmp_path / "pid").read_text())
    subprocess.run([flood, "open", "5000", prefix], check=True, timeout=PATIENCE_S)
    subprocess.run([flood, "run", "100"], check=True, timeout=PATIENCE_S)
    wait_until(lambda: b'"00099"' in output.read_bytes(), "the last has come")
    assert status().pid == daemon.pid
    daemon.terminate()
    assert daemon.wait(PATIENCE_S) == 0
    wait_until(lambda: gone(pid), "the plugin has ended")
    said = (tmp_path / "auditd/said").read_text().splitlines()
    assert [line.split(",")[0].split()[-1] for line in said] == ["events"], "the summary alone"
    found = events(output)
    assert opened(found, prefix) == numbers(5000)
    assert losses(found) == []
    assert not [event for event in found if "incomplete" in event.get("tsauditd", {})]
    leaves = [event for event in found if event.get("process", {}).get("args", [])[1:2] == ["leaf"]]
    assert [event["process"]["args"][2] for event in leaves] == numbers(100)
    # What only a live daemon can say of a process that has ended long ago.
    parents = {event["process"]["parent"]["pid"] for event in leaves}
    assert len(parents) == 1
    assert all(event["process"]["parent"]["executable"] == flood for event in leaves)
    assert leaves[0]["user"]["name"] == "root"
    kinds = [event["auditd"]["message_type"] for event in found]
    assert kinds.count("daemon_end") == 2, "auditd's and the plugin's own"


def test_auditds_signals_reach_its_plugin(auditd: Start, flood: str, tmp_path: Path) -> None:
    """HUP is passed on; what the configuration then says counts from there."""
    first, second = tmp_path / "auditd/out.json", tmp_path / "second.json"
    daemon = auditd("RAW")
    pid = int((tmp_path / "pid").read_text())
    wait_until(first.exists, "it writes")
    (tmp_path / "auditd/tsauditd.toml").write_text(configuration(second, tmp_path))
    daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: second.exists() and b"daemon_config" in second.read_bytes(), "it has reloaded")
    assert int((tmp_path / "pid").read_text()) == pid
    prefix = f"{tmp_path}/missing/"
    subprocess.run([flood, "open", "10", prefix], check=True, timeout=PATIENCE_S)
    wait_until(lambda: b"/00009" in second.read_bytes(), "the events come there")
    asked = subprocess.run(
        [sys.executable, "-m", "tsauditd", "status", "--json", "-c", str(tmp_path / "auditd/tsauditd.toml")],
        capture_output=True,
        check=True,
    )
    assert json.loads(asked.stdout)["daemon"]["reading"] == "as auditd's plugin"
    # An auditd that dies says nothing; the end of the input is told by the kernel.
    daemon.kill()
    daemon.wait()
    wait_until(lambda: gone(pid), "the plugin has ended")
    assert opened(events(second), prefix) == numbers(10)
