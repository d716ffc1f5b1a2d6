"""An exec storm beside auditd and auditd with laurel, an open() storm with context and without: CPU an event.

Takes the audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from beside import ENRICHED, OURS, WITH_LAUREL, missing, readers
from borrowed import borrowed_audit, needs_root, workplace
from readers import BACKLOG_LIMIT, WITH_CONTEXT, WITHOUT_CONTEXT, context_readers
from report import TSAUDITD, fail, finish, heading, machine, median, spread, table, verdict, versions
from workload import EXECS, OPENS, Bench, Run, whole

LAUREL_AIM = 8.0
"""At least so many times less than auditd with laurel."""

CONTEXT_AIM = 1.15
"""At most so many times what open() costs without context."""


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
    with workplace(options.dir) as directory:
        bench = Bench(directory, options.events, EXECS)
        with borrowed_audit(BACKLOG_LIMIT) as control:
            runs = bench.rounds(control, readers(), options.rounds)
        opening = Bench(directory, options.opens, OPENS)
        with borrowed_audit(BACKLOG_LIMIT) as control:
            opens = opening.rounds(control, context_readers(), options.rounds)
    result = {
        "machine": about,
        "versions": tools,
        "events": options.events,
        "rounds": options.rounds,
        "load_average_after": list(os.getloadavg()),
        "opens": {name: [asdict(run) for run in each] for name, each in opens.items()},
        "readers": {name: [asdict(run) for run in each] for name, each in runs.items()},
    }
    print(heading(f"one event for each of {options.events:,} programs run", about, tools))
    print(report(runs, options.events))
    print(opens_report(opens, options.opens))
    finish("storms", result)
    lacking = [name for name, each in runs.items() if any(not whole(run, options.events) for run in each)]
    lacking += [name for name, each in opens.items() if any(not whole(run, options.opens) for run in each)]
    if {OURS, WITH_CONTEXT, WITHOUT_CONTEXT}.intersection(lacking):
        fail("events are missing or not complete")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=20_000, help="programs run in a round (default 20000)")
    parser.add_argument("--opens", type=int, default=100_000, help="open() calls in a round (default 100000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each reader (default 5)")
    parser.add_argument("--dir", default="/var/tmp", help="where logs go, on a disk (default /var/tmp)")
    options = parser.parse_args()
    if options.events < 1 or options.opens < 1 or options.rounds < 1:
        parser.error("--events, --opens and --rounds must be 1 or more")
    return options


def report(runs: dict[str, list[Run]], events: int) -> str:
    """The table and what it comes to."""
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
    text = table(head, rows)
    text += (
        "medians [least, most]; /ours: times tsauditd; kauditd, workload: their CPU µs an event; lost: of all rounds;\n"
        "delivered: complete events in the round with the least; peak MB: without laurel's\n"
    )
    text += (
        verdict(f"{WITH_LAUREL} / {OURS}", middle[WITH_LAUREL] / middle[OURS], LAUREL_AIM, most=False) + "\n"
    )
    return text + f"{ENRICHED} / {OURS}: {middle[ENRICHED] / middle[OURS]:.1f}\n"


def opens_report(runs: dict[str, list[Run]], opens: int) -> str:
    """What the open() storm costs with context and without."""
    each = {name: [run.reader_ns / 1000 / opens for run in done] for name, done in runs.items()}
    text = f"{opens:,} open() calls, CPU µs an event\n" + table(
        ["reader", "CPU µs/event"], [[name, spread(values)] for name, values in each.items()]
    )
    ratio = median(each[WITH_CONTEXT]) / median(each[WITHOUT_CONTEXT])
    return text + verdict(f"{WITH_CONTEXT} / {WITHOUT_CONTEXT}", ratio, CONTEXT_AIM, most=True)


if __name__ == "__main__":
    raise SystemExit(main())
