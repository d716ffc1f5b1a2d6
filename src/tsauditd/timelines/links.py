"""Commands that have somebody else start something, and what came of them."""

import re
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tsauditd.timelines import rows
from tsauditd.timelines.facts import Event, Row, time_text
from tsauditd.timelines.names import JOINERS, JOINING, REQUEST_MS, REQUESTS
from tsauditd.timelines.session import Session

KEPT = 1_000
SERVICES_MS = 10_000
STARTED_MS = 10_000
_TRANSIENT = re.compile(r"run-(?:u\d+|r[0-9a-f]{32}|p\d+-i\d+)$")
"""Names that systemd-run gives to units (systemd's src/run/run.c)."""
_ID_DIGITS = 64
"""Of a container's id, of which the first few are enough to name it."""

_NONE: dict[str, Any] = {}


@dataclass(slots=True)
class Request:
    """A command that has somebody else start something."""

    ms: int
    kind: str
    session: str
    row: int
    user: str | None
    words: list[str]

    @property
    def line(self) -> str:
        """As it was typed, about."""
        return " ".join(self.words)


class Requests:
    """The latest of them, of all sessions."""

    def __init__(self) -> None:
        self._kept: deque[Request] = deque(maxlen=KEPT)

    def made(self, session: Session, row: int, name: str, args: list[str], ms: int) -> None:
        """Takes the start of a program of `REQUESTS`."""
        kind = REQUESTS[name]
        if kind == "container" and name not in JOINERS and not JOINING.intersection(args):
            return
        self._kept.append(Request(ms, kind, session.id, row, session.user.get("id"), args))

    def behind(self, session: Session, event: Event, ms: int) -> Request | None:
        """The one in another session that has caused this session, which an event opens."""
        user = session.user.get("id")
        names = names_of_container(event) if session.joined else ()
        window = REQUEST_MS.get(session.kind, 0)
        for request in reversed(self._kept):
            if request.kind != session.kind or request.session == session.id:
                continue
            # Of a manager that runs already, in its session.
            if request.kind == "systemd-user" and "--user" in request.words:
                continue
            if window is not None and ms - request.ms > window:
                return None
            if session.kind in ("cron", "at") and user not in (request.user, "0"):
                continue
            if session.joined and not _is_named(names, request.words):
                continue
            return request
        return None

    def of_service(self, unit: str, ms: int) -> Request | None:
        """The one that has just named a service, or has had one made without a name."""
        unit = unit.removesuffix(".service")
        for request in reversed(self._kept):
            if ms - request.ms > SERVICES_MS:
                return None
            if request.kind == "service" and unit in request.line:
                return request
            if request.kind == "systemd-user" and _has_made(request.words, unit):
                return request
        return None

    def of_command(self, session: Session, args: list[str], ms: int) -> Request | None:
        """The `systemd-run --user` of the same person in another session that has this program run.

        It must end with the same words, of which systemd makes the first a path. A timer's comes whenever.
        """
        for request in reversed(self._kept):
            words = request.words
            if request.kind != "systemd-user" or "--user" not in words or "--scope" in words:
                continue
            if request.session == session.id or request.user != session.user.get("id"):
                continue
            if len(words) <= len(args):
                continue
            first, rest = words[-len(args)], words[len(words) - len(args) + 1 :]
            if rest != args[1:] or args[0].rpartition("/")[2] != first.rpartition("/")[2]:
                continue
            if ms - request.ms <= STARTED_MS or any(word.startswith("--on-") for word in words):
                return request
        return None


class Links:
    """The rows that say what came of what."""

    def __init__(self, sessions: Mapping[str, Session], changed: set[str]) -> None:
        """`sessions` are those that are open, by id; `changed` takes the ids of those that get a row."""
        self._sessions = sessions
        self._changed = changed
        self._requests = Requests()

    def made(self, session: Session, row: int, name: str, args: list[str], ms: int) -> None:
        """Takes the start of a program of `REQUESTS`."""
        self._requests.made(session, row, name, args, ms)

    def service(self, event: Event, ms: int) -> bool:
        """A service that somebody's systemctl has just named: it is that session's, inferred."""
        unit = str(event["auditd"].get("data", _NONE).get("unit"))
        request = self._requests.of_service(unit, ms)
        session = self._sessions.get(request.session) if request is not None else None
        if request is None or session is None:
            return False
        session.happened(ms)
        row = rows.happened(session, event, ms)
        row["inferred"] = ["session", "parent"]
        row["parent"] = request.row
        self._changed.add(session.id)
        return True

    def caused(self, session: Session, event: Event, ms: int) -> None:
        """Whether a command in another session has caused this one, which the event opens."""
        request = self._requests.behind(session, event, ms)
        if request is None:
            return
        evidence = f"'{request.line}' at {time_text(request.ms)}"
        session.started_by = {"id": request.session, "row": request.row, "evidence": evidence}
        self._link(request, session, f"started session {session.id} ({session.kind})", ms)

    def _link(self, request: Request, session: Session, text: str, ms: int) -> None:
        """The row of the session that asked: what came of it in this one."""
        if other := self._sessions.get(request.session):
            row = other.add("link", ms, time_text(ms), None)
            row["session"] = session.id
            row["parent"] = request.row
            row["text"] = text
            row["inferred"] = ["session"]
            self._changed.add(other.id)

    def asked_for(self, session: Session, row: Row, ms: int) -> None:
        """Whether a command of somebody's manager was asked for by one in another session."""
        args = row.get("process", _NONE).get("args")
        request = self._requests.of_command(session, args, ms) if args else None
        if request is None:
            return
        row["session"] = request.session
        row["inferred"] = ["session"]
        started = f"started '{' '.join(args)}' in session {session.id} ({session.kind})"
        self._link(request, session, started, ms)


def names_of_container(event: Event) -> set[str]:
    """By what a person may name the container (or the pod) that an event is in."""
    box = event.get("container", _NONE)
    pod = event.get("orchestrator", _NONE).get("resource", _NONE)
    return {name for name in (box.get("id"), box.get("name"), pod.get("name")) if name}


def _has_made(words: list[str], unit: str) -> bool:
    """Whether these, of systemd-run, have made this service of the system."""
    if "--user" in words or "--scope" in words:
        return False
    named = [word.removeprefix("--unit=") for word in words if word.startswith("--unit=")]
    named += [after for before, after in pairwise(words) if before in ("-u", "--unit")]
    return unit == named[0].removesuffix(".service") if named else bool(_TRANSIENT.match(unit))


def _is_named(names: Collection[str], words: list[str]) -> bool:
    """Whether a command line names one of these, a long id also by its beginning."""
    return any(
        word == name or (len(name) == _ID_DIGITS and len(word) > 1 and name.startswith(word))
        for name in names
        for word in words
    )
