"""Commands: which program a process started, under which other one, as whom, and how it ended."""

from typing import Any

from tsauditd.timelines.facts import (
    Event,
    Row,
    acting,
    container_of,
    error_of,
    parse_time,
    process_of,
    program,
)
from tsauditd.timelines.names import (
    BY_ITSELF,
    COMPLETION,
    DENIED,
    ESCALATIONS,
    HELPERS,
    MANAGER,
    SHELLS,
    STARTUP,
    SYSTEM,
)
from tsauditd.timelines.session import PROCESSES, Process, Session
from tsauditd.timelines.start import Start

SHAPES = 32
"""Different command lines of one program under one command that get a row of their own; the others fold into one."""

_STARTUP_MS = 2_000
"""A shell's start-up files are over after that, by and large."""

_TOGETHER_MS = 20
"""Commands of one pipeline start within that, and nobody types so fast."""

_GREETING = frozenset({"ssh", "console", "systemd-user"})
"""Sessions whose opener runs programs of its own before the person's."""

_GREETING_MS = 10_000

_NONE: dict[str, Any] = {}


def exec_failed(session: Session, event: Event, ms: int) -> None:
    """A program that could not be started. A search along PATH is one row, and part of the command once found."""
    event_id = event["event"]["id"]
    source = event["process"]
    pid = source.get("pid", 0)
    error = error_of(event)
    session.happened(ms)
    known = session.processes.get(pid)
    searched = session.searches.get(pid)
    if searched is not None and searched in session.pending and error not in DENIED:
        row = session.amend(searched, ms, event_id)
    else:
        row = session.add("command", ms, event["@timestamp"], event_id)
        row["user"] = acting(event)
        row["outcome"] = "failure"
        _place(session, row, event, known)
        session.count("failures")
        session.note(row["number"])
        if error not in DENIED:
            # The next try of the same process shows whether it is somewhere else.
            if len(session.searches) >= PROCESSES:
                session.searches.clear()
            session.searches[pid] = row["number"]
    process = {key: source[key] for key in ("pid", "entity_id", "executable", "name") if key in source}
    if (directory := source.get("working_directory")) is not None:
        process["working_directory"] = directory
    row["process"] = process
    if path := event.get("file", {}).get("path"):
        row["file"] = {"path": path}
    if error:
        row["reason"] = error


def command(session: Session, start: Start, ms: int) -> Row:
    """A program that was started."""
    session.happened(ms)
    processes = session.processes
    pid, user_id, path = start.pid, start.uid, start.path
    name = path.rpartition("/")[2]
    starter = processes.get(pid) or processes.get(start.parent)
    parent = None
    if starter is not None:
        starter.starts = True
        if not (starter.shell or starter.manager):
            parent = starter
    escalates = name in ESCALATIONS
    searched = session.pending.get(session.searches.pop(pid, -1)) if session.searches else None
    if parent is not None and searched is None and not escalates and start.real == user_id == parent.uid:
        folded = _repeat(session, start, ms, (parent.row, path, user_id))
        if folded is not None:
            if parent.noise:
                session.count("noise")
            session.remember(pid, Process(folded["number"], user_id, noise=parent.noise, folded=True))
            return folded
    escalation = escalates or (user_id != start.real and start.real is not None)
    kind = "escalation" if escalation else "command"
    if searched is None:
        row = session.add(kind, ms, start.stamp, start.event_id)
        if escalation:
            session.count("commands")
    else:
        row = _found(session, searched, kind, ms, start)
    _fill(session, row, start)
    args: list[str] = row["process"].get("args") or []
    if escalation:
        row["action"] = name
        effective, row["user"] = row["user"], session.named(start.real_user())
        if not escalates:
            row["user"] = {**row["user"], "effective": effective}
    if parent is not None:
        row["parent"] = parent.row
    if starter is not None and starter.escalates and not escalation and name not in HELPERS:
        _became(session, starter, row["user"], ms)
    shell = name in SHELLS and _takes_commands(args)
    noise = (
        _noise(session, starter, args or [path], ms, path=path)
        if path.startswith(SYSTEM) and not shell
        else None
    )
    if noise:
        if "noise" not in row:
            session.count("noise")
        row["noise"] = noise
    else:
        if not escalation:
            session.became(row["user"])
        elif not escalates:
            session.became(row["user"]["effective"])
        if starter is not None and starter.shell:
            _pipeline(session, row, starter, pid, ms)
        if parent is None and session.kind == "ssh":
            _how(session, args or [path], shell=name in SHELLS)
    login = name in SHELLS and bool(args) and args[0].startswith("-")
    session.remember(
        pid,
        Process(
            row["number"],
            user_id,
            shell=shell,
            login=login,
            manager=name.startswith("systemd") and _is_manager(path, args),
            escalates=escalates,
            noise=noise,
            started=ms,
        ),
    )
    return row


def _fill(session: Session, row: Row, start: Start) -> None:
    """What a row says of any program: its process, as whom, in which container, at which terminal."""
    row["process"] = start.process()
    row["user"] = session.named(start.user())
    start.add_unusual(row)
    if session.terminal is None or not session.started:
        terminal = start.terminal()
        if terminal is not None or start.uid != "0":
            session.started = True  # PAM's own programs have no terminal, and run as root
        session.terminal = session.terminal or terminal


def _forked_from(session: Session, event: Event) -> int | None:
    """The row that the end of a process belongs to which never started a program: its parent's, or the log-in's."""
    parent = session.processes.get(event["process"].get("parent", {}).get("pid", 0))
    if parent is not None:
        return parent.row
    if session.program is not None and program(event) == session.program:
        return session.login_row if session.logout_row is None else session.logout_row
    return None


def process_of_row(row: Row) -> Process:
    """What would be remembered of the process that this row was made for."""
    args: list[str] = row["process"].get("args") or []
    name = row["process"].get("executable", "").rpartition("/")[2]
    user = row.get("user", {})
    return Process(
        row["number"],
        (user if row["kind"] == "command" else user.get("effective", user)).get("id"),
        shell=name in SHELLS and _takes_commands(args),
        login=name in SHELLS and bool(args) and args[0].startswith("-"),
        manager=_is_manager(row["process"].get("executable", ""), args),
        escalates=name in ESCALATIONS,
        noise=row.get("noise"),
        started=parse_time(row["@timestamp"]) if "@timestamp" in row else 0,
    )


def exited(session: Session, event: Event, ms: int) -> bool:
    """A process of the session ended. Returns False if nothing is known of it."""
    pid = event["process"].get("pid", 0)
    process = session.processes.get(pid)
    session.exits = True
    event_id = event["event"]["id"]
    if process is None:
        row_number = _forked_from(session, event)
        if row_number is None:
            return False
        session.happened(ms)
        session.amend(row_number, ms, event_id)
        return True
    session.happened(ms)
    if event["auditd"].get("data", {}).get("syscall") == "exit":  # one thread of it
        session.amend(process.row, ms, event_id)
        return True
    del session.processes[pid]
    code = event["process"].get("exit_code")
    if process.folded and code:
        row = session.add("command", ms, event["@timestamp"], event_id)
        row["user"] = acting(event)
        row["parent"] = process.row
        row["process"] = {**process_of(event), "exit_code": code}
        return True
    row = session.amend(process.row, ms, event_id)
    if not process.folded:
        row["duration"] = max(ms - process.started, 0) * 1_000_000
        if code is not None:
            row.setdefault("process", {})["exit_code"] = code
    return True


def _place(session: Session, row: Row, event: Event, known: Process | None) -> None:
    starter = known or session.processes.get(event["process"].get("parent", {}).get("pid", 0))
    if starter is not None and not starter.shell:
        row["parent"] = starter.row
    if starter is not None and starter.noise:
        row["noise"] = starter.noise
        session.count("noise")
    if box := container_of(event):
        row["container"] = box


def _found(session: Session, row: Row, kind: str, ms: int, start: Start) -> Row:
    """The row of a search along PATH becomes that of the command which it found."""
    number: int = row["number"]
    session.amend(number, ms, start.event_id)
    session.count("failures", -1)
    if number in session.notable:
        session.notable.remove(number)
    if kind == "escalation":
        session.count("escalations")
        session.note(number)
    for name in ("reason", "file", "outcome"):
        row.pop(name, None)
    row["kind"] = kind
    row["@timestamp"] = start.stamp
    row["offset"] = (ms - session.start) * 1_000_000
    return row


def _repeat(session: Session, start: Start, ms: int, key: tuple[Any, ...]) -> Row | None:
    """The row that this command repeats, brought up to date; None for the first of its kind."""
    shapes = session.fold(key)
    found = shapes.get(start.args_text)
    if found is None:
        if len(shapes) < SHAPES:
            shapes[start.args_text] = [session.rows, 1]
            return None
        found = shapes.get("")
        if found is None:
            shapes[""] = [session.rows, 1]
            return None
    number = found[0]
    row = session.amend(number, ms, start.event_id)
    found[1] += 1
    row["count"] = found[1]
    row["last"] = start.stamp
    session.count("commands")
    return row


def _became(session: Session, starter: Process, user: dict[str, str], ms: int) -> None:
    """The first command under an escalation shows whom it led to."""
    row = session.pending.get(starter.row)
    if row is None or row.get("outcome") == "failure":
        return
    known = row.setdefault("user", {}).get("effective")
    if known is None or (known.get("name") == user.get("name") or "id" not in known):
        session.amend(starter.row, ms)
        row["user"]["effective"] = {**(known or {}), **user}
        session.became(row["user"]["effective"])
        row["outcome"] = "success"


def _pipeline(session: Session, row: Row, shell: Process, pid: int, ms: int) -> None:
    """Commands that a shell started together, as far as that can be told without their process group."""
    if shell.child is not None:
        when, other, first = shell.child
        together = ms == when or (session.exits and ms - when <= _TOGETHER_MS)
        if together and other != pid and other in session.processes:
            row["pipeline"] = first
            row["inferred"] = ["pipeline"]
            shell.child = (ms, pid, first)
            return
    shell.child = (ms, pid, row["number"])


def _noise(session: Session, starter: Process | None, args: list[str], ms: int, *, path: str) -> str | None:
    """What kind of noise a system's program is. `path`: its file, which cannot be chosen as arguments can."""
    name = path.rpartition("/")[2]
    if starter is not None and starter.noise and not starter.manager:
        return starter.noise if ms - starter.started <= _STARTUP_MS else None
    if name in HELPERS:
        return "login"
    managed = session.kind == "systemd-user" and (starter is None or starter.manager)
    if managed and MANAGER.match(" ".join([path, *args[1:]])):
        return "startup"
    if starter is None:
        greeting = session.opener is not None and session.kind in _GREETING and not session.started
        return "login" if greeting and ms - session.start <= _GREETING_MS else None
    if not starter.login and not starter.shell:
        return None
    first = args[0].partition(" ")[0].rpartition("/")[2]
    if first not in BY_ITSELF and not first.startswith("_"):
        return None
    line = " ".join(args)
    if ms - starter.started <= _STARTUP_MS and STARTUP.match(line):
        return "startup"
    if starter.shell and "clear_console -q" in line:
        return "startup"
    return "completion" if starter.shell and COMPLETION.match(line) else None


def _is_manager(path: str, args: list[str]) -> bool:
    """Whether it is systemd --user, or what becomes each of its commands (from systemd 255 on)."""
    return path.endswith("/systemd/systemd-executor") or (
        path.endswith("/systemd/systemd") and args[1:2] == ["--user"]
    )


def _takes_commands(args: list[str]) -> bool:
    """Whether a shell with these arguments reads commands from a terminal or its input, not from -c or a script."""
    for word in args[1:]:
        if not word.startswith("-"):
            return False
        if word == "-c" or (not word.startswith("--") and "c" in word):
            return False
    return True


def _how(session: Session, args: list[str], *, shell: bool) -> None:
    """How an ssh session is used, by what is started first."""
    if session.how not in (None, "nothing", "forward"):
        return
    line, last = " ".join(args), args[-1]
    if "sftp-server" in line or "internal-sftp" in line:
        session.how = "sftp"
    elif last.startswith("scp ") or line.partition(" ")[0].rpartition("/")[2] == "scp":
        session.how = "scp"
    elif shell and _takes_commands(args) and (session.terminal or args[0].startswith("-")):
        session.how = "interactive"
    else:
        session.how = "command"
