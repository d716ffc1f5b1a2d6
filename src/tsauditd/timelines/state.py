"""A session as JSON, to be kept while the program does not run, and made again from that."""

from dataclasses import fields
from typing import Any

from tsauditd.timelines.commands import process_of_row
from tsauditd.timelines.session import Process, Session

_APART = frozenset({"pending", "touched", "processes", "folds", "searches", "latest"})
_KEPT = [field.name for field in fields(Session) if field.name not in _APART]


def changes(session: Session, *, whole: bool) -> dict[str, Any]:
    """What has changed since this was last asked, for orjson; `whole`: everything.

    Rows are whole rows. What repeats fold into is not kept: the next repeat begins a new row.
    """
    numbers = session.pending.keys() if whole else session.touched & session.pending.keys()
    found: dict[str, Any] = {
        "state": {name: getattr(session, name) for name in _KEPT},
        "rows": [session.pending[number] for number in sorted(numbers)],
    }
    if whole:
        found["processes"] = list(session.processes.items())
    session.touched.clear()
    return found


def remade(entries: list[dict[str, Any]]) -> Session:
    """The session of which these are the changes, oldest first, from a whole one on.

    Among them stand the session's objects, as they were written. Raises ValueError, KeyError or TypeError for what
    `changes` has not made.
    """
    state = [entry for entry in entries if "state" in entry][-1]["state"]
    session = Session(**{name: value for name, value in state.items() if name in _KEPT})
    part = None
    for entry in entries:
        if "tsauditd" in entry:
            rows = entry["tsauditd"]["session"]["rows"]
        else:
            rows = entry["rows"]
            if entry["state"]["part"] != part:
                part = entry["state"]["part"]
                session.pending = {}
            session.pending.update({row["number"]: row for row in rows})
            for pid, values in entry.get("processes", ()):
                session.remember(pid, Process(**{**values, "child": None}))
        for row in rows:
            process = row.get("process", {})
            if "exit_code" in process or "duration" in row:
                for pid in [pid for pid, known in session.processes.items() if known.row == row["number"]]:
                    del session.processes[pid]
            elif row.get("kind") in ("command", "escalation") and "pid" in process:
                session.remember(process["pid"], process_of_row(row))
    return session
