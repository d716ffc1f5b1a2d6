"""The typed face of the compiled core, and what a sink must offer.

The only module that imports `tsauditd._core`; everything else imports from here.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypedDict, cast

from tsauditd._core import (
    Decoder,
    Listener,
    SyslogFormat,
    give_memory_back,
    record_type_name,
    record_type_number,
    send_datagrams,
    syscall_name,
    syscall_number,
)
from tsauditd._core import __version__ as VERSION  # noqa: N812 - a constant by nature

__all__ = [
    "VERSION",
    "Decoder",
    "DecoderCounters",
    "Lines",
    "Listener",
    "ListenerCounters",
    "Sink",
    "SinkHealth",
    "SyslogFormat",
    "decoder_counters",
    "give_memory_back",
    "listener_counters",
    "record_type_name",
    "record_type_number",
    "send_datagrams",
    "syscall_name",
    "syscall_number",
]


Lines: TypeAlias = bytes | memoryview
"""Whole lines, which nobody changes; several may have them at once."""


class DecoderCounters(TypedDict):
    """What a Decoder has counted since it was made; `gaps` are serials never seen."""

    lines: int
    records: int
    events: int
    unreadable: int
    incomplete: int
    late: int
    gaps: int


class ListenerCounters(TypedDict):
    """What a Listener has counted since it was made; see the stub for the meaning of each."""

    packets: int
    records: int
    events: int
    overruns: int
    rejected: int
    truncated: int
    control: int
    unreadable: int
    incomplete: int
    late: int
    gaps: int
    stalls: int
    wakeups: int
    pauses: int
    receives: int
    bytes_in: int
    bytes_out: int
    raw_cut: int
    ends_event: int
    ends_listener: int
    ends_trace: int
    ends_pidfd: int
    ends_destroyed: int
    ends_unknown: int
    accepts: int
    accepts_known: int
    connects: int
    connects_known: int
    looks: int
    looks_off: int
    trace_off: int
    doubts: int
    ended: int
    cpu_ns: int


def decoder_counters(decoder: Decoder) -> DecoderCounters:
    """The decoder's counters, typed."""
    return cast("DecoderCounters", decoder.counters())


def listener_counters(listener: Listener) -> ListenerCounters:
    """The listener's counters, typed."""
    return cast("ListenerCounters", listener.counters())


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """How a sink does: bytes written, bytes waiting, events dropped for want of room, and the last error's text.

    cut: lines that were shortened. uncertain: lines that went out with a connection that then broke. held: how often
    reading had to wait for its queue to have room again.
    """

    written: int
    waiting: int
    dropped: int
    error: str | None
    cut: int = 0
    uncertain: int = 0
    held: int = 0


class Sink(Protocol):
    """Where lines go. Takes the bytes that all sinks share; never blocks the loop, never raises."""

    @property
    def takes(self) -> str:
        """Which lines: `events`, `sessions` (JSON), `all` of both, or `records` (as auditd writes them)."""

    @property
    def name(self) -> str:
        """What messages call it, a path or `standard output`."""

    @property
    def room(self) -> int:
        """How many bytes it would take now without dropping any."""

    @property
    def holding(self) -> bool:
        """Whether nothing more is to be read for now: its queue is full, and it drops nothing."""

    def write(self, lines: Lines) -> None:
        """Takes whole lines. What there is no room for is dropped, the newest first, and counted."""

    def health(self) -> SinkHealth:
        """How it does."""

    @property
    def closed(self) -> bool:
        """Whether its reader has gone for good: nothing that is written will arrive."""

    def close(self, patience: float) -> None:
        """Writes out what waits, for at most so many seconds, then lets go of what it opened."""
