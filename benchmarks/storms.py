"""An exec and a connect storm beside the floor, auditd and auditd with laurel, opens with context and without:
CPU an event.

Takes the audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from beside import ENRICHED, OURS, PAUSED_FLOOR, WITH_LAUREL, connect_readers, exec_readers, missing
from borrowed import borrowed_audit, needs_root, workplace
from readers import (
    BACKLOG_LIMIT,
    BATCHED_FLOOR,
    FLOOR,
    WITH_CONTEXT,
    WITHOUT_CONTEXT,
    Reader,
    context_readers,
)
from report import TSAUDITD, fail, finish, heading, machine, median, spread, table, verdict, versions
from workload import CONNECTS, EXECS, HERE, OPENS, Bench, Load, Run, compiled, whole

LAUREL_AIM = 8.0
"""At least so many times less than auditd with laurel."""

CONTEXT_AIM = 1.15
"""At most so many times what open() costs without context."""

CONTEXT_PAIRS = 6
"""Runs with context and without in a round: two of the same differ by a sixth, more than context costs."""


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed or was not delivered, 4 not root, 130 interrupted."""
    options = arguments()
    needs_root()
    if lack := missing():
        fail(lack)
    about = machine()
    tools = versions(
        {
            "tsauditd": [TSAUDITD, "--version"],
            "auditd": ["auditctl", "-v"],
            "laurel": ["laurel", "--version"],
        }
    )
    runs: dict[str, dict[str, list[Run]]] = {}
    with workplace(options.dir) as at:
        for storm in storms(compiled(HERE / "floor.c", at), options):
            bench = Bench(at, storm.events, storm.load)
            with borrowed_audit(BACKLOG_LIMIT) as control:
                runs[storm.name] = bench.rounds(control, storm.readers, options.rounds * storm.times)
            if storm.name == "opens":
                print(opens_report(runs[storm.name], storm.events))
            else:
                print(report(storm, runs[storm.name]))
    counts = {name: getattr(options, name) for name in runs}
    result = {
        "machine": about,
        "versions": tools,
        "events": counts,
        "rounds": options.rounds,
        "load_average_after": list(os.getloadavg()),
        "runs": {
            storm: {name: [asdict(run) for run in each] for name, each in of.items()}
            for storm, of in runs.items()
        },
    }
    print(heading(", ".join(f"{count:,} {name}" for name, count in counts.items()), about, tools))
    finish("storms", result)
    lacking = {
        name
        for storm, of in runs.items()
        for name, each in of.items()
        if any(not whole(run, counts[storm]) for run in each)
    }
    if lacking & {OURS, WITH_CONTEXT, WITHOUT_CONTEXT}:
        fail("events are missing or not complete")
    return 0


@dataclass(frozen=True, slots=True)
class Storm:
    """What is done so many times, and who reads of it."""

    name: str
    load: Load
    events: int
    readers: list[Reader]
    times: int = 1
    """Runs of each reader in a round."""


def storms(floor: Path, options: argparse.Namespace) -> list[Storm]:
    """Those that are asked for by their numbers; `floor` is the program."""
    every = [
        Storm("execs", EXECS, options.execs, exec_readers(floor)),
        Storm("connects", CONNECTS, options.connects, connect_readers(floor)),
        Storm("opens", OPENS, options.opens, context_readers(), CONTEXT_PAIRS),
    ]
    return [storm for storm in every if storm.events]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name, what, count in (
        ("execs", "programs run", 20_000),
        ("connects", "connections made", 20_000),
        ("opens", "open() calls", 100_000),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=count, help=f"{what} in a round (default {count}; 0: none)"
        )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each reader (default 5)")
    parser.add_argument("--dir", default="/var/tmp", help="where logs go, on a disk (default /var/tmp)")
    options = parser.parse_args()
    if min(options.execs, options.connects, options.opens) < 0 or options.rounds < 1:
        parser.error("--rounds must be 1 or more, the others 0 or more")
    return options


def report(storm: Storm, runs: dict[str, list[Run]]) -> str:
    """The table and what it comes to."""
    events = storm.events
    each = {name: [run.reader_ns / 1000 / events for run in done] for name, done in runs.items()}
    middle = {name: median(values) for name, values in each.items()}
    rows = [
        [
            name,
            spread(each[name]),
            f"{middle[name] / middle[OURS]:.1f}",
            f"{median([run.kauditd_ns / 1000 / events for run in done]):.2f}",
            f"{median([run.workload_cpu_ns / 1000 / events for run in done]):.1f}",
            f"{median([run.workload_wall_ns / 1e9 for run in done]):.2f}",
            f"{sum(run.lost for run in done)}",
            f"{min(run.complete or 0 for run in done):,}",
            f"{max(run.peak_mb for run in done):.1f}",
        ]
        for name, done in runs.items()
    ]
    head = [
        "reader",
        "CPU µs/event",
        "/ours",
        "kauditd",
        "workload",
        "wall s",
        "lost",
        "delivered",
        "peak MB",
    ]
    text = f"{events:,} {storm.name}\n" + table(head, rows)
    text += (
        "medians [least, most]; /ours: times tsauditd; kauditd, workload: their CPU µs an event; lost: of all rounds;\n"
        "delivered: complete events in the round with the least, ours with both ends of a connection;\n"
        "peak MB: without laurel's\n"
    )
    text += (
        verdict(f"{WITH_LAUREL} / {OURS}", middle[WITH_LAUREL] / middle[OURS], LAUREL_AIM, most=False) + "\n"
    )
    text += f"{ENRICHED} / {OURS}: {middle[ENRICHED] / middle[OURS]:.1f}\n"
    for floor in (FLOOR, BATCHED_FLOOR, PAUSED_FLOOR):
        text += f"{WITH_LAUREL} / {floor}: {middle[WITH_LAUREL] / middle[floor]:.1f}\n"
    return text


def opens_report(runs: dict[str, list[Run]], opens: int) -> str:
    """What the open() storm costs with context and without."""
    each = {name: [run.reader_ns / 1000 / opens for run in done] for name, done in runs.items()}
    text = f"{opens:,} open() calls, CPU µs an event\n" + table(
        ["reader", "CPU µs/event"], [[name, spread(values)] for name, values in each.items()]
    )
    pairs = zip(each[WITH_CONTEXT], each[WITHOUT_CONTEXT], strict=True)
    ratios = sorted(one / other for one, other in pairs)
    text += verdict(f"{WITH_CONTEXT} / {WITHOUT_CONTEXT}", median(ratios), CONTEXT_AIM, most=True)
    quarter = len(ratios) // 4
    text += f"\nthe middle of {len(ratios)} pairs, one after the other; half of them from {ratios[quarter]:.2f} to "
    return text + f"{ratios[-1 - quarter]:.2f}, of all CPU together {total_ratio(each):.2f}"


def total_ratio(each: dict[str, list[float]]) -> float:
    """All CPU with context over all without."""
    return sum(each[WITH_CONTEXT]) / sum(each[WITHOUT_CONTEXT])


if __name__ == "__main__":
    raise SystemExit(main())
