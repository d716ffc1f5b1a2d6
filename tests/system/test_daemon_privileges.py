"""The daemon with each capability taken away in turn: what is lost is told once, and the rest works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from live import PATIENCE_S, Event, events, opened, running, wait_until

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

# docs/privileges.md: these are all that it needs.
NEEDED = ("audit_control", "audit_read", "sys_ptrace", "dac_read_search", "net_admin")


def bounded(*change: str) -> list[str]:
    """The command that starts another with fewer capabilities."""
    return ["setpriv", "--bounding-set", ",".join(change), "--inh-caps", "-all"]


def lived(tmp_path: Path, flood: str, flood_rules: Path, through: list[str]) -> tuple[list[Event], list[str]]:
    """The events of a program that is started, and what the daemon said but for its summary."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = ["--output", str(output), "--rules", str(flood_rules)]
    with running(tmp_path, *words, key="flood", through=through) as daemon:
        subprocess.run([flood, "open", "3", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: f"{prefix}00002".encode() in output.read_bytes(), "the last event")
        said = daemon.said
        summary = daemon.stop()
    assert " 0 lost" in summary
    found = events(output)
    assert opened(found, prefix) == ["00000", "00001", "00002"]
    return [event for event in found if event.get("process", {}).get("executable") == flood], said


@pytest.mark.parametrize("needless", ["all but these", "audit_read"])
def test_nothing_is_said_when_nothing_is_lost(
    untouched: Snapshot, tmp_path: Path, flood: str, flood_rules: Path, needless: str
) -> None:
    kept = [f"+{name}" for name in NEEDED if name != needless]
    found, said = lived(tmp_path, flood, flood_rules, bounded("-all", *kept))
    assert said == []
    assert {event["process"]["parent"]["executable"] for event in found} == {os.readlink("/proc/self/exe")}
    assert {event["user"]["name"] for event in found} == {"root"}


def test_without_ptrace_programs_are_known_from_their_start_on(
    untouched: Snapshot, tmp_path: Path, flood: str, flood_rules: Path
) -> None:
    found, said = lived(tmp_path, flood, flood_rules, bounded("-sys_ptrace"))
    (line,) = said
    assert line.startswith("tsauditd: without CAP_SYS_PTRACE ")
    # The test itself has more capabilities than the daemon, which so may not look at it.
    assert not any("executable" in event["process"]["parent"] for event in found)
    assert {event["process"]["parent"]["name"] for event in found} == {
        Path("/proc/self/comm").read_text().strip()
    }
    assert {event["process"]["executable"] for event in found} == {flood}


def test_without_dac_read_search(untouched: Snapshot, tmp_path: Path, flood: str, flood_rules: Path) -> None:
    _, said = lived(tmp_path, flood, flood_rules, bounded("-dac_read_search", "-dac_override"))
    (line,) = said
    assert line.startswith("tsauditd: without CAP_DAC_READ_SEARCH ")


def test_without_net_admin_the_buffer_is_smaller(
    untouched: Snapshot, tmp_path: Path, flood: str, flood_rules: Path
) -> None:
    _, said = lived(tmp_path, flood, flood_rules, bounded("-net_admin"))
    (line,) = said
    limit = Path("/proc/sys/net/core/rmem_max").read_text().strip()
    assert line.startswith(
        f"tsauditd: without CAP_NET_ADMIN the audit socket's buffer is {limit} bytes, not "
    )


@pytest.mark.parametrize(
    ("capability", "words"),
    [("audit_control", []), ("audit_read", ["--observe"]), ("audit_control", ["--observe"])],
)
def test_without_the_right_to_audit_there_is_no_daemon(
    untouched: Snapshot, tmp_path: Path, capability: str, words: list[str]
) -> None:
    command = [*bounded(f"-{capability}"), sys.executable, "-m", "tsauditd", "run", *words]
    ended = subprocess.run(
        [*command, "--output", str(tmp_path / "out.json")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, f"CAP_{capability.upper()}" in line) == (4, True)
