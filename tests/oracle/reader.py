"""What Debian's `ausearch -i` reads in a log, in a form that can be compared field by field.

ausearch (auditd 3.0.9) is the oracle for our decoding. Its text is made for people, and reading it back has traps:

- Values are printed bare: `name=two words inode=5`. Only the raw record says where a value ends, so each printed
  record is aligned with its raw line: the text between fields is the same in both, the values differ. `Record.sure`
  is False when the text can be cut in more than one way.
- Within an event records are printed last to first. An event is printed in pieces when a record that ends an event
  for ausearch stands within it (LOGIN in 3.0.9, EOE anywhere): pieces come in order, each reversed.
- EOE is never on disk, and it upsets the grouping, so it is left out of what ausearch is given.
- Control characters are printed as \\ooo, bytes over 0x7f as they are, a backslash as itself: `unescaped` undoes it,
  but a backslash followed by three octal digits in the original cannot be told from it.
- Several keys of one rule are printed as `key=one key=two`; the reading kept here is `one key=two` (see `keys`).
- Types that libaudit does not know (UNKNOWN[n]) are read with the rules of any type, and in user messages the closing
  quote of msg='...' is lost. TRUSTED_APP's fields are not read.
- In an ENRICHED log names come from the tail after 0x1D, otherwise from this machine's passwd: `unknown(4242)` where
  the user does not exist. Times are local and without the year's century: run with TZ=UTC.
- A newline in a UNIX socket's name tears an ENRICHED line in two: auditd writes the tail of SOCKADDR as it is. The
  second half is no record; ausearch passes over it.
- exit_group has no success= and exit=; ses=4294967295 is `unset`, but old-ses is left as a number.
"""

from __future__ import annotations

import calendar
import gzip
import os
import re
import subprocess
import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class EventId(NamedTuple):
    """What makes an event one: node ("" without node=), seconds, milliseconds, serial."""

    node: str
    seconds: int
    milliseconds: int
    serial: int


class Field(NamedTuple):
    """One field: its name, its text in the raw record and ausearch's reading of it."""

    name: str
    raw: bytes
    reading: bytes


@dataclass(frozen=True)
class Record:
    """One record. Names may repeat within it.

    `sure`: its readings could be cut in one way only. `named`: the fields whose reading the log's own tail gives.
    """

    type: str
    line: int
    fields: tuple[Field, ...]
    sure: bool = True
    named: frozenset[str] = frozenset()


class OracleError(Exception):
    """ausearch's answer cannot be brought together with the log."""


_RAW = re.compile(rb"(?:node=(\S+) )?type=(\S+) msg=audit\((\d+)\.(\d+):(\d+)\): ?(.*)", re.DOTALL)
_READ = re.compile(
    rb"(?:node=(\S+) )?type=(\S+) msg=audit\((\d+)/(\d+)/(\d+) (\d+):(\d+):(\d+)\.(\d+):(\d+)\) ?: ?(.*)",
    re.DOTALL,
)
# A value is quoted, or in a TTY record's manner bare; msg=' only opens a list of fields and has no value of its own.
_FIELD = re.compile(rb"""(?:^|(?<=[\s',({]))([A-Za-z_][\w\-]*(?:\[\d+\])?)=(?!')("[^"]*"|[^\s]*)""")


def read(path: Path, ausearch: str = "ausearch") -> dict[EventId, list[Record]]:
    """Every event of the log file (.gz too) with its records in the file's order, as ausearch reads them.

    Raises OracleError when a record of the log is missing in ausearch's answer or does not fit it.
    """
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = _records_of(data)
    answers = _answers(b"".join(line + b"\n" for _, line in lines), ausearch)
    events: dict[EventId, list[Record]] = defaultdict(list)
    for number, line in lines:
        event, kind, body, tail = _raw(line, number)
        waiting = answers[event, kind]
        if not waiting:
            raise OracleError(f"{path.name}:{number}: ausearch does not show this {kind} of {event}")
        events[event].append(_aligned(kind, number, body, tail, waiting.popleft()))
    left = sum(map(len, answers.values()))
    if left:
        raise OracleError(f"{path.name}: ausearch shows {left} records more than the log has")
    return dict(events)


def unescaped(reading: bytes) -> bytes:
    """The bytes that ausearch printed: \\ooo back to the character."""
    return re.sub(rb"\\([0-3][0-7][0-7])", lambda match: bytes([int(match[1], 8)]), reading)


def keys(reading: bytes) -> list[bytes]:
    """The keys of a rule from the reading of one key field; none for (null)."""
    return [] if reading == b"(null)" else reading.split(b" key=")


def raw_fields(body: bytes) -> list[tuple[str, int, int]]:
    """Name, start and end of the value of each field in the text of a record after its audit(...): mark.

    The enriched tail must be off already. A closing quote of msg='...' or a comma is not part of a value.
    """
    found = []
    inside = body.find(b"msg='")
    for match in _FIELD.finditer(body):
        start, end = match.span(2)
        value = match[2]
        if not value.startswith(b'"'):
            stripped = value.rstrip(b",)'") if 0 <= inside < start else value.rstrip(b",)")
            end = start + len(stripped) if not stripped.startswith((b"(", b"{")) else end
            if value.startswith(b"(") and 0 <= inside < start:
                end = start + len(value.rstrip(b"'"))
        found.append((match[1].decode("latin-1"), start, end))
    return found


def _records_of(data: bytes) -> list[tuple[int, bytes]]:
    """The numbered lines that hold a record, without EOE and without what a newline in an enriched tail cut off."""
    lines: list[tuple[int, bytes]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        torn = lines and b"\x1d" in lines[-1][1] and not _RAW.match(line)
        if line and not torn and b"type=EOE " not in line[:64]:
            lines.append((number, line))
    return lines


def _raw(line: bytes, number: int) -> tuple[EventId, str, bytes, bytes]:
    match = _RAW.match(line)
    if not match:
        raise OracleError(f"line {number} is not an audit record")
    node, kind, seconds, milliseconds, serial, body = match.groups()
    event = EventId((node or b"").decode(), int(seconds), int(milliseconds), int(serial))
    text, _, tail = body.partition(b"\x1d")
    return event, kind.decode(), text.rstrip(b"\r"), tail


def _answers(log: bytes, ausearch: str) -> dict[tuple[EventId, str], deque[bytes]]:
    """ausearch's text of each record, by event and type, in the log's order."""
    with tempfile.NamedTemporaryFile(suffix=".log") as file:
        file.write(log)
        file.flush()
        environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
        command = [ausearch, "-i", "-if", file.name]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    if done.returncode:
        raise OracleError(f"ausearch: {done.stderr.decode(errors='replace').strip()}")
    answers: dict[tuple[EventId, str], deque[bytes]] = defaultdict(deque)
    for group in _groups(done.stdout):
        for line in reversed(group):
            match = _READ.match(line)
            if not match:
                raise OracleError(f"ausearch prints a line that is no record: {line[:120]!r}")
            node, kind, *when, body = match.groups()
            month, day, year, hour, minute, second, milliseconds, serial = map(int, when)
            seconds = calendar.timegm((2000 + year, month, day, hour, minute, second))
            event = EventId((node or b"").decode(), seconds, milliseconds, serial)
            answers[event, kind.decode()].append(body.removesuffix(b" "))
    return answers


def _groups(text: bytes) -> Iterator[list[bytes]]:
    """The lines between ausearch's ---- marks."""
    group: list[bytes] = []
    for line in text.split(b"\n"):
        if line == b"----":
            yield group
            group = []
        elif line:
            group.append(line)
    yield group


def _aligned(kind: str, number: int, body: bytes, tail: bytes, answer: bytes) -> Record:
    """Cut the answer where the raw record has its fields."""
    spans = raw_fields(body)
    for literal in (re.escape, _folded):
        lazy, greedy, at = b"", b"", 0
        for _, start, end in spans:
            gap, plain = literal(body[at:start]), re.escape(_printed(body[start:end]))
            lazy += gap + b"(" + plain + b"|.*?)"
            greedy += gap + b"(" + plain + b"|.*)"
            at = end
        rest = body[at:]
        if rest.endswith(b"'") and not answer.endswith(b"'"):
            rest = rest[:-1]
        first = re.fullmatch(lazy + literal(rest), answer, re.DOTALL)
        if first is not None:
            break
    else:
        raise OracleError(f"line {number}: ausearch's {kind} does not fit the raw record: {answer[:200]!r}")
    last = re.fullmatch(greedy + literal(rest), answer, re.DOTALL)
    fields = (
        Field(name, body[start:end], reading)
        for (name, start, end), reading in zip(spans, first.groups(), strict=True)
    )
    sure = last is not None and first.groups() == last.groups()
    named = frozenset(name.decode().lower() for name in re.findall(rb"([A-Z][A-Z_-]*)=", tail))
    return Record(kind, number, tuple(fields), sure, named)


def _printed(value: bytes) -> bytes:
    """How ausearch prints the value if it is text in hex, else the value: only where to cut hangs on it."""
    if len(value) % 2 or not re.fullmatch(rb"[0-9A-F]+", value):
        return value.strip(b'"')
    return re.sub(rb"[\x00-\x1f\x7f]", lambda match: b"\\%03o" % match[0][0], bytes.fromhex(value.decode()))


def _folded(text: bytes) -> bytes:
    """A pattern for the text between two values whose blanks ausearch has folded or dropped."""
    return rb"\s*".join(re.escape(word) for word in re.split(rb"\s+", text))
