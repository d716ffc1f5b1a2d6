"""A bounded queue and the thread that empties it: a writer may block, and nobody but its own queue waits."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

from tsauditd.event import Lines, SinkHealth
from tsauditd.sinks.packed import PIECE_BYTES, Packed, packed, parts
from tsauditd.sinks.writer import Writer

_TICK = 1.0
"""Seconds between two calls of a writer's `tick` while lines come."""

_FLOW_BYTES = 16 << 10
"""So many bytes in one write are part of a flow that goes on."""

_LINGER = 0.025
"""Seconds that the lines of a flow wait for others to be written with."""

_LEAST_PACKED = 16 << 10
"""Fewer bytes are not packed to make room for others."""

_MOST_GATHERED = 4 << 20
"""Bytes that a writer is given at once, at most, unless one batch has more."""

_LAST_PAUSE = 30.0
"""Seconds: the longest pause before what failed is tried again."""


class QueueSink:
    """A sink whose writer has a thread of its own. What a full queue drops is counted; order is kept.

    `when_full`: `drop-newest`, `drop-oldest`, or `wait`: then it asks for reading to be held back (`holding`), and
    drops only while its writer fails or is suspended, since waiting for that could last for ever.
    Bounds: `queue_bytes` as they are kept, and one batch more when the queue was empty or waits; a batch of a flow may
    hold a third more than it has (Listener.take).
    """

    def __init__(
        self, writer: Writer, queue_bytes: int, *, takes: str = "events", when_full: str = "drop-newest"
    ) -> None:
        self.takes = takes
        self.writer = writer
        self._limit = queue_bytes
        self._when_full = when_full
        self._held = 0
        self._full = False
        self._changed = threading.Condition()
        self._queue: deque[Lines | Packed | Callable[[], None]] = deque()
        self._urgent: deque[Callable[[], None]] = deque()
        self._waiting = 0
        """Bytes of what waits, as it is kept."""
        self._loose = 0
        """At least so many of those stand at the queue's end as they came; 0 where nothing is to be packed."""
        self._written = 0
        self._dropped = 0
        self._error: str | None = None
        self._tick_error: str | None = None
        self._ticked = time.monotonic()
        self._tick_at = self._ticked + _TICK
        self._tick_pause = writer.pause
        self._closed = False
        self._ending = False
        self._hurry = False
        self._current: Lines = b""
        self._at = 0
        self._flows_until = 0.0
        self._lingers = False
        # Not waited for at the end of the process: a disk that hangs must not hold it.
        self._thread = threading.Thread(target=self._run, name=f"sink {writer.name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.writer.name

    @property
    def room(self) -> int:
        """How many bytes it would take now without dropping any."""
        return 0 if self._closed else self._limit - self._waiting

    @property
    def holding(self) -> bool:
        """Whether nothing more is to be read for now: the queue is full, and what is there is being written."""
        return self._waiting > self._limit and self._waits()

    @property
    def closed(self) -> bool:
        """Whether its reader has gone for good."""
        return self._closed

    def health(self) -> SinkHealth:
        """How it does."""
        with self._changed:
            error = self._error or self._tick_error or self.writer.state
            return SinkHealth(
                written=self._written,
                waiting=self._waiting,
                dropped=self._dropped,
                error=error,
                cut=self.writer.cut,
                uncertain=self.writer.uncertain,
                held=self._held,
            )

    def write(self, lines: Lines) -> None:
        """Takes whole lines. What there is no room for is dropped, by the queue's policy, and counted."""
        with self._changed:
            if self._closed or not lines:
                return
            for part in parts(bytes(lines)) if self.writer.packs else (lines,):
                self._add(part)
            if self._waiting > self._limit and not self._full and self._waits():
                self._full = True
                self._held += 1
            if self._full or not self._lingers or self._waiting >= self.writer.gathers:
                self._changed.notify()

    def order(self, action: Callable[[], None], *, urgent: bool = False) -> None:
        """Has `action` run in the thread after what was written so far; `urgent`: at once, also amid a pause."""
        with self._changed:
            self._tick_soon()
            if urgent:
                self._urgent.append(action)
                self._hurry = True
            else:
                self._queue.append(action)
                self._loose = 0
            self._changed.notify()

    def resize(self, queue_bytes: int, *, when_full: str) -> None:
        """Changes the bound and the policy."""
        with self._changed:
            self._limit, self._when_full = queue_bytes, when_full

    def close(self, patience: float) -> None:
        """Writes out what waits, for at most `patience` seconds; what is left then counts as dropped.

        A writer that hangs is told to give up, so that its thread ends; one that cannot (a disk) keeps it until then.
        """
        with self._changed:
            self._ending = self._hurry = True
            self._changed.notify()
        self._thread.join(patience)
        with self._changed:
            self._closed = True
            self._dropped += _count(self._current[self._at :])
            self._dropped += sum(_count(each) for each in self._queue if not callable(each))
            self._queue.clear()
            self._waiting = 0
            self._changed.notify()
        if self._thread.is_alive():
            self.writer.abandon()

    def _waits(self) -> bool:
        """Whether a full queue is to wait now: its writer neither fails nor is suspended."""
        return self._when_full == "wait" and not (self._closed or self._error or self.writer.state)

    def _add(self, lines: Lines) -> None:
        if self._waiting and self._waiting + len(lines) > self._limit and not self._waits():
            lines = self._fit(bytes(lines))
            if not lines:
                return
        self._queue.append(lines)
        self._waiting += len(lines)
        if self.writer.packs:
            self._loose += len(lines)
            if self._loose >= PIECE_BYTES:
                self._pack()

    def _pack(self) -> None:
        """Packs what stands at the queue's end as it came."""
        loose: list[bytes] = []
        while self._queue and isinstance(last := self._queue[-1], bytes):
            loose.append(last)
            self._queue.pop()
        piece = packed(loose[::-1])
        self._queue.append(piece)
        self._waiting += len(piece.data) - piece.size
        self._loose = 0

    def _fit(self, lines: bytes) -> bytes:
        """Makes room by the policy; returns what of `lines` is to be kept."""
        if self._loose >= _LEAST_PACKED:
            self._pack()
        if self._when_full == "drop-oldest":
            orders: list[Callable[[], None]] = []
            while self._queue and self._waiting + len(lines) > self._limit:
                oldest = self._queue.popleft()
                if callable(oldest):
                    orders.append(oldest)
                else:
                    self._waiting -= _kept(oldest)
                    self._dropped += _count(oldest)
                    self._left(oldest)
            self._queue.extendleft(reversed(orders))
        keep = lines.rfind(b"\n", 0, max(self._limit - self._waiting, 0)) + 1
        if keep < len(lines):
            self._dropped += lines.count(b"\n", keep)
        return lines[:keep]

    def _run(self) -> None:
        pause = self.writer.pause
        while (action := self._next()) is not None:
            try:
                action()
            except BrokenPipeError:
                self._gone()
                break
            except OSError as error:
                with self._changed:
                    self._error = error.strerror or str(error)
                    self._tick_soon()
                    if self._ending:
                        break
                    until = time.monotonic() + pause
                    while not self._hurry and (left := until - time.monotonic()) > 0:
                        self._changed.wait(left)
                    self._hurry = False
                pause = min(pause * 2, _LAST_PAUSE) if self.writer.backs_off else pause
            else:
                pause = self.writer.pause
        with contextlib.suppress(OSError):  # a disk that fails, also at the end
            self.writer.close()

    def _next(self) -> Callable[[], None] | None:
        """What to do now; None at the end."""
        with self._changed:
            while not self._closed:
                if self._urgent:
                    return self._urgent.popleft()
                if time.monotonic() >= self._tick_at:
                    return self._tick
                if self._at < len(self._current):
                    if not self.writer.state:
                        return self._put
                elif self._queue:
                    if (left := self._linger()) > 0:
                        self._lingers = True
                        self._changed.wait(left)
                        self._lingers = False
                        continue
                    first = self._queue.popleft()
                    if callable(first):
                        return first
                    self._current, self._at = self._gather(self._unpacked(first)), 0
                    continue
                if self._ending:
                    return None
                self._hurry = False
                self._changed.wait(max(self._tick_at - time.monotonic(), 0))
        return None

    def _linger(self) -> float:
        """Seconds that the lines at the head of the queue may wait for more."""
        enough = self._hurry or self._full or self._waiting >= self.writer.gathers
        if enough or callable(self._queue[0]):
            return 0.0
        return self._flows_until - time.monotonic()

    def _unpacked(self, first: Lines | Packed) -> Lines:
        """The lines from the head of the queue as they came."""
        self._left(first)
        if not isinstance(first, Packed):
            return first
        self._waiting += first.size - len(first.data)
        return first.lines()

    def _left(self, head: Lines | Packed) -> None:
        """Notes that these lines have left the head of the queue."""
        if not isinstance(head, Packed):
            self._loose = max(self._loose - len(head), 0)

    def _gather(self, first: Lines) -> Lines:
        """The lines that came with the first, as many as are best written at once. Enough is not copied for more."""
        if not self.writer.gathers:
            return first
        parts, size = [first], len(first)
        most = size
        if size < self.writer.gathers:
            most = min(max(self.writer.gathers, self._waiting // 2), _MOST_GATHERED)
        while self._queue and size < most and isinstance(each := self._queue[0], Lines):
            self._queue.popleft()
            parts.append(each)
            size += len(each)
        if size >= _FLOW_BYTES:
            self._flows_until = time.monotonic() + _LINGER
        return b"".join(parts) if len(parts) > 1 else first

    def _tick(self) -> None:
        """What the clock asks for. A failure is tried again later, and lines go on meanwhile."""
        error = None
        pause = _TICK
        try:
            pause = self.writer.tick()
        except OSError as failure:
            error = failure.strerror or str(failure)
            self._tick_pause = (
                min(self._tick_pause * 2, _LAST_PAUSE) if self.writer.backs_off else self._tick_pause
            )
        else:
            self._tick_pause = self.writer.pause
        with self._changed:
            self._tick_error = error
            self._ticked = time.monotonic()
            self._tick_at = self._ticked + (max(self._tick_pause, _TICK) if error else pause)

    def _tick_soon(self) -> None:
        """Something has happened: the clock's work is looked at a second after the last time."""
        if self._tick_error is None:
            self._tick_at = min(self._tick_at, self._ticked + _TICK)

    def _put(self) -> None:
        at = self.writer.write(self._current, self._at)
        with self._changed:
            if self._closed:  # too late: it is counted as dropped
                return
            self._written += at - self._at
            self._waiting -= at - self._at
            # Counted as one time until half of it is free.
            self._full = self._full and self._waiting > self._limit // 2
            self._at = at
            self._error = None
            self._tick_soon()
            if at == len(self._current):
                self._current, self._at = b"", 0

    def _gone(self) -> None:
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._current, self._at, self._waiting = b"", 0, 0


def _kept(waits: Lines | Packed) -> int:
    """Bytes that it takes."""
    return len(waits.data if isinstance(waits, Packed) else waits)


def _count(waits: Lines | Packed) -> int:
    """Lines that it has."""
    return (waits.lines() if isinstance(waits, Packed) else bytes(waits)).count(b"\n")
