"""`tsauditd convert` against `ausearch -i` on the same log: CPU seconds, megabytes and events a second.

Reads no kernel state and needs no root. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiply import SUFFIXES, captures, write_log
from report import (
    TSAUDITD,
    fail,
    heading,
    machine,
    median,
    say,
    spread,
    table,
    verdict,
    versions,
    write,
)

AIM = 10.0
"""So many times less CPU than ausearch -i."""

SLOW_FOR_AUSEARCH = "foreign"
"""The kind of log of which ausearch gets a smaller one. It says nothing of reading logs, so no aim is held to it."""

_RESOLVE = {"raw": ("--resolve",), "enriched": (), "foreign": ("--resolve",)}
"""Ours names users only when asked; ausearch -i always does. Both do the same work."""

_AUSEARCH_SERIAL = re.compile(rb"^(?:node=\S+ )?type=\S+ msg=audit\([^)]*:(\d+)\)")
_ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Log:
    """A log on disk; its events have the serials 1 to `events`."""

    path: Path
    bytes: int
    events: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A program on a log: how it is started and how its output is read."""

    program: str
    log: Log
    command: tuple[str, ...]
    serials: Callable[[Iterable[bytes]], tuple[set[int], dict[str, int]]]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.program}, {self.log.bytes / 1e6:.0f} MB"


@dataclass(frozen=True, slots=True)
class Run:
    """One run's cost, in seconds: the child's user and system time (getrusage) and the clock on the wall."""

    user: float
    system: float
    wall: float

    @property
    def cpu(self) -> float:
        """User and system time."""
        return self.user + self.system


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed or the programs found different events."""
    options = arguments()
    if shutil.which("ausearch") is None:
        fail("ausearch is missing: apt-get install auditd")
    about = machine()
    tools = versions({"tsauditd": [TSAUDITD, "--version"], "ausearch": ["ausearch", "--version"]})
    result: dict[str, Any] = {"machine": about, "versions": tools, "rounds": options.rounds, "kinds": {}}
    rows: list[list[str]] = []
    aims: list[str] = []
    agreed = True
    with tempfile.TemporaryDirectory(prefix="tsauditd-bench-", dir=options.dir) as directory:
        for kind in options.kinds:
            measured = measure(kind, Path(directory), options)
            result["kinds"][kind] = measured
            rows += [row(kind, entry) for entry in measured["entries"]]
            agreed &= measured["events_agree"]
            ratio = measured["cpu_ratio_same_log"]
            if kind != SLOW_FOR_AUSEARCH:
                aims.append(verdict(f"{kind}: ausearch's CPU / ours, same log", ratio, AIM, most=False))
            else:
                per_mb = measured["cpu_ratio_per_mb"]
                aims.append(
                    f"{kind}: ausearch's CPU / ours, same log: {ratio:.2f}, per MB of the long log: {per_mb:.2f}"
                    " (ausearch looks up unknown users again and again: no aim)"
                )
    result["load_average_after"] = list(os.getloadavg())
    head = ["log", "program", "CPU s", "CPU ms/MB", "MB/s", "events/s", "events"]
    print(heading("tsauditd convert against ausearch -i, output to /dev/null", about, tools))
    print(table(head, rows))
    print(f"medians of {options.rounds} rounds [least, most]; MB/s and events/s by the clock on the wall")
    print("\n".join(aims))
    print(f"load average after: {', '.join(f'{value:.2f}' for value in result['load_average_after'])}")
    print(f"written: {write('convert', result)}")
    if not agreed:
        fail("the programs did not find the same events: see above")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--size", type=positive, default=200, help="MB of log (default 200)")
    parser.add_argument(
        "--ausearch-size", type=positive, default=20, help="MB of foreign log for ausearch (default 20)"
    )
    parser.add_argument("--rounds", type=positive, default=5, help="measured rounds (default 5)")
    parser.add_argument(
        "--log", dest="kinds", action="append", choices=SUFFIXES, help="only this kind of log"
    )
    parser.add_argument("--dir", default="/var/tmp", help="where the logs are made (default /var/tmp)")
    options = parser.parse_args()
    options.kinds = options.kinds or list(SUFFIXES)
    return options


def positive(text: str) -> int:
    """A number of the command line that is 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def measure(kind: str, directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All of one kind of log: makes the logs, checks that all find the same events, measures, interleaved."""
    sources = captures(kind)
    say(f"{kind}: making the logs")
    long = make_log(directory / "long.log", sources, options.size)
    short = long
    if kind == SLOW_FOR_AUSEARCH and options.ausearch_size < options.size:
        short = make_log(directory / "short.log", sources, options.ausearch_size)
    entries = [tsauditd(short, kind), ausearch(short)]
    if short is not long:
        entries.append(tsauditd(long, kind))
    counts = [check(entry) for entry in entries]
    runs: list[list[Run]] = [[] for _ in entries]
    for number in range(options.rounds):
        for entry, done in zip(entries, runs, strict=True):
            done.append(run(entry.command))
            say(f"{kind}: round {number + 1}, {entry.name}: {done[-1].cpu:.2f} s CPU")
    per_mb = [
        median([done.cpu for done in each]) / entry.log.bytes
        for entry, each in zip(entries, runs, strict=True)
    ]
    return {
        "entries": [
            {
                "name": entry.name,
                "program": entry.program,
                "log_bytes": entry.log.bytes,
                "log_events": entry.log.events,
                "found": count,
                "runs": [{"user_s": r.user, "system_s": r.system, "wall_s": r.wall} for r in done],
            }
            for entry, count, done in zip(entries, counts, runs, strict=True)
        ],
        "events_agree": all(count["wrong"] == 0 for count in counts),
        "cpu_ratio_same_log": per_mb[1] / per_mb[0],
        "cpu_ratio_per_mb": per_mb[1] / per_mb[-1] if len(entries) > 2 else per_mb[1] / per_mb[0],
    }


def make_log(path: Path, sources: Sequence[Any], megabytes: int) -> Log:
    """A log of that size."""
    events = write_log(path, sources, megabytes * 1_000_000)
    return Log(path, path.stat().st_size, events)


def tsauditd(log: Log, kind: str) -> Entry:
    """Ours."""
    command = (str(TSAUDITD), "convert", *_RESOLVE[kind], str(log.path))
    return Entry(" ".join(("tsauditd convert", *_RESOLVE[kind])), log, command, json_serials)


def ausearch(log: Log) -> Entry:
    """auditd's own reader with interpretation."""
    return Entry("ausearch -i", log, ("ausearch", "-i", "-if", str(log.path)), ausearch_serials)


def json_serials(lines: Iterable[bytes]) -> tuple[set[int], dict[str, int]]:
    """The serials in JSON lines, and how many lines there are and are not whole."""
    serials: set[int] = set()
    printed = incomplete = 0
    for line in lines:
        event = json.loads(line)
        serials.add(event["event"]["sequence"])
        printed += 1
        incomplete += "incomplete" in event.get("tsauditd", {})
    return serials, {"printed": printed, "incomplete": incomplete}


def ausearch_serials(lines: Iterable[bytes]) -> tuple[set[int], dict[str, int]]:
    """The serials in ausearch's output, and how many groups of records it printed: an event may be in several."""
    serials: set[int] = set()
    printed = 0
    for line in lines:
        if line == b"----\n":
            printed += 1
        elif found := _AUSEARCH_SERIAL.match(line):
            serials.add(int(found[1]))
    return serials, {"printed": printed}


def check(entry: Entry) -> dict[str, int]:
    """Runs it once, unmeasured, and holds the events in its output against those of the log."""
    process = subprocess.Popen(
        entry.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=_ENVIRONMENT
    )
    assert process.stdout is not None
    serials, counts = entry.serials(process.stdout)
    if process.wait() != 0:
        fail(f"{entry.program} ended with {process.returncode}")
    wrong = len(serials ^ set(range(1, entry.log.events + 1)))
    if wrong:
        say(f"{entry.name}: {wrong} of {entry.log.events} events are missing or not in the log")
    return {"events": len(serials), "wrong": wrong, **counts}


def run(command: Sequence[str]) -> Run:
    """One measured run."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        fail(f"{command[0]} ended with {process.returncode}")
    return Run(usage.ru_utime, usage.ru_stime, wall)


def row(kind: str, entry: dict[str, Any]) -> list[str]:
    """A line of the table."""
    cpu = [each["user_s"] + each["system_s"] for each in entry["runs"]]
    wall = median([each["wall_s"] for each in entry["runs"]])
    megabytes = entry["log_bytes"] / 1e6
    return [
        kind,
        entry["name"],
        spread(cpu),
        f"{1000 * median(cpu) / megabytes:.2f}",
        f"{megabytes / wall:.1f}",
        f"{entry['log_events'] / wall:,.0f}",
        f"{entry['found']['events']:,}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
