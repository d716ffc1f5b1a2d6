"""Sessions as text for a person: a line a session, a line a row. Every name from outside is made safe to print."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tsauditd.errors import visible
from tsauditd.timelines.facts import Row
from tsauditd.timelines.view import View

Paint = Callable[[str, str], str]
"""Gives a text in a colour (`red`, `yellow`, `green`, `blue`, `dim`, `bold`), or as it is."""

_LONGEST = 200
_COLUMNS = ("SESSION", "USER", "FROM", "KIND", "START", "DURATION", "COMMANDS", "ESCALATIONS", "STATE")
_COLOURS = {"escalation": "yellow", "failure": "red", "connection": "blue", "gap": "dim", "logout": "dim"}
_ALWAYS = frozenset({"login", "logout", "gap", "loss", "blind", "link", "escalation", "failure"})


def plain(text: str, _colour: str) -> str:
    """No colour."""
    return text


def table(views: Iterable[View]) -> Iterator[str]:
    """The sessions, a line each below a heading."""
    lines = [_COLUMNS, *(_summary(view) for view in views)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def failures(documents: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The failed log-ins, a line each."""
    for document in documents:
        logins, event = document["tsauditd"]["logins"], document["event"]
        who = ", ".join(f"{visible(name)} x{count}" for name, count in logins["users"].items())
        times = "once" if logins["count"] == 1 else f"{logins['count']} times"
        burst = ", a burst" if "burst" in logins else ""
        yield f"{_clock(event['start'])}  {_where(document)}  failed {times}{burst}: {who}"


def timeline(view: View, *, verbose: bool = False, paint: Paint = plain) -> Iterator[str]:
    """The session's heading and its rows. Without `verbose`, noise and what folds under commands are left out."""
    yield from heading(view, paint)
    children: dict[int, int] = {}
    for row in view.rows.values():
        if _folds(row, view.rows) and "parent" in row:
            children[row["parent"]] = children.get(row["parent"], 0) + row.get("count", 1)
    hidden = 0
    for number in sorted(view.rows, key=lambda one: (view.rows[one].get("offset", 0), one)):
        row = view.rows[number]
        if not verbose and (_folds(row, view.rows) or "noise" in row):
            hidden += 1
            continue
        if "pipeline" in row and not verbose:
            continue
        more = 0 if verbose else children.get(number, 0)
        yield line(row, view, more=more, paint=paint)
    if hidden:
        yield paint(f"({hidden} rows hidden: --verbose shows them)", "dim")


def heading(view: View, paint: Paint = plain) -> Iterator[str]:
    """Who, from where, how, when, and how it ended."""
    session, event = view.session, view.document["event"]
    kind = session["kind"] + (f", {session['how']}" if "how" in session else "")
    terminal = f" on {visible(session['terminal'])}" if "terminal" in session else ""
    yield paint(f"session {visible(view.id)}", "bold")
    yield f"{_user(view.document.get('user'))} by {kind}{terminal} from {_where(view.document)}"
    state = "still open" if session["state"] == "open" else "ended"
    if end := session.get("end"):
        state += f": {end['reason']}" + (" (inferred)" if end.get("inferred") else "")
    yield f"{_clock(event['start'])}, {duration(event['duration'])}, {state}"
    if before := session.get("failed_before"):
        who = ", ".join(f"{visible(name)} x{count}" for name, count in before["users"].items())
        burst = ": a burst" if "burst" in before else ""
        yield paint(f"{before['count']} failed log-ins from there before it ({who}){burst}", "red")
    if by := session.get("started_by"):
        yield f"started by session {visible(by['id'])}, row {by['row']} (inferred: {visible(by['evidence'])})"


def line(row: Row, view: View, *, more: int = 0, paint: Paint = plain) -> str:
    """One row."""
    offset = f"+{duration(row['offset'])}".rjust(10)
    if row["kind"] == "gap":
        return paint(f"{offset}  — idle {duration(row['duration'])} —", "dim")
    who = _user(row.get("user"))
    became = row.get("user", {}).get("effective")
    if became:
        who += f" → {_user(became)}"
    said = f"{offset}  {who:<12}  {_what(row)}"
    if row["kind"] == "command":
        joined = [one for one in view.rows.values() if one.get("pipeline") == row["number"]]
        said += "".join(f" | {_command(one)}" for one in joined)
    notes = [f"\u00d7{row['count']} to {_clock(row['last'])}"] if "count" in row else []
    if more:
        notes.append(f"+{more} commands")
    if row.get("outcome") == "failure":
        notes.append(row.get("reason", "failed"))
    elif row.get("outcome") == "unknown" and row["kind"] == "escalation":
        notes.append("outcome unknown")
    if code := row.get("process", {}).get("exit_code"):
        notes.append(f"exit {code}")
    if "duration" in row and row["duration"] >= 1_000_000_000:
        notes.append(duration(row["duration"]))
    if "container" in row:
        notes.append(f"in {visible(row['container'].get('name') or row['container']['id'][:12])}")
    if "noise" in row:
        notes.append(row["noise"])
    if "inferred" in row:
        notes.append("inferred")
    if notes:
        said += f"  ({', '.join(visible(note) for note in notes)})"
    colour = "red" if row.get("outcome") == "failure" else _COLOURS.get(row["kind"])
    return paint(said, colour) if colour else said


def duration(ns: int) -> str:
    """Nanoseconds as a person says it: 0.123s, 12.5s, 3m05s, 3h02m, 2d04h."""
    seconds = ns / 1e9
    if seconds < 10:
        return f"{seconds:.3f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 24 else f"{hours // 24}d{hours % 24:02d}h"


def _folds(row: Row, rows: dict[int, Row]) -> bool:
    """Whether a row is left out for brevity: what a command started, unless it is worth a line of its own."""
    if row["kind"] == "other":
        return row.get("outcome") != "failure"
    if row["kind"] != "command" or row.get("outcome") == "failure" or row.get("process", {}).get("exit_code"):
        return False
    parent = rows.get(row.get("parent", -1))
    return parent is not None and parent["kind"] == "command"


def _summary(view: View) -> Sequence[str]:
    session = view.session
    summary = session["summary"]
    kind = session["kind"] + (f" {session['how']}" if "how" in session else "")
    state = session["state"] if "end" not in session else session["end"]["reason"]
    return (
        visible(view.id),
        _user(view.document.get("user")),
        _where(view.document),
        kind,
        _clock(view.document["event"]["start"]),
        duration(view.document["event"]["duration"]),
        str(summary["commands"]),
        str(summary["escalations"]),
        state,
    )


def _user(user: dict[str, Any] | None) -> str:
    known = user or {}
    return visible(str(known.get("name") or known.get("id") or "?"), 40)


def _where(document: dict[str, Any]) -> str:
    return _end(document.get("source", {})) or "here"


def _end(end: dict[str, Any]) -> str:
    host = end.get("ip") or end.get("address") or end.get("path") or ""
    if "port" not in end:
        return visible(host)
    return visible(f"[{host}]:{end['port']}" if ":" in host else f"{host}:{end['port']}")


def _clock(stamp: str) -> str:
    return stamp[:19].replace("T", " ")


def _command(row: Row) -> str:
    process = row.get("process", {})
    args = process.get("args")
    text = shlex.join(args) if args else process.get("executable") or process.get("name") or "?"
    return visible(text, _LONGEST)


def _what(row: Row) -> str:
    kind = row["kind"]
    program = visible(str(row.get("process", {}).get("executable", "")).rpartition("/")[2])
    path = visible(row["file"]["path"], _LONGEST) if "file" in row else ""
    if kind in ("command", "escalation") and ("args" in row.get("process", {}) or kind == "command"):
        if row.get("outcome") == "failure" and kind == "command":
            return f"$ {path or _command(row)}"
        return f"$ {_command(row)}"
    if kind == "escalation":
        command = f": {visible(row['text'], _LONGEST)}" if "text" in row else ""
        return f"{row.get('action', kind)} {program}{command}"
    if kind == "connection":
        ends = " → ".join(_end(row[name]) for name in ("source", "destination") if name in row)
        return f"{row.get('action', kind)} {ends} {program}".rstrip()
    if kind == "input":
        return f"typed {visible(row.get('text', ''), _LONGEST)}"
    if kind in ("login", "logout", "blind", "loss", "link"):
        return f"{kind} {visible(row.get('text', ''), _LONGEST) or program}".rstrip()
    target = row.get("target", {})
    named = " ".join(_user(target[name]) for name in ("user", "group") if name in target)
    named = named or visible(str((row.get("service") or row.get("module") or {}).get("name", "")))
    words = [
        visible(str(row.get("action") or kind)),
        path,
        named,
        visible(str(row.get("text", "")), _LONGEST),
        program,
    ]
    return " ".join(word for word in words if word)
