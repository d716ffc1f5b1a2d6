"""What both benchmarks tell beside their figures: the machine, a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

OUT = Path(__file__).resolve().parent / "out"

TSAUDITD = Path(sys.executable).with_name("tsauditd")
"""The program that is installed beside the Python that runs the benchmark."""

BUSY = 0.3
"""Load average per processor above which figures are not to be trusted."""


def fail(message: str, code: int = 1) -> NoReturn:
    """Ends the benchmark with one line on standard error."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    print(f"{name}: {message}", file=sys.stderr)
    raise SystemExit(code)


def say(message: str) -> None:
    """Tells a line of progress on standard error."""
    print(message, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was just now."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "distribution": platform.freedesktop_os_release().get("PRETTY_NAME"),
        "processor": _value("/proc/cpuinfo", "model name"),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mb": int((_value("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) // 1024,
        "load_average": list(os.getloadavg()),
    }


def versions(commands: dict[str, Sequence[str | Path]]) -> dict[str, str]:
    """The first line that each command prints, by name; Python's own version beside them."""
    found = {"python": platform.python_version()}
    for name, command in commands.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        found[name] = lines[0] if lines else "unknown"
    return found


def heading(title: str, about: dict[str, Any], tools: dict[str, str]) -> str:
    """The lines above the table. A machine that is busy is told of."""
    load = ", ".join(f"{value:.2f}" for value in about["load_average"])
    lines = [
        title,
        f"{about['processors']} x {about['processor']}, kernel {about['kernel']}, {about['distribution']}",
        ", ".join(f"{name}: {version}" for name, version in tools.items()),
        f"load average before: {load}",
    ]
    if busy(about):
        lines.append("THE MACHINE IS BUSY with other work: repeat this when it is quiet")
    return "\n".join(lines) + "\n"


def busy(about: dict[str, Any]) -> bool:
    """Whether the machine had so much other work that figures are not to be trusted."""
    return bool(about["load_average"][0] > BUSY * about["processors"])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, the first one flush left, the others flush right."""
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the least and the most in brackets."""
    middle, least, most = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} [{least}, {most}]"


def median(values: Sequence[float]) -> float:
    """The middle of the rounds."""
    return statistics.median(values)


def quartiles(values: Sequence[float], digits: int = 2) -> str:
    """The median, and in brackets what a quarter of the rounds is below and a quarter above."""
    if len(values) < 2:
        return spread(values, digits)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def surely(values: Sequence[float]) -> tuple[float, float]:
    """Between which of the rounds' values the true median is, 19 times of 20 (sign test); all, if they are few."""
    ordered = sorted(values)
    count = len(ordered)
    beyond, cut = 0, 0
    while cut < count // 2:
        beyond += math.comb(count, cut)
        if 2 * beyond > 0.05 * 2**count:
            break
        cut += 1
    cut = max(cut - 1, 0)
    return ordered[cut], ordered[count - 1 - cut]


def verdict(what: str, value: float, aim: float, *, most: bool) -> str:
    """A line that says whether an aim is reached; `most`: the value may not be more than the aim."""
    reached = value <= aim if most else value >= aim
    word = "at most" if most else "at least"
    return f"{what}: {value:.2f} (aim: {word} {aim:g}) {'reached' if reached else 'MISSED'}"


def write(name: str, data: dict[str, Any]) -> Path:
    """Writes benchmarks/out/NAME.json and returns its path."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def finish(name: str, result: dict[str, Any]) -> None:
    """Writes the result, and says where it is and how busy the machine was at the end."""
    print(f"load average after: {', '.join(f'{value:.2f}' for value in os.getloadavg())}")
    print(f"written: {write(name, result)}")


def _value(file: str, key: str) -> str | None:
    """The value of the first `key : value` line."""
    for line in Path(file).read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
