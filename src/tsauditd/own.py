"""The daemon's records of itself, in the words of auditd's: DAEMON_START and the like.

They go into the stream among the kernel's. The form is what ausearch reads: `auid=` and `pid=` each followed by a
blank (audit-userspace, src/auditd.c and src/ausearch-parse.c). Their serials are the daemon's own.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tsauditd.event import VERSION, record_type_number

UNSET = 0xFFFFFFFF
"""(uid_t)-1: nobody has logged in."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who did something to the daemon; -1 is not known."""

    auid: int = -1
    uid: int = -1
    ses: int = -1
    pid: int = -1
    context: str = "?"


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A record: its type and its text, from `audit(` on."""

    name: str
    text: str

    @property
    def kind(self) -> int:
        """The number of the type."""
        number = record_type_number(self.name)
        assert number is not None
        return number

    @property
    def line(self) -> bytes:
        """The record as a line of audit.log."""
        return f"type={self.name} msg={self.text}\n".encode()


class OwnRecords:
    """Makes records, each with a serial of its own. `wall` gives seconds since the epoch."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._serial = random.randrange(10_000)  # noqa: S311 - as auditd; no secret

    def start(self, raw_format: str | None) -> OwnRecord:
        """DAEMON_START, with what the process itself is."""
        me = person(os.getpid())
        return self._record(
            "DAEMON_START",
            f"op=start ver={VERSION} format={raw_format or 'raw'} kernel={os.uname().release} auid={_unsigned(me.auid)}"
            f" pid={me.pid} uid={me.uid} ses={_unsigned(me.ses)}{_subject(me)} res=success",
        )

    def end(self, who: Person) -> OwnRecord:
        """DAEMON_END."""
        return self._record("DAEMON_END", f"op=terminate {_by(who)} res=success")

    def abort(self, operation: str) -> OwnRecord:
        """DAEMON_ABORT: `operation`, one word, has failed and the daemon ends."""
        me = person(os.getpid())
        return self._record(
            "DAEMON_ABORT",
            f"op={operation} auid={_unsigned(me.auid)} pid={me.pid} uid={me.uid} ses={_unsigned(me.ses)}{_subject(me)}"
            " res=failed",
        )

    def config(self, who: Person, *, changed: bool) -> OwnRecord:
        """DAEMON_CONFIG: the configuration was read again; without `changed` it was refused."""
        state, result = ("changed", "success") if changed else ("no-change", "failed")
        return self._record(
            "DAEMON_CONFIG",
            f"op=reconfigure state={state} auid={who.auid} pid={who.pid}{_subject(who)} res={result}",
        )

    def rotate(self, who: Person, *, done: bool) -> OwnRecord:
        """DAEMON_ROTATE: the files were rotated because somebody asked for it."""
        return self._record(
            "DAEMON_ROTATE", f"op=rotate-logs {_by(who)} res={'success' if done else 'failed'}"
        )

    def resume(self, who: Person) -> OwnRecord:
        """DAEMON_RESUME: what was suspended goes on."""
        return self._record("DAEMON_RESUME", f"op=resume-logging {_by(who)} res=success")

    def lost(self, counts: dict[str, int]) -> OwnRecord:
        """DAEMON_ERR: so much never arrived, for those who read records and not events."""
        numbers = " ".join(f"{name}={count}" for name, count in counts.items())
        return self._record("DAEMON_ERR", f"op=records-lost {numbers} auid=-1 pid={os.getpid()} res=failed")

    def _record(self, name: str, body: str) -> OwnRecord:
        now = int(self._wall() * 1000)
        self._serial += 1
        return OwnRecord(name, f"audit({now // 1000}.{now % 1000:03d}:{self._serial}): {body}")


def person(pid: int, proc: Path = Path("/proc")) -> Person:
    """Who runs the process `pid`, as far as it is still there."""

    def read(name: str) -> str | None:
        try:
            return (proc / str(pid) / name).read_text(encoding="utf-8").rstrip("\0\n")
        except (OSError, UnicodeDecodeError):
            return None

    def number(name: str) -> int:
        text = read(name)
        return int(text) if text and text.isdigit() else -1

    try:
        uid = os.stat(proc / str(pid)).st_uid
    except OSError:
        uid = -1
    return Person(number("loginuid"), uid, number("sessionid"), pid, read("attr/current") or "?")


def _by(who: Person) -> str:
    return f"auid={who.auid} uid={who.uid} ses={who.ses} pid={who.pid}{_subject(who)}"


def _subject(who: Person) -> str:
    return f" subj={who.context}"


def _unsigned(number: int) -> int:
    return UNSET if number == -1 else number
