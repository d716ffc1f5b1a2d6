"""The configured outputs and their sinks: opened together, changed while the daemon runs, rotated, resumed."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tsauditd.config import FileOutput, Output, RawOutput
from tsauditd.event import Sink
from tsauditd.sinks import Actions, Loop, open_sink
from tsauditd.sinks.file import FileWriter, group_id
from tsauditd.sinks.queue import QueueSink


@dataclass(frozen=True, slots=True)
class _Open:
    output: Output
    sink: Sink


class Outputs:
    """What is open. Raises OSError or BadConfiguration when made; then nothing is."""

    def __init__(self, outputs: Sequence[Output], loop: Loop, actions: Actions) -> None:
        self._loop = loop
        self._actions = actions
        self._open: list[_Open] = []
        self._open = self._opened(outputs)

    @property
    def sinks(self) -> list[Sink]:
        """The sinks, in the order of the configuration."""
        return [each.sink for each in self._open]

    def change(self, outputs: Sequence[Output]) -> list[Sink]:
        """Goes on with these outputs; returns the sinks that are no longer wanted, for the caller to close.

        One that stays as it is, or is a file that stays where it is, keeps its queue. Raises OSError or
        BadConfiguration; then nothing has changed.
        """
        for output in outputs:
            if isinstance(output, FileOutput):
                group_id(output.group)
        before = self._open
        self._open = self._opened(outputs)
        for each in self._open:
            old = next((one.output for one in before if one.sink is each.sink), each.output)
            if old != each.output and isinstance(each.output, FileOutput):
                _adapt(each.sink, each.output)
        kept = {id(each.sink) for each in self._open}
        return [each.sink for each in before if id(each.sink) not in kept]

    def rotate(self, done: Callable[[bool], None]) -> None:
        """Has every file rotated after what it was given so far; then calls `done` from a sink's thread.

        True: all went well. Without any file it is called at once, with false.
        """
        files = [sink for each in self._open if (sink := _file(each.sink))]
        if not files:
            done(False)
            return
        lock, results = threading.Lock(), list[bool]()

        def turn(writer: FileWriter) -> None:
            ok = False
            try:
                writer.rotate()
                ok = True
            finally:
                with lock:
                    results.append(ok)
                    last = len(results) == len(files)
                if last:
                    done(all(results))

        for queue, writer in files:
            queue.order(partial(turn, writer))

    def resume(self) -> None:
        """Ends every suspension, and opens every file anew."""
        for each in self._open:
            if found := _file(each.sink):
                sink, writer = found
                sink.order(writer.resume, urgent=True)

    def health(self) -> list[dict[str, Any]]:
        """How each does, as JSON can hold it."""
        return [
            {
                "type": each.output.type,
                "name": each.sink.name,
                "queue_bytes": each.output.queue_bytes,
                "waiting_bytes": (health := each.sink.health()).waiting,
                "written_bytes": health.written,
                "dropped": health.dropped,
                "cut": health.cut,
                "uncertain": health.uncertain,
                "held": health.held,
                "error": health.error,
            }
            for each in self._open
        ]

    def _opened(self, outputs: Sequence[Output]) -> list[_Open]:
        """Sinks for the outputs: those open already where they fit, new ones for the rest."""
        free = list(self._open)
        found: list[_Open] = []
        fresh: list[Sink] = []
        try:
            for output in outputs:
                old = next((each for each in free if _fits(each.output, output)), None)
                if old is not None:
                    free.remove(old)
                    found.append(_Open(output, old.sink))
                else:
                    fresh.append(open_sink(output, self._loop, self._actions))
                    found.append(_Open(output, fresh[-1]))
        except BaseException:
            for sink in fresh:
                sink.close(0)
            raise
        return found


def _fits(old: Output, new: Output) -> bool:
    if isinstance(old, FileOutput) and isinstance(new, FileOutput):
        return old.path == new.path and isinstance(old, RawOutput) == isinstance(new, RawOutput)
    return old == new


def _file(sink: Sink) -> tuple[QueueSink, FileWriter] | None:
    if isinstance(sink, QueueSink) and isinstance(sink.writer, FileWriter):
        return sink, sink.writer
    return None


def _adapt(sink: Sink, output: FileOutput) -> None:
    if found := _file(sink):
        queue, writer = found
        if not isinstance(output, RawOutput):
            queue.takes = output.lines
        queue.resize(output.queue_bytes, when_full=output.when_full)
        queue.order(lambda: writer.change(output), urgent=True)
