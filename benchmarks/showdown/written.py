"""What a contender has left on disk, read as each writes it: which of a workload's events are there, whole and right.

A workload's events carry its rule's key. Of each the one thing is taken that the workload knows about it: the path that
was opened, the number given to a program, the address connected to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Found:
    """An event."""

    identity: str
    """What tells it from others."""
    value: str | None
    """What the workload knows about it; None when that is not there."""
    complete: bool
    """Whether all is there that the kernel's records held."""
    both_ends: bool = False
    """Whether a connection's own end is there too, which no record holds."""
    lacks: str = ""
    """What is not there, for people."""


@dataclass(frozen=True, slots=True)
class Form:
    """A way of writing events: takes the files' lines and a key."""

    name: str
    events: Callable[[Iterable[bytes], str], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A workload's events in what was written: different ones, complete ones, and those that say what happened."""

    events: int
    complete: int
    correct: int
    both_ends: int
    example: str = field(default="", compare=False)
    """One that is not whole, and what it lacks, for people."""


def delivered(form: Form, files: Iterable[Path], key: str, truth: Counter[str]) -> Delivered:
    """The events with this key held against how often each thing was done; each event counts once.

    A client's own port is not known to anybody beforehand: of a connection that a server took the address counts. Of
    files that a work knows by their names alone, the directory does not.
    """
    known: dict[str, Found] = {}
    for event in form.events(_lines(files), key):
        known.setdefault(event.identity, event)
    complete = [event for event in known.values() if event.complete]
    values = Counter(_known(event.value, truth) for event in complete)
    ends = sum(event.both_ends for event in known.values())
    lacking = next((event for event in known.values() if not event.complete), None)
    example = f"{lacking.identity} lacks {lacking.lacks or 'something'}" if lacking else ""
    return Delivered(len(known), len(complete), sum((values & truth).values()), ends, example)


def _known(value: str | None, truth: Counter[str]) -> str:
    text = value or ""
    ways = (text, text.partition(":")[0], text.rpartition("/")[2])
    return next((way for way in ways if way in truth), text)


def _lines(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        with file.open("rb") as lines:
            yield from lines


_RECORD = re.compile(rb"type=(\S+) msg=audit\((\d+\.\d+:\d+)\): ?")


def _audit_log(lines: Iterable[bytes], key: str) -> Iterator[Found]:
    """Records as auditd and its plugins write them, whatever a syslog daemon has put before them."""
    texts: dict[bytes, dict[str, bytes]] = {}
    wanted: set[bytes] = set()
    mark = f'key="{key}"'.encode()
    for line in lines:
        if found := _RECORD.search(line):
            kept = texts.setdefault(found[2], {})
            name = found[1].decode()
            # Of PATH records the last one is the file; of two EXECVE records the first one has the first arguments.
            if name != "EXECVE" or name not in kept:
                kept[name] = line[found.end() :]
            if name == "SYSCALL" and mark in line:
                wanted.add(found[2])
    for identity in wanted:
        yield from_records(identity.decode(), texts[identity])


_NAME = re.compile(rb' name="([^"]*)"')
_FIRST_ARGUMENT = re.compile(rb' a1="([^"]*)"')
_ADDRESS = re.compile(rb"saddr=([0-9A-F]+)")


def from_records(identity: str, records: dict[str, bytes]) -> Found:
    """An event out of its records' texts, by their types."""
    value, needed = None, {"SYSCALL"}
    if "EXECVE" in records:
        needed |= {"CWD", "PATH", "PROCTITLE"}
        value = _first(_FIRST_ARGUMENT, records["EXECVE"])
    elif "SOCKADDR" in records:
        needed |= {"PROCTITLE"}
        value = address(_first(_ADDRESS, records["SOCKADDR"]))
    elif "PATH" in records:
        needed |= {"CWD", "PROCTITLE"}
        value = _first(_NAME, records["PATH"])
    lacks = sorted(needed - records.keys()) + ["its object"] * (value is None)
    return Found(identity, value, not lacks, lacks=", ".join(lacks))


def _first(pattern: re.Pattern[bytes], text: bytes) -> str | None:
    found = pattern.search(text)
    return found[1].decode(errors="replace") if found else None


def address(saddr: str | None) -> str | None:
    """A sockaddr_in in hexadecimal digits, as ADDRESS:PORT; None for another family."""
    if saddr is None or len(saddr) < 16 or saddr[:4] != "0200":
        return None
    port, numbers = int(saddr[4:8], 16), bytes.fromhex(saddr[8:16])
    return f"{'.'.join(map(str, numbers))}:{port}"


def _objects(lines: Iterable[bytes], key: str) -> Iterator[Any]:
    mark = key.encode()
    for line in lines:
        if mark in line:
            try:
                yield orjson.loads(line[line.index(b"{") :])
            except ValueError:
                continue


def _ecs(lines: Iterable[bytes], key: str) -> Iterator[Found]:
    for event in _objects(lines, key):
        if key not in event.get("tags", ()):
            continue
        process, own = event.get("process", {}), event.get("tsauditd", {})
        call = event.get("auditd", {}).get("data", {}).get("syscall", "")
        needed, ends = ["executable", "entity_id", "title", "working_directory"], False
        if call.startswith("exec"):
            value = _second(process.get("args"))
        elif call.startswith(("connect", "accept")):
            source, destination = event.get("source", {}), event.get("destination", {})
            peer = destination if call == "connect" else source
            value = f"{peer.get('ip')}:{peer.get('port')}"
            needed.remove("working_directory")
            ends = all("ip" in end and "port" in end for end in (source, destination))
        else:
            value = event.get("file", {}).get("path")
        lacks = [name for name in needed if name not in process]
        if value is None:
            lacks.append("its object")
        if "incomplete" in own:
            lacks.append(f"a record: {own['incomplete']}")
        yield Found(event["event"]["id"], value, not lacks, ends, ", ".join(lacks))


def _second(arguments: Any) -> str | None:
    return arguments[1] if arguments and len(arguments) > 1 else None


_PERCENT = re.compile(r"%([0-9a-f]{2})|(.)", re.DOTALL)


def _laurel(lines: Iterable[bytes], key: str) -> Iterator[Found]:
    for event in _objects(lines, key):
        if event.get("SYSCALL", {}).get("key") != key:
            continue
        value, needed = None, {"PROCTITLE"}
        if "EXECVE" in event:
            value, needed = _second(event["EXECVE"].get("ARGV")), {"CWD", "PATH", "PROCTITLE"}
        elif "SOCKADDR" in event:
            # Bytes are written %xx, but for those that are text in UTF-8.
            digits = _PERCENT.sub(
                lambda found: found[1] or found[2].encode().hex(), event["SOCKADDR"][0].get("saddr", "")
            )
            value = address(digits.upper())
        elif event.get("PATH"):
            value, needed = event["PATH"][-1].get("name"), {"CWD", "PROCTITLE"}
        yield Found(event["ID"], value, value is not None and needed <= event.keys())


_TYPES = {1300: "SYSCALL", 1302: "PATH", 1306: "SOCKADDR", 1307: "CWD", 1309: "EXECVE", 1327: "PROCTITLE"}


def _go_audit(lines: Iterable[bytes], key: str) -> Iterator[Found]:
    for event in _objects(lines, key):
        records = {
            _TYPES.get(message["type"], ""): b" " + message["data"].encode() for message in event["messages"]
        }
        yield from_records(f"{event['timestamp']}:{event['sequence']}", records)


def _auditbeat(lines: Iterable[bytes], key: str) -> Iterator[Found]:
    for event in _objects(lines, key):
        if key not in event.get("tags", ()):
            continue
        call = event["auditd"].get("data", {}).get("syscall", "")
        value = event.get("file", {}).get("path")
        if call.startswith("exec"):
            value = _second(event.get("process", {}).get("args"))
        elif call.startswith(("connect", "accept")):
            peer = event.get("destination" if call == "connect" else "source", {})
            value = f"{peer.get('ip')}:{peer.get('port')}"
        identity = f"{event['@timestamp']}:{event['auditd']['sequence']}"
        yield Found(identity, value, value is not None)


AUDIT_LOG = Form("audit.log", _audit_log)
ECS = Form("ECS", _ecs)
LAUREL = Form("laurel", _laurel)
GO_AUDIT = Form("go-audit", _go_audit)
AUDITBEAT = Form("Auditbeat", _auditbeat)


def as_text(found: Delivered | None) -> str:
    """For people: the complete ones, and how many of them say what happened when that differs."""
    if found is None:
        return "-"
    text = f"{found.complete:,}"
    return text if found.correct == found.complete else f"{text} ({found.correct:,} right)"
