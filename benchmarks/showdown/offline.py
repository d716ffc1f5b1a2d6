"""The offline path: `tsauditd convert` against `ausearch -i`, and instructions an event."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import convert
import instructions
from logs import KINDS, make_logs
from multiply import captures
from report import median, say

from tsauditd.errors import TsauditdError

LOGS = ("web", "storm", "raw")
"""What auditd wrote of a web server, of an open() storm, and captures one after another: dense, densest, sparse."""


def measure(directory: Path, megabytes: int, rounds: int) -> dict[str, Any]:
    """Each log's figures by its name; `left_out` says why there are none."""
    result: dict[str, Any] = {}
    for word in LOGS:
        kind = KINDS[word]
        if shutil.which("ausearch") is None:
            result[word] = {"left_out": "ausearch is not on PATH (apt-get install auditd)"}
            continue
        with tempfile.TemporaryDirectory(dir=directory) as at:
            try:
                logs = make_logs(word, Path(at), megabytes, megabytes)
            except TsauditdError as error:
                result[word] = {"left_out": str(error)}
                continue
            measured = convert.measure(kind, logs, rounds)
        ours = measured["entries"][0]
        cpu = median([run["user_s"] + run["system_s"] for run in ours["runs"]])
        result[word] = {
            "what": kind.name,
            "megabytes": ours["log_bytes"] / 1e6,
            "events": ours["log_events"],
            "events_agree": measured["events_agree"],
            "cpu_ratio": measured["cpu_ratio_same_log"],
            "mb_a_second": ours["log_bytes"] / 1e6 / cpu,
        }
        say(f"convert, {kind.name}: {measured['cpu_ratio_same_log']:.1f} times less CPU than ausearch -i")
    return result


def count_instructions(directory: Path) -> float | None:
    """Instructions of convert for an event of the captures, counted by callgrind; None without valgrind."""
    if shutil.which("valgrind") is None:
        return None
    with tempfile.TemporaryDirectory(dir=directory) as at:
        return instructions.measure(Path(at), captures("raw"))["an_event"]
