"""Logs in, proposals out."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from tsauditd.errors import TsauditdError, visible
from tsauditd.event import Decoder
from tsauditd.logfiles import STANDARD_INPUT, LogReader, reading_order
from tsauditd.suggest.candidates import Candidate, Kept, candidate
from tsauditd.suggest.tally import Count, Tally

LEAST_HOURS = 3
"""What did not come in so many different hours is an occurrence, not a habit."""

MOST_VARIED = 8
"""What came with more different arguments or addresses than these is not always the same."""

_MAX_LINE = 64 << 20
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d\d")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One exclusion: the rule, what it would have saved, and what its events were."""

    rule: str
    candidate: Candidate
    events: int
    bytes: int
    hours: int
    keys: tuple[str, ...]
    examples: tuple[str, ...]


def read(names: Sequence[str], tally: Tally, say: Callable[[str], None]) -> None:
    """Counts the events of logs: the daemon's JSON lines, or audit.log in any form that convert reads.

    A log that is damaged or cannot be opened is told by `say`, and the others are read. Raises TsauditdError when
    there is nothing to begin with.
    """
    for name in reading_order(names or [STANDARD_INPUT]):
        try:
            with LogReader(name) as log:
                for line in _lines(log):
                    _count(line, tally)
        except TsauditdError as error:
            say(str(error))
        except OSError as error:
            say(f"{visible(name)}: {error.strerror}")


def proposals(tally: Tally, least: float) -> list[Proposal]:
    """The exclusions that save at least the share `least` (0 to 1) of all events each, the largest first."""
    found = [
        Proposal(
            one.rule,
            one,
            count.events,
            count.bytes,
            len(count.hours),
            tuple(sorted(count.keys)),
            tuple(sorted(detail for detail in count.details if detail))[:3],
        )
        for one, count in tally.counts.items()
        if count.events >= max(least * tally.events, 1) and _habit(one, count, tally)
    ]
    return sorted(found, key=lambda proposal: (-proposal.events, proposal.rule))


def as_text(found: Sequence[Proposal], tally: Tally) -> str:
    """The proposals as a rules file: comments say what each saves."""
    lines = [
        f"# {tally.events:,} events, {_size(tally.bytes)}, in {len(tally.hours)} different hours.",
        "# Proposals only: nothing was changed. Take what you agree with into a file that comes before the rules that",
        "# record it, such as /etc/tsauditd/rules.d/15-suggested.rules: the first rule that matches decides.",
        "",
    ]
    for one in found:
        lines.append(
            f"# saves {one.events:,} events ({_share(one.events, tally.events)}), {_size(one.bytes)}"
            f" ({_share(one.bytes, tally.bytes)}); in {one.hours} hours"
        )
        if one.keys:
            lines.append(
                f"# recorded by the rules with the key {', '.join(visible(key) for key in one.keys)}"
            )
        lines += [f"# such as: {visible(example)}" for example in one.examples]
        lines += [one.rule, ""]
    if not found:
        lines += ["# Nothing to propose: no program's habit is large enough.", ""]
    saved = sum(one.events for one in found)
    lines.append(f"# All of it: {saved:,} events ({_share(saved, tally.events)}).")
    lines.append("# Never proposed, as it must stay:")
    lines += [
        f"#   {count.events:,} events: {why.value}" for why, count in tally.kept.items() if count.events
    ]
    if tally.unreadable:
        lines.append(f"# {tally.unreadable:,} lines were no events.")
    return "\n".join(lines) + "\n"


def as_data(found: Sequence[Proposal], tally: Tally) -> dict[str, Any]:
    """The same as an object that JSON can hold."""
    return {
        "events": tally.events,
        "bytes": tally.bytes,
        "hours": len(tally.hours),
        "unreadable": tally.unreadable,
        "kept": {why.name.lower(): count.events for why, count in tally.kept.items()},
        "proposals": [
            {
                "rule": one.rule,
                "events": one.events,
                "events_share": one.events / tally.events,
                "bytes": one.bytes,
                "bytes_share": one.bytes / tally.bytes,
                "hours": one.hours,
                "keys": list(one.keys),
                "examples": list(one.examples),
            }
            for one in found
        ],
    }


def _habit(one: Candidate, count: Count, tally: Tally) -> bool:
    """Whether it came again and again, always the same."""
    if one.record_type:
        return one.record_type not in tally.failed_types
    varied = len(count.details) > MOST_VARIED and not one.place
    return len(count.hours) >= min(LEAST_HOURS, max(len(tally.hours), 2)) and not varied


def _lines(log: LogReader) -> Iterator[bytes]:
    """The log's events as JSON lines, whatever it holds."""
    decoder: Decoder | None = None
    rest = b""
    first = True
    for chunk in log.chunks():
        if first:
            decoder = None if chunk.lstrip()[:1] == b"{" else Decoder()
            first = False
        text = rest + (chunk if decoder is None else decoder.feed(chunk))
        if decoder is not None:
            decoder.unreadable()
        lines = text.split(b"\n")
        rest = lines.pop()
        if len(rest) > _MAX_LINE:
            message = f"{log.name}: a line is longer than {_MAX_LINE} bytes: this is no log"
            raise TsauditdError(message)
        yield from lines
    if decoder is not None:
        rest += decoder.end_file() + decoder.finish()
    yield from rest.split(b"\n")


def _count(line: bytes, tally: Tally) -> None:
    if not line.strip():
        return
    try:
        event = orjson.loads(line)
        hour = _hour(event["@timestamp"])
        seen = candidate(event)
        keys = [str(tag) for tag in event.get("tags", [])]
        kind = str(event.get("auditd", {}).get("message_type", "")).upper()
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        tally.unreadable += 1
        return
    if seen is Kept.FAILURE:
        tally.failed_types.add(kind)
    tally.add(seen, len(line) + 1, hour, keys)


def _hour(timestamp: str) -> int:
    if not _HOUR.match(timestamp):
        raise ValueError(timestamp)
    return int(datetime.fromisoformat(timestamp[:13] + ":00").replace(tzinfo=UTC).timestamp()) // 3600


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"
