"""Sessions put together again from their objects, for whoever shows them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tsauditd.timelines.facts import Row


@dataclass(slots=True)
class View:
    """A session as far as its objects have come."""

    document: dict[str, Any]
    """The latest object, without its rows."""
    rows: dict[int, Row] = field(default_factory=dict)

    @property
    def session(self) -> dict[str, Any]:
        """What is under `tsauditd.session`."""
        found: dict[str, Any] = self.document["tsauditd"]["session"]
        return found

    @property
    def id(self) -> str:
        """The session's id."""
        return str(self.session["id"])

    def whole(self) -> dict[str, Any]:
        """The session as one object with all rows, in the order of their numbers."""
        rows = [self.rows[number] for number in sorted(self.rows)]
        return {**self.document, "tsauditd": {"session": {**self.session, "rows": rows}}}


class Views:
    """All sessions of a stream of objects, in the order of their opening, and the failed log-ins beside them."""

    def __init__(self, keep_rows: Callable[[str], bool]) -> None:
        """`keep_rows`: whether the rows of the session with this id are wanted; memory holds those."""
        self.sessions: dict[str, View] = {}
        self.logins: list[dict[str, Any]] = []
        self._keep_rows = keep_rows

    def take(self, document: dict[str, Any]) -> View | None:
        """Takes the next object and returns the session that it is of. An object that came before is passed over."""
        session = document["tsauditd"].get("session")
        if session is None:
            self.logins.append(document)
            return None
        view = self.sessions.get(session["id"])
        if view is None:
            view = self.sessions[session["id"]] = View(document)
        elif session["part"] <= view.session["part"]:
            return None
        rows = session.pop("rows")
        view.document = document
        if self._keep_rows(session["id"]):
            for row in rows:
                add_row(view.rows, row)
        return view


def add_row(rows: dict[int, Row], row: Row) -> None:
    """Adds a row, or what it adds to the one of its number: members replace, objects merge, `events` are added."""
    known = rows.get(row["number"])
    if known is None:
        rows[row["number"]] = row
        return
    for name, value in row.items():
        if name == "events":
            known.setdefault(name, []).extend(value)
        elif isinstance(value, dict) and isinstance(known.get(name), dict):
            known[name] = {**known[name], **value}
        else:
            known[name] = value
