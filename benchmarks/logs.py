"""The logs that the benchmark of convert has read: their kinds, what is known of them, and how they are made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from busy import BUILD, WEB, write_busy
from multiply import captures, write_log
from storm import write_storm

WINDOW_MS = 2000
"""How long ausearch keeps an event open (auditd.conf(5), end_of_event_timeout)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of log."""

    name: str
    """What the table calls it."""

    why: str
    """What its ratio comes of."""

    options: tuple[str, ...] = ()
    """Ours names users only when asked, ausearch -i always: with these both do the same work."""

    short_for_ausearch: bool = False
    """Whether ausearch gets a smaller log."""

    runs: int = 1
    """Runs of ours in a round: more where one is short."""

    judged: bool = False
    """Whether the aim is held to it."""


KINDS = {
    "web": Kind(
        "web server",
        "ausearch looks through thousands of open events for each record",
        runs=5,
        judged=True,
    ),
    "build": Kind("build", "as the web server, with more different records", runs=5, judged=True),
    "storm": Kind(
        "open() storm", "as the web server; as dense as one program can make a log", runs=5, judged=True
    ),
    "raw": Kind(
        "made, sparse raw",
        "ausearch has few events open at a time and finds every user: its best case",
        ("--resolve",),
        judged=True,
    ),
    "enriched": Kind("made, sparse enriched", "as above, and the log has the names with it", judged=True),
    "foreign": Kind(
        "made, foreign",
        "ausearch asks the system for an unknown user again and again: this measures nsswitch, not reading",
        ("--resolve",),
        short_for_ausearch=True,
    ),
}
"""First those that auditd itself writes here: whether audit can be borrowed shows at once."""

_BUSY = {"web": WEB, "build": BUILD}

_STAMP = re.compile(rb"^(?:node=\S+ )?type=\S+ msg=audit\((\d+)\.(\d+):(\d+)\)")


@dataclass(frozen=True, slots=True)
class Log:
    """A log on disk: the serials of its events, and how many events the densest WINDOW_MS of it have."""

    path: Path
    bytes: int
    serials: AbstractSet[int]
    densest: int

    @classmethod
    def of(cls, path: Path) -> Log:
        """The log in a file, by its own stamps."""
        first: dict[int, int] = {}
        with path.open("rb") as lines:
            for line in lines:
                if found := _STAMP.match(line):
                    first.setdefault(int(found[3]), int(found[1]) * 1000 + int(found[2]))
        return cls(path, path.stat().st_size, first.keys(), densest(sorted(first.values())))


def make_logs(word: str, directory: Path, size: int, ausearch_size: int) -> list[Log]:
    """The log that both read, and where ausearch gets a smaller one also the long one for ours. Sizes in MB.

    Raises TsauditdError when a log that auditd is to write cannot be had.
    """
    path = directory / "audit.log"
    if word in _BUSY:
        write_busy(_BUSY[word], path, directory)
        return [Log.of(path)]
    if word == "storm":
        write_storm(path, directory)
        return [Log.of(path)]
    sources = captures(word)
    sizes = [size]
    if KINDS[word].short_for_ausearch and ausearch_size < size:
        sizes.insert(0, ausearch_size)
    logs = []
    for megabytes in sizes:
        path = directory / f"{megabytes}.log"
        write_log(path, sources, megabytes * 1_000_000)
        logs.append(Log.of(path))
    return logs


def densest(times: Sequence[int]) -> int:
    """The most of these times, sorted and in milliseconds, that lie within WINDOW_MS."""
    most = first = 0
    for last, when in enumerate(times):
        while when - times[first] >= WINDOW_MS:
            first += 1
        most = max(most, last - first + 1)
    return most
