"""Where our JSON says a field otherwise than ausearch on purpose: what it says instead, and why that is right.

First match counts. `holds` must be as narrow as the reason: it says what ours has to be, not that anything goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oracle.reader import Field, Record, keys, unescaped

Events = list[dict[str, Any]]
Holds = Callable[[Events, Record, Field, list[str]], bool]


@dataclass(frozen=True)
class Difference:
    """One row: the records and fields it covers (patterns of the whole name), what ours holds, the reason."""

    name: str
    types: str
    fields: str
    holds: Holds
    reason: str

    def covers(self, record: Record, item: Field) -> bool:
        """Whether the row is about this field of this record."""
        return bool(re.fullmatch(self.types, record.type) and re.fullmatch(self.fields, item.name))


def _raw(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.raw.decode(errors="replace").strip('"') in ours


def _account(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.raw.decode() in ours or (item.raw in (b"4294967295", b"-1") and "unset" in ours)


def _unset(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.raw == b"4294967295" and item.reading == b"unset" and (not ours or "unset" in ours)


def _before_bracket(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading.partition(b"(")[0].decode() in ours


def _result(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    good = item.reading in (b"yes", b"success", b"1")
    return ("success" if good else "fail") in ours


def _absent(*readings: bytes) -> Holds:
    return lambda events, record, item, ours: item.reading in readings and not ours


def _tags(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    wanted = [key.decode(errors="backslashreplace") for key in keys(item.reading)]
    return all(any(key in event.get("tags", ()) for event in events) for key in wanted)


def _items(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return any(len(event["auditd"].get("paths", ())) == int(item.raw) for event in events)


def _base_name(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    text = unescaped(item.reading)
    return any(value.encode()[:15].startswith(text[:15]) for value in ours)


def _socket(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    """Each of `saddr_fam=inet laddr=1.2.3.4 lport=5` is among our socket's parts, with our names for families."""
    parts = dict(re.findall(rb"([\w-]+)=(.*?)(?= [\w-]+=| \}$)", item.reading))
    have = {part.partition("=")[2] for part in ours}
    family = {b"local": "unix", b"inet": "ipv4", b"inet6": "ipv6"}.get(
        parts.get(b"saddr_fam", b""), parts.get(b"saddr_fam", b"").decode().split(" ")[0]
    )
    if b"unknown-family" in item.reading or b"too short" in item.reading or b"unsupported" in item.reading:
        return bool(ours)
    wanted = [parts[name] for name in (b"laddr", b"lport", b"path") if name in parts]
    return family in have and all(unescaped(part).decode(errors="backslashreplace") in have for part in wanted)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "accounts as numbers", ".*", "(old-|o|sa|s|e|fs|f|new-)?(auid|uid|gid)|id|a[0-3]|new_gid|old_gid", _account,
        "Users and groups stand as numbers, with a name only from the log's own tail: ausearch names them as the "
        "machine it runs on does, which says nothing of the machine that wrote the log.",
    ),
    Difference(
        "unset is absence", ".*", "(old-)?(ses|auid)|oauid|oses", _unset,
        "A login or session that is not set is left out, or is the word unset.",
    ),
    Difference(
        "error by name", "SYSCALL|URINGOP", "exit", _before_bracket,
        "The error's name; its English text is the same for each and adds nothing.",
    ),
    Difference(
        "results in one word", ".*", "success|res|result", _result,
        "auditd.result is success or fail as in Auditbeat, whichever of yes, 1, success the record used.",
    ),
    Difference(
        "keys are tags", ".*", "key", _tags,
        "Each key is one tag; (null) is none. ausearch prints several keys as further fields.",
    ),
    Difference(
        "items are counted", "SYSCALL|URINGOP", "items", _items,
        "The number of paths is that of auditd.paths.",
    ),
    Difference(
        "arguments keep their number", "SYSCALL|SOCKETCALL", "a[0-3]", _raw,
        "auditd.data has the argument as the record has it, the reading of a known one is in tsauditd.interpreted.",
    ),
    Difference(
        "absent values are left out", ".*", ".*", _absent(b"?", b"(null)", b"(none)", b'"?"', b"unset"),
        "A value that says there is none is no value in ECS.",
    ),
    Difference(
        "socket addresses in parts", "SOCKADDR", "saddr", _socket,
        "auditd.data.socket has the parts; families unknown to ausearch or cut short are told further than it does.",
    ),
)
