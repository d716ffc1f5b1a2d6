"""Both ends of connections, each held against what the peer saw."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Event, events, running, wait_until

pytestmark = pytest.mark.system

WORKLOAD = Path(__file__).resolve().parent / "workload"
RUNS = 50
STORM = 600
"""Connections, of which the kernel keeps all that it tells of until it is read, however late that is."""
End = tuple[str, int]


class Server:
    """Takes connections one after another and remembers both ends of each, in order; answers when asked to."""

    def __init__(self, *, answers: bool, address: str = "127.0.0.1") -> None:
        self.sock = socket.create_server((address, 0), backlog=1024)
        self.port: int = self.sock.getsockname()[1]
        self.seen: list[tuple[End, End]] = []
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, peer = self.sock.accept()
                with taken:
                    self.seen.append((peer, taken.getsockname()))
                    if self._answers:
                        taken.recv(4096)
                        taken.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(answers=False)
    with one.sock:
        yield one


@pytest.fixture
def web() -> Iterator[Server]:
    one = Server(answers=True)
    with one.sock:
        yield one


@pytest.fixture
def connect(tmp_path: Path) -> str:
    program = tmp_path / "connect"
    subprocess.run(["cc", "-O2", "-o", program, WORKLOAD / "connect.c"], check=True)
    return str(program)


def ends(event: Event) -> tuple[End | None, End | None]:
    """Source and destination, each whole or None."""
    both = [event.get(member, {}) for member in ("source", "destination")]
    first, second = ((end["ip"], end["port"]) if {"ip", "port"} <= end.keys() else None for end in both)
    return first, second


def listened(tmp_path: Path, rules: str, act: list[list[str]]) -> dict[int, list[Event]]:
    """Runs each command after the one before under the rules; the events of each, by their number."""
    file, output = tmp_path / "ends.rules", tmp_path / "ends.json"
    file.write_text(rules)
    pids = []
    with running(tmp_path, "--rules", str(file), "--output", str(output), key="ends") as daemon:
        wait_until(lambda: output.exists() and output.read_bytes() != b"", "the tracepoints are open")
        for command in act:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            assert process.wait() == 0
            pids.append(process.pid)
        daemon.stop()
    found: dict[int, list[Event]] = {number: [] for number in range(len(act))}
    for event in events(output):
        if event["event"]["action"] == "connected-to" and "ip" in event.get("destination", {}):
            found[pids.index(event["process"]["pid"])].append(event)
    return found


def rule(program: str) -> str:
    return f"-a always,exit -F arch=b64 -S connect -F exe={os.path.realpath(program)} -k ends\n"


@pytest.mark.usefixtures("untouched")
def test_what_connects_shows_the_source_that_the_server_saw(
    server: Server, web: Server, connect: str, tmp_path: Path
) -> None:
    clients = {
        "curl": (web, ["curl", "-s", f"http://127.0.0.1:{web.port}/"]),
        "nc": (server, ["nc", "-z", "127.0.0.1", str(server.port)]),
        "connect": (server, [connect, "127.0.0.1", str(server.port), "1"]),
    }
    programs = [shutil.which(command[0]) or command[0] for _, command in clients.values()]
    act = [command for _, command in clients.values() for _ in range(RUNS)]
    found = listened(tmp_path, "".join(map(rule, programs)), act)
    seen = [*web.seen, *server.seen]
    assert len(seen) == len(act)
    known = 0
    for number, (peer, here) in enumerate(seen):
        (event,) = found[number]
        source, destination = ends(event)
        assert destination == here
        assert source in (None, peer), "no end is ever wrong"
        assert (source is None) == (event["tsauditd"]["endpoint"] == "unknown")
        known += source is not None
        if source:
            assert event["network"]["transport"] == "tcp"
            assert event["network"]["community_id"].startswith("1:")
    print(f"both ends of {known} of {len(act)} connections")
    assert known > 0


@pytest.mark.usefixtures("untouched")
def test_a_descriptor_that_is_used_again_and_again_never_shows_a_wrong_end(
    server: Server, connect: str, tmp_path: Path
) -> None:
    count = 500
    (found,) = listened(
        tmp_path, rule(connect), [[connect, "127.0.0.1", str(server.port), str(count)]]
    ).values()
    wait_until(lambda: len(server.seen) == count, "the server saw all")
    assert len(found) == count
    for event, (peer, here) in zip(
        sorted(found, key=lambda event: event["event"]["sequence"]), server.seen, strict=True
    ):
        source, destination = ends(event)
        assert (source in (None, peer), destination) == (True, here)


@pytest.mark.usefixtures("untouched")
def test_a_storm_of_the_first_connections_shows_both_ends_of_each(connect: str, tmp_path: Path) -> None:
    server, count = Server(answers=False, address="0.0.0.0"), STORM
    with server.sock:
        command = [connect, "127.1.0.1", str(server.port), str(count), "next"]
        (found,) = listened(tmp_path, rule(connect), [command]).values()
        wait_until(lambda: len(server.seen) == count, "the server saw all")
    seen = {here: peer for peer, here in server.seen}
    assert len(found) == len(seen) == count
    assert {destination: source for source, destination in map(ends, found)} == seen
    assert {event["tsauditd"]["endpoint"] for event in found} == {"trace"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_what_is_accepted_has_both_ends(address: str, tmp_path: Path) -> None:
    server = Server(answers=False, address=address)
    file, output = tmp_path / "accepts.rules", tmp_path / "accepts.json"
    file.write_text(f"-a always,exit -F arch=b64 -S accept4 -F pid={os.getpid()} -k ends\n")
    clients = []
    with (
        server.sock,
        running(tmp_path, "--rules", str(file), "--output", str(output), key="ends") as daemon,
    ):

        def noticed() -> bool:
            with socket.create_connection(("127.0.0.1", server.port)):
                return b"accepted-connection-from" in output.read_bytes()

        # What is accepted within the kernel's tick in which the listening socket is first looked at may be of another.
        wait_until(noticed, "the daemon saw one")
        time.sleep(0.05)
        for _ in range(RUNS):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                clients.append(client.getsockname())
        wait_until(lambda: set(clients) <= dict(server.seen).keys(), "the server saw all")
        daemon.stop()
    accepted = [e for e in events(output) if e["event"]["action"] == "accepted-connection-from"]
    accepted = [e for e in accepted if ends(e)[0] in clients]
    assert len(accepted) == RUNS
    both = dict(server.seen)
    for event in accepted:
        source, destination = ends(event)
        assert source is not None
        assert both[source] == destination or (address == "0.0.0.0" and destination is None)
        assert event["destination"]["port"] == server.port
