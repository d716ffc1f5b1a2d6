"""A session as JSON, to be kept while the program does not run, and made again from that."""

from dataclasses import astuple, fields
from typing import Any

from tsauditd.timelines.session import Process, Session

_APART = frozenset({"pending", "touched", "processes", "folds", "searches"})
_KEPT = [field.name for field in fields(Session) if field.name not in _APART]


def changes(session: Session, *, whole: bool) -> dict[str, Any]:
    """What has changed since this was last asked; `whole`: everything.

    Rows are whole rows. What repeats fold into is not kept: the next repeat begins a new row.
    """
    numbers = session.pending.keys() if whole else session.touched & session.pending.keys()
    found: dict[str, Any] = {
        "state": {name: getattr(session, name) for name in _KEPT},
        "rows": [session.pending[number] for number in sorted(numbers)],
    }
    if whole or session.part != session.kept_part:
        session.kept_part = session.part
        found["processes"] = {str(pid): astuple(process) for pid, process in session.processes.items()}
    session.touched.clear()
    return found


def remade(entries: list[dict[str, Any]]) -> Session:
    """The session of which these are the changes, oldest first, from a whole one on.

    Raises ValueError, KeyError or TypeError for what `changes` has not made.
    """
    state = entries[-1]["state"]
    session = Session(**{name: value for name, value in state.items() if name in _KEPT})
    part = None
    for entry in entries:
        if entry["state"]["part"] != part:
            part = entry["state"]["part"]
            session.pending = {}
        for row in entry["rows"]:
            session.pending[row["number"]] = row
        if "processes" in entry:
            session.processes = {}
            for pid, values in entry["processes"].items():
                process = Process(*values)
                process.child = None
                session.processes[int(pid)] = process
    for row in session.pending.values():
        pid = row.get("process", {}).get("pid")
        if (
            pid is not None
            and row.get("kind") in ("command", "escalation")
            and "exit_code" not in row["process"]
        ):
            user = row.get("user", {})
            session.processes.setdefault(pid, Process(row["number"], user.get("id"), noise=row.get("noise")))
    return session
