"""A long log out of the real captures: what they tell again and again, later and with other serials each time.

Each capture comes in several variants, done by other processes in other sessions on other files, as a host's log never
says the same twice in a row.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CAPTURES = Path(__file__).resolve().parents[1] / "tests" / "captures"

SCENARIOS = ("accounts", "connect", "exec", "messages", "ssh", "sudo")
"""What there is both RAW and ENRICHED, and ordinary work of people and daemons."""

SUFFIXES = {"raw": ".log", "enriched": ".enriched.log", "foreign": ".log"}
"""The kinds of log. raw: as on the host it was written on, whose users exist. enriched: with names in the log.
foreign: raw, with users that this machine does not know."""

_STAMP = re.compile(rb"^(type=\S+ msg=audit\()(\d+)\.(\d+):(\d+)\)", re.MULTILINE)
_END = re.compile(rb"^type=EOE .*\n", re.MULTILINE)
"""The kernel's end marker, which auditd does not write."""

_ID = re.compile(rb"(?<=[ \n])([a-z_-]*(?:[ug]id|\bid))=(\d+)")
_UNSET = 4_294_967_295
_FIRST_PERSON = 1000
"""Ids below are the system's own and stay."""

_NOBODYS = 2_000_000_000
"""From here on hardly a machine gives out ids."""

_PEOPLE = ("raw", "foreign")
"""The kinds of log whose people are replaced; an enriched log has their names with it."""

VARIANTS = 16
"""How many variants of a capture there are. All of them have some ten thousand different events."""

_VARIED = re.compile(rb"(?<= )(pid|ppid|ses|inode|a[0-3])=([0-9a-f]+)(?=[ \n\x1d])")
_POINTERS = range(1 << 32, 1 << 47)
"""Arguments of system calls that are addresses in a process, which the kernel puts elsewhere in each."""

_FIRST_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Capture:
    """A log cut at its stamps: `texts[n]` stands before the stamp `stamps[n]`, the last text after all of them.

    A stamp is milliseconds after the capture's first record, and the event's place in the capture.
    """

    texts: tuple[bytes, ...]
    stamps: tuple[tuple[int, int], ...]
    events: int
    span_ms: int

    @classmethod
    def of(cls, log: bytes) -> Capture:
        """The capture in the content of a log."""
        parts = _STAMP.split(_END.sub(b"", log))
        # A text, then for each stamp four groups and the text after it.
        times = [int(parts[n]) * 1000 + int(parts[n + 1]) for n in range(2, len(parts), 5)]
        serials = [int(part) for part in parts[4::5]]
        places = {serial: place for place, serial in enumerate(sorted(set(serials)))}
        first = min(times)
        heads = parts[1::5]
        rests = parts[5::5]
        texts = [
            parts[0] + heads[0],
            *(rest + head for rest, head in zip(rests, heads[1:], strict=False)),
            rests[-1],
        ]
        stamps = [(when - first, places[serial]) for when, serial in zip(times, serials, strict=True)]
        return cls(tuple(texts), tuple(stamps), len(places), max(times) - first)

    def moved(self, first_ms: int, first_serial: int) -> bytes:
        """The log again, beginning at a time (milliseconds since the epoch) and a serial."""
        out = []
        for text, (after, place) in zip(self.texts, self.stamps, strict=False):
            seconds, milliseconds = divmod(first_ms + after, 1000)
            out.append(text)
            out.append(b"%d.%03d:%d)" % (seconds, milliseconds, first_serial + place))
        out.append(self.texts[-1])
        return b"".join(out)


def captures(kind: str, directory: Path = CAPTURES) -> list[Capture]:
    """The captures of a kind of log."""
    logs = [(directory / f"{name}{SUFFIXES[kind]}").read_bytes() for name in SCENARIOS]
    if kind in _PEOPLE:
        users = sorted(user.pw_uid for user in pwd.getpwall() if user.pw_uid < _FIRST_PERSON)
        groups = sorted(group.gr_gid for group in grp.getgrall() if group.gr_gid < _FIRST_PERSON)
        logs = [with_people(log, users, groups, known=kind == "raw") for log in logs]
    return [Capture.of(variant(log, number)) for number in range(VARIANTS) for log in logs]


def variant(log: bytes, number: int) -> bytes:
    """The log with other processes, sessions, files and addresses; number 0 is the log itself."""

    def other(field: re.Match[bytes]) -> bytes:
        name, text = field[1], field[2]
        if name in (b"pid", b"ppid"):
            pid = int(text)
            return b"%s=%d" % (name, pid + 10_000 * number if pid > 1 else pid)
        if name == b"ses":
            return b"ses=%d" % (int(text) + 1_000 * number) if int(text) != _UNSET else field[0]
        if name == b"inode":
            return b"inode=%d" % (int(text) + number)
        address = int(text, 16)
        return b"%s=%x" % (name, address + number * 4096) if address in _POINTERS else field[0]

    return _VARIED.sub(other, log) if number else log


def with_people(log: bytes, users: Sequence[int], groups: Sequence[int], *, known: bool) -> bytes:
    """The log with other ids in place of those that are not in `users` and `groups`: known ones, or surely unknown.

    ausearch looks up an id that is unknown again and again, which may cost many times more than all the rest.
    """
    both = sorted(set(users) & set(groups))

    def other(field: re.Match[bytes]) -> bytes:
        name, number = field[1], int(field[2])
        # A bare `id` is a user's in some records and a group's in others.
        ids = users if name.endswith(b"uid") else groups if name.endswith(b"gid") else both
        if number == _UNSET or number in ids:
            return field[0]
        return b"%s=%d" % (name, ids[number % len(ids)] if known else _NOBODYS + number % 1000)

    return _ID.sub(other, log)


def write_log(path: Path, sources: Sequence[Capture], size: int) -> int:
    """Writes a log of at least `size` bytes, whole captures, and returns its number of events.

    Serials are 1, 2, 3 ... so that a reader's events can be held against them. Captures follow each other in time,
    a millisecond apart.
    """
    when, serial, written = _FIRST_MS, 1, 0
    with path.open("wb") as log:
        while True:
            for source in sources:
                written += log.write(source.moved(when, serial))
                when += source.span_ms + 1
                serial += source.events
                if written >= size:
                    return serial - 1
