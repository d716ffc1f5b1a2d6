"""From the listener to the outputs, until the end, and once a second how things stand: losses, the hold on audit."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tsauditd.errors import TsauditdError
from tsauditd.event import Listener, ListenerCounters, give_memory_back, listener_counters
from tsauditd.kernel.rules.drift import Drift, drift_document
from tsauditd.kernel.standing import Notice, notice_document
from tsauditd.pipeline import Losses, Pipeline
from tsauditd.privileges import SocketsWatch
from tsauditd.servicemanager import ServiceManager
from tsauditd.watching import Watching, hand_on

_TICK = 1.0
"""Seconds between two looks at how things stand."""

_TICKS_AT_REST = 5
"""Ticks between two looks at the kernel's rules, and at its status while nothing comes: it loses what there is no room
for, and that goes on its way to here. Each answer costs a wake-up."""

_HELD = 0.002
"""Seconds between two looks whether an output that holds reading back has room again."""

_STORM_BYTES, _REST_BYTES = 16 << 20, 256 << 10
"""After so many bytes of lines the allocator gives back what it has kept of them, once no more than these came in a
tick and nothing waits."""


class Source(Protocol):
    """Where packets come from, and what it takes to leave it as it was found."""

    fd: int
    """The datagram socket, or the stream of lines."""

    lines: bool
    """Whether it is lines that come, as auditd writes them to its plugins."""

    early: list[bytes]
    """Packets that came before there was a listener."""

    netlink: bool
    """Whether the kernel is the only sender to trust; false for a replay."""

    @property
    def connections(self) -> bool:
        """Whether the kernel's rules name the system calls of connections."""

    @property
    def accepts(self) -> bool:
        """Whether they name those that accept connections."""

    @property
    def titles(self) -> bool:
        """Whether by them, as they were last read, every event of a system call has PROCTITLE."""

    def lost(self) -> int:
        """Records that the kernel has lost since the source was opened."""

    def notices(self) -> list[Notice]:
        """What has come to be otherwise with the hold on the kernel's audit, by the last look at `lost`."""

    def drift(self) -> Drift | None:
        """Reads the kernel's rules. How they differ from those that were loaded, when that is new."""

    def quieten(self) -> None:
        """Puts rules and the enabled flag back, so that no more events arise, and waits for the kernel's queue."""

    def close(self) -> None:
        """Puts back the rest and gives back the socket. May be called without `quieten`."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the daemon did between its start and its end."""

    counters: ListenerCounters
    losses: Losses
    cpu_ns: int

    def __str__(self) -> str:
        events = self.counters["events"]
        each = f", {self.cpu_ns / 1000 / events:.1f} µs CPU per event" if events else ""
        losses = self.losses
        lost = f"{losses.kernel} lost"
        for count, what in (
            (losses.overrun, "overruns"),
            (losses.gap, "missing"),
            (losses.dropped, "dropped"),
            (losses.cut, "cut"),
            (losses.unreadable, "unreadable"),
            (losses.uncertain, "perhaps lost with a connection"),
        ):
            lost += f", {count} {what}" if count else ""
        return f"{events} events, {self.counters['records']} records, {lost}{each}"


class Delivery:
    """Gives what the listener has to the pipeline, and looks once a second how things stand."""

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        listener: Listener,
        stop: asyncio.Event,
        watching: Watching | None = None,
        watch: SocketsWatch | None = None,
    ) -> None:
        """`stop` ends it, and is set when the source has ended or nobody reads the output any more."""
        self._source = source
        self._pipeline = pipeline
        self._listener = listener
        self._stop = stop
        self._watching = watching
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._held = False
        """Whether an output has held reading back since the last look."""
        self._lost = 0
        self._packets = -1
        """Packets at the last look."""
        self._bytes = 0
        """Bytes of lines at the last look."""
        self._doubts = 0
        """The listener's count of them at the last look."""
        self._rules = (False, 0)
        """What the listener was told of the rules: whether all have titles, and its count of doubts before."""
        self._given_back = 0
        """The same when memory was last given back."""

    async def run(self, last: Callable[[], None]) -> Summary:
        """Delivers the source's events until `stop` is set, then everything that is still on its way.

        `last` is called when the kernel has given its last record. CPU is the whole process's, user and system
        (CLOCK_PROCESS_CPUTIME_ID: the scheduler's own account of all threads), from here to the last event.
        """
        began = time.process_time_ns()
        manager = ServiceManager()
        self._tell_rules()
        self._listener.start()
        self._open_doors()
        manager.ready("reading the kernel's audit records")
        try:
            await self._until_stop(manager)
        finally:
            manager.stopping()
            self._close_doors()
            # Room for what the kernel still has, also while an output holds.
            self._take_all()
            with contextlib.suppress(TsauditdError):  # close() tries again, and tells
                self._source.quieten()
            last()
            self._listener.stop()
        self._take_all()
        self._tell()
        if self._watching is not None:
            self._watching.close()
        return Summary(
            listener_counters(self._listener), self._pipeline.losses, time.process_time_ns() - began
        )

    async def _until_stop(self, manager: ServiceManager) -> None:
        ticks = 0
        while not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), _TICK)
            except TimeoutError:
                ticks += 1
                due = ticks % _TICKS_AT_REST == 0
                self._tell(at_rest=due)
                self._notice(rules=due)
                manager.alive()

    def _take_all(self) -> None:
        self._batch()
        self._raw_batch()

    def _batch(self) -> None:
        sessions = self._watching.sessions if self._watching is not None else None
        hand_on(self._listener, self._pipeline, sessions)
        if self._pipeline.finished:
            self._stop.set()

    def _raw_batch(self) -> None:
        if lines := self._listener.take_raw():
            self._pipeline.deliver_raw(lines)

    def _open_doors(self) -> None:
        """Takes what comes, but nothing while an output that drops nothing has no room.

        Then the listener's thread stops, and the kernel's queue holds what comes.
        """
        if self._stop.is_set():
            return
        if self._pipeline.holding:
            self._held = True
            self._listener.narrow(True)
            self._loop.call_later(_HELD, self._open_doors)
        else:
            self._loop.add_reader(self._listener.fileno(), self._react, self._batch)
            self._loop.add_reader(self._listener.raw_fileno(), self._react, self._raw_batch)

    def _close_doors(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._loop.remove_reader(self._listener.raw_fileno())

    def _react(self, take: Callable[[], None]) -> None:
        take()
        if self._pipeline.holding:
            self._close_doors()
            self._open_doors()

    def _tell(self, *, at_rest: bool = True) -> None:
        """Tells what was lost. `at_rest`: the kernel is asked also when nothing has come."""
        pipeline = self._pipeline
        if not self._held:
            self._listener.narrow(False)
        self._held = pipeline.holding
        counters = listener_counters(self._listener)
        before = pipeline.losses
        if at_rest or counters["packets"] != self._packets:
            self._lost = self._source.lost()
        self._packets = counters["packets"]
        self._doubts = counters["doubts"]
        if found := self._listener.unreadable():
            pipeline.note_unreadable(found)
        pipeline.tell(
            self._lost,
            counters["overruns"],
            counters["gaps"],
            raw_cut=counters["raw_cut"],
            unreadable=counters["unreadable"],
        )
        if self._watching is not None and (sessions := self._watching.sessions) is not None:
            if new := dataclasses.replace(pipeline.losses - before, dropped=0, cut=0, uncertain=0):
                sessions.lost(new.sentence, new.kernel + new.overrun + new.gap)
            sessions.tick()
        if self._watch is not None:
            self._watch.look(counters["looks_off"])
        self._give_back(counters["bytes_out"])
        if counters["ended"] or pipeline.finished:
            self._stop.set()

    def _give_back(self, total: int) -> None:
        """Gives memory back after a storm. total: bytes of lines so far."""
        came, self._bytes = total - self._bytes, total
        if came <= _REST_BYTES and total - self._given_back >= _STORM_BYTES and self._pipeline.idle:
            give_memory_back()
            self._given_back = total

    def _notice(self, *, rules: bool) -> None:
        """Tells what has come to be otherwise with the hold on the kernel's audit, and with its rules if so wanted."""
        for notice in self._source.notices():
            self._pipeline.tell_notice(
                notice.sentence, notice_document(notice), notice.action, good=notice.good
            )
        if rules:
            if (drift := self._source.drift()) is not None:
                self._pipeline.tell_rules(drift.sentence, drift_document(drift))
            self._tell_rules()

    def _tell_rules(self) -> None:
        """Tells the listener what the rules say of titles, when that or its doubts have changed."""
        rules = (self._source.titles, self._doubts)
        if rules != self._rules:
            self._rules = rules
            self._listener.rules_read(titles=rules[0], doubts=rules[1])
