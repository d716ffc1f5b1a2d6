"""`tsauditd convert` against `ausearch -i` on the same log: CPU seconds, megabytes and events a second.

Only the logs that auditd writes for it (web server, build, storm) need root and audit that nobody uses. See
docs/benchmarks.md.
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

from logs import KINDS, WINDOW_MS, Kind, Log, make_logs
from report import (
    TSAUDITD,
    fail,
    finish,
    heading,
    machine,
    median,
    say,
    spread,
    table,
    verdict,
    versions,
)

from tsauditd.errors import TsauditdError

AIM = 10.0
"""So many times less CPU than ausearch -i. Held to the kinds that are judged."""

_AUSEARCH_SERIAL = re.compile(rb"^(?:node=\S+ )?type=\S+ msg=audit\([^)]*:(\d+)\)")
AUSEARCH = "ausearch -i"
HEAD = ("log", "program", "CPU s", "CPU ms/MB", "MB/s", "events/s", "events", "in 2 s")
_ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
# An installed package has its bytecode; a checkout gets it in the first run, which is not measured.
_ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


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
    """Runs the benchmark; 0 done, 1 something failed or the programs found different events, 130 interrupted."""
    options = arguments()
    if shutil.which("ausearch") is None:
        fail("ausearch is missing: apt-get install auditd")
    try:
        return compare(options)
    except KeyboardInterrupt:
        fail("interrupted", 130)


def compare(options: argparse.Namespace) -> int:
    """All kinds of log in turn, and the report."""
    about = machine()
    tools = versions({"tsauditd": [TSAUDITD, "--version"], "ausearch": ["ausearch", "--version"]})
    result: dict[str, Any] = {"machine": about, "versions": tools, "rounds": options.rounds, "kinds": {}}
    rows: list[list[str]] = []
    ratios: list[str] = []
    agreed = True
    for word in options.kinds or KINDS:
        kind = KINDS[word]
        with tempfile.TemporaryDirectory(prefix="tsauditd-bench-", dir=options.dir) as directory:
            say(f"{kind.name}: making the logs")
            try:
                logs = make_logs(word, Path(directory), options.size, options.ausearch_size)
            except TsauditdError as error:
                if options.kinds:
                    fail(f"{kind.name}: {error}", error.exit_code)
                rows.append([kind.name, f"left out: {error}", *[""] * (len(HEAD) - 2)])
                ratios.append(f"{kind.name}: not measured, so the aim of {AIM:g} is not judged")
                result["kinds"][word] = {"left_out": str(error)}
                continue
            measured = measure(kind, logs, options.rounds)
        result["kinds"][word] = measured
        rows += [row(kind, entry) for entry in measured["entries"]]
        agreed &= measured["events_agree"]
        ratios.append(ratio(kind, measured))
    result["load_average_after"] = list(os.getloadavg())
    print(heading("tsauditd convert against ausearch -i, output to /dev/null", about, tools))
    print(table(HEAD, rows))
    print(f"medians [least, most] of {options.rounds} rounds; MB/s and events/s by the clock on the wall;")
    print(f"in 2 s: events in the log's densest {WINDOW_MS / 1000:g} s, which ausearch has open at a time")
    print("\n".join(ratios))
    print(f"load average after: {', '.join(f'{value:.2f}' for value in result['load_average_after'])}")
    finish("convert", result)
    if not agreed:
        fail("the programs did not find the same events: see above")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--size", type=positive, default=200, help="MB of sparse and foreign log (default 200)"
    )
    parser.add_argument(
        "--ausearch-size", type=positive, default=20, help="MB of foreign log for ausearch (default 20)"
    )
    parser.add_argument("--rounds", type=positive, default=3, help="measured rounds (default 3)")
    parser.add_argument("--log", dest="kinds", action="append", choices=KINDS, help="only this kind of log")
    parser.add_argument("--dir", default="/var/tmp", help="where the logs are made (default /var/tmp)")
    return parser.parse_args()


def positive(text: str) -> int:
    """A number of the command line that is 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def measure(kind: Kind, logs: Sequence[Log], rounds: int) -> dict[str, Any]:
    """All of one kind of log: checks that all find the same events, then measures, interleaved."""
    entries = [tsauditd(logs[0], kind), ausearch(logs[0]), *(tsauditd(log, kind) for log in logs[1:])]
    counts = [check(entry) for entry in entries]
    runs: list[list[Run]] = [[] for _ in entries]
    for number in range(rounds):
        for entry, done in zip(entries, runs, strict=True):
            times = 1 if entry.program == AUSEARCH else kind.runs
            done += [run(entry.command) for _ in range(times)]
            say(f"{kind.name}: round {number + 1}, {entry.name}: {done[-1].cpu:.2f} s CPU")
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
                "log_events": len(entry.log.serials),
                "log_densest": entry.log.densest,
                "found": count,
                "runs": [{"user_s": r.user, "system_s": r.system, "wall_s": r.wall} for r in done],
            }
            for entry, count, done in zip(entries, counts, runs, strict=True)
        ],
        "events_agree": all(count["wrong"] == 0 for count in counts),
        "cpu_ratio_same_log": per_mb[1] / per_mb[0],
        "cpu_ratio_per_mb": per_mb[1] / per_mb[-1] if len(entries) > 2 else per_mb[1] / per_mb[0],
    }


def tsauditd(log: Log, kind: Kind) -> Entry:
    """Ours."""
    command = (str(TSAUDITD), "convert", *kind.options, str(log.path))
    return Entry(" ".join(("tsauditd convert", *kind.options)), log, command, json_serials)


def ausearch(log: Log) -> Entry:
    """auditd's own reader with interpretation."""
    return Entry(AUSEARCH, log, ("ausearch", "-i", "-if", str(log.path)), ausearch_serials)


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
    wrong = len(serials ^ entry.log.serials)
    if wrong:
        say(f"{entry.name}: {wrong} of {len(entry.log.serials)} events are missing or not in the log")
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


def ratio(kind: Kind, measured: dict[str, Any]) -> str:
    """A line that says how ausearch's CPU stands to ours, and what that comes of."""
    what, value = f"{kind.name}: ausearch's CPU / ours, same log", measured["cpu_ratio_same_log"]
    if kind.judged:
        return f"{verdict(what, value, AIM, most=False)} ({kind.why})"
    text = f"{what}: {value:.2f}"
    if len(measured["entries"]) > 2:
        text += f", per MB of the long log: {measured['cpu_ratio_per_mb']:.2f}"
    return f"{text} ({kind.why})"


def row(kind: Kind, entry: dict[str, Any]) -> list[str]:
    """A line of the table."""
    cpu = [each["user_s"] + each["system_s"] for each in entry["runs"]]
    wall = median([each["wall_s"] for each in entry["runs"]])
    megabytes = entry["log_bytes"] / 1e6
    return [
        kind.name,
        entry["name"],
        spread(cpu),
        f"{1000 * median(cpu) / megabytes:.2f}",
        f"{megabytes / wall:.1f}",
        f"{entry['log_events'] / wall:,.0f}",
        f"{entry['found']['events']:,}",
        f"{entry['log_densest']:,}",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
