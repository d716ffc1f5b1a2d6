"""One session as it is being watched: its rows until they are written, and what its summary needs."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tsauditd.timelines.facts import Row, time_text
from tsauditd.timelines.names import COUNTED, NOTABLE

ECS_VERSION = "8.17.0"

ROWS_WAITING = 256
"""Rows that wait to be written at most; then they are."""
EVENTS_WAITING = 1_024
"""Events that waiting rows name at most."""
PROCESSES = 1_024
"""Processes remembered for a session; the oldest are forgotten first, unless they have started something since, and
their children then stand by themselves."""
FOLDS = 256
"""Kinds of repeats remembered for a session; the oldest is forgotten first, and its next repeat is a new row."""
SHOWN = 100
"""Users, hosts and notable rows that a summary names; the rest is counted."""

GAP_MS = 300_000
"""Nothing for so long is a gap."""


@dataclass(slots=True)
class Process:
    """What is remembered of a process that was started in the session."""

    row: int
    """The row that started it."""
    uid: str | None
    shell: bool = False
    """A shell that takes commands from a person or from its input: what it starts stands by itself."""
    login: bool = False
    """A login shell, which runs start-up files."""
    manager: bool = False
    """systemd --user, or its executor: what it starts stands by itself."""
    escalates: bool = False
    noise: str | None = None
    """As its row."""
    folded: bool = False
    """Its row is that of what it repeats."""
    started: int = 0
    """Milliseconds since the epoch."""
    child: tuple[int, int, int] | None = None
    """Of a shell: when it started its last command (milliseconds), its process and its row."""
    starts: bool = False
    """It has started something since it was last spared."""


class Names:
    """Names for the sessions of a log that has no ids: `NODE-SECONDS-SES`."""

    def __init__(self) -> None:
        self._second = ""
        self._given: set[str] = set()

    def given(self, second: str, number: str, event_id: str) -> str:
        """A name that no other session has, for one that this event begins in this second of a node.

        Two boots of a log may give a number in the same second: then the event's serial follows.
        """
        if self._second != second:
            self._second = second
            self._given.clear()
        name = f"{second}-{number}"
        if name in self._given:
            name += f"-{event_id.rpartition(':')[2]}"
        self._given.add(name)
        return name


@dataclass(slots=True)
class Session:
    """A session that is open. Times are milliseconds since the epoch."""

    id: str
    number: str
    host: dict[str, Any]
    start: int
    last: int
    kind: str = "unknown"
    how: str | None = None
    program: str | None = None
    terminal: str | None = None
    user: dict[str, str] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)
    joined: bool = False
    """No login: somebody was put into a container that ran already; the number is that process's entity."""
    opener: int | None = None
    """The process that set the login id."""
    login: bool = False
    """LOGIN was seen."""
    login_row: int | None = None
    logout_row: int | None = None
    loss_row: int | None = None
    started: bool = False
    """USER_START was seen: what comes now is the person's own."""
    logged_out: int | None = None
    look_at: int = 0
    """When to look next whether it has a process."""
    failed_before: dict[str, Any] | None = None
    started_by: dict[str, Any] | None = None
    part: int = 0
    rows: int = 0
    events: int = 0
    active: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Of users, by id, as far as a record has told."""
    hosts: list[str] = field(default_factory=list)
    notable: list[int] = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)
    exits: bool = False
    """Exits are audited."""
    pending: dict[int, Row] = field(default_factory=dict)
    pending_events: int = 0
    pending_since: int = 0
    touched: set[int] = field(default_factory=set)
    """Numbers of pending rows that have changed since somebody last asked."""
    processes: dict[int, Process] = field(default_factory=dict)
    searches: dict[int, int] = field(default_factory=dict)
    """The rows of processes that look for a program along PATH."""
    folds: dict[tuple[Any, ...], dict[str, list[int]]] = field(default_factory=dict)
    latest: dict[str, str] | None = None
    """As whom it acted last: the same object says nothing new."""

    def happened(self, ms: int) -> None:
        """Takes the time of an event: the time since the one before was active, or a gap, which becomes a row."""
        quiet = ms - self.last
        if quiet >= GAP_MS:
            row = self.add("gap", self.last, time_text(self.last), None)
            row["duration"] = quiet * 1_000_000
        elif quiet > 0:
            self.active += quiet
        if quiet > 0:
            self.last = ms

    def add(self, kind: str, ms: int, stamp: str, event_id: str | None) -> Row:
        """A new row, proved by one event, or by none if it is concluded from the absence of events."""
        number = self.rows
        self.rows = number + 1
        if not self.pending:
            self.pending_since = ms
        row: Row = {
            "number": number,
            "kind": kind,
            "@timestamp": stamp,
            "offset": (ms - self.start) * 1_000_000 if ms > self.start else 0,
        }
        self.pending[number] = row
        self.touched.add(number)
        if event_id is not None:
            row["events"] = [event_id]
            self.events += 1
            self.pending_events += 1
        if name := COUNTED.get(kind):
            counts = self.counts
            counts[name] = counts.get(name, 0) + 1
        if kind in NOTABLE:
            self.note(number)
        return row

    def amend(self, number: int, ms: int, event_id: str | None = None) -> Row:
        """The row of that number to add to, whether it was written before or not."""
        row = self.pending.get(number)
        if row is None:
            if not self.pending:
                self.pending_since = ms
            row = self.pending[number] = {"number": number}
        self.touched.add(number)
        if event_id is not None:
            events = row.get("events")
            if events is None:
                row["events"] = [event_id]
            else:
                events.append(event_id)
            self.events += 1
            self.pending_events += 1
        return row

    def note(self, number: int) -> None:
        """Makes a row notable."""
        if number not in self.notable:
            self._keep(self.notable, number, "notable_more")

    def became(self, user: dict[str, str]) -> None:
        """Adds to the users that the session acted as."""
        if user is self.latest:
            return
        self.latest = user
        user_id, name = user.get("id"), user.get("name")
        if name == "root" and user_id is None:
            self.names.setdefault("0", name)
        if user_id and name and len(self.names) < SHOWN:
            self.names[user_id] = name
            if user_id in self.users:
                self.users.remove(user_id)
        known = name or self.names.get(user_id or "") or user_id
        if known and known not in self.users:
            self._keep(self.users, known, "users_more")

    def named(self, user: dict[str, str]) -> dict[str, str]:
        """The user, with the name that another record of the session has told of the id."""
        if "name" not in user and (name := self.names.get(user.get("id", ""))):
            return {**user, "name": name}
        return user

    def reached(self, address: str) -> None:
        """Adds to the hosts that the session connected to."""
        if address not in self.hosts:
            self._keep(self.hosts, address, "hosts_more")

    def count(self, name: str, by: int = 1) -> None:
        """Counts in the summary."""
        self.counts[name] = self.counts.get(name, 0) + by

    def remember(self, pid: int, process: Process) -> None:
        """Remembers a process, if need be in place of the oldest."""
        processes = self.processes
        processes.pop(pid, None)
        if len(processes) >= PROCESSES:
            self._forget()
        processes[pid] = process

    def _forget(self) -> None:
        """Forgets an eighth of the processes: many at once, as each search passes what was deleted before.

        What runs a build or a loop is the oldest, and still starts commands: it is spared as long as it does.
        """
        processes = self.processes
        while len(processes) > PROCESSES - PROCESSES // 8:
            for old in [*islice(processes, PROCESSES // 8)]:
                process = processes.pop(old)
                if process.starts:
                    process.starts = False
                    processes[old] = process

    def fold(self, key: tuple[Any, ...]) -> dict[str, list[int]]:
        """The rows that repeats of this kind fold into: what each is of, and [number, count]."""
        found = self.folds.get(key)
        if found is None:
            if len(self.folds) >= FOLDS:
                del self.folds[next(iter(self.folds))]
            found = self.folds[key] = {}
        return found

    def write(self, action: str, now: int, end: dict[str, Any] | None = None) -> dict[str, Any]:
        """The next object, with the rows since the one before, which are then let go."""
        rows = list(self.pending.values())
        for row in rows:
            process = row.get("process")
            if process is not None and "command_line" not in process and (args := process.get("args")):
                process["command_line"] = " ".join(args)
        self.pending = {}
        self.pending_events = 0
        self.touched.clear()
        part = self.part
        self.part = part + 1
        last = self.last if end is None else max(self.last, end.pop("at", self.last))
        if end is not None and self.kind == "ssh" and self.how is None:
            self.how = "nothing"
        document: dict[str, Any] = {
            "@timestamp": time_text(now),
            "ecs": {"version": ECS_VERSION},
            "event": {
                "kind": "event",
                "module": "tsauditd",
                "dataset": "tsauditd.session",
                "category": ["session"],
                "type": [_TYPES[action]],
                "action": action,
                "outcome": "success",
                "start": time_text(self.start),
                "end": time_text(last),
                "duration": (last - self.start) * 1_000_000,
            },
        }
        if end is None:
            del document["event"]["end"]
        for name in ("host", "user", "source", "container"):
            if value := getattr(self, name):
                document[name] = value
        addresses = ([self.source["ip"]] if "ip" in self.source else []) + self.hosts
        related = {"user": self._related_users(), "ip": list(dict.fromkeys(addresses))}
        if present := {name: value for name, value in related.items() if value}:
            document["related"] = present
        session: dict[str, Any] = {
            "id": self.id,
            "number": self.number,
            "part": part,
            "state": "open" if end is None else "ended",
            "kind": self.kind,
            "how": self.how,
            "program": self.program,
            "terminal": self.terminal,
            "end": end,
            "failed_before": self.failed_before,
            "started_by": self.started_by,
        }
        session = {name: value for name, value in session.items() if value is not None}
        session["rows"] = rows
        session["summary"] = {
            "rows": self.rows,
            "events": self.events,
            **{name: self.counts.get(name, 0) for name in (*COUNTED.values(), "noise", "lost")},
            **self.more,
            "active": self.active * 1_000_000,
            "users": self.users.copy(),
            "hosts": self.hosts.copy(),
            "notable": self.notable.copy(),
        }
        document["tsauditd"] = {"session": session}
        return document

    def _related_users(self) -> list[str]:
        own = self.user.get("name") or self.user.get("id")
        return list(dict.fromkeys(([own] if own else []) + self.users))

    def _keep(self, items: list[Any], item: object, more: str) -> None:
        if len(items) < SHOWN:
            items.append(item)
        else:
            self.more[more] = self.more.get(more, 0) + 1


_TYPES = {"session-opened": "start", "session-updated": "info", "session-ended": "end"}
