"""What a bounded queue with a thread asks of the one who writes its lines."""

from typing import Protocol

from tsauditd.event import Lines


class Writer(Protocol):
    """What the thread calls, and nobody else: may block, raises OSError."""

    name: str
    """What messages call it."""

    pause: float
    """Seconds before a failed write is tried again; doubled with each failure up to 30 s where `backs_off`."""

    backs_off: bool

    gathers: int
    """Bytes of a flow that it is best given at once; 0: a batch each time. Far more come when it does not keep up."""

    packs: bool
    """Whether lines that wait for it are compressed: then it is given a piece of some 256 KiB at once, or less."""

    def write(self, lines: Lines, start: int) -> int:
        """Writes whole lines from byte `start` on, as many as go; returns the first byte not written.

        Raises OSError; BrokenPipeError: the reader has gone for good.
        """

    cut: int
    """Lines that were shortened: too long for where they go."""

    uncertain: int
    """Lines of which nobody knows whether they arrived; what is written is not counted back for them."""

    def tick(self) -> float:
        """What the clock asks for. A failure holds no line up; it is told as well.

        Called about once a second while lines come. Returns in how many seconds it is to be called while none do.
        """

    def close(self) -> None:
        """Lets go of what was opened."""

    def abandon(self) -> None:
        """From another thread, when patience is over: a `write` that waits is to raise soon, if that is possible."""

    @property
    def state(self) -> str | None:
        """Why nothing is written just now, in words; None when all is well."""
