"""The start of a program: from an event, or from the pieces in which the core tells the usual one."""

from typing import Any, Protocol

import orjson

from tsauditd.timelines.facts import Event, Row, container_of, identity, terminal_named, terminal_of

_NONE: dict[str, Any] = {}
_PARENT = frozenset({"pid"})
_MEMBERS = frozenset({"pid", "entity_id", "executable", "name", "args", "working_directory", "parent"})

_USERS = 256
"""Texts of users of which it is remembered what they say."""
_users: dict[str, dict[str, str]] = {}


class Start(Protocol):
    """What a command's row needs of it. One is made for each command: what few of them need is a method."""

    event_id: str
    stamp: str
    pid: int
    parent: int
    real: str | None
    """The user's id."""
    uid: str | None
    """The effective one."""
    path: str
    """The program's file."""
    args_text: str
    """As JSON."""

    def args(self) -> list[str]:
        """The arguments; empty if they are not known."""

    def process(self) -> dict[str, Any]:
        """The row's `process`."""

    def user(self) -> dict[str, str]:
        """Whom the program runs as."""

    def real_user(self) -> dict[str, str]:
        """Who has it run."""

    def terminal(self) -> str | None:
        """On which terminal."""

    def add_unusual(self, row: Row) -> None:
        """Adds the container, if it is in one, and whether something of the event was lost."""


class ToldStart:
    """From an event of docs/events.md."""

    __slots__ = ("_event", "args_text", "event_id", "parent", "path", "pid", "real", "stamp", "uid")

    def __init__(self, event: Event) -> None:
        process = event["process"]
        user = event.get("user", _NONE)
        self._event = event
        self.event_id: str = event["event"]["id"]
        self.stamp: str = event["@timestamp"]
        self.pid: int = process.get("pid", 0)
        self.parent: int = process.get("parent", _NONE).get("pid", 0)
        self.real: str | None = user.get("id")
        self.uid: str | None = (user.get("effective") or user).get("id")
        self.path: str = process.get("executable") or process.get("name") or ""
        self.args_text = orjson.dumps(process.get("args") or []).decode()

    def args(self) -> list[str]:
        """The arguments, if they are known."""
        return self._event["process"].get("args") or []

    def process(self) -> dict[str, Any]:
        """Its `process`, without what rows do not have."""
        source: dict[str, Any] = self._event["process"]
        if source.keys() <= _MEMBERS and source.get("parent", _NONE).keys() <= _PARENT:
            return source  # as the core gives it to timelines
        kept = {key: source[key] for key in source if key in _MEMBERS}
        if ppid := source.get("parent", _NONE).get("pid"):
            kept["parent"] = {"pid": ppid}
        return kept

    def user(self) -> dict[str, str]:
        """By effective id, if the event has one."""
        user = self._event.get("user", _NONE)
        return identity(user.get("effective") or user)

    def real_user(self) -> dict[str, str]:
        """By the real id."""
        return identity(self._event.get("user", _NONE))

    def terminal(self) -> str | None:
        """By the record."""
        return terminal_of(self._event)

    def add_unusual(self, row: Row) -> None:
        """As the event says."""
        if "container" in self._event:
            row["container"] = container_of(self._event)
        if "incomplete" in self._event.get("tsauditd", _NONE):
            row["incomplete"] = True


class PiecedStart:
    """From pieces: `write_start` in rust/core/src/timeline.rs says which."""

    __slots__ = ("_pieces", "args_text", "event_id", "parent", "path", "pid", "real", "stamp", "uid")

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces
        self.event_id = pieces[2]
        self.stamp = pieces[3]
        self.pid = int(pieces[4])
        self.parent = int(pieces[5])
        self.real: str | None = pieces[6]
        self.uid: str | None = pieces[6]
        self.path = pieces[7]
        self.args_text = pieces[11]

    def args(self) -> list[str]:
        """From JSON."""
        found: list[str] = orjson.loads(self.args_text)
        return found

    def process(self) -> dict[str, Any]:
        """Put together."""
        pieces = self._pieces
        return {
            "pid": self.pid,
            "entity_id": pieces[9],
            "parent": {"pid": self.parent},
            "executable": self.path,
            "name": pieces[8],
            "args": orjson.loads(self.args_text),
            "working_directory": pieces[10],
        }

    def user(self) -> dict[str, str]:
        """What was read before is not read again: rows share it."""
        text = self._pieces[13]
        known = _users.get(text)
        if known is None:
            if len(_users) >= _USERS:
                _users.clear()
            user = orjson.loads(text)
            known = _users[text] = identity(user.get("effective") or user)
        return known

    def real_user(self) -> dict[str, str]:
        """One of its own, which may be added to."""
        return identity(orjson.loads(self._pieces[13]))

    def terminal(self) -> str | None:
        """By the record."""
        return terminal_named(self._pieces[12])

    def add_unusual(self, row: Row) -> None:
        """Nothing, or it is no usual start."""


def is_start(line: bytes) -> bool:
    """Whether a line is one of pieces, and all of them."""
    try:
        whole_event(line.decode().split("\t"))
    except ValueError:
        return False
    return True


def whole_event(pieces: list[str]) -> Event:
    """The event, as far as timelines read it, of which these are the pieces. Raises ValueError if they are not."""
    session, _, event_id, stamp, pid, parent, _, path, name, entity, directory, args, tty, user, host = pieces
    event: Event = {
        "@timestamp": stamp,
        "event": {"id": event_id, "action": "executed", "outcome": "success"},
        "user": orjson.loads(user),
        "process": {
            "pid": int(pid),
            "entity_id": entity,
            "parent": {"pid": int(parent)},
            "executable": path,
            "name": name,
            "args": orjson.loads(args),
            "working_directory": directory,
        },
        "auditd": {
            "message_type": "syscall",
            "session": session.rpartition("-")[2],
            "data": {"tty": tty},
        },
    }
    if host != "{}":
        event["host"] = orjson.loads(host)
    if "-" in session:
        event["tsauditd"] = {"session": {"id": session}}
    return event
