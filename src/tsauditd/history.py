"""Sessions from files: their own objects, events as JSON lines, or audit logs, whichever a file holds."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from tsauditd.errors import TsauditdError, visible
from tsauditd.event import Decoder, decoder_counters
from tsauditd.logfiles import STANDARD_INPUT, LogReader, reading_order
from tsauditd.timelines.lines import LoggedTimelines

BASES = ("sessions.json", "events.json", "audit.log")
"""What a directory is read for: the first of these that is there, and everything rotated from it."""

_DATASET = "tsauditd.session"


class History:
    """Reads files in order and gives the objects of the sessions in them."""

    def __init__(self, take: Callable[[dict[str, Any]], object], say: Callable[[str], None]) -> None:
        """`take` gets each object; `say` tells of a file that cannot be read."""
        self._take = take
        self._say = say
        self._timelines = LoggedTimelines(take)
        self._decoder: Decoder | None = None
        self.failed = False
        """Whether a file could not be read."""

    def read(self, names: Sequence[str]) -> None:
        """Reads the files that `names` stand for to their ends. Raises TsauditdError when there is nothing to begin."""
        for name in reading_order(names or [STANDARD_INPUT], BASES):
            try:
                with LogReader(name) as log:
                    self._read(log.chunks())
            except TsauditdError as error:
                self.failed = True
                self._say(str(error))
            except OSError as error:
                if error.filename is None:
                    raise
                self.failed = True
                self._say(f"{visible(name)}: {error.strerror}")

    def follow(self, names: Sequence[str], pause: float = 0.2) -> Iterator[None]:
        """Reads the last of the files to its end, and then what is added to it; yields whenever it has caught up.

        A file that was put in its place (rotation) is read on from its beginning.
        """
        files = reading_order(names, BASES)
        self.read(files[:-1])
        name = files[-1]
        while True:
            with open(name, "rb", buffering=0) as file:
                feed = self._feeder()
                replaced = False
                while True:
                    while chunk := file.read(1 << 20):
                        feed(chunk)
                    self._timelines.timelines.flush()
                    yield
                    if replaced:
                        break
                    time.sleep(pause)
                    # Nobody writes to it any more: what is in it by now is all.
                    replaced = _is_another(name, file.fileno())

    def finish(self) -> None:
        """The end of the input: what is open is given as far as it went."""
        if self._decoder is not None:
            self._decoder.finish()
            self._decoded(self._decoder)
            self._decoder = None
        self._timelines.finish()

    def _read(self, chunks: Iterator[bytes]) -> None:
        feed = self._feeder()
        for chunk in chunks:
            feed(chunk)
        feed(b"")

    def _feeder(self) -> Callable[[bytes], None]:
        """What takes one file's bytes, cut anywhere; no bytes end it."""
        rest = b""
        is_json: bool | None = None

        def feed(chunk: bytes) -> None:
            nonlocal rest, is_json
            if is_json is None and chunk:
                is_json = chunk.lstrip()[:1] == b"{"
            if is_json is False:
                self._log(chunk)
                return
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if not chunk and rest:
                lines.append(rest)
                rest = b""
            for text in lines:
                self._line(text)
            self._timelines.tick()

        return feed

    def _line(self, text: bytes) -> None:
        if not text.strip():
            return
        try:
            document = orjson.loads(text)
            ours: str = document["event"]["dataset"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            ours = ""
        if ours == _DATASET:
            self._take(document)
        elif ours == "auditd.event":
            self._timelines.event(document)
        else:
            if not self.failed:
                shown = visible(text[:200].decode(errors="replace"), 80)
                self._say(f"neither an event nor a session, passed over: {shown}")
            self.failed = True

    def _log(self, chunk: bytes) -> None:
        if self._decoder is None:
            self._decoder = Decoder(timelines=True)
        if chunk:
            self._decoder.feed(chunk)
        else:
            self._decoder.end_file()
        self._decoded(self._decoder)

    def _decoded(self, decoder: Decoder) -> None:
        self._timelines.batch(decoder.timeline(), decoder_counters(decoder)["gaps"])


def _is_another(name: str, descriptor: int) -> bool:
    """Whether another file has the name by now."""
    try:
        return os.stat(name).st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:  # its successor comes
        return False
