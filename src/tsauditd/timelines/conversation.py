"""What programs that log people in or change users say in a session (PAM, sudo, sshd): log-in, escalation, logout."""

from typing import Any

from tsauditd.timelines.facts import (
    Event,
    Row,
    acting,
    identity,
    process_of,
    program,
    terminal_of,
)
from tsauditd.timelines.names import ESCALATIONS, KINDS
from tsauditd.timelines.session import Process, Session

_OPENING = frozenset({"user_start", "user_login", "cred_acq", "user_acct", "user_auth", "crypto_session"})


def said(session: Session, event: Event, ms: int) -> None:
    """Files one record of such a program."""
    session.happened(ms)
    pid: int = event.get("process", {}).get("pid", 0)
    kind: str = event["auditd"]["message_type"]
    name = program(event)
    process = session.processes.get(pid)
    if process is not None and process.escalates:
        _escalation(session, session.amend(process.row, ms, event["event"]["id"]), event, kind)
        return
    if name in ESCALATIONS and pid != session.opener:
        _unseen_escalation(session, event, ms, pid, kind, name)
        return
    if session.login_row is None and session.opener is None and kind in _OPENING and name in KINDS:
        # LOGIN was not audited, or is still to come: in a log its end is known later than that of a single record.
        session.opener, session.program, session.kind = pid, name, KINDS[name]
    if pid == session.opener or _same_program(session, name):
        _of_opener(session, event, ms, kind, pid)
        return
    row = session.add("other", ms, event["@timestamp"], event["event"]["id"])
    row["user"] = acting(event)
    row["process"] = process_of(event)
    row["action"] = event["event"]["action"]
    row["outcome"] = event["event"]["outcome"]


def opened(session: Session, event: Event, ms: int) -> None:
    """The session's first row: LOGIN, or the first word of the program that opened it."""
    row = session.add("login", ms, event["@timestamp"], event["event"]["id"])
    session.login_row = row["number"]
    row["process"] = process_of(event)
    row["outcome"] = event["event"]["outcome"]
    row["user"] = dict(session.user)


def complete(session: Session, event: Event) -> None:
    """Takes from a record of the opener what is not known yet: who, from where, on which terminal."""
    user = event.get("user", {})
    account = identity(user.get("effective"))
    if name := account.get("name"):
        session.user.setdefault("name", name)
    if audit := identity(user.get("audit")):
        session.user = {**session.user, **audit}
    if "id" in session.user and "name" in session.user:
        session.names.setdefault(session.user["id"], session.user["name"])
    source = event.get("source", {})
    for member in ("ip", "port", "address", "domain"):
        if member in source and (member != "address" or source[member] != source.get("ip")):
            session.source.setdefault(member, source[member])
    if terminal := terminal_of(event):
        session.terminal = terminal
    data = event["auditd"].get("data", {})
    if session.kind == "unknown":
        session.kind = {"cron": "cron", "ssh": "ssh", "atd": "at"}.get(str(data.get("terminal")), "unknown")


def _same_program(session: Session, name: str) -> bool:
    return session.program is not None and (
        name == session.program or KINDS.get(name, "") == session.kind != "unknown"
    )


def _of_opener(session: Session, event: Event, ms: int, kind: str, pid: int) -> None:
    event_id = event["event"]["id"]
    if kind in ("user_end", "user_logout", "cred_disp"):
        if session.logout_row is None:
            row = session.add("logout", ms, event["@timestamp"], event_id)
            row["process"] = process_of(event)
            row["user"] = dict(session.user)
            row["outcome"] = event["event"]["outcome"]
            session.logout_row = row["number"]
        else:
            session.amend(session.logout_row, ms, event_id)
        if pid == session.opener or session.opener is None:
            session.logged_out = ms
        return
    complete(session, event)
    if session.login_row is None:
        opened(session, event, ms)
    else:
        row = session.amend(session.login_row, ms, event_id)
        row["user"] = dict(session.user)
        if event["event"]["outcome"] == "failure":
            row["outcome"] = "failure"
    if kind == "user_start":
        session.started = True


def _escalation(session: Session, row: Row, event: Event, kind: str) -> None:
    """Completes an escalation: who is to become whom, for which command, and whether that was allowed."""
    outcome = event["event"]["outcome"]
    data: dict[str, Any] = event["auditd"].get("data", {})
    user = row.setdefault("user", {})
    if kind == "user_cmd":
        if command := data.get("cmd"):
            row["text"] = command
        if outcome == "failure":
            _refused(session, row, "refused")
    elif kind in ("user_auth", "user_acct", "user_err") and outcome == "failure":
        _refused(session, row, str(data.get("op", "")).removeprefix("PAM:") or "refused")
    elif kind in ("user_start", "cred_acq", "cred_refr") and outcome == "success":
        if account := identity(event.get("user", {}).get("effective")):
            known = user.get("effective", {})
            if not known or known.get("name") != account.get("name"):
                known = user["effective"] = {**known, **account}
            session.became(known)
        if kind == "user_start":
            if row.get("outcome") == "failure":
                session.count("failures", -1)
            row["outcome"] = "success"
            row.pop("reason", None)


def _refused(session: Session, row: Row, reason: str) -> None:
    if row.get("outcome") != "failure":
        session.count("failures")
    row["outcome"] = "failure"
    row["reason"] = reason


def _unseen_escalation(session: Session, event: Event, ms: int, pid: int, kind: str, name: str) -> None:
    """Sudo or su whose start was not audited."""
    row = session.add("escalation", ms, event["@timestamp"], event["event"]["id"])
    row["user"] = identity(event.get("user"))
    row["action"] = name
    row["outcome"] = "unknown"
    row["process"] = process_of(event)
    session.remember(pid, Process(row["number"], None, escalates=True, started=ms))
    _escalation(session, row, event, kind)
