"""How many connections show both ends, each held against what client and server saw."""

import subprocess
from pathlib import Path

import pytest
from clients import Server, path_of, scenes
from live import events, losses, running, wait_until
from reach import reaches, share_of
from workload import HERE, compiled

pytestmark = pytest.mark.system

COUNT = 20
"""Runs of each client; wrk works for a second."""

PAUSE_MS = 20
"""So wrk makes 2,000 connections a second at most, of which none is lost where others take the processors for long."""

CLIENTS = (
    "curl",
    "nc -z",
    "connect and close, a process each",
    "connect and close, again and again",
    "wrk, nginx on any address",
)

LEAST = 90.0
"""Percent. Of a quiet machine it is 100, and `make bench-reach` holds it to 95 and 99.5; this one may be busy."""


@pytest.mark.usefixtures("untouched")
def test_nearly_all_connections_show_both_ends_and_none_a_wrong_one(tmp_path: Path) -> None:
    connects, first = compiled(HERE / "connects.c", tmp_path), Server(answers=False)
    chosen = [scene for scene in scenes(tmp_path, connects, COUNT, 1, PAUSE_MS) if scene.name in CLIENTS]
    assert len(chosen) == len(CLIENTS)
    rule, output, file = "-a always,exit -F arch=b64 -S", tmp_path / "reach.json", tmp_path / "reach.rules"
    programs = {scene.program for scene in chosen}
    file.write_text(
        "".join(f"{rule} connect -F exe={program} -k reach\n" for program in sorted(programs))
        + f"{rule} accept4 -F success=1 -F pid={first.place[0]} -k reach\n"
        + f"{rule} accept4 -F success=1 -F exe={path_of('nginx')} -k reach\n"
    )
    with running(tmp_path, "--rules", str(file), "--output", str(output), key="reach") as daemon:

        def traced() -> bool:
            subprocess.run(
                [connects, "127.0.0.1", str(first.port), "1", "1"], check=True, stdout=subprocess.DEVNULL
            )
            return b'"endpoint":"trace"' in output.read_bytes()

        wait_until(traced, "the tracepoints are open, as they are from the first connection on")
        seen = {scene.name: scene.act() for scene in chosen}
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    for name, each in seen.items():
        for what, reach in zip(("connects", "accepts"), reaches(each, found), strict=True):
            share = share_of([reach])
            print(
                f"{name}: {what}: {reach.known} of {reach.events}, {share:.2f} %, {reach.wrong} wrong: {reach.by}"
            )
            assert reach.events >= COUNT
            assert reach.wrong == 0, "no end is ever wrong"
            assert share >= LEAST, name
