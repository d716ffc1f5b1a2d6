"""tsauditd, auditd and the floor on the same live events: CPU nanoseconds an event, by the kernel's own account.

Takes the audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from borrowed import borrowed_audit
from cost import PROC, Account, kauditd, on_processor, peak_mb, settle
from readers import BACKLOG_LIMIT, BATCHED_FLOOR, FLOOR, Delivered, Reader, readers
from report import TSAUDITD, fail, heading, machine, median, say, spread, table, verdict, versions, write

from tsauditd.errors import TsauditdError
from tsauditd.event import syscall_number
from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.load import add_rule
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse_line
from tsauditd.kernel.rules.rule import Place

FLOOR_AIM = 2.0
"""At most so many times the floor."""

AUDITD_AIM = 4.0
"""At least so many times less than auditd."""

START_SECONDS = 20.0
SETTLE_SECONDS = 60.0
END_SECONDS = 30.0

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Run:
    """One reader's run over the workload. Costs are from just before the workload to the rest after it."""

    reader_ns: int
    kauditd_ns: int
    workload_wall_ns: int
    workload_cpu_ns: int
    threads: int
    peak_mb: float
    lost: int
    backlog_wait_jiffies: int
    settled: bool
    events: int | None
    complete: int | None
    own: int | None


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed or was not delivered, 4 not root, 130 interrupted."""
    options = arguments()
    if os.geteuid() != 0:
        fail("root is needed to take the audit pid", 4)
    for tool, package in (("cc", "gcc libc6-dev"), ("auditd", "auditd"), ("auditctl", "auditd")):
        if shutil.which(tool) is None:
            fail(f"{tool} is missing: apt-get install {package}")
    about = machine()
    tools = versions(
        {"tsauditd": [TSAUDITD, "--version"], "auditd": ["auditctl", "-v"], "cc": ["cc", "--version"]}
    )
    try:
        with tempfile.TemporaryDirectory(prefix="tsauditd-bench-", dir=options.dir) as directory:
            bench = Bench(Path(directory), options.events)
            chosen = [one for one in readers(bench.floor) if not options.only or options.only in one.name]
            if not chosen:
                fail(f"no reader has {options.only} in its name", 2)
            with borrowed_audit(BACKLOG_LIMIT) as control:
                settings = asdict(kernel.status(control))
                runs = bench.rounds(control, chosen, options.rounds)
    except TsauditdError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the kernel's audit is as it was", 130)
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
    print(f"load average after: {', '.join(f'{value:.2f}' for value in os.getloadavg())}")
    print(f"written: {write('live', result)}")
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


class Bench:
    """The compiled programs and a directory for the runs."""

    def __init__(self, directory: Path, events: int) -> None:
        self.floor = compiled(HERE / "floor.c", directory)
        self._opens = compiled(HERE / "opens.c", directory)
        self._target = directory / "opened"
        self._target.touch()
        self._directory = directory
        self._events = events

    def rounds(self, control: ControlSocket, chosen: Sequence[Reader], count: int) -> dict[str, list[Run]]:
        """Runs all readers in turn, `count` times, each time beginning with another one."""
        self._audit_opens(control)
        runs: dict[str, list[Run]] = {reader.name: [] for reader in chosen}
        for number in range(count):
            first = number % len(chosen)
            for reader in [*chosen[first:], *chosen[:first]]:
                run = self._run(control, reader)
                runs[reader.name].append(run)
                say(
                    f"round {number + 1}: {reader.name}: {run.reader_ns / 1000 / self._events:.2f} µs an event,"
                    f" kauditd {run.kauditd_ns / 1000 / self._events:.2f}, {run.workload_wall_ns / 1e9:.2f} s"
                )
        return runs

    def _audit_opens(self, control: ControlSocket) -> None:
        text = f"-a always,exit -F arch=b64 -S openat -F exe={self._opens} -F success=1 -k tsauditd-bench"
        (command,) = parse_line(text, Place(), Names(syscall_number))
        assert command.rule is not None
        add_rule(encode(command.rule), control)

    def _run(self, control: ControlSocket, reader: Reader) -> Run:
        at = self._directory / "run"
        at.mkdir()
        try:
            with (at / "stdout").open("wb") as out, (at / "stderr").open("wb") as err:
                process = subprocess.Popen(
                    reader.command(at),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,  # Ctrl-C is ours alone
                )
            try:
                measured = self._measure(control, process, at)
            finally:
                kernel.set_enabled(0, control)
                end(process)
            delivered = reader.delivered(at, str(self._target))
        finally:
            shutil.rmtree(at, ignore_errors=True)
        return Run(**measured, **asdict(delivered))

    def _measure(self, control: ControlSocket, process: subprocess.Popen[bytes], at: Path) -> dict[str, Any]:
        account = Account(process.pid)
        wait_until_it_reads(control, process, at)
        kernel.set_backlog_limit(BACKLOG_LIMIT, control)
        kernel.set_enabled(1, control)
        kernel_thread = PROC / str(kauditd())

        def on_the_way() -> bool:
            return kernel.status(control).backlog > 0

        settle(account, on_the_way, SETTLE_SECONDS)
        before = kernel.status(control)
        reader_ns, kauditd_ns = account.cpu_ns(), on_processor(kernel_thread)
        workload = subprocess.run(
            [self._opens, self._target, str(self._events)],
            stdout=subprocess.PIPE,
            check=True,
            start_new_session=True,
        )
        settled = settle(account, on_the_way, SETTLE_SECONDS)
        reader_ns = account.cpu_ns() - reader_ns
        kauditd_ns = on_processor(kernel_thread) - kauditd_ns
        after = kernel.status(control)
        if after.pid != process.pid or after.backlog_limit != BACKLOG_LIMIT or not after.enabled:
            raise TsauditdError("somebody else has changed the kernel's audit state during the run")
        took = json.loads(workload.stdout)
        return {
            "reader_ns": reader_ns,
            "kauditd_ns": kauditd_ns,
            "workload_wall_ns": took["wall_ns"],
            "workload_cpu_ns": took["cpu_ns"],
            "threads": account.threads(),
            "peak_mb": peak_mb(process.pid),
            "lost": after.lost - before.lost,
            "backlog_wait_jiffies": after.backlog_wait_time_actual - before.backlog_wait_time_actual,
            "settled": settled,
        }


def compiled(source: Path, directory: Path) -> Path:
    """The program of a C file. The directory must stay: the rule names the program by its path."""
    program = directory / source.stem
    done = subprocess.run(
        ["cc", "-O2", "-Wall", "-Wextra", "-o", program, source], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        fail(f"{source} does not compile: {done.stderr.strip()}")
    return program


def wait_until_it_reads(control: ControlSocket, process: subprocess.Popen[bytes], at: Path) -> None:
    """Waits for the process to have the audit pid. Raises TsauditdError when it ends or takes too long."""
    until = time.monotonic() + START_SECONDS
    while kernel.status(control).pid != process.pid:
        if process.poll() is not None or time.monotonic() > until:
            said = (at / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise TsauditdError(f"{process.args!r} has not taken the audit pid: {' / '.join(said[-3:])}")
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a reader as its administrator would, and by force when that does not help."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def whole(run: Run, events: int) -> bool:
    """Whether everything arrived, as far as it can be seen."""
    kept = run.events is None or run.events == run.complete == events
    return kept and run.lost == 0 and run.settled and (run.own is None or run.own >= events)


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
