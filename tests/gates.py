"""A writer of a queue that tests hold back."""

import threading

from tsauditd.event import Lines

PATIENCE = 60.0


class Gate:
    """A writer that writes only while its gate is open."""

    name = "gate"
    pause = 0.001
    backs_off = True
    gathers = 0
    packs = False
    state: str | None = None
    cut = 0
    uncertain = 0

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.errors: list[OSError] = []
        self.got = b""
        self.pieces: list[int] = []
        self.piece = 1 << 20
        self.closed = threading.Event()

    def write(self, lines: Lines, start: int) -> int:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        if self.errors:
            raise self.errors.pop()
        self.pieces.append(len(lines) - start)
        part = lines[start : start + self.piece]
        self.got += part
        return start + len(part)

    def tick(self) -> float:
        return 1.0

    def close(self) -> None:
        self.closed.set()

    def abandon(self) -> None:
        self.errors.append(TimeoutError())
        self.open.set()
