"""Our JSON held against ausearch's readings, field by field.

A field agrees when one of the values that our JSON has where the field belongs (places.py) equals the reading, or,
where ausearch does not interpret it, the raw value. What differs on purpose stands in DIFFERENCES (differences.py)
with the reason, and the value that ours then must have. Anything else is a disagreement.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oracle.differences import DIFFERENCES
from oracle.places import candidates
from oracle.reader import EventId, Field, Record, unescaped


@dataclass(frozen=True)
class Disagreement:
    """A field of a record whose reading our JSON does not have where it belongs."""

    record: Record
    field: Field
    ours: tuple[str, ...]

    def __str__(self) -> str:
        reading = self.field.reading[:80].decode(errors="replace")
        raw = self.field.raw[:60].decode(errors="replace")
        return f"line {self.record.line} {self.record.type} {self.field.name}={raw} read {reading!r}, ours {self.ours}"


@dataclass
class Verdict:
    """The result for one log: `used` counts what each difference excused, by its name."""

    disagreements: list[Disagreement] = field(default_factory=list)
    missing: list[EventId] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    agreed: int = 0


def event_id(event: Mapping[str, Any]) -> EventId:
    """The identity that the record had, from the JSON of the event."""
    stamp, serial = event["event"]["id"].split(":")
    seconds, milliseconds = stamp.split(".")
    return EventId(event.get("host", {}).get("name", ""), int(seconds), int(milliseconds), int(serial))


def compare(readings: Mapping[EventId, list[Record]], lines: Iterable[bytes]) -> Verdict:
    """Hold each record that ausearch read against the JSON lines of the same log."""
    events: dict[EventId, list[dict[str, Any]]] = {}
    for line in lines:
        event = json.loads(line)
        events.setdefault(event_id(event), []).append(event)
    verdict = Verdict()
    for identity, records in readings.items():
        ours = events.get(identity)
        if ours is None:
            verdict.missing.append(identity)
            continue
        for record in records:
            for item in record.fields:
                _judge(verdict, ours, record, item)
    return verdict


def _judge(verdict: Verdict, events: list[dict[str, Any]], record: Record, item: Field) -> None:
    found = [value for event in events for value in candidates(event, record, item)]
    if _text(item.reading) in found:
        verdict.agreed += 1
        return
    for difference in DIFFERENCES:
        if difference.covers(record, item) and difference.holds(events, record, item, found):
            verdict.used[difference.name] += 1
            return
    verdict.disagreements.append(Disagreement(record, item, tuple(found)))


def _text(reading: bytes) -> str:
    """The reading as text. Bytes that are no UTF-8 never agree here: DIFFERENCES says what ours has then."""
    return unescaped(reading).decode("utf-8", errors="backslashreplace")
