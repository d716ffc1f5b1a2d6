"""Commands that have somebody else start something, and what came of them."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tsauditd.timelines.facts import Event
from tsauditd.timelines.names import JOINERS, JOINING, REQUEST_MS, REQUESTS
from tsauditd.timelines.session import Session

KEPT = 1_000
SERVICES_MS = 10_000
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
    line: str


class Requests:
    """The latest of them, of all sessions."""

    def __init__(self) -> None:
        self._kept: deque[Request] = deque(maxlen=KEPT)

    def made(self, session: Session, row: int, name: str, event: Event, ms: int) -> None:
        """Takes the start of a program of `REQUESTS`."""
        args = event["process"].get("args") or []
        kind = REQUESTS[name]
        if kind == "container" and name not in JOINERS and not JOINING.intersection(args):
            return
        self._kept.append(Request(ms, kind, session.id, row, session.user.get("id"), " ".join(args)))

    def behind(self, session: Session, event: Event, ms: int) -> Request | None:
        """The one in another session that has caused this session, which an event opens."""
        user = session.user.get("id")
        names = names_of_container(event) if session.joined else ()
        window = REQUEST_MS.get(session.kind, 0)
        for request in reversed(self._kept):
            if request.kind != session.kind or request.session == session.id:
                continue
            if window is not None and ms - request.ms > window:
                return None
            if session.kind in ("cron", "at") and user not in (request.user, "0"):
                continue
            if session.joined and not _is_named(names, request.line.split(" ")):
                continue
            return request
        return None

    def of_service(self, unit: str, ms: int) -> Request | None:
        """The one that has just named a service."""
        for request in reversed(self._kept):
            if ms - request.ms > SERVICES_MS:
                return None
            if request.kind == "service" and unit.removesuffix(".service") in request.line:
                return request
        return None


def names_of_container(event: Event) -> set[str]:
    """By what a person may name the container (or the pod) that an event is in."""
    box = event.get("container", _NONE)
    pod = event.get("orchestrator", _NONE).get("resource", _NONE)
    return {name for name in (box.get("id"), box.get("name"), pod.get("name")) if name}


def _is_named(names: Collection[str], words: list[str]) -> bool:
    """Whether a command line names one of these, a long id also by its beginning."""
    return any(
        word == name or (len(name) == _ID_DIGITS and len(word) > 1 and name.startswith(word))
        for name in names
        for word in words
    )
