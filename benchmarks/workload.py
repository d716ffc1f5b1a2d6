"""A program that has the audit pid while a workload makes events as fast as it can: what that costs and delivers.

Needs root, and audit that borrowed_audit() holds meanwhile.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cost import PROC, Account, kauditd, on_processor, peak_mb, settle
from readers import BACKLOG_LIMIT, Reader
from report import fail, say

from tsauditd.errors import TsauditdError
from tsauditd.event import syscall_number
from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.lists import add_rule
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse_line
from tsauditd.kernel.rules.rule import Place

START_SECONDS = 20.0
SETTLE_SECONDS = 60.0
END_SECONDS = 30.0

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Run:
    """One reader's run over the workload. Costs are from just before the workload to the rest after it."""

    reader_ns: int
    main_ns: int
    """Of that the main thread's, which in tsauditd is Python's."""
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


@dataclass(frozen=True, slots=True)
class Load:
    """What makes the events: a C program, run as PROGRAM WORDS TARGET COUNT, and the rule that asks for them."""

    source: str
    rule: str
    """With {program} and {target} for the two paths."""
    target: Callable[[Path], Path | str]
    """Makes the target in a directory."""
    words: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    """A command that runs the one in the words behind it."""


def _file(directory: Path) -> Path:
    path = directory / "opened"
    path.touch()
    return path


OPENS = Load("opens.c", "-a always,exit -F arch=b64 -S openat -F exe={program} -F success=1", _file)
EXECS = Load(
    "execs.c",
    "-a always,exit -F arch=b64 -S execve -F exe={target}",
    lambda directory: compiled(HERE / "leaf.c", directory),
)
CONNECTS = Load(
    "showdown/storms.c",
    "-a always,exit -F arch=b64 -S connect -F exe={program}",
    lambda _: "2297",
    ("connect",),
)
KEY = "tsauditd-bench"


class Bench:
    """The compiled workload and a directory for the runs."""

    def __init__(self, directory: Path, events: int, load: Load = OPENS, *, looks: int = 1) -> None:
        """`looks`: how often on end a reader must be seen at rest (cost.settle)."""
        self._looks = looks
        self._program = compiled(HERE / load.source, directory)
        self._target = load.target(directory)
        self._through, self._words = load.through, load.words
        self._rule = load.rule.format(program=self._program, target=self._target)
        self._directory = directory
        self._events = events

    def rounds(self, control: ControlSocket, chosen: Sequence[Reader], count: int) -> dict[str, list[Run]]:
        """Runs all readers in turn, `count` times, each time beginning with another one."""
        self._audit(control)
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

    def _audit(self, control: ControlSocket) -> None:
        add(f"{self._rule} -k {KEY}", control)

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
        reader_ns, main_ns, kauditd_ns = account.cpu_ns(), account.main_ns(), on_processor(kernel_thread)
        workload = subprocess.run(
            [*self._through, self._program, *self._words, self._target, str(self._events)],
            stdout=subprocess.PIPE,
            check=True,
            start_new_session=True,
        )
        settled = settle(account, on_the_way, SETTLE_SECONDS, self._looks)
        reader_ns = account.cpu_ns() - reader_ns
        main_ns = account.main_ns() - main_ns
        kauditd_ns = on_processor(kernel_thread) - kauditd_ns
        after = kernel.status(control)
        if after.pid != process.pid or after.backlog_limit != BACKLOG_LIMIT or not after.enabled:
            raise TsauditdError("somebody else has changed the kernel's audit state during the run")
        took = json.loads(workload.stdout)
        return {
            "reader_ns": reader_ns,
            "main_ns": main_ns,
            "kauditd_ns": kauditd_ns,
            "workload_wall_ns": took["wall_ns"],
            "workload_cpu_ns": took["cpu_ns"],
            "threads": account.threads(),
            "peak_mb": peak_mb(process.pid),
            "lost": after.lost - before.lost,
            "backlog_wait_jiffies": after.backlog_wait_time_actual - before.backlog_wait_time_actual,
            "settled": settled,
        }


def add(rule: str, control: ControlSocket) -> None:
    """Adds a rule, in auditctl's words, to those of the kernel."""
    (command,) = parse_line(rule, Place(), Names(syscall_number))
    assert command.rule is not None
    add_rule(encode(command.rule), control)


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
