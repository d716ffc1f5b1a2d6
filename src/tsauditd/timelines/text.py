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
_NAMED = 8
_COUNTS = (
    ("escalations", "escalation"), ("connections", "connection"), ("files", "file change"),
    ("accounts", "account change"), ("audit", "audit change"), ("services", "service"), ("modules", "module"),
    ("failures", "failure"), ("inputs", "input"), ("lost", "lost record"),
)  # fmt: skip
_COLUMNS = ("SESSION", "USER", "FROM", "KIND", "START (UTC)", "DURATION", "COMMANDS", "ESCALATIONS", "STATE")
_NUMBERS = frozenset({"DURATION", "COMMANDS", "ESCALATIONS"})
_WHO = (12, 28)
"""Columns for who did it: at least, at most."""
_COLOURS = {"escalation": "yellow", "failure": "red", "connection": "blue", "gap": "dim", "logout": "dim"}
_REASONS = {
    "authentication": "authentication failed",
    "accounting": "account refused",
    "bad_ident": "not authenticated",
}
"""What libpam calls it, in words; the last: the program gave up before PAM was asked (libpam/pam_audit.c)."""
_ALWAYS = frozenset({"login", "logout", "gap", "loss", "blind", "link", "escalation", "failure"})


def plain(text: str, _colour: str) -> str:
    """No colour."""
    return text


def table(views: Iterable[View]) -> Iterator[str]:
    """The sessions, a line each below a heading."""
    lines = [_COLUMNS, *(_summary(view) for view in views)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    for line in lines:
        cells = zip(_COLUMNS, line, widths, strict=True)
        yield "  ".join(
            text.rjust(width) if column in _NUMBERS else text.ljust(width) for column, text, width in cells
        ).rstrip()


def failures(documents: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The failed log-ins, a line each."""
    for document in documents:
        logins, event = document["tsauditd"]["logins"], document["event"]
        who = ", ".join(f"{visible(name)} x{count}" for name, count in logins["users"].items())
        times = "once" if logins["count"] == 1 else f"{logins['count']} times"
        burst = ", a burst" if "burst" in logins else ""
        yield f"{_clock(event['start'])}  {_where(document)}  failed {times}{burst}: {who}"


def timeline(
    view: View, *, verbose: bool = False, paint: Paint = plain, width: int | None = None
) -> Iterator[str]:
    """The session's heading and its rows. Without `verbose`, noise and what folds under commands are left out.

    `width`: columns that there are; longer lines are cut.
    """
    yield from heading(view, paint)
    yield totals(view)
    children: dict[int, int] = {}
    for row in view.rows.values():
        if _folds(row, view.rows) and "parent" in row:
            children[row["parent"]] = children.get(row["parent"], 0) + row.get("count", 1)
    shown = [row for row in in_order(view) if verbose or not (hides(row, view) or "pipeline" in row)]
    hidden = 0 if verbose else sum(hides(row, view) for row in view.rows.values())
    column = min(max([len(_who(row)) for row in shown], default=0), _WHO[1])
    for row in shown:
        more = 0 if verbose else children.get(row["number"], 0)
        yield line(row, view, more=more, paint=paint, width=width, column=column)
    if hidden:
        yield paint(
            f"({_several(hidden, 'row')} hidden: --verbose shows {'it' if hidden == 1 else 'them'})", "dim"
        )


def in_order(view: View) -> list[Row]:
    """The rows by time."""
    return sorted(view.rows.values(), key=lambda row: (row.get("offset", 0), row["number"]))


def hides(row: Row, view: View) -> bool:
    """Whether a row is left out unless everything is asked for: noise, and what folds under a command.

    Never what was refused, nor who became whom, but for what PAM does (a set-uid unix_chkpwd).
    """
    if row["kind"] == "other" and "reason" in row:
        return True  # an error that is no refusal: what is not there, what is there already
    if row["kind"] in _ALWAYS or row.get("outcome") == "failure":
        return row.get("noise") == "login" and row.get("outcome") != "failure"
    return "noise" in row or _folds(row, view.rows)


def heading(view: View, paint: Paint = plain) -> Iterator[str]:
    """Who, from where, how, when, and how it ended."""
    session, event = view.session, view.document["event"]
    kind = session["kind"] + (f", {session['how']}" if "how" in session else "")
    terminal = f" on {visible(session['terminal'])}" if "terminal" in session else ""
    yield paint(f"session {visible(view.id)}", "bold")
    yield f"{_user(view.document.get('user'))} by {kind}{terminal} {_from(view.document)}"
    state = "still open" if session["state"] == "open" else "ended"
    if end := session.get("end"):
        state += f": {end['reason']}" + (" (inferred)" if end.get("inferred") else "")
    yield f"{_clock(event['start'])} UTC, {duration(event['duration'])}, {state}"
    if before := session.get("failed_before"):
        who = ", ".join(f"{visible(name)} x{count}" for name, count in before["users"].items())
        burst = ": a burst" if "burst" in before else ""
        yield paint(f"{before['count']} failed log-ins from there before it ({who}){burst}", "red")
    if by := session.get("started_by"):
        yield f"started by session {visible(by['id'])}, row {by['row']} (inferred: {visible(by['evidence'])})"


def totals(view: View) -> str:
    """What the session comes to: how much of what, as whom, to which hosts."""
    summary = view.session["summary"]
    noise = summary.get("noise", 0)
    counts = [_several(summary["commands"] - noise, "command") + (f" (+{noise} noise)" if noise else "")]
    counts += [_several(summary[name], word) for name, word in _COUNTS if summary[name]]
    said = f"{', '.join(counts)}; active {duration(summary['active'])}"
    for name, word in (("users", "as"), ("hosts", "to")):
        if found := summary[name]:
            more = summary.get(f"{name}_more", 0) + len(found) - _NAMED
            names = [visible(str(each), 40) for each in found[:_NAMED]]
            said += f"; {word} {', '.join(names)}" + (f" and {more} more" if more > 0 else "")
    return said


def line(
    row: Row, view: View, *, more: int = 0, paint: Paint = plain, width: int | None = None, column: int = 0
) -> str:
    """One row. `more`: commands that fold under it; `width`: columns in all; `column`: those for who did it."""
    offset = f"+{duration(row['offset'])}".rjust(10)
    if row["kind"] == "gap":
        return paint(f"{offset}  — idle {duration(row['duration'])} —", "dim")
    said = f"{offset}  {_who(row).ljust(max(column, _WHO[0]))}  {_what(row)}"
    if row["kind"] == "command":
        joined = [one for one in view.rows.values() if one.get("pipeline") == row["number"]]
        said += "".join(f" | {_command(one)}" for one in joined)
    notes = [f"\u00d7{row['count']} to {_clock(row['last'])}"] if "count" in row else []
    if more:
        notes.append(f"+{_several(more, 'command')}")
    if row.get("outcome") == "failure":
        reason: str = row.get("reason", "failed")
        notes.append(_REASONS.get(reason, reason))
    elif row.get("outcome") == "unknown" and row["kind"] == "escalation":
        notes.append("outcome unknown")
    if code := row.get("process", {}).get("exit_code"):
        notes.append(f"exit {code}")
    if "duration" in row and row["duration"] >= 1_000_000_000:
        notes.append(duration(row["duration"]))
    if "container" in row and row["container"] != view.document.get("container"):
        notes.append(_in_container(row["container"]))
    if "noise" in row:
        notes.append(row["noise"])
    if row["kind"] == "command" and "session" in row:
        notes.append(f"asked for by session {row['session']}")
    if "inferred" in row:
        notes.append("inferred")
    told = f"  ({', '.join(visible(note) for note in notes)})" if notes else ""
    if width is not None and len(said) + len(told) > width:
        # What the notes say is not to be cut off by a long command line.
        said = said[: max(width - len(told) - 1, 30)] + "…"
    said += told
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


def _who(row: Row) -> str:
    user = row.get("user")
    if not user:
        return ""
    became = user.get("effective")
    return f"{_user(user)} → {_user(became)}" if became else _user(user)


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _folds(row: Row, rows: dict[int, Row]) -> bool:
    """Whether a row is left out for brevity: what a command started, unless it is worth a line of its own."""
    if row["kind"] == "other":
        return row.get("outcome") != "failure"
    if row["kind"] != "command" or row.get("outcome") == "failure" or row.get("process", {}).get("exit_code"):
        return False
    parent = rows.get(row.get("parent", -1))
    if parent is None or parent["kind"] != "command":
        return False
    # The first in a container is as one that somebody types there.
    return bool(row.get("container", {}).get("id") == parent.get("container", {}).get("id"))


def _summary(view: View) -> Sequence[str]:
    session = view.session
    summary = session["summary"]
    kind = session["kind"] + (f" {session['how']}" if "how" in session else "")
    state = session["state"] + (f" ({session['end']['reason']})" if "end" in session else "")
    return (
        visible(view.id),
        _user(view.document.get("user")),
        _from(view.document).removeprefix("from "),
        kind,
        _clock(view.document["event"]["start"]),
        duration(view.document["event"]["duration"]),
        str(summary["commands"] - summary.get("noise", 0)),
        str(summary["escalations"]),
        state,
    )


def _user(user: dict[str, Any] | None) -> str:
    known = user or {}
    return visible(str(known.get("name") or known.get("id") or "?"), 40)


def _where(document: dict[str, Any]) -> str:
    return _end(document.get("source", {})) or "here"


def _from(document: dict[str, Any]) -> str:
    """Where a session was opened from; of one without a door of its own, in which container it is."""
    if "source" not in document and "container" in document:
        return _in_container(document["container"])
    return f"from {_where(document)}"


def _in_container(container: dict[str, str]) -> str:
    return f"in {visible(container.get('name') or container['id'][:12])}"


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
