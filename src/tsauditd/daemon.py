"""The daemon: takes the kernel's records, hands the events on, and puts everything back when it ends."""

import asyncio
import dataclasses
import gc
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvloop

from tsauditd import privileges
from tsauditd.attachment import NotReceiving, attach
from tsauditd.config import Config
from tsauditd.delivery import Delivery, Source, Summary
from tsauditd.errors import NoAudit, NotPrivileged, TsauditdError, UsageError
from tsauditd.event import Listener
from tsauditd.outputs import Outputs
from tsauditd.own import OwnRecords
from tsauditd.pipeline import Origin, Pipeline
from tsauditd.plugin import PluginInput
from tsauditd.service import Service
from tsauditd.sinks import Actions, Commands
from tsauditd.watching import Watching

_TOGETHER = 0.1
"""Seconds in which the events of sessions are gathered before they are kept in the journal; each tick works on them."""

_PATIENCE = 2.0
"""Seconds that a slow reader gets at the end to take what waits for it."""

_END = (signal.SIGINT, signal.SIGTERM)


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
                # What there is by now stays: Python's collector need not look through it again and again.
                gc.collect()
                gc.freeze()
                delivery = Delivery(source, pipeline, listener, stop, watching, watch)
                summary = await delivery.run(service.end)
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
        connections=source.connections,
        accepts=source.accepts,
    )
