"""Every other event of a session as a row: connections, files, accounts, audit, services, modules, failures, input."""

from typing import Any

from tsauditd.timelines.facts import (
    Event,
    Row,
    acting,
    container_of,
    error_of,
    identity,
    process_of,
    program,
    words,
)
from tsauditd.timelines.names import ACCOUNTS, AUDIT, DENIED, IDENTITY
from tsauditd.timelines.session import Process, Session

_CONNECTIONS = frozenset(
    {"connected-to", "accepted-connection-from", "bound-socket", "sent-to", "received-from"}
)
_CHANGES = frozenset({"creation", "change", "deletion"})
_WRITES = ("O_WRONLY", "O_RDWR", "O_TRUNC", "O_CREAT", "O_APPEND")
_END_MEMBERS = ("ip", "port", "address", "path", "domain")
_NETWORK_MEMBERS = ("direction", "transport", "type", "community_id", "protocol")


def happened(session: Session, event: Event, ms: int) -> Row:
    """Files an event that is neither a command nor of a log-in program."""
    session.happened(ms)
    kind = kind_of(event)
    if kind == "escalation":
        return _identity(session, event, ms)
    process = session.processes.get(event.get("process", {}).get("pid", 0))
    key = _key(kind, event)
    if event["event"]["outcome"] != "failure" and key is not None:
        seen = session.fold((kind, event["event"]["action"]))
        found = seen.get(key)
        if found is not None:
            row = session.amend(found[0], ms, event["event"]["id"])
            found[1] += 1
            row["count"] = found[1]
            row["last"] = event["@timestamp"]
            return row
        if len(seen) < 64:
            seen[key] = [session.rows, 1]
    row = session.add(kind, ms, event["@timestamp"], event["event"]["id"])
    row["user"] = session.named(acting(event))
    row["action"] = event["event"]["action"]
    row["outcome"] = event["event"]["outcome"]
    row["process"] = process_of(event)
    if process is not None and not process.shell:
        row["parent"] = process.row
        if process.noise:
            row["noise"] = process.noise
    if row["outcome"] == "failure" and (error := error_of(event)):
        row["reason"] = error
    if box := container_of(event):
        row["container"] = box
    if "incomplete" in event.get("tsauditd", {}):
        row["incomplete"] = True
    _DETAILS.get(kind, _of_file)(session, row, event)
    return row


def kind_of(event: Event) -> str:
    """The kind of row that an event gives."""
    inner, auditd = event["event"], event["auditd"]
    message: str = auditd["message_type"]
    if message in ACCOUNTS:
        return "account"
    if message in AUDIT or message.startswith("daemon_"):
        return "audit"
    if message in ("service_start", "service_stop"):
        return "service"
    if message in ("tty", "user_tty"):
        return "input"
    categories = inner.get("category", ())
    if "driver" in categories:
        return "module"
    if inner["outcome"] == "failure":
        return "failure" if error_of(event) in DENIED else "other"
    if inner["action"] == IDENTITY:
        return "escalation"
    if inner["action"] in _CONNECTIONS and ("source" in event or "destination" in event):
        return "connection"
    if "file" in categories and "file" in event and (_CHANGES.intersection(inner["type"]) or _writes(event)):
        return "file"
    return "other"


def _writes(event: Event) -> bool:
    """Whether a file was opened to be written to."""
    read: dict[str, Any] = event.get("tsauditd", {}).get("interpreted", {})
    return event["event"]["action"] == "opened-file" and any(
        flag in str(read.get(name, "")) for name in ("a1", "a2") for flag in _WRITES
    )


def _key(kind: str, event: Event) -> str | None:
    """What makes two events of a kind and action repeats of each other; None: they never are."""
    if kind not in ("connection", "file", "other"):
        return None
    user = event.get("user", {}).get("effective", {}).get("id", "")
    if kind == "connection":
        end = event.get(
            "destination" if event.get("network", {}).get("direction") == "egress" else "source", {}
        )
        other = end or event.get("destination") or event.get("source") or {}
        what = f"{other.get('ip') or other.get('path') or other.get('address')}:{other.get('port')}"
    else:
        what = str(event.get("file", {}).get("path"))
    return f"{program(event)}\0{user}\0{what}"


def _identity(session: Session, event: Event, ms: int) -> Row:
    """setuid(2) and its kin: a row when the user changed, otherwise part of what the process was started for."""
    pid = event["process"].get("pid", 0)
    process = session.processes.get(pid)
    event_id = event["event"]["id"]
    after = acting(event)
    parent = session.processes.get(event["process"].get("parent", {}).get("pid", 0))
    raised = process is not None and process.escalates
    if process is None and parent is not None and not parent.escalates and not parent.shell:
        process = Process(parent.row, parent.uid, noise=parent.noise, folded=True)  # forked
        session.remember(pid, process)
    before = process.uid if process is not None else None
    if process is not None and (raised or before is None or before == after.get("id")):
        return session.amend(process.row, ms, event_id)
    if process is None and parent is not None and parent.escalates:
        return session.amend(parent.row, ms, event_id)
    if process is None and session.login_row is not None and program(event) == session.program:
        return session.amend(session.login_row, ms, event_id)
    row = session.add("escalation" if process is not None else "other", ms, event["@timestamp"], event_id)
    row["action"] = event["auditd"].get("data", {}).get("syscall", IDENTITY)
    row["outcome"] = event["event"]["outcome"]
    row["process"] = process_of(event)
    row["user"] = after
    if process is not None:
        row["user"] = {**session.named({"id": str(before)}), "effective": session.named(after)}
        row["parent"] = process.row
        process.uid = after.get("id")
        session.became(after)
    return row


def _of_connection(session: Session, row: Row, event: Event) -> None:
    for name in ("source", "destination"):
        end = event.get(name)
        if end and (kept := {key: end[key] for key in _END_MEMBERS if key in end}):
            row[name] = kept
    network = event.get("network", {})
    if kept := {key: network[key] for key in _NETWORK_MEMBERS if key in network}:
        row["network"] = kept
    if row["action"] == "connected-to" and (address := event.get("destination", {}).get("ip")):
        session.reached(address)
        if session.kind == "ssh" and session.how is None and program(event).startswith("sshd"):
            session.how = "forward"


def _of_file(_session: Session, row: Row, event: Event) -> None:
    if (path := event.get("file", {}).get("path")) is not None:
        row["file"] = {"path": path}
    else:
        _of_connection(_session, row, event)


def _of_account(_session: Session, row: Row, event: Event) -> None:
    target = {
        name: known
        for name, known in (
            ("user", identity(event.get("user", {}).get("target"))),
            ("group", identity(event.get("group"))),
        )
        if known
    }
    if target:
        row["target"] = target
    if operation := event["auditd"].get("data", {}).get("op"):
        row["text"] = operation


def _of_audit(_session: Session, row: Row, event: Event) -> None:
    data = event["auditd"].get("data", {})
    said = [f"{name}={' '.join(words(data[name]))}" for name in ("op", "key", "old") if words(data.get(name))]
    said += [
        f"{name}={data[name]}" for name in data if name.startswith("audit_") and isinstance(data[name], str)
    ]
    if said:
        row["text"] = ", ".join(said)
    _of_file(_session, row, event)


def _of_service(_session: Session, row: Row, event: Event) -> None:
    if units := words(event["auditd"].get("data", {}).get("unit")):
        row["service"] = {"name": units[0]}


def _of_module(_session: Session, row: Row, event: Event) -> None:
    names = words(event["auditd"].get("data", {}).get("name"))
    if names:
        row["module"] = {"name": names[0]}
    _of_file(_session, row, event)


def _of_input(_session: Session, row: Row, event: Event) -> None:
    row["text"] = "".join(words(event["auditd"].get("data", {}).get("data")))


_DETAILS = {
    "connection": _of_connection,
    "file": _of_file,
    "account": _of_account,
    "audit": _of_audit,
    "service": _of_service,
    "module": _of_module,
    "input": _of_input,
}
