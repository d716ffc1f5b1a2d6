"""Audit logs in, JSON lines out: offline, in one pass, in constant memory."""

import os
import select
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TextIO

from tsauditd.errors import TsauditdError, UsageError, visible
from tsauditd.event import Decoder, decoder_counters
from tsauditd.logfiles import STANDARD_INPUT, LogReader, reading_order

SHOWN_LINES = 20
_PROGRESS_AFTER = 2.0
_PROGRESS_EVERY = 0.5


def convert(
    names: Sequence[str],
    output: str,
    decoder: Decoder,
    *,
    strict: bool,
    sessions: str | None = None,
    stderr: TextIO,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Reads the logs that `names` stand for (see `logfiles.reading_order`) and writes their events to `output`.

    `output` is a path or `-`; `sessions`, if given, gets the sessions' objects. A log that cannot be opened or is
    damaged is told on `stderr` and the others are read all the same. Unreadable lines are told with file and line
    number, the first 20 of them, and counted. `clock` gives seconds, for the progress line. Returns the exit code: 1
    when a log failed, when nothing at all could be read, or, if `strict`, when a line was unreadable; otherwise 0.
    Raises TsauditdError or OSError when there is nothing to begin with or nowhere to write, BrokenPipeError when the
    output's reader has gone.
    """
    files = reading_order(names or [STANDARD_INPUT])
    with _Output(output, files) as out:
        if sessions is None:
            return _Conversion(decoder, out, _Report(stderr), clock).run(files, strict=strict)
        if sessions == output:
            message = f"{sessions} is where the events go: name another file for the sessions"
            raise UsageError(message)
        with _Output(sessions, files) as timelines:
            return _Conversion(decoder, out, _Report(stderr), clock, _Sessions(timelines)).run(
                files, strict=strict
            )


class _Conversion:
    """One run over the files, in order."""

    def __init__(
        self,
        decoder: Decoder,
        out: "_Output",
        report: "_Report",
        clock: Callable[[], float],
        sessions: "_Sessions | None" = None,
    ) -> None:
        self._decoder = decoder
        self._out = out
        self._report = report
        self._clock = clock
        self._sessions = sessions

    def run(self, files: Sequence[str], *, strict: bool) -> int:
        progress = _Progress(files, self._report, self._clock, quiet=self._out.is_terminal)
        failed = False
        for name in files:
            try:
                with LogReader(name) as log:
                    self._read(log, progress)
            except BrokenPipeError:
                raise
            except TsauditdError as error:
                failed = True
                self._report.line(str(error))
            except OSError as error:
                if error.filename is None:
                    raise
                failed = True
                self._report.line(f"{visible(name)}: {error.strerror}")
        self._give(self._decoder.finish())
        if self._sessions is not None:
            self._sessions.finish()
        progress.end()
        counted = decoder_counters(self._decoder)
        self._report.total(counted["unreadable"])
        nothing = counted["records"] == 0 and counted["unreadable"] > 0
        if nothing:
            self._report.line("no audit record was found: is this an audit log?")
        return 1 if failed or nothing or (strict and counted["unreadable"] > 0) else 0

    def _give(self, lines: bytes | memoryview) -> None:
        self._out.write(lines)
        if self._sessions is not None:
            self._sessions.events(self._decoder)

    def _read(self, log: LogReader, progress: "_Progress") -> None:
        wanted = True
        try:
            for chunk in log.chunks():
                self._give(self._decoder.read(chunk))
                self._report.unreadable(log.name, self._decoder.unreadable())
                progress.show(log)
        except BrokenPipeError:
            wanted = False  # nobody reads on, and half a line is no fault of the log's
            raise
        finally:
            # A damaged log, too, ends here: what was read of it counts.
            if wanted:
                self._give(self._decoder.end_file())
                self._report.unreadable(log.name, self._decoder.unreadable())
            progress.done(log)


class _Sessions:
    """The sessions of what is converted, written as they come."""

    def __init__(self, out: "_Output") -> None:
        # Reading a log takes less time than importing these, where the log is short.
        import orjson

        from tsauditd.timelines.lines import LoggedTimelines

        def take(document: dict[str, Any]) -> None:
            out.write(orjson.dumps(document) + b"\n")

        self._timelines = LoggedTimelines(take)

    def events(self, decoder: Decoder) -> None:
        """Takes what the decoder has returned last."""
        self._timelines.batch(decoder.timeline(), decoder_counters(decoder)["gaps"])

    def finish(self) -> None:
        """Writes what waits."""
        self._timelines.finish()


class _Output:
    """The file or standard output that gets the lines, unbuffered: each batch is one write."""

    def __init__(self, name: str, inputs: Sequence[str]) -> None:
        self._owned = name != STANDARD_INPUT
        if self._owned and any(_same_file(name, other) for other in inputs):
            message = f"{name} is one of the logs to read: name another file for the output"
            raise UsageError(message)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        # Audit records are nobody else's business.
        self._fd = os.open(name, flags, 0o600) if self._owned else 1
        self.is_terminal = os.isatty(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._owned:
            os.close(self._fd)

    def write(self, lines: bytes | memoryview) -> None:
        """Writes all of it. Raises OSError."""
        rest = memoryview(lines)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # whoever shares this descriptor has made it non-blocking
                select.select([], [self._fd], [])


def _same_file(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:
        return False


class _Report:
    """What is told on standard error: one line each, above the progress line if there is one."""

    def __init__(self, stderr: TextIO) -> None:
        self.stream = stderr
        self.clear = ""
        self._shown = 0

    def line(self, text: str) -> None:
        """Tells one line."""
        self.stream.write(f"{self.clear}tsauditd: {text}\n")
        self.stream.flush()

    def unreadable(self, name: str, lines: Sequence[tuple[int, str, str]]) -> None:
        """Tells unreadable lines as `FILE:LINE: reason: text`, until enough were told."""
        for number, reason, text in lines[: SHOWN_LINES - self._shown]:
            self.line(f"{visible(name)}:{number}: {reason}: {visible(text)}")
            self._shown += 1

    def total(self, unreadable: int) -> None:
        """Tells how many lines were unreadable in all, if any were."""
        if unreadable:
            hidden = f" ({unreadable - self._shown} of them not shown)" if unreadable > self._shown else ""
            lines = "1 line" if unreadable == 1 else f"{unreadable} lines"
            self.line(f"{lines} could not be read{hidden}")


class _Progress:
    """A line on a terminal's standard error once the work is long: how much was read, how fast."""

    def __init__(
        self, files: Sequence[str], report: _Report, clock: Callable[[], float], *, quiet: bool
    ) -> None:
        # Lines on a terminal say enough of themselves.
        self._active = report.stream.isatty() and not quiet
        self._report = report
        self._clock = clock
        self._total = sum(_size(name) for name in files) if self._active else 0
        self._before = 0
        self._started = clock()
        self._next = self._started + _PROGRESS_AFTER

    def show(self, log: LogReader) -> None:
        """Brings the line up to date, twice a second at most."""
        if not self._active or (now := self._clock()) < self._next:
            return
        self._next = now + _PROGRESS_EVERY
        self._report.clear = "\r\x1b[K"
        read = self._before + log.position
        share = f"{100 * read // self._total:3d}% of " if self._total else f"{read / 1e6:.0f} MB of "
        size = f"{self._total / 1e6:.0f} MB" if self._total else "an unknown size"
        speed = read / 1e6 / (now - self._started)
        self._report.stream.write(f"\r\x1b[K{share}{size}, {speed:.0f} MB/s, {visible(log.name, 40)}")
        self._report.stream.flush()

    def done(self, log: LogReader) -> None:
        """Counts a file as read."""
        self._before += log.position

    def end(self) -> None:
        """Removes the line."""
        if self._report.clear:
            self._report.stream.write(self._report.clear)
            self._report.stream.flush()
            self._report.clear = ""


def _size(name: str) -> int:
    try:
        return os.path.getsize(name) if name != STANDARD_INPUT else 0
    except OSError:
        return 0
