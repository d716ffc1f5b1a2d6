"""`tsauditd run` as a process of its own on this machine's kernel, for the system tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from replay import threads

from tsauditd.kernel.report import report
from tsauditd.kernel.status import status

# Far more than anything here takes; it is reached only when something hangs.
PATIENCE_S = 120.0
LOOK_S = 0.02

FAULT_S = float(os.environ.get("TSAUDITD_FAULT_SECONDS", "0"))
"""How long a fault that the test itself ends goes on after all of it was seen: docs/ARCHITECTURE.md, Tests."""

Event = dict[str, Any]


def go_on(what: str) -> None:
    """Lets a fault last as long as was asked for."""
    if FAULT_S:
        print(f"{what}: for {FAULT_S:.0f} s more", flush=True)
        time.sleep(FAULT_S)


def auditctl(*words: str) -> str:
    """What auditctl says, without the counters, which count on whoever asks."""
    out = subprocess.run(["auditctl", *words], capture_output=True, text=True, check=True).stdout
    lines = out.splitlines(keepends=True)
    return "".join(
        line for line in lines if not line.startswith(("lost", "backlog ", "backlog_wait_time_actual"))
    )


def state() -> str:
    """The kernel's settings and rules, as auditctl prints them."""
    return auditctl("-s") + auditctl("-l")


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Looks again and again until the condition holds, so often that it takes PATIENCE_S at least.

    Looks are counted, not seconds: while this process itself was held, nothing could be seen.
    """
    for _ in range(round(PATIENCE_S / LOOK_S)):
        if condition():
            return
        time.sleep(LOOK_S)
    raise AssertionError(f"not in {PATIENCE_S:.0f} s: {what}")


def environment() -> dict[str, str]:
    """This process' own, in which its modules are found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


@contextmanager
def python(code: str, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], bytes]]:
    """A process that runs the code, from when it has said a line, and that; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said
            yield process, said
        finally:
            process.kill()


class Daemon:
    """A running `tsauditd run`; see `running`."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path, output: Path | None) -> None:
        self.process = process
        self.pid = process.pid
        self._errors = errors
        self._output = output

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def said(self) -> list[str]:
        """The lines on its standard error so far."""
        return self._errors.read_text().splitlines()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Ends it with a signal, and well; returns its summary line."""
        self.send(number)
        return self.ended()

    def ended(self) -> str:
        """Waits until it has ended well, its output in whole lines; returns its summary line."""
        assert self.process.wait(PATIENCE_S) == 0, self.said
        if self._output is not None and self._output.is_file():
            assert text(self._output)[-1:] in (b"", b"\n"), "the last line is cut"
        return self.said[-1]


@contextmanager
def running(
    tmp_path: Path,
    *words: str,
    key: str | None = None,
    observe: bool = False,
    through: Sequence[str] = (),
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[Daemon]:
    """Starts `tsauditd run WORDS` and waits until it reads, which is the last step of its start, and a rule with `key`
    is loaded; kills it at the end.

    `observe`: it is to come to the multicast group rather than to have the audit pid. `through`: a command that
    becomes the one in the words behind it.
    """
    errors = tmp_path / f"stderr-{time.monotonic_ns()}"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*through, sys.executable, "-m", "tsauditd", "run", *words],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "PYTHONDEVMODE": ""},
        )
    output = Path(words[words.index("--output") + 1]) if "--output" in words else None
    daemon = Daemon(process, errors, output)

    def ready() -> bool:
        assert process.poll() is None, daemon.said
        now = status()
        here = (
            process.pid in [one["pid"] for one in report()["listeners"]]
            if observe
            else now.pid == process.pid
        )
        loaded = key is None or (now.enabled == 1 and f"key={key}" in auditctl("-l") + "\n")
        return here and loaded and bool(threads("listener", process.pid))

    try:
        wait_until(ready, "the daemon reads")
        yield daemon
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def events(path: Path) -> list[Event]:
    """Every line of the output that is whole, each of which must be JSON."""
    return [json.loads(line) for line in whole_lines(path)]


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file as far as they are written: its writer may be amid one, or not have made it yet."""
    lines = text(path).split(b"\n")
    return lines[:-1]


def text(path: Path) -> bytes:
    """What is in a file now; nothing while it is not there, as between the two steps of a rotation."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def losses(found: list[Event]) -> list[dict[str, Any]]:
    """What the stream itself tells of losses."""
    return [event["tsauditd"]["lost"] for event in found if event["event"]["action"] == "audit-records-lost"]


def opened(found: list[Event], prefix: str) -> list[str]:
    """What follows the prefix in the paths that events name, in the order of the events."""
    paths = [event.get("file", {}).get("path", "") for event in found]
    return [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]


def numbers(count: int, first: int = 0) -> list[str]:
    """The numbers that workload/flood.c writes."""
    return [f"{number:05d}" for number in range(first, first + count)]
