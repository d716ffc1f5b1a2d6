"""Both ends of what sockets of every family do, on one host and between two, as the sockets themselves tell them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from live import Event, events, losses, running, wait_until

pytestmark = pytest.mark.system

PROGRAM = Path(__file__).resolve().parent / "workload" / "sockets.py"
HERE, THERE = "tsa-calls", "tsa-serves"
CALLS = "connect,sendto,sendmsg,recvfrom,getsockname,getpeername,bind,listen"
Pair = tuple[tuple[str, int] | None, tuple[str, int] | None]


@contextmanager
def namespaces() -> Iterator[None]:
    """Two hosts with a link: the first calls, the second serves."""
    try:
        for space in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "netns", "add", space], check=True)
        link = f"ip link add tsa-2 netns {HERE} type veth peer name tsa-3 netns {THERE}"
        subprocess.run(link.split(), check=True)
        for number, (space, name) in enumerate(((HERE, "tsa-2"), (THERE, "tsa-3")), 1):
            for address in (f"198.51.100.{number}/24", f"2001:db8:5::{number}/64"):
                words = ["ip", "-n", space, "addr", "add", address, "dev", name]
                # Without nodad an address of IPv6 is of no use for a second.
                subprocess.run([*words, "nodad"] if ":" in address else words, check=True)
            for up in ("lo", name):
                subprocess.run(["ip", "-n", space, "link", "set", up, "up"], check=True)
        yield
    finally:
        for space in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", space], check=False)


class Worker:
    """sockets.py in the background."""

    def __init__(self, *words: object, space: str | None) -> None:
        inside = ["ip", "netns", "exec", space] if space else []
        self.process = subprocess.Popen(
            [*inside, sys.executable, PROGRAM, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> list[Any]:
        assert self.process.stdout is not None
        return list(json.loads(self.process.stdout.readline()))

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def plain(end: list[Any] | None) -> tuple[str, int] | None:
    """An end as events have it: ::ffff:192.0.2.1 is 192.0.2.1."""
    return (end[0].removeprefix("::ffff:"), end[1]) if end else None


def ends(event: Event) -> Pair:
    both = (event.get(member, {}) for member in ("source", "destination"))
    first, second = ((end["ip"], end["port"]) if {"ip", "port"} <= end.keys() else None for end in both)
    return first, second


def of_calls(found: list[Event], told: list[list[Any]]) -> list[Event]:
    """The events of the calls that the program tells of."""
    names = {call for call, _, _, _ in told}
    return [event for event in found if event["auditd"]["data"].get("syscall") in names]


def looked_at(bound: list[Any], output: Path) -> None:
    """Waits until a bind is told with its port: later calls on its socket are known by it."""
    _, _, (_, port), _ = bound

    def is_told() -> bool:
        binds = (event for event in events(output) if event["event"]["action"] == "bound-socket")
        return any(event.get("source", {}).get("port") == port for event in binds)

    wait_until(is_told, "the socket was looked at while it was bound")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("hosts", [1, 2])
def test_every_call_of_every_family(hosts: int, tmp_path: Path) -> None:
    if hosts == 1:
        watch(tmp_path, None, None, "127.0.0.1", "::1", "127.0.0.1", "::1")
    else:
        with namespaces():
            watch(tmp_path, HERE, THERE, "198.51.100.2", "2001:db8:5::2", "198.51.100.1", "2001:db8:5::1")


def watch(tmp_path: Path, here: str | None, there: str | None, host4: str, host6: str, *own: str) -> None:
    output, rules = tmp_path / "calls.json", tmp_path / "calls.rules"
    with Worker("serve", host4, host6, space=there) as server:
        (port,) = server.said()
        with Worker("call", host4, host6, port, *own, space=here) as caller:
            (pid,) = caller.said()
            rules.write_text(f"-a always,exit -F arch=b64 -S {CALLS} -F pid={pid} -k calls\n")
            with running(tmp_path, "--rules", str(rules), "--output", str(output), key="calls") as daemon:
                wait_until(lambda: output.exists() and output.read_bytes() != b"", "the tracepoints are open")
                caller.go()
                told = [caller.said() for _ in range(5)]
                for _ in range(2):
                    looked_at(caller.said(), output)
                    caller.go()
                    told += [caller.said() for _ in range(3)]
                told.append(caller.said())
                wait_until(lambda: len(of_calls(events(output), told)) == len(told), "the last call")
                daemon.stop()
        server.go()
        taken = {(plain(peer), plain(ours)) for peer, ours in server.said()}
    # Lines that wait for their other end come later.
    found = sorted(events(output), key=lambda event: int(event["event"]["sequence"]))
    assert losses(found) == []
    expected = [(call, what, plain(source), plain(destination)) for call, what, source, destination in told]
    calls = of_calls(found, told)
    assert [event["auditd"]["data"]["syscall"] for event in calls] == [each[0] for each in expected]
    truth = {(source, destination) for _, _, source, destination in expected}
    for event, (call, what, source, destination) in zip(calls, expected, strict=True):
        network = event["network"]
        assert network["direction"] == ("ingress" if call == "recvfrom" else "egress"), what
        if what == "unix":
            assert network["type"] == "unix"
            assert "transport" not in network
            continue
        assert ends(event) == (source, destination), (call, what, event["tsauditd"])
        assert event["tsauditd"]["endpoint"] != "unknown", (call, what)
        assert source is not None
        assert network["type"] == ("ipv6" if ":" in source[0] else "ipv4"), what
        assert network["transport"] == ("udp" if what in ("datagram", "dns") else "tcp"), what
        assert network.get("protocol") == ("dns" if what == "dns" else None), what
        assert network["community_id"].startswith("1:"), what
        assert event["event"]["outcome"] == ("unknown" if "progress" in what else "success"), what
    # What the server took is what was called.
    streams = [(source, destination) for call, what, source, destination in expected
               if call == "connect" and what not in ("unix", "dns")]  # fmt: skip
    assert taken == set(streams)
    # Who asks for a name within the same moment is not told more than the record says, and nothing wrong.
    asked = [event for event in found if event["event"]["action"] == "looked-up-socket-address"]
    assert {event["auditd"]["data"]["syscall"] for event in asked} == {"getsockname", "getpeername"}
    near, far = ({pair[end] for pair in truth} | {None} for end in (0, 1))
    assert all(source in near and destination in far for source, destination in map(ends, asked))
