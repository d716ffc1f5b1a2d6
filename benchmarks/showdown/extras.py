"""What is measured once in a run: rest, system calls an event, latency, a reader that stood still, bytes compressed."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from backports import zstd

from showdown import latency, profile
from showdown.arena import Arena
from showdown.work import Done, Sizes, Work
from tsauditd.kernel import status as kernel

RECORDS_AN_OPEN = 5
WATCHED_OPENS = 40_000
PROFILE_HERTZ = 3999
"""Not a divisor of the timer's frequency, so as not to run in step with it."""

PERF_SECONDS = 0.5
"""Until perf watches."""

STORM_OPENS = "10000000"
"""More than there is time for."""
BURST_SETTLE_SECONDS = 60.0
SAMPLE_BYTES = 32 << 20
"""What is compressed to see what it comes to, at most."""

_CALLS = re.compile(r"^(\d+),[^,]*,raw_syscalls:sys_enter", re.MULTILINE)


def before(arena: Arena, storms: Path, directory: Path, sizes: Sizes) -> dict[str, Any]:
    """At rest, before any work; nothing where nothing runs."""
    if not arena.pipeline.pids():
        return {}
    result: dict[str, Any] = {"idle": idle(arena, sizes.idle_seconds)}
    if arena.contender.form:
        rule = f"-a always,exit -F arch=b64 -S openat -F exe={storms} -F success=1 -k showdown-probe"
        with arena.under([rule]):
            result["latency_rest"] = latency.measure(
                storms, arena.files, directory, sizes.probes, arena.settle
            )
    return result


def after(arena: Arena, storms: Path, directory: Path, opens: Work, sizes: Sizes) -> dict[str, Any]:
    """What disturbs what comes after it; nothing where nothing runs."""
    if not arena.pipeline.pids():
        return {}
    opens = replace(opens, name="more")  # with a key of its own, not to be counted with the others
    result: dict[str, Any] = {"calls_per_event": watched(arena, storms, opens)}
    with arena.under(opens.rules(lean=arena.contender.lean)):
        if arena.contender.form:
            storm = subprocess.Popen(
                [storms, "open", directory / "opened", STORM_OPENS], start_new_session=True
            )

            def rest() -> None:
                storm.kill()
                storm.wait()
                arena.settle()

            try:
                time.sleep(0.5)
                result["latency_storm"] = latency.measure(storms, arena.files, directory, sizes.probes, rest)
            finally:
                storm.kill()
                storm.wait()
    result["burst"] = burst(arena, storms, directory, sizes.burst_records // RECORDS_AN_OPEN)
    return result


def idle(arena: Arena, seconds: int) -> dict[str, float]:
    """Nothing happens: wake-ups and CPU a second, and memory."""
    spent = arena.pipeline.spent()
    time.sleep(seconds)
    spent = arena.pipeline.spent().since(spent)
    return {
        "wakeups_a_second": spent.wakeups / seconds,
        "cpu_ms_a_second": spent.cpu_ns / 1e6 / seconds,
        "resident_mb": arena.pipeline.resident_mb(),
        "others_resident_mb": arena.pipeline.resident_mb(others=True),
    }


def watched(arena: Arena, storms: Path, opens: Work) -> float | None:
    """Has perf watch an open() storm: its samples are left in the contender's directory (profile.DATA).

    Returns the system calls of the pipeline for each event; None where perf is not installed or cannot count them.
    """
    if shutil.which("perf") is None:
        return None
    counted = arena.at / "perf.stat"
    pids = ["-p", ",".join(map(str, arena.pipeline.pids()))]
    commands = (
        ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", str(counted), *pids],
        [
            "perf",
            "record",
            "-q",
            "-e",
            "cpu-clock",
            "-F",
            str(PROFILE_HERTZ),
            "-g",
            "-o",
            str(arena.at / profile.DATA),
            *pids,
        ],
    )
    with arena.under(opens.rules(lean=arena.contender.lean)):
        watching = [
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            for command in commands
        ]
        try:
            time.sleep(PERF_SECONDS)
            storm = [str(storms), "open", "/dev/null", str(WATCHED_OPENS)]
            subprocess.run(storm, stdout=subprocess.DEVNULL, check=True)
            arena.settle()
        finally:
            for perf in watching:
                perf.send_signal(signal.SIGINT)
                perf.wait()
    found = _CALLS.search(counted.read_text()) if counted.exists() else None
    return int(found[1]) / WATCHED_OPENS if found else None


def burst(arena: Arena, storms: Path, directory: Path, opens: int) -> dict[str, Any]:
    """The reader stands still while records come faster than anybody waits for: what is left when it goes on.

    The kernel's backlog wait time is 0 meanwhile, so that what does not fit is lost and not waited for.
    """
    work = Work("burst", "", f"-S openat -F exe={storms} -F success=1", lambda: Done({}))
    target = str(directory / "opened")
    waited = kernel.status(arena.control).backlog_wait_time
    with arena.under(work.rules(lean=arena.contender.lean)):
        before = kernel.status(arena.control)
        kernel.set_backlog_wait_time(0, arena.control)
        arena.pipeline.stop()
        try:
            subprocess.run([storms, "open", target, str(opens)], stdout=subprocess.DEVNULL, check=True)
        finally:
            began = time.monotonic()
            arena.pipeline.go_on()
        settled = arena.pipeline.settle(
            lambda: kernel.status(arena.control).backlog > 0, BURST_SETTLE_SECONDS
        )
        seconds = time.monotonic() - began
        kernel.set_backlog_wait_time(waited, arena.control)
        lost = kernel.status(arena.control).lost - before.lost
    return {
        "events": opens,
        "lost_records": lost,
        "recovered_s": seconds if settled else None,
        "peak_mb": arena.pipeline.resident_mb("VmHWM"),
        "others_peak_mb": arena.pipeline.resident_mb("VmHWM", others=True),
        "key": work.key,
        "target": target,
    }


def burst_delivered(arena: Arena, told: dict[str, Any]) -> dict[str, Any]:
    """What of the burst is in the files, read after the end."""
    if arena.contender.form is None:
        return told
    work = Work("burst", "", "", lambda: Done({}))
    done = Done({}, Counter({told["target"]: told["events"]}), told["events"])
    found = arena.delivered(work, done)
    return {**told, "delivered": asdict(found) if found else None}


def compressed_share(files: list[Path], newest: int) -> float | None:
    """How many bytes zstd (level 3) makes of a byte of what was written last, so many bytes; None without any."""
    newest = min(newest, SAMPLE_BYTES)
    parts: list[bytes] = []
    for file in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - newest))
            parts.insert(0, opened.read())
        newest -= len(parts[0])
        if newest <= 0:
            break
    data = b"".join(parts)
    return len(zstd.compress(data, level=3)) / len(data) if data else None
