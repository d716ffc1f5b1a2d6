"""The daemon with each capability taken away in turn: what is lost is told once, and the rest works."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import PATIENCE_S, Daemon, Event, events, opened, running, wait_until

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

WORKLOAD = Path(__file__).resolve().parent / "workload"

# docs/privileges.md: these are all that it needs.
NEEDED = ("audit_control", "audit_read", "sys_ptrace", "perfmon", "dac_read_search", "net_admin", "sys_nice")


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


@pytest.mark.parametrize("needless", ["all but these", "audit_read", "dac_read_search"])
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


@contextmanager
def connecting(tmp_path: Path, through: list[str]) -> Iterator[tuple[Path, Daemon, Path]]:
    """A client of its own, the daemon that is told of its IPv4 connections, and the daemon's output."""
    client, output, rules = tmp_path / "client", tmp_path / "out.json", tmp_path / "connect.rules"
    shutil.copy(os.path.realpath("/bin/nc"), client)
    # The length of a sockaddr_in: nc looks for nscd before.
    rules.write_text(f"-a always,exit -F arch=b64 -S connect -F a2=16 -F exe={client} -k connect\n")
    words = ["--output", str(output), "--rules", str(rules)]
    with running(tmp_path, *words, key="connect", through=through) as daemon:
        wait_until(lambda: output.exists() and output.read_bytes() != b"", "the tracepoints are open")
        yield client, daemon, output


def connected(tmp_path: Path, through: list[str], lines: int = 1) -> tuple[Event, tuple[str, int], list[str]]:
    """The event of a connect, the address that the other end saw, and what the daemon said but for its summary."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connecting(tmp_path, through) as (client, daemon, output),
    ):
        port = server.getsockname()[1]
        with subprocess.Popen([client, "127.0.0.1", str(port)], stdin=subprocess.PIPE) as process:
            accepted, address = server.accept()
            wait_until(lambda: f'"port":{port}'.encode() in output.read_bytes(), "the connect is told")
            wait_until(lambda: len(daemon.said) >= lines, "the daemon says what is lost")
            accepted.close()
            process.communicate(timeout=PATIENCE_S)
        said = daemon.said
        daemon.stop()
    there = {"ip": "127.0.0.1", "address": "127.0.0.1", "port": port}
    (event,) = [one for one in events(output) if one.get("destination") == there]
    return event, address, said


def test_without_ptrace_the_tracepoints_tell_both_ends(untouched: Snapshot, tmp_path: Path) -> None:
    event, (ip, port), said = connected(tmp_path, bounded("-sys_ptrace"))
    (line,) = said
    assert line.startswith("tsauditd: without CAP_SYS_PTRACE ")
    assert "connections" in line
    assert event["tsauditd"]["endpoint"] == "trace"
    assert event["source"] == {"ip": ip, "address": ip, "port": port}


def test_without_ptrace_and_perfmon_the_other_end_of_a_connection_is_unknown(
    untouched: Snapshot, tmp_path: Path
) -> None:
    event, _, said = connected(tmp_path, bounded("-sys_ptrace", "-perfmon", "-sys_admin"), lines=2)
    assert [line.split()[2] for line in said] == ["CAP_SYS_PTRACE", "CAP_PERFMON"]
    assert (event["tsauditd"]["endpoint"], event.get("source")) == ("unknown", None)


def test_a_filter_that_forbids_looks_at_sockets_is_told_once(untouched: Snapshot, tmp_path: Path) -> None:
    forbid, pidfd_getfd = tmp_path / "forbid", "438"
    subprocess.run(["cc", "-o", forbid, WORKLOAD / "forbid.c"], check=True)
    through = [str(forbid), pidfd_getfd, *bounded("-perfmon", "-sys_admin")]
    event, _, said = connected(tmp_path, through, lines=2)
    (line,) = [line for line in said if "CAP_PERFMON" not in line]
    assert "refuses pidfd_getfd" in line
    assert (event["tsauditd"]["endpoint"], event.get("source")) == ("unknown", None)


def test_without_perfmon_the_socket_is_looked_at(untouched: Snapshot, tmp_path: Path) -> None:
    event, (ip, port), said = connected(tmp_path, bounded("-perfmon", "-sys_admin"))
    (line,) = said
    assert line.startswith("tsauditd: without CAP_PERFMON ")
    assert event["tsauditd"]["endpoint"] == "pidfd"
    assert event["source"] == {"ip": ip, "address": ip, "port": port}


@pytest.mark.parametrize(("needless", "lines"), [("all but these", 0), ("net_admin", 1)])
def test_both_ends_are_known_with_these_alone(
    untouched: Snapshot, tmp_path: Path, needless: str, lines: int
) -> None:
    kept = [f"+{name}" for name in NEEDED if name != needless]
    event, (ip, port), said = connected(tmp_path, bounded("-all", *kept), lines)
    assert len(said) == lines
    assert event["tsauditd"]["endpoint"] == "trace"
    assert event["source"] == {"ip": ip, "address": ip, "port": port}


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
