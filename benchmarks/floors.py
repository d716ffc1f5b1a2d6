"""What might move the floor: ways to receive the kernel's records and throw them away, under the same open() storm.

One packet a call, more of them, a pause in which packets gather, io_uring, receive buffers, processors. Takes the
audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from borrowed import borrowed_audit, needs_root, workplace
from readers import BACKLOG_LIMIT, PACKETS, RECEIVE_BUFFER, Delivered, Reader
from report import fail, finish, heading, machine, median, spread, table, versions
from workload import HERE, OPENS, Bench, Run, compiled


@dataclass(frozen=True, slots=True)
class Way:
    """A way to receive: a program's options, and what runs it or the storm (taskset, nice)."""

    name: str
    options: tuple[str, ...] = ()
    program: str = "floor"
    buffer: int | None = RECEIVE_BUFFER
    through: tuple[str, ...] = ()
    storm_through: tuple[str, ...] = ()


MANY = ("-b",)
WAYS = (
    Way("recv, one packet a call"),
    Way("recvmmsg, 16 a call", ("-b", "-n", "16")),
    Way("recvmmsg, 128 a call", MANY),
    Way("recvmmsg, 1024 a call", ("-b", "-n", "1024")),
    Way("pause of 0.1 ms", ("-b", "-p", "100")),
    Way("pause of 0.5 ms", ("-b", "-p", "500")),
    Way("pause of 2 ms", ("-b", "-p", "2000", "-n", "1024")),
    Way("pause of 10 ms", ("-b", "-p", "10000", "-n", "1024")),
    Way("io_uring, multishot", program="ring"),
    Way("io_uring, multishot, 512 together", ("-n", "512"), program="ring"),
    Way("buffer: the system's default", MANY, buffer=None),
    Way("buffer: 1 MiB", MANY, buffer=1 << 20),
    Way("buffer: 256 MiB", MANY, buffer=256 << 20),
    Way("reader on the storm's processor", MANY, through=("taskset", "-c", "0"), storm_through=("taskset", "-c", "0")),
    Way("reader on another processor", MANY, through=("taskset", "-c", "1"), storm_through=("taskset", "-c", "0")),
    Way("reader at nice -4, as auditd", MANY, through=("nice", "-n", "-4")),
    Way("reader by SCHED_BATCH", MANY, through=("chrt", "--batch", "0")),
    Way("reader by SCHED_FIFO", MANY, through=("chrt", "--fifo", "1")),
)  # fmt: skip


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed, 4 not root, 130 interrupted."""
    options = arguments()
    needs_root()
    for tool, package in (("cc", "gcc libc6-dev"), ("taskset", "util-linux"), ("chrt", "util-linux")):
        if shutil.which(tool) is None:
            fail(f"{tool} is missing: apt-get install {package}")
    chosen = [way for way in WAYS if not options.only or any(word in way.name for word in options.only)]
    about, tools = machine(), versions({"cc": ["cc", "--version"]})
    with workplace(options.dir) as directory:
        runs = measured(directory, chosen, options.events, options.rounds)
    print(heading(f"ways to receive; one event for each of {options.events:,} open() calls", about, tools))
    print(report(runs, options.events))
    result = {
        "machine": about,
        "events": options.events,
        "ways": {
            name: [{**asdict(run), "calls": calls} for run, calls in each] for name, each in runs.items()
        },
    }
    finish("floors", result)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=60_000, help="open() calls in a run (default 60000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default 3)")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="ways with this word")
    parser.add_argument("--dir", default="/var/tmp", help="where programs go (default /var/tmp)")
    options = parser.parse_args()
    if options.events < 1 or options.rounds < 1:
        parser.error("--events and --rounds must be 1 or more")
    return options


def measured(
    directory: Path, chosen: Sequence[Way], events: int, rounds: int
) -> dict[str, list[tuple[Run, int]]]:
    """Each way's runs, and the calls that received; each round begins with another way."""
    programs = {name: compiled(HERE / f"{name}.c", directory) for name in ("floor", "ring")}
    runs: dict[str, list[tuple[Run, int]]] = {way.name: [] for way in chosen}
    for number in range(rounds):
        first = number % len(chosen)
        for way in [*chosen[first:], *chosen[:first]]:
            bench = Bench(directory, events, replace(OPENS, through=way.storm_through))
            counted = Counted()
            with borrowed_audit(BACKLOG_LIMIT) as control:
                (run,) = bench.rounds(control, [reader(way, programs[way.program], counted)], 1)[way.name]
            runs[way.name].append((run, counted.receives))
    return runs


@dataclass(slots=True)
class Counted:
    """What a program told at its end."""

    receives: int = 0


def reader(way: Way, program: Path, counted: Counted) -> Reader:
    """The way as a reader of the live benchmark."""
    buffer = () if way.buffer is None else ("-r", str(way.buffer))

    def delivered(at: Path, _path: str) -> Delivered:
        told = json.loads((at / "stdout").read_text(encoding="ascii").splitlines()[-1])
        counted.receives = told["receives"]
        return Delivered(None, None, told["packets"] // PACKETS)

    return Reader(way.name, lambda _: [*way.through, str(program), *buffer, *way.options], delivered)


def report(runs: dict[str, list[tuple[Run, int]]], events: int) -> str:
    """The table."""
    rows = []
    for name, each in runs.items():
        done = [run for run, _ in each]
        cost = [run.reader_ns / 1000 / events for run in done]
        rows.append([
            name,
            spread(cost),
            f"{median([run.kauditd_ns / 1000 / events for run in done]):.2f}",
            f"{median([run.workload_cpu_ns / 1000 / events for run in done]):.2f}",
            f"{median([(run.reader_ns + run.kauditd_ns + run.workload_cpu_ns) / 1000 / events for run in done]):.2f}",
            f"{median([run.workload_wall_ns / 1e9 for run in done]):.2f}",
            f"{median([calls / events for _, calls in each]):.2f}",
            f"{sum(run.backlog_wait_jiffies for run in done)}",
            f"{sum(run.lost for run in done)}",
        ])  # fmt: skip
    head = ["way", "CPU µs/event", "kauditd", "storm", "all three", "wall s", "calls/event", "waits", "lost"]
    return table(head, rows)


if __name__ == "__main__":
    raise SystemExit(main())
