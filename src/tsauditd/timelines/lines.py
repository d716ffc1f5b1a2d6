"""Sessions from the core's batches: the lines that sessions need."""

import contextlib
import gc
from collections.abc import Callable, Iterator
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

    def batch(self, lines: bytes, gaps: int) -> None:
        """Takes what a Decoder has: its `timeline`, and its count of serials never seen."""
        push_lines(self.timelines, lines)
        if new := gaps - self._gaps:
            self._gaps = gaps
            self.timelines.lost(
                f"{new} serial{'s' * (new > 1)} never seen", self.timelines.now, new, about=True
            )
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


def push_lines(timelines: Timelines, lines: bytes) -> None:
    """Gives timelines the events of these lines: objects, or pieces, in which the core tells the usual command."""
    loads, push, start = orjson.loads, timelines.push, timelines.start
    with uncollected():
        # Only at "\n", by memchr(3): splitlines() looks at every byte.
        for line in lines.split(b"\n"):
            if line[:1] == b"{":
                push(loads(line))
            elif line:
                start(line.decode().split("\t"))


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's collector: rows are trees, which need none, and it would look through them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
