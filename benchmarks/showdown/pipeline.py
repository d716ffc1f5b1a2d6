"""What a contender's processes cost together, by the kernel's own account of every thread."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cost import PROC, family, kauditd, on_processor

from tsauditd.errors import TsauditdError

START_SECONDS = 20.0
END_SECONDS = 30.0
REST_SECONDS = 0.4
REST_NS = 3_000_000
"""At rest is who uses less than 3 ms of CPU in 0.4 s."""

_SWITCHES = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent so far: CPU of the pipeline and of kauditd in nanoseconds, and how often it was woken.

    A wake-up is a voluntary context switch: a thread had gone to sleep, and ran again (proc_pid_status(5)).
    """

    cpu_ns: int
    kauditd_ns: int
    wakeups: int

    def since(self, before: Spent) -> Spent:
        """The difference."""
        return Spent(
            self.cpu_ns - before.cpu_ns,
            self.kauditd_ns - before.kauditd_ns,
            self.wakeups - before.wakeups,
        )


class Pipeline:
    """A contender's processes, started in order and ended in the opposite one; their children count with them."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._started: list[subprocess.Popen[bytes]] = []
        self._names: list[str] = []
        self._cpu: dict[tuple[int, int], int] = {}
        self._woken: dict[tuple[int, int], int] = {}
        self._kauditd = PROC / str(kauditd())

    def start(self, command: list[str]) -> int:
        """Starts a process, whose words go to a file, and returns its pid."""
        number = len(self._started)
        with (self._at / f"out{number}").open("wb") as out, (self._at / f"err{number}").open("wb") as err:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C is ours alone
            )
        self._started.append(process)
        self._names.append(Path(command[0]).name)
        return process.pid

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for the one that was started last. Raises TsauditdError when it ends or takes too long."""
        until = time.monotonic() + START_SECONDS
        while not condition():
            if self._started[-1].poll() is not None or time.monotonic() > until:
                errors = self._at / f"err{len(self._started) - 1}"
                said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                name = self._names[-1]
                raise TsauditdError(f"{name}: waited in vain for {what}: {' / '.join(said[-3:])}")
            time.sleep(0.02)

    def pids(self) -> list[int]:
        """All processes, children included."""
        return [pid for process in self._started for pid in family(process.pid)]

    def spent(self) -> Spent:
        """So far. A thread that has ended since counts as it was when last seen."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for task in (PROC / str(pid) / "task").iterdir():
                    with contextlib.suppress(OSError):
                        place = pid, int(task.name)
                        self._cpu[place] = on_processor(task)
                        found = _SWITCHES.search((task / "status").read_text(errors="replace"))
                        self._woken[place] = int(found[1]) if found else 0
        return Spent(sum(self._cpu.values()), on_processor(self._kauditd), sum(self._woken.values()))

    def settle(self, more: Callable[[], bool], seconds: float) -> bool:
        """Waits until all rest and `more` says that nothing is on its way to them; False when they never did."""
        until = time.monotonic() + seconds
        before = self.spent().cpu_ns
        while time.monotonic() < until:
            time.sleep(REST_SECONDS)
            after = self.spent().cpu_ns
            if after - before < REST_NS and not more():
                return True
            before = after
        return False

    def resident_mb(self, which: str = "VmRSS", *, others: bool = False) -> float:
        """Memory resident in all of them: now (VmRSS), or the most since forget_peaks() (VmHWM of proc(5)).

        `others`: only in those that were started beside the reader, as a syslog daemon.
        """
        total = 0
        started = self._started[:-1] if others else self._started
        for pid in (pid for process in started for pid in family(process.pid)):
            with contextlib.suppress(OSError):
                found = re.search(
                    rf"^{which}:\s+(\d+)", (PROC / str(pid) / "status").read_text(), re.MULTILINE
                )
                total += int(found[1]) if found else 0
        return total / 1024

    def forget_peaks(self) -> None:
        """Has VmHWM begin anew (proc_pid_clear_refs(5))."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                (PROC / str(pid) / "clear_refs").write_text("5")

    def stop(self) -> None:
        """Stops the reader, as SIGSTOP does; the others go on."""
        self._started[-1].send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it go on."""
        self._started[-1].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends all as an administrator would, and by force when that does not help."""
        for process in reversed(self._started):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def written_bytes(at: Path) -> int:
    """Bytes in all files below a directory."""
    total = 0
    for directory, _, names in os.walk(at):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(directory) / name).lstat().st_size
    return total
