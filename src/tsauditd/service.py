"""What the daemon does when it is asked to: reload, rotate, resume, tell how it does; and its records of that."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Protocol

from tsauditd.config import Config
from tsauditd.config import Kernel as KernelConfig
from tsauditd.errors import TsauditdError
from tsauditd.event import VERSION, Listener, Sink, listener_counters
from tsauditd.kernel.registration import SignalInfo
from tsauditd.outputs import Outputs
from tsauditd.own import OwnRecord, OwnRecords, Person, person
from tsauditd.pipeline import Pipeline
from tsauditd.sinks import Actions, Commands
from tsauditd.sinks.file import group_id
from tsauditd.telling import Doors, Rates, flat, metrics, write_private
from tsauditd.watching import Watching, hand_on

_SAMPLE = 10.0
"""Seconds between two samples of the rates."""

_METRICS = 15.0
"""Seconds between two writings of the metrics file."""

_PATIENCE = 5.0
"""Seconds that an output gets that a reload does away with."""


class Kernel(Protocol):
    """What the service asks of the source of the records."""

    @property
    def reading(self) -> str:
        """How it gets the records, in words."""

    @property
    def problems(self) -> Sequence[str]:
        """What is not as it should be with it, a sentence each."""

    def backlog(self) -> tuple[int, int]:
        """Records that wait in the kernel, and how many may."""

    def plan(self, config: KernelConfig, /) -> Callable[[], None]:
        """What makes the kernel's state what the configuration asks for. Raises TsauditdError, as its result does."""

    def sender(self) -> SignalInfo | None:
        """Who sent the last signal, if the kernel knows."""


class Service:
    """The running daemon, for those who ask something of it."""

    def __init__(
        self,
        kernel: Kernel,
        listener: Listener,
        pipeline: Pipeline,
        outputs: Outputs,
        config: Config,
        *,
        watching: Watching,
        actions: Actions,
        load: Callable[[], Config],
        say: Callable[[str], None],
    ) -> None:
        """`load` reads the configuration anew; `say` tells a line on standard error."""
        self._kernel = kernel
        self._listener = listener
        self._pipeline = pipeline
        self._outputs = outputs
        self._config = config
        self._watching = watching
        self._actions = actions
        self._load = load
        self._say = say
        self._own = OwnRecords(time.time)
        self._loop = asyncio.get_running_loop()
        self._doors = Doors(self.health)
        self._rates = Rates()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._began = time.time()
        self._reloads = 0
        self._ended_by = Person()

    async def begin(self) -> None:
        """Writes DAEMON_START and the pid file, and opens the doors. Call it before the listener starts.

        Raises TsauditdError when the pid file or a door cannot be made.
        """
        daemon = self._config.daemon
        self._record(self._own.start(self._config.raw_format))
        try:
            if daemon.pid_file:
                write_private(daemon.pid_file, f"{os.getpid()}\n", 0o644)
            await self._doors.open(daemon.status_socket, group_id(daemon.status_group), daemon.metrics_port)
        except OSError as error:
            where = error.filename or f"port {daemon.metrics_port}"
            message = f"{where}: {error.strerror}"
            raise TsauditdError(message) from error
        self._every("sample", _SAMPLE, self._sample)
        self._begin_metrics()

    def ask_end(self, stop: asyncio.Event) -> None:
        """SIGTERM, SIGINT: remembers who wants it, and sets `stop`."""
        if not stop.is_set():
            self._ended_by = self._sender()
            stop.set()

    def end(self) -> None:
        """Writes DAEMON_END after everything else. Call it before the listener stops."""
        record = self._own.end(self._ended_by)
        self._listener.add_record(record.kind, record.text, last=True)

    def close(self) -> None:
        """Closes the doors and takes the pid and state files away."""
        for timer in self._timers.values():
            timer.cancel()
        self._doors.close()
        daemon = self._config.daemon
        for path in (daemon.pid_file, daemon.state_file):
            if path and os.path.exists(path):
                os.unlink(path)

    def reload(self) -> None:
        """SIGHUP: reads the configuration anew. One that is wrong changes nothing, and is told."""
        who = self._sender()
        try:
            config = self._load()
            change_kernel = self._kernel.plan(config.kernel)
            # What came before belongs to the outputs that there were.
            hand_on(self._listener, self._pipeline, self._watching.sessions)
            self._watching.flush()
            retired = self._outputs.change(config.output)
            try:
                change_kernel()
            except (TsauditdError, OSError):
                self._retire(self._outputs.change(self._config.output))
                raise
        except (TsauditdError, OSError) as error:
            text = str(error) if isinstance(error, TsauditdError) else f"{error.filename}: {error.strerror}"
            self._say(f"not reloaded, the configuration that runs stays: {text}")
            self._record(self._own.config(who, changed=False))
        else:
            self._take(config)
            self._retire(retired)
            self._reloads += 1
            self._record(self._own.config(who, changed=True))

    def _take(self, config: Config) -> None:
        """Goes on by what can change while it runs; the rest is told."""
        for name in _fixed(self._config, config):
            self._say(f"reloaded, but {name} takes effect at the next start")
        self._pipeline.change(self._outputs.sinks)
        self._watch(config)
        self._listener.change(
            original=config.events.original,
            raw=config.raw_format,
            max_argument_bytes=config.events.max_argument_bytes,
            timelines=bool(config.sessions),
        )
        self._actions.change(Commands(config.daemon.single_command, config.daemon.halt_command))
        before, self._config = self._config, config
        if config.daemon.metrics_file != before.daemon.metrics_file:
            self._begin_metrics()

    def _retire(self, sinks: list[Sink]) -> None:
        for sink in sinks:
            self._loop.run_in_executor(None, sink.close, _PATIENCE)

    def _watch(self, config: Config) -> None:
        try:
            self._watching.change(config)
        except OSError as error:
            self._say(f"sessions are not watched: {error.filename}: {error.strerror}")

    def rotate(self) -> None:
        """SIGUSR1: begins a new file in each output that has one, then writes DAEMON_ROTATE."""
        who = self._sender()

        def done(well: bool) -> None:
            self._loop.call_soon_threadsafe(self._record, self._own.rotate(who, done=well))

        self._outputs.rotate(done)

    def resume(self) -> None:
        """SIGUSR2: ends every suspension, opens every file anew, and writes DAEMON_RESUME."""
        self._outputs.resume()
        self._record(self._own.resume(self._sender()))

    def write_state(self) -> None:
        """SIGCONT: writes how the daemon does to the state file (0640)."""
        path = self._config.daemon.state_file
        if not path:
            return
        try:
            write_private(path, "\n".join(flat(self.health())) + "\n", 0o640)
        except OSError as error:
            self._say(f"{path}: {error.strerror}")

    def health(self) -> dict[str, Any]:
        """How the daemon does, as JSON can hold it. Times are in seconds since the epoch."""
        now = time.time()
        losses = self._pipeline.losses
        talkers = self._listener.talkers()
        waiting, limit = self._backlog()
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "started": round(self._began, 3),
            "now": round(now, 3),
            "reading": self._kernel.reading,
            "problems": list(self._kernel.problems),
            "reloads": self._reloads,
            "counters": dict(listener_counters(self._listener)),
            "lost": {each.name: getattr(losses, each.name) for each in fields(losses)},
            "backlog": waiting,
            "backlog_limit": limit,
            "outputs": self._outputs.health(),
            "rates": self._rates.top(time.monotonic(), talkers),
        }

    def _backlog(self) -> tuple[int, int]:
        try:
            return self._kernel.backlog()
        except TsauditdError:
            return 0, 0

    def _sender(self) -> Person:
        info = self._kernel.sender()
        if info is None:
            return Person()
        known = person(info.pid)
        return Person(info.uid, known.uid, known.ses, info.pid, info.context or known.context)

    def _record(self, record: OwnRecord) -> None:
        self._listener.add_record(record.kind, record.text)

    def _sample(self) -> None:
        self._rates.sample(time.monotonic(), self._listener.talkers())

    def _write_metrics(self) -> None:
        path = self._config.daemon.metrics_file
        try:
            write_private(path, metrics(self.health()), 0o644)
        except OSError as error:
            self._say(f"{path}: {error.strerror}")

    def _begin_metrics(self) -> None:
        if (timer := self._timers.pop("metrics", None)) is not None:
            timer.cancel()
        if self._config.daemon.metrics_file:
            self._every("metrics", _METRICS, self._write_metrics)

    def _every(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self._timers[name] = self._loop.call_later(seconds, again)

        again()


def _fixed(old: Config, new: Config) -> list[str]:
    """The keys that differ and are looked at only at the start."""
    keys = [("kernel", "observe"), *(("daemon", name) for name in _AT_START)]
    return [
        f"{table}.{name}"
        for table, name in keys
        if getattr(getattr(old, table), name) != getattr(getattr(new, table), name)
    ]


_AT_START = ("pid_file", "status_socket", "status_group", "metrics_port")
"""Keys of [daemon] that are opened at the start."""
