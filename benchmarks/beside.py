"""Who reads the kernel's records in an exec or a connect storm: the floor, tsauditd, auditd as Debian ships it,
and auditd with laurel.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from readers import RECEIVE_BUFFER, Delivered, Reader, auditd, floors, tsauditd, tsauditd_counted
from showdown import written
from workload import KEY

LAUREL = Path("/usr/sbin/laurel")
LAUREL_CONFIGURATION = Path("/etc/laurel/config.toml")

_RECORDS = {"SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"}
_AUDITD_RECORD = re.compile(rb"^type=(\S+) msg=audit\([\d.]+:(\d+)\)")

OURS = "tsauditd, to a file"
ENRICHED = "auditd ENRICHED"
WITH_LAUREL = "auditd + laurel"
PAUSED_FLOOR = "floor, a pause of 4 ms"


EXEC_PACKETS, CONNECT_PACKETS = 7, 4
"""Of one execve(2): SYSCALL, EXECVE, CWD, two PATH, PROCTITLE and EOE; of one connect(2): SYSCALL, SOCKADDR, PROCTITLE,
EOE."""


def exec_readers(floor: Path) -> list[Reader]:
    """All of them, reading what says that a program was run."""
    return [
        *_floors(floor, EXEC_PACKETS),
        Reader(OURS, lambda at: tsauditd(at, at / "events.json"), _tsauditd_delivered),
        Reader(ENRICHED, lambda at: auditd(at, "ENRICHED"), _auditd_delivered),
        Reader(WITH_LAUREL, _auditd_with_laurel, _laurel_delivered),
    ]


def connect_readers(floor: Path) -> list[Reader]:
    """All of them, reading of connections; what they have written is read as the showdown does."""

    def reader(
        name: str, command: Callable[[Path], list[str]], form: written.Form, files: str, *, ends: bool = False
    ) -> Reader:
        def delivered(at: Path, _target: str) -> Delivered:
            found = written.delivered(form, sorted(at.glob(files)), KEY, Counter())
            own = tsauditd_counted(at, "").own if ends else None
            return Delivered(found.events, found.both_ends if ends else found.complete, own)

        return Reader(name, command, delivered)

    return [
        *_floors(floor, CONNECT_PACKETS),
        reader(OURS, lambda at: tsauditd(at, at / "events.json"), written.ECS, "events.json", ends=True),
        reader(ENRICHED, lambda at: auditd(at, "ENRICHED"), written.AUDIT_LOG, "log/audit.log*"),
        reader(WITH_LAUREL, _auditd_with_laurel, written.LAUREL, "laurel/audit.log*"),
    ]


def _floors(floor: Path, packets: int) -> list[Reader]:
    """Those of the live benchmark, and one that lets packets gather as long as tsauditd does in a flow."""
    paused = [str(floor), "-b", "-n", "1024", "-p", "4000", "-r", str(RECEIVE_BUFFER)]
    each, many = floors(floor, packets)
    return [each, many, replace(many, name=PAUSED_FLOOR, command=lambda _: paused)]


def _count(events: Iterable[tuple[Any, bool]], own: int | None = None) -> Delivered:
    """Of events, each as what tells it from others and whether it is complete."""
    distinct: dict[Any, bool] = {}
    for identity, complete in events:
        distinct.setdefault(identity, complete)
    return Delivered(len(distinct), sum(distinct.values()), own)


def _tsauditd_delivered(directory: Path, program: str) -> Delivered:
    def found() -> Iterable[tuple[Any, bool]]:
        with (directory / "events.json").open("rb") as lines:
            for line in lines:
                event = json.loads(line)
                process = event.get("process", {})
                if event["event"].get("action") != "executed" or process.get("executable") != program:
                    continue
                told = ("args", "title", "working_directory", "entity_id", "entry_leader")
                # What started it was there before the daemon.
                whole = all(name in process for name in told) and "args" in process["parent"]
                yield event["event"]["sequence"], whole and "incomplete" not in event.get("tsauditd", {})

    return _count(found(), tsauditd_counted(directory, program).own)


def _auditd_delivered(directory: Path, program: str) -> Delivered:
    records: dict[bytes, set[str]] = {}
    wanted: set[bytes] = set()
    executable = f'exe="{program}"'.encode()
    for log in (directory / "log").iterdir():
        with log.open("rb") as lines:
            for line in lines:
                if found := _AUDITD_RECORD.match(line):
                    records.setdefault(found[2], set()).add(found[1].decode())
                    if executable in line:
                        wanted.add(found[2])
    return _count((serial, records[serial] >= _RECORDS) for serial in wanted)


def _auditd_with_laurel(directory: Path) -> list[str]:
    """Both with Debian's configurations, laurel as auditd's plugin; what differs is where the logs are."""
    command = auditd(directory, "ENRICHED")
    log = directory / "laurel"
    log.mkdir(mode=0o700)
    changes = {"directory": f'"{log}"', "generations": "999"}
    lines = LAUREL_CONFIGURATION.read_text(encoding="utf-8").splitlines()
    # Without a user of its own it stays who auditd is, and can write there.
    kept = [changes_line(line, changes) for line in lines if line.partition("=")[0].strip() != "user"]
    configuration = directory / "laurel.toml"
    configuration.write_text("\n".join(kept) + "\n", encoding="utf-8")
    plugin = directory / "etc" / "plugins.d" / "laurel.conf"
    plugin.write_text(
        f"active = yes\ndirection = out\ntype = always\nformat = string\npath = {LAUREL}\n"
        f"args = --config {configuration}\n",
        encoding="ascii",
    )
    plugin.chmod(0o640)
    return command


def changes_line(line: str, changes: dict[str, str]) -> str:
    """A line of a configuration, with the value that `changes` has for its key."""
    key = line.partition("=")[0].strip()
    return f"{key} = {changes[key]}" if key in changes else line


def _laurel_delivered(directory: Path, program: str) -> Delivered:
    def found() -> Iterable[tuple[Any, bool]]:
        for log in (directory / "laurel").glob("audit.log*"):
            with log.open("rb") as lines:
                for line in lines:
                    event = json.loads(line)
                    if event.get("SYSCALL", {}).get("exe") == program:
                        yield event["ID"], event.keys() >= _RECORDS

    return _count(found())


def missing() -> str | None:
    """What has to be installed first."""
    for tool, package in (("auditd", "auditd"), (str(LAUREL), "laurel"), ("cc", "gcc libc6-dev")):
        if shutil.which(tool) is None:
            return f"{tool} is missing: apt-get install {package}"
    return None
