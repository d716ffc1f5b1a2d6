"""What it costs to learn the end of a connection that the kernel's record does not hold, by each way of learning it.

A part of reach.py. One process connects to itself and keeps every connection open, so that each way can tell all of
them; which way it is follows from the capabilities that the daemon has and from the address that is listened on.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from borrowed import borrowed_audit
from cost import Account, settle
from readers import BACKLOG_LIMIT, tsauditd
from report import fail, median, say, spread, table
from workload import KEY, SETTLE_SECONDS, add, end, wait_until_it_reads

from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket

_WARM = 50
"""Connections before it is measured: the first ones open the tracepoints."""
_PERFMON = ("-perfmon", "-sys_admin")
_PTRACE = (*_PERFMON, "-sys_ptrace")


@dataclass(frozen=True, slots=True)
class Way:
    """How an end is learnt."""

    call: str
    origin: str
    """By `tsauditd.endpoint`; `unknown` is the record alone."""
    without: tuple[str, ...] = ()
    """Capabilities that the daemon does not have."""
    listens: str = "127.0.0.1"


WAYS = (
    Way("connect", "unknown", _PTRACE),
    Way("connect", "pidfd", _PERFMON),
    Way("connect", "trace"),
    Way("accept4", "unknown", _PTRACE, "0.0.0.0"),
    Way("accept4", "pidfd", _PERFMON, "0.0.0.0"),
    Way("accept4", "trace", (), "0.0.0.0"),
    Way("accept4", "listener", _PERFMON),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: the daemon's CPU, and how many events had their end by the way in question."""

    ns: int
    events: int
    told: int


def measured(at: Path, count: int, rounds: int) -> dict[Way, list[Cost]]:
    """Runs every way in turn, `rounds` times, with so many connections each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * (count + _WARM) + 64, most), most))
    costs: dict[Way, list[Cost]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            say(f"round {number + 1}: {way.call}, {way.origin}")
            with borrowed_audit(BACKLOG_LIMIT) as control:
                costs[way].append(_run(control, way, at, count))
    return costs


def _run(control: ControlSocket, way: Way, at: Path, count: int) -> Cost:
    add(f"-a always,exit -F arch=b64 -S {way.call} -F pid={os.getpid()} -k {KEY}", control)
    output = at / "lookups.json"
    output.unlink(missing_ok=True)
    bounded = ["setpriv", "--bounding-set", ",".join(way.without)] if way.without else []
    with (at / "stderr").open("wb") as errors:
        daemon = subprocess.Popen(
            [*bounded, *tsauditd(at, output)],
            stdin=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    kept: list[socket.socket] = []
    try:
        wait_until_it_reads(control, daemon, at)
        kernel.set_enabled(1, control)
        account = Account(daemon.pid)

        def rest() -> int:
            if not settle(account, lambda: kernel.status(control).backlog > 0, SETTLE_SECONDS):
                fail("tsauditd does not come to rest")
            return account.cpu_ns()

        with socket.create_server((way.listens, 0), backlog=4096) as server:
            _connect(server, _WARM, kept)
            before = rest()
            _connect(server, count, kept)
            cost = rest() - before
    finally:
        kernel.set_enabled(0, control)
        end(daemon)
        for each in kept:
            each.close()
    with output.open("rb") as lines:
        events = [json.loads(line) for line in lines]
    events = [event for event in events if "endpoint" in event.get("tsauditd", {})]
    events.sort(key=lambda event: event["event"]["sequence"])
    told = [event["tsauditd"]["endpoint"] for event in events[_WARM:]]
    return Cost(cost, len(told), told.count(way.origin))


def _connect(server: socket.socket, count: int, kept: list[socket.socket]) -> None:
    """So many connections, both of whose sockets are kept."""

    def accept() -> None:
        kept.extend([server.accept()[0] for _ in range(count)])

    accepting = threading.Thread(target=accept)
    accepting.start()
    to = ("127.0.0.1", server.getsockname()[1])
    for _ in range(count):
        client = socket.socket()
        client.connect(to)
        kept.append(client)
    accepting.join()


def lookups_report(costs: dict[Way, list[Cost]], count: int) -> str:
    """The table: what an event costs, and how much of it is for the other end."""
    micros = {way: [cost.ns / 1000 / count for cost in each] for way, each in costs.items()}
    alone = {way.call: median(each) for way, each in micros.items() if way.origin == "unknown"}
    rows = [
        [
            f"{way.call}: {'the record alone' if way.origin == 'unknown' else way.origin}",
            spread(each),
            f"{median(each) - alone[way.call]:.1f}",
            f"{100 * sum(cost.told for cost in costs[way]) / max(1, sum(cost.events for cost in costs[way])):.1f}",
        ]
        for way, each in micros.items()
    ]
    head = ["the other end is from", "CPU µs/event", "µs a look-up", "so told %"]
    return table(head, rows) + "medians [least, most]; µs a look-up: more than the record alone\n"
