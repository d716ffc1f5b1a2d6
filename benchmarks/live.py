"""tsauditd, auditd and the floor on the same live events: CPU nanoseconds an event, by the kernel's own account.

Takes the audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict

from borrowed import borrowed_audit, needs_root, workplace
from readers import BACKLOG_LIMIT, BATCHED_FLOOR, FLOOR, Delivered, readers
from report import TSAUDITD, fail, finish, heading, machine, median, spread, table, verdict, versions
from workload import HERE, Bench, Run, compiled, whole

from tsauditd.kernel import status as kernel

FLOOR_AIM = 2.0
"""At most so many times the floor."""

AUDITD_AIM = 4.0
"""At least so many times less than auditd."""


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed or was not delivered, 4 not root, 130 interrupted."""
    options = arguments()
    needs_root()
    for tool, package in (("cc", "gcc libc6-dev"), ("auditd", "auditd"), ("auditctl", "auditd")):
        if shutil.which(tool) is None:
            fail(f"{tool} is missing: apt-get install {package}")
    about = machine()
    tools = versions(
        {"tsauditd": [TSAUDITD, "--version"], "auditd": ["auditctl", "-v"], "cc": ["cc", "--version"]}
    )
    with workplace(options.dir) as directory:
        bench = Bench(directory, options.events)
        floor = compiled(HERE / "floor.c", directory)
        chosen = [one for one in readers(floor) if not options.only or options.only in one.name]
        if not chosen:
            fail(f"no reader has {options.only} in its name", 2)
        with borrowed_audit(BACKLOG_LIMIT) as control:
            settings = asdict(kernel.status(control))
            runs = bench.rounds(control, chosen, options.rounds)
    result = {
        "machine": about,
        "versions": tools,
        "events": options.events,
        "rounds": options.rounds,
        "backlog_limit": BACKLOG_LIMIT,
        "backlog_wait_time_jiffies": settings["backlog_wait_time"],
        "load_average_after": list(os.getloadavg()),
        "readers": {name: [asdict(run) for run in each] for name, each in runs.items()},
    }
    print(heading(f"one event for each of {options.events:,} open() calls", about, tools))
    print(report(runs, options.events))
    finish("live", result)
    missing = [name for name, each in runs.items() if any(not whole(run, options.events) for run in each)]
    if missing:
        fail(f"events are missing or not complete: {', '.join(missing)}")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=100_000, help="open() calls in a run (default 100000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each reader (default 5)")
    parser.add_argument("--only", metavar="WORD", help="only readers with this word in their name")
    parser.add_argument("--dir", default="/var/tmp", help="where logs go, on a disk (default /var/tmp)")
    options = parser.parse_args()
    if options.events < 1 or options.rounds < 1:
        parser.error("--events and --rounds must be 1 or more")
    return options


def report(runs: dict[str, list[Run]], events: int) -> str:
    """The table and what it comes to."""
    each = {name: [run.reader_ns / 1000 / events for run in done] for name, done in runs.items()}
    middle = {name: median(values) for name, values in each.items()}
    rows = []
    for name, done in runs.items():
        rows.append([
            name,
            spread(each[name]),
            times(middle[name], middle.get(FLOOR)),
            times(middle[name], middle.get(BATCHED_FLOOR)),
            f"{median([run.kauditd_ns / 1000 / events for run in done]):.2f}",
            f"{median([run.workload_cpu_ns / 1000 / events for run in done]):.2f}",
            f"{median([run.workload_wall_ns / 1e9 for run in done]):.2f}",
            f"{sum(run.lost for run in done)}",
            f"{sum(run.backlog_wait_jiffies for run in done)}",
            least(Delivered(run.events, run.complete, run.own) for run in done),
            f"{max(run.peak_mb for run in done):.1f}",
        ])  # fmt: skip
    head = [
        "reader",
        "CPU µs/event",
        "/floor",
        "/batched",
        "kauditd",
        "workload",
        "wall s",
        "lost",
        "waits",
    ]
    text = table([*head, "delivered", "peak MB"], rows)
    text += (
        "medians [least, most]; /floor, /batched: times the floor, the one with recvmmsg; kauditd, workload:\n"
        "their CPU µs an event; lost, waits (jiffies): of all rounds; delivered: complete events in the round with\n"
        "the least, ~ by the reader's own count, others' events included\n"
    )
    return text + "".join(f"{line}\n" for line in aims(middle))


def times(value: float, other: float | None) -> str:
    """How many times the other."""
    return f"{value / other:.2f}" if other else "-"


def least(rounds: Iterable[Delivered]) -> str:
    """The smallest delivery of all rounds."""
    texts = []
    for one in rounds:
        if one.complete is not None:
            texts.append((one.complete, f"{one.complete:,}"))
        else:
            texts.append((one.own or 0, f"~{one.own:,}" if one.own is not None else "?"))
    return min(texts)[1]


def aims(middle: dict[str, float]) -> list[str]:
    """How the readers stand to each other."""
    lines = []
    for name, value in middle.items():
        if not name.startswith("tsauditd"):
            continue
        for other, theirs in middle.items():
            if other in (FLOOR, BATCHED_FLOOR):
                lines.append(verdict(f"{name} / {other}", value / theirs, FLOOR_AIM, most=True))
            elif other.startswith("auditd"):
                lines.append(verdict(f"{other} / {name}", theirs / value, AUDITD_AIM, most=False))
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
