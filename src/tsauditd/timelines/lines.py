"""Sessions from the core's batches: lines, and where in them those stand that a session needs."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from tsauditd.timelines.tracker import Timelines

_TICK_MS = 60_000


class LoggedTimelines:
    """Timelines of a log: the log's own times are the clock, and what it says is all that is known of the host."""

    def __init__(self, take: Callable[[dict[str, Any]], object]) -> None:
        """`take` gets each object."""
        self.timelines = Timelines(take)
        self._ticked = 0
        self._gaps = 0

    def batch(self, lines: bytes, spans: Iterable[tuple[int, int]], gaps: int) -> None:
        """Takes what a Decoder has returned: lines, its `timeline_spans`, and its count of serials never seen."""
        push_lines(self.timelines, lines, spans)
        if new := gaps - self._gaps:
            self._gaps = gaps
            self.timelines.lost(f"{new} serials never seen", self.timelines.now, new, about=True)
        self.tick()

    def event(self, event: dict[str, Any]) -> None:
        """Takes one event, already read."""
        self.timelines.push(event)

    def tick(self) -> None:
        """Ends what the log's time says is over."""
        if self.timelines.now - self._ticked >= _TICK_MS:
            self._ticked = self.timelines.now
            self.timelines.tick(self._ticked)

    def finish(self) -> None:
        """The end of the log."""
        self.timelines.finish(ended=True)


def push_lines(timelines: Timelines, lines: bytes, spans: Iterable[tuple[int, int]]) -> None:
    """Gives timelines those lines of a batch that stand in `spans`."""
    loads, push = orjson.loads, timelines.push
    for start, end in spans:
        for line in lines[start:end].splitlines():
            push(loads(line))
