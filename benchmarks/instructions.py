"""Instructions an event of `tsauditd convert`, counted by callgrind: the same on a busy machine as on a quiet one.

Each kind of log is read short and long, and the difference counted, so that what starting takes is left out. See
docs/benchmarks.md.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from multiply import CAPTURES, Capture, captures, write_log
from report import fail, finish, say, table

SIZES = (3_000_000, 6_000_000)
"""Bytes of the short and of the long log."""

_COUNT = re.compile(r"Collected : (\d+)")


def main() -> int:
    """Runs the benchmark."""
    if shutil.which("valgrind") is None:
        fail("valgrind is missing: apt-get install valgrind")
    storm = [Capture.of((CAPTURES / "open.log").read_bytes())]
    kinds = {"raw": captures("raw"), "enriched": captures("enriched"), "storm": storm}
    result = {}
    with tempfile.TemporaryDirectory(prefix="tsauditd-bench-") as directory:
        for kind, sources in kinds.items():
            say(f"{kind}: counting")
            result[kind] = measure(Path(directory), sources)
    rows = [
        [kind, f"{found['an_event']:,.0f}", f"{found['a_byte']:.1f}", f"{found['events']:,}"]
        for kind, found in result.items()
    ]
    print(table(("log", "instructions an event", "a byte", "events"), rows))
    finish("instructions", result)
    return 0


def measure(directory: Path, sources: list[Capture]) -> dict[str, float]:
    """What the second half of a log costs."""
    path = directory / "audit.log"
    runs = []
    for size in SIZES:
        events = write_log(path, sources, size)
        runs.append((events, path.stat().st_size, count(path)))
    (events, size, instructions), (more_events, more_size, more_instructions) = runs
    spent = more_instructions - instructions
    return {
        "events": more_events - events,
        "an_event": spent / (more_events - events),
        "a_byte": spent / (more_size - size),
    }


def count(path: Path) -> int:
    """The instructions of one run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "tsauditd", "convert", str(path), "-o", "/dev/null"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _COUNT.search(run.stderr)
    if run.returncode != 0 or found is None:
        fail(f"valgrind failed: {json.dumps(run.stderr[-500:])}")
    return int(found[1])


if __name__ == "__main__":
    raise SystemExit(main())
