"""A sink that writes to a file descriptor through a bounded queue."""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from tsauditd.event import Lines, SinkHealth


class Loop(Protocol):
    """What a sink needs of the event loop: to be called when its descriptor takes more."""

    def add_writer(self, fd: int, callback: Callable[[], None], /) -> None:
        """Calls `callback` whenever `fd` can be written to."""

    def remove_writer(self, fd: int, /) -> bool:
        """Stops that."""


class DescriptorSink:
    """Writes at once what the descriptor takes and queues the rest; a full queue drops the newest, counted.

    An error that may pass (a full disk) keeps the queue and is tried again with the next lines or `retry()`; a line
    is never cut by it. A reader that has gone closes the sink for good.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        loop: Loop,
        queue_bytes: int,
        *,
        release: Callable[[], None],
        send: Callable[[int, memoryview], int] = os.write,
    ) -> None:
        """`fd` must not block in `send`, which is `os.write` or works like it; `release` gives it back."""
        self._name = name
        self._fd = fd
        self._loop = loop
        self._limit = queue_bytes
        self._release = release
        self._send = send
        self._queue: deque[memoryview] = deque()
        self._waiting = 0
        self._written = 0
        self._dropped = 0
        self._error: str | None = None
        self._watching = False
        self._closed = False

    takes = "events"
    holding = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    @property
    def room(self) -> int:
        """How many bytes it would take now without dropping any."""
        return 0 if self._closed else self._limit - self._waiting

    @property
    def closed(self) -> bool:
        """Whether its reader has gone for good."""
        return self._closed

    def health(self) -> SinkHealth:
        """How it does. Looks whether its reader has gone, which is seen in no other way while there are no lines."""
        if not self._closed and self._gone():
            self._end()
        return SinkHealth(self._written, self._waiting, self._dropped, self._error)

    def write(self, lines: Lines) -> None:
        """Takes whole JSON lines. What there is no room for is dropped, the newest first, and counted."""
        if self._closed:
            return
        self._put(memoryview(lines))
        if not self._watching:
            self.retry()
        if self._waiting > self._limit:
            self._drop_newest()

    def retry(self) -> None:
        """Sends what waits, as far as the descriptor takes it now."""
        try:
            while self._queue:
                sent = self._send(self._fd, self._queue[0])
                self._error = None
                self._written += sent
                self._waiting -= sent
                if sent == len(self._queue[0]):
                    self._queue.popleft()
                else:
                    self._queue[0] = self._queue[0][sent:]
        except BlockingIOError:
            if not self._watching:
                self._watching = True
                self._loop.add_writer(self._fd, self.retry)
            return
        except (BrokenPipeError, ConnectionResetError):
            self._end()
        except OSError as error:
            self._error = error.strerror or str(error)
        self._unwatch()

    def close(self, patience: float) -> None:
        """Writes out what waits, for at most `patience` seconds; what is left then counts as dropped."""
        until = time.monotonic() + patience
        self.retry()
        while self._watching and (left := until - time.monotonic()) > 0:
            select.select([], [self._fd], [], left)
            self.retry()
        self._unwatch()
        self._dropped += sum(bytes(part).count(b"\n") for part in self._queue)
        self._queue.clear()
        self._waiting = 0
        self._closed = True
        self._release()

    def _gone(self) -> bool:
        """Whether it is a pipe, socket or terminal without another end (poll(2): POLLERR, POLLHUP)."""
        look = select.poll()
        look.register(self._fd, 0)
        return any(state & (select.POLLERR | select.POLLHUP) for _, state in look.poll(0))

    def _end(self) -> None:
        self._closed = True
        self._queue.clear()
        self._waiting = 0
        self._unwatch()

    def _put(self, lines: memoryview) -> None:
        self._queue.append(lines)
        self._waiting += len(lines)

    def _drop_newest(self) -> None:
        newest = bytes(self._queue.pop())
        self._waiting -= len(newest)
        keep = newest.rfind(b"\n", 0, max(self._limit - self._waiting, 0)) + 1
        if not self._queue:
            # Its first line may be half written: the rest of that line stays, whatever the bound.
            keep = max(keep, newest.find(b"\n") + 1)
        self._dropped += newest.count(b"\n", keep)
        if keep:
            self._put(memoryview(newest)[:keep])

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._fd)
