"""Sessions of logs and of made-up events, for the tests of timelines."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tsauditd.event import Decoder
from tsauditd.timelines import Timelines
from tsauditd.timelines.lines import push_lines
from tsauditd.timelines.start import whole_event
from tsauditd.timelines.view import View, Views

CAPTURES = Path(__file__).parent / "captures"
SECOND = 1_000_000_000
PIECE = 50_000
"""Bytes of a log that are decoded at once."""

Document = dict[str, Any]


class Watched:
    """Timelines whose every output is kept."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.unowned: list[str] = []
        self.timelines = Timelines(self._take, unowned=self.unowned.append)

    def _take(self, document: Document) -> None:
        self.documents.append(json.loads(json.dumps(document)))

    @property
    def views(self) -> Views:
        views = Views(lambda _: True)
        for document in self.documents:
            views.take(json.loads(json.dumps(document)))
        return views

    def one(self, number: str) -> View:
        """The session with that number."""
        (found,) = [view for view in self.views.sessions.values() if view.session["number"] == number]
        return found

    def proofs(self) -> list[str]:
        """Every event id that an output names."""
        found = list(self.unowned)
        for document in self.documents:
            inner = document["tsauditd"]
            if "logins" in inner:
                found += inner["logins"]["events"]
            else:
                found += [name for row in inner["session"]["rows"] for name in row.get("events", [])]
        return found


def contents(name: str) -> bytes:
    data = (CAPTURES / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def of_log(name: str) -> Watched:
    """The sessions of a capture, read to its end."""
    return of_lines(needed for needed, _ in decoded(contents(name)))


def of_lines(lines: Iterable[bytes]) -> Watched:
    """The sessions of events, to their end."""
    watched = Watched()
    for some in lines:
        push_lines(watched.timelines, some)
    watched.timelines.finish(ended=True)
    return watched


def decoded(log: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A log in pieces: of each the lines that timelines need, as they get them, and all lines."""
    decoder = Decoder(timelines=True)
    for start in range(0, len(log), PIECE):
        lines = decoder.feed(log[start : start + PIECE])
        yield decoder.timeline(), lines
    lines = decoder.finish()
    yield decoder.timeline(), lines


def event_of(line: bytes) -> dict[str, Any]:
    """The event of a line that timelines get: an object, or pieces."""
    if line.startswith(b"{"):
        found: dict[str, Any] = json.loads(line)
        return found
    return whole_event(line.decode().split("\t"))


def told(view: View, *, noise: bool = False) -> list[tuple[str, ...]]:
    """The rows in short: kind, who (and as whom), what, and the outcome where it is not success."""
    rows = []
    for number in sorted(view.rows):
        row = view.rows[number]
        if "noise" in row and not noise:
            continue
        rows.append(short(row))
    return rows


def short(row: dict[str, Any]) -> tuple[str, ...]:
    user = row.get("user", {})
    who = user.get("name") or user.get("id") or ""
    became = user.get("effective")
    if became:
        who += f">{became.get('name') or became.get('id')}"
    process = row.get("process", {})
    what = process.get("command_line") or row.get("file", {}).get("path") or row.get("text") or ""
    outcome = row.get("outcome", "success")
    return (row["kind"], who, what) + ((outcome,) if outcome != "success" else ())
