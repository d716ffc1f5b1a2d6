"""The daemon: takes the kernel's records, hands the events on, and puts everything back when it ends."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import uvloop

from tsauditd import privileges
from tsauditd.attachment import NotReceiving, attach
from tsauditd.config import Config
from tsauditd.errors import NoAudit, NotPrivileged, TsauditdError, UsageError
from tsauditd.event import Listener, ListenerCounters, listener_counters
from tsauditd.kernel.rules.drift import Drift, drift_document
from tsauditd.kernel.standing import Notice, notice_document
from tsauditd.outputs import Outputs
from tsauditd.own import OwnRecords
from tsauditd.pipeline import Losses, Origin, Pipeline
from tsauditd.plugin import PluginInput
from tsauditd.service import Service
from tsauditd.servicemanager import ServiceManager
from tsauditd.sinks import Actions, Commands
from tsauditd.watching import Watching, hand_on

_TICK = 1.0
"""Seconds between two looks at how things stand."""

_TICKS_AT_REST = 5
"""Ticks between two looks at the kernel's rules, and at its status while nothing comes: it loses what there is no room
for, and that goes on its way to here. Each answer costs a wake-up."""

_HELD = 0.002
"""Seconds between two looks whether an output that holds reading back has room again."""

_TOGETHER = 0.1
"""Seconds in which the events of sessions are gathered before they are kept in the journal; each tick works on them."""

_PATIENCE = 2.0
"""Seconds that a slow reader gets at the end to take what waits for it."""


_END = (signal.SIGINT, signal.SIGTERM)


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

    def lost(self) -> int:
        """Records that the kernel has lost since the source was opened."""

    def notices(self) -> list[Notice]:
        """What has come to be otherwise with the hold on the kernel's audit, by the last look at `lost`."""

    def drift(self) -> Drift | None:
        """How the kernel's rules differ from those that were loaded, when that is new."""

    def quieten(self) -> None:
        """Puts rules and the enabled flag back, so that no more events arise, and waits for the kernel's queue."""

    def close(self) -> None:
        """Puts back the rest and gives back the socket. May be called without `quieten`."""


def run_daemon(load: Callable[[], Config], say: Callable[[str], None], *, plugin: bool = False) -> int:
    """Runs until SIGINT or SIGTERM, or until nobody reads the output any more; returns the exit code.

    `load` gives the configuration, now and at each SIGHUP; `say` tells a line on standard error, from any thread.
    `plugin`: auditd writes the records to standard input, and the end of that is the end.
    Raises NotPrivileged, NoAudit, BadConfiguration or another TsauditdError when it cannot begin, OSError when an
    output cannot be opened.
    """
    _fill_standard_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(load, say, plugin=plugin))


def _fill_standard_descriptors() -> None:
    """Puts /dev/null where the caller has closed 0, 1 or 2: else the audit socket could come to be standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


async def _run(load: Callable[[], Config], say: Callable[[str], None], *, plugin: bool) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    # From here on a signal waits for the loop: nothing can end the process between changing the kernel's state and
    # being ready to put it back.
    for number in (*_END, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, stop.set)
    config = load()
    actions = Actions(Commands(config.daemon.single_command, config.daemon.halt_command), say)
    outputs = Outputs(config.output, loop, actions)
    origin = this_host()
    pipeline = Pipeline(outputs.sinks, origin, say=say, wall=time.time)
    summary: Summary | None = None
    try:
        try:
            source = PluginInput(config.kernel, say) if plugin else attach(config.kernel, say)
        except (NotPrivileged, NoAudit, UsageError):
            raise
        except TsauditdError as error:
            operation = "set-pid" if isinstance(error, NotReceiving) else "load-rules"
            pipeline.deliver_own(OwnRecords(time.time).abort(operation))
            raise
        try:
            for line in privileges.lost():
                say(line)
            watch = privileges.SocketsWatch(say)
            watching = Watching(pipeline, origin, say=say, later=partial(loop.call_later, _TOGETHER))
            watching.change(config)
            listener = listen(source, config, origin)
            service = Service(
                source,
                listener,
                pipeline,
                outputs,
                config,
                watching=watching,
                actions=actions,
                load=load,
                say=say,
            )
            try:
                await service.begin()
                for number, react in (
                    (signal.SIGHUP, service.reload),
                    (signal.SIGUSR1, service.rotate),
                    (signal.SIGUSR2, service.resume),
                    (signal.SIGCONT, service.write_state),
                ):
                    loop.add_signal_handler(number, react)
                for number in _END:
                    loop.add_signal_handler(number, service.ask_end, stop)
                summary = await serve(source, pipeline, listener, stop, service.end, watching, watch)
            finally:
                service.close()
        finally:
            source.close()
    finally:
        pipeline.close(_PATIENCE)
        if summary is not None:
            # Lines that a slow reader has left behind are known only now.
            say(str(dataclasses.replace(summary, losses=pipeline.losses)))
    return 0


def this_host() -> Origin:
    """The host's name, its id (machine-id(5)) and this boot's id, as ECS names them; what is not there is left out."""
    return Origin(
        socket.gethostname() or None, _content("/etc/machine-id"), _content("/proc/sys/kernel/random/boot_id")
    )


def _content(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


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


def listen(source: Source, config: Config, origin: Origin) -> Listener:
    """The listener on the source's socket, not yet started. Raises OSError."""
    return Listener(
        source.fd,
        early=source.early,
        netlink=source.netlink,
        lines=source.lines,
        original=config.events.original,
        raw=config.raw_format,
        host_name=origin.host_name,
        host_id=origin.host_id,
        boot_id=origin.boot_id,
        max_argument_bytes=config.events.max_argument_bytes,
        context=config.events.context,
        timelines=bool(config.sessions),
    )


async def serve(
    source: Source,
    pipeline: Pipeline,
    listener: Listener,
    stop: asyncio.Event,
    last: Callable[[], None],
    watching: Watching | None = None,
    watch: privileges.SocketsWatch | None = None,
) -> Summary:
    """Delivers the source's events until `stop` is set, then everything that is still on its way.

    `last` is called when the kernel has given its last record. CPU is the whole process's, user and system
    (CLOCK_PROCESS_CPUTIME_ID: the scheduler's own account of all threads), from here to the last event.
    """
    loop = asyncio.get_running_loop()
    began = time.process_time_ns()

    def batch() -> None:
        hand_on(listener, pipeline, watching.sessions if watching is not None else None)
        if pipeline.finished:
            stop.set()

    def raw_batch() -> None:
        if lines := listener.take_raw():
            pipeline.deliver_raw(lines)

    held = False

    def open_doors() -> None:
        """Takes what comes, but nothing while an output that drops nothing has no room.

        Then the listener's thread stops, and the kernel's queue holds what comes.
        """
        if stop.is_set():
            return
        if pipeline.holding:
            nonlocal held
            held = True
            listener.narrow(True)
            loop.call_later(_HELD, open_doors)
        else:
            loop.add_reader(listener.fileno(), react, batch)
            loop.add_reader(listener.raw_fileno(), react, raw_batch)

    def close_doors() -> None:
        loop.remove_reader(listener.fileno())
        loop.remove_reader(listener.raw_fileno())

    def react(take: Callable[[], None]) -> None:
        take()
        if pipeline.holding:
            close_doors()
            open_doors()

    lost, seen = 0, -1

    def tell(*, at_rest: bool = True) -> None:
        """`at_rest`: the kernel is asked also when nothing has come."""
        nonlocal lost, seen, held
        if not held:
            listener.narrow(False)
        held = pipeline.holding
        counters = listener_counters(listener)
        before = pipeline.losses
        if at_rest or counters["packets"] != seen:
            lost = source.lost()
        seen = counters["packets"]
        if found := listener.unreadable():
            pipeline.note_unreadable(found)
        pipeline.tell(
            lost,
            counters["overruns"],
            counters["gaps"],
            raw_cut=counters["raw_cut"],
            unreadable=counters["unreadable"],
        )
        if watching is not None and (sessions := watching.sessions) is not None:
            if new := dataclasses.replace(pipeline.losses - before, dropped=0, cut=0, uncertain=0):
                sessions.lost(new.sentence, new.kernel + new.overrun + new.gap)
            sessions.tick()
        if watch is not None:
            watch.look(counters["looks_off"])
        if counters["ended"] or pipeline.finished:
            stop.set()

    def look() -> None:
        for notice in source.notices():
            pipeline.tell_notice(notice.sentence, notice_document(notice), notice.action, good=notice.good)

    manager = ServiceManager()
    listener.start()
    open_doors()
    ticks = 0
    manager.ready("reading the kernel's audit records")
    try:
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), _TICK)
            except TimeoutError:
                ticks += 1
                due = ticks % _TICKS_AT_REST == 0
                tell(at_rest=due)
                look()
                manager.alive()
                if due and (drift := source.drift()) is not None:
                    pipeline.tell_rules(drift.sentence, drift_document(drift))
    finally:
        manager.stopping()
        close_doors()
        # Room for what the kernel still has, also while an output holds.
        batch()
        raw_batch()
        with contextlib.suppress(TsauditdError):  # close() tries again, and tells
            source.quieten()
        last()
        listener.stop()
    batch()
    raw_batch()
    tell()
    if watching is not None:
        watching.close()
    return Summary(listener_counters(listener), pipeline.losses, time.process_time_ns() - began)
