"""Who reads the kernel's records in the live benchmark: the floor, tsauditd, and auditd as Debian ships it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from report import TSAUDITD

BACKLOG_LIMIT = 8192
RECEIVE_BUFFER = 16 << 20
"""tsauditd's default; the floor gets the same."""

AUDITD_ETC = Path("/etc/audit")

PACKETS = 5
"""Of one open(2): SYSCALL, CWD, PATH, PROCTITLE and EOE."""

_EVENT_RECORDS = {b"SYSCALL", b"CWD", b"PATH", b"PROCTITLE"}
_AUDITD_RECORD = re.compile(rb"^type=(\S+) msg=audit\([\d.]+:(\d+)\)")
_SUMMARY = re.compile(r"(\d+) events, (\d+) records, (\d+) lost")


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came out. `events` and `complete` count the workload's own events, each once; None where nothing is kept.

    `own` is the reader's own count of all events (for the floor packets, five an event); None where it has none.
    """

    events: int | None
    complete: int | None
    own: int | None


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that takes the audit pid: how it starts in an empty directory, and what it has left there."""

    name: str
    command: Callable[[Path], list[str]]
    delivered: Callable[[Path, str], Delivered]
    """Takes the directory and the path that the workload opens. Standard output and error are `stdout`, `stderr`."""


FLOOR = "floor"
BATCHED_FLOOR = "floor, recvmmsg"


def joined_log(at: Path, log: Path) -> None:
    """Copies what auditd left in its directory to `log`: rotated files one after another, oldest first."""
    # audit.log.2, audit.log.1, audit.log
    files = sorted(
        (at / "log").iterdir(), key=lambda file: int(file.suffix[1:]) if file.suffix != ".log" else 0
    )
    with log.open("wb") as joined:
        for file in reversed(files):
            joined.write(file.read_bytes())


def auditd_keeping(log: Path) -> Reader:
    """auditd as Debian ships it, its log copied to `log` at the end."""

    def delivered(at: Path, path: str) -> Delivered:
        joined_log(at, log)
        return _auditd_delivered(at, path)

    return Reader("auditd ENRICHED", lambda at: auditd(at, "ENRICHED"), delivered)


def readers(floor: Path) -> list[Reader]:
    """All of them, the two floors first."""
    return [
        *floors(floor, PACKETS),
        Reader("tsauditd, to /dev/null", lambda at: tsauditd(at, Path("/dev/null")), tsauditd_counted),
        Reader("tsauditd, to a file", lambda at: tsauditd(at, at / "events.json"), _tsauditd_delivered),
        Reader("auditd RAW", lambda at: auditd(at, "RAW"), _auditd_delivered),
        Reader("auditd ENRICHED", lambda at: auditd(at, "ENRICHED"), _auditd_delivered),
    ]


def floors(floor: Path, packets: int) -> list[Reader]:
    """The program that throws the packets away, so many of them an event: one a call, and as many as are there."""

    def delivered(directory: Path, _path: str) -> Delivered:
        # "ready" comes first.
        counted = (directory / "stdout").read_text(encoding="ascii").splitlines()[-1]
        return Delivered(None, None, json.loads(counted)["packets"] // packets)

    command = [str(floor), "-r", str(RECEIVE_BUFFER)]
    return [
        Reader(FLOOR, lambda _: command, delivered),
        Reader(BATCHED_FLOOR, lambda _: [*command, "-b"], delivered),
    ]


def tsauditd(directory: Path, output: Path, more: str = "") -> list[str]:
    # The defaults, whatever this machine's own configuration says.
    configuration = directory / "tsauditd.toml"
    configuration.write_text(
        f"[kernel]\nbacklog_limit = {BACKLOG_LIMIT}\nreceive_buffer = {RECEIVE_BUFFER}\n{more}",
        encoding="ascii",
    )
    return [str(TSAUDITD), "run", "-c", str(configuration), "--rules", "none", "--output", str(output)]


def tsauditd_counted(directory: Path, _path: str) -> Delivered:
    found = _SUMMARY.search((directory / "stderr").read_text(encoding="utf-8", errors="replace"))
    return Delivered(None, None, int(found[1]) if found else None)


def _tsauditd_delivered(directory: Path, path: str) -> Delivered:
    serials: set[int] = set()
    complete = 0
    wanted = json.dumps(path).encode()
    with (directory / "events.json").open("rb") as lines:
        for line in lines:
            if wanted not in line:
                continue
            event = json.loads(line)
            serial = event["event"]["sequence"]
            if event.get("file", {}).get("path") != path or serial in serials:
                continue
            serials.add(serial)
            process = event["process"]
            whole = "title" in process and "working_directory" in process and event["auditd"]["paths"]
            complete += bool(whole and "incomplete" not in event.get("tsauditd", {}))
    return Delivered(len(serials), complete, tsauditd_counted(directory, path).own)


WITH_CONTEXT, WITHOUT_CONTEXT = "tsauditd", "tsauditd, events.context = false"


def context_readers() -> list[Reader]:
    """tsauditd with all that it tells of an event, and with what the records say alone."""

    def command(more: str) -> Callable[[Path], list[str]]:
        return lambda at: tsauditd(at, at / "events.json", more)

    return [
        Reader(WITH_CONTEXT, command(""), _tsauditd_delivered),
        Reader(WITHOUT_CONTEXT, command("[events]\ncontext = false\n"), _tsauditd_delivered),
    ]


def auditd(directory: Path, log_format: str) -> list[str]:
    """Debian's configuration, copied; what differs is where the log is, and that rotation keeps all of it."""
    configuration = directory / "etc"
    shutil.copytree(AUDITD_ETC, configuration)
    # Which comes with another package, and is measured by itself.
    (configuration / "plugins.d" / "laurel.conf").unlink(missing_ok=True)
    log = directory / "log"
    log.mkdir(mode=0o700)
    changes = {
        "log_file": str(log / "audit.log"),
        "log_format": log_format,
        "plugin_dir": str(configuration / "plugins.d"),
        "num_logs": "999",
    }
    file = configuration / "auditd.conf"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition("=")[0].strip() not in changes]
    file.write_text("\n".join(kept + [f"{key} = {value}" for key, value in changes.items()]) + "\n")
    return ["auditd", "-n", "-c", str(configuration)]


def _auditd_delivered(directory: Path, path: str) -> Delivered:
    records: dict[bytes, set[bytes]] = {}
    wanted: set[bytes] = set()
    name = f'name="{path}"'.encode()
    for log in (directory / "log").iterdir():
        with log.open("rb") as lines:
            for line in lines:
                if found := _AUDITD_RECORD.match(line):
                    records.setdefault(found[2], set()).add(found[1])
                    if name in line:
                        wanted.add(found[2])
    complete = sum(records[serial] >= _EVENT_RECORDS for serial in wanted)
    return Delivered(len(wanted), complete, None)
