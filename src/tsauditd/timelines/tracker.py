"""All sessions at once: events in, objects out. No I/O, no clock: events bring their time, `tick` the rest."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

from tsauditd.timelines import commands, conversation, rows
from tsauditd.timelines.facts import (
    Event,
    Row,
    acting,
    container_of,
    identity,
    milliseconds,
    node_of,
    program,
    time_text,
)
from tsauditd.timelines.links import Links
from tsauditd.timelines.logins import Doors
from tsauditd.timelines.names import CONVERSATION, KINDS, LOGIN_FAILURES, PRELUDES, REQUESTS
from tsauditd.timelines.session import EVENTS_WAITING, ROWS_WAITING, Names, Session
from tsauditd.timelines.start import PiecedStart, Start, ToldStart, whole_event

UPDATE_MS = 10_000
"""Rows wait at most so long to be written."""
QUIET_MS = 60_000
"""After so long without an event it is asked whether a session still has a process."""
SILENT_MS = 1_000
"""The same of a session all of whose known processes have exited, and of a program that was put into a container,
whose end nobody says."""
LOGOUT_MS = 900_000
"""Without /proc: a session that was logged out of ends when nothing comes for so long."""
TIMEOUT_MS = 7 * 86_400_000
"""Without /proc: a session ends when nothing comes for so long."""
ENDED = 4_096
"""Ended sessions remembered, to go on where they ended."""
SESSIONS = 20_000
"""Sessions open at once; beyond, the one that was silent longest ends as by timeout."""

_NONE: dict[str, Any] = {}

Alive = Callable[[Collection[Session]], Collection[str]]
"""The ids of those sessions that a process of this host still belongs to."""


class Timelines:
    """Turns events into sessions' objects. Give it each event that a session may need, in order, and take the rest.

    Memory: `SESSIONS` open sessions, each with what session.py bounds; nothing grows with a session's length.
    """

    def __init__(
        self,
        emit: Callable[[dict[str, Any]], object],
        *,
        unowned: Callable[[str], None] | None = None,
        update_ms: int = UPDATE_MS,
    ) -> None:
        """`emit` takes each finished object; `unowned` is told the ids of events that no session has."""
        self._emit = emit
        self._unowned = unowned or (lambda _: None)
        self._update_ms = update_ms
        self.sessions: OrderedDict[str, Session] = OrderedDict()
        self._ids: dict[tuple[str, str], str] = {}
        self._names = Names()
        self._ended: OrderedDict[str, Session] = OrderedDict()
        self._boots: dict[str, str] = {}
        self._doors = Doors()
        self.now = 0
        """The latest time that was seen, milliseconds since the epoch."""
        self.changed: set[str] = set()
        """Sessions that rows came to since somebody last took this."""
        self._links = Links(self.sessions, self.changed)

    def push(self, event: Event) -> None:
        """Takes an event of docs/events.md."""
        auditd = event.get("auditd")
        if auditd is None:
            self._of_daemon(event)
            return
        event.setdefault("process", {})
        ms = milliseconds(event)
        if ms > self.now:
            self.now = ms
        number = auditd.get("session")
        if number is None:
            joined: str | None = event.get("tsauditd", _NONE).get("session", _NONE).get("id")
            if joined is None:
                self._without_session(event, ms)
                return
            number = joined.split("-", 2)[2]
        session = self._session(event, number, ms)
        self.changed.add(session.id)
        message = auditd["message_type"]
        action = event["event"]["action"]
        if action == "executed" and message == "syscall":
            if event["event"]["outcome"] == "failure":
                commands.exec_failed(session, event, ms)
            else:
                self._command(session, ToldStart(event), ms)
        elif message == "login":
            self._login(session, event, ms)
        elif message in CONVERSATION:
            conversation.said(session, event, ms)
        elif action != "end" or message != "syscall" or not commands.exited(session, event, ms):
            rows.happened(session, event, ms)
        self._filed(session, ms)
        if self._doors.done:
            self._give_doors()

    def start(self, pieces: list[str]) -> None:
        """Takes the usual start of a program in the core's pieces (`timelines.start`)."""
        session = self.sessions.get(pieces[0])
        if session is None and pieces[14] == "{}":  # of a log, which has numbers alone
            session = self.sessions.get(self._ids.get((node_of(_NONE), pieces[0]), ""))
        if session is None:
            self.push(whole_event(pieces))
            return
        ms = int(pieces[1])
        if ms > self.now:
            self.now = ms
        self.changed.add(session.id)
        self._command(session, PiecedStart(pieces), ms)
        self._filed(session, ms)

    def _command(self, session: Session, start: Start, ms: int) -> None:
        row = commands.command(session, start, ms)
        name = row.get("process", _NONE).get("name")
        if name in REQUESTS and "process" in row:
            self._links.made(session, row["number"], name, start.args(), ms)
        if session.kind == "systemd-user" and "parent" not in row and "noise" not in row:
            self._links.asked_for(session, row, ms)

    def _filed(self, session: Session, ms: int) -> None:
        """Writes what is due after a session has got another event."""
        if (
            len(session.pending) >= ROWS_WAITING
            or session.pending_events >= EVENTS_WAITING
            or ms - session.pending_since >= self._update_ms
        ):
            self._write(session)

    def lost(self, text: str, ms: int, count: int = 1, *, about: bool = False) -> None:
        """Records were lost at that time, or `about` then: a row in every session that is open."""
        for session in self.sessions.values():
            if session.loss_row is not None and session.loss_row in session.pending:
                row = session.amend(session.loss_row, ms)
                row["count"] = row.get("count", 1) + 1
                row["last"] = time_text(ms)
            else:
                row = session.add("loss", ms, time_text(ms), None)
                session.loss_row = row["number"]
                row["text"] = text
                if about:
                    row["inferred"] = ["@timestamp"]
            session.count("lost", count)
            self.changed.add(session.id)

    def tick(self, now: int, alive: Alive | None = None) -> None:
        """Writes what has waited long enough, and ends what is over. `now`: milliseconds since the epoch.

        `alive` is None where it cannot be known.
        """
        self.now = max(self.now, now)
        self._doors.tick(now)
        self._give_doors()
        quiet: list[Session] = []
        for session in self.sessions.values():
            if session.pending and now - session.pending_since >= self._update_ms:
                self._write(session)
            exited = session.exits and not session.processes
            over = session.logged_out is not None or (
                (exited or session.joined) and now - session.last >= SILENT_MS
            )
            if (alive is None or now >= session.look_at) and (over or now - session.last >= QUIET_MS):
                quiet.append(session)
                since = now - (session.logged_out or session.last)
                session.look_at = now + min(max(since // 2, 1_000), QUIET_MS)
        if alive is not None:
            living = alive(quiet) if quiet else ()
            for session in quiet:
                if session.id not in living:
                    self._end(session, {"reason": "last-process"})
            return
        for session in quiet:
            self._end_by_time(session, now)

    def gone(self, session_id: str, reason: str) -> None:
        """Ends a session for a reason that only the caller knows."""
        if session := self.sessions.get(session_id):
            self._end(session, {"reason": reason, "inferred": True})

    def finish(self, *, ended: bool) -> None:
        """The end of the input: everything that waits is written. `ended`: who was logged out has ended."""
        self._doors.end()
        self._give_doors()
        for session in list(self.sessions.values()):
            if ended and session.logged_out is not None:
                self._end_by_time(session, session.last + LOGOUT_MS)
            elif session.pending:
                self._write(session)

    def flush(self) -> None:
        """Writes everything that waits; sessions stay open."""
        for session in self.sessions.values():
            if session.pending:
                self._write(session)

    def resume(self, session: Session) -> None:
        """Takes back a session that was open when the program ended."""
        self.sessions[session.id] = session
        self._ids[node_of(session.host), session.number] = session.id
        if boot := session.host.get("boot", _NONE).get("id"):
            self._boots[node_of(session.host)] = boot

    def _session(self, event: Event, number: str, ms: int) -> Session:
        session_id = event.get("tsauditd", _NONE).get("session", _NONE).get("id")
        session = self.sessions.get(session_id)
        if session is not None:
            return session
        node = node_of(event.get("host", _NONE))
        if session_id is None:
            session_id = self._ids.get((node, number))
            if session_id is not None and event["auditd"]["message_type"] == "login":
                known = self.sessions.get(session_id) or self._ended.get(session_id)
                if known is not None and known.login:
                    # The kernel counts on: the same number again is another boot's.
                    self.reboot(node, known.last, inferred=True)
                    session_id = None
            if session_id is None:
                session_id = self._names.given(f"{node}-{ms // 1000}", number, event["event"]["id"])
        session = self.sessions.get(session_id)
        if session is None:
            session = self._open(session_id, event, node, number, ms)
        return session

    def _open(self, session_id: str, event: Event, node: str, number: str, ms: int) -> Session:
        host = event.get("host", _NONE)
        boot = host.get("boot", _NONE).get("id")
        if boot is not None and self._boots.get(node, boot) != boot:
            self.reboot(node, ms)
        if boot is not None:
            self._boots[node] = boot
        session = self._ended.pop(session_id, None)
        if session is not None:
            session.logged_out = None
        else:
            session = Session(session_id, number, host, ms, ms)
            session.user = identity(event.get("user", _NONE).get("audit"))
            session.container = container_of(event)
        if len(self.sessions) >= SESSIONS:
            oldest = min(self.sessions.values(), key=lambda one: one.last)
            self._end(oldest, {"reason": "timeout", "inferred": True})
        self.sessions[session_id] = session
        self._ids[node, number] = session_id
        if "session" not in event["auditd"] and not session.joined:
            session.joined, session.kind, session.how = True, "container", "exec"
            session.user = acting(event)
            self._links.caused(session, event, ms)
        if event["auditd"]["message_type"] != "login":
            self._write(session, "session-opened")
        return session

    def _login(self, session: Session, event: Event, ms: int) -> None:
        pid: int = event["process"].get("pid", 0)
        if session.opener is not None and session.opener != pid:
            rows.happened(session, event, ms)
            return
        node = node_of(session.host)
        if session.rows == 0:
            session.start = session.last = ms
        session.happened(ms)
        session.opener, session.login = pid, True
        session.program = program(event) or session.program
        session.kind = KINDS.get(session.program or "", "unknown")
        session.user = {**session.user, **identity(event.get("user", _NONE).get("audit"))}
        known = session.login_row
        if known is None:
            conversation.opened(session, event, ms)
            row = session.pending[session.rows - 1]
        else:
            row = session.amend(known, ms, event["event"]["id"])
        if prelude := self._doors.entered(node, pid, ms):
            row["events"] = prelude.events + row["events"]
            session.events += len(prelude.events)
            session.pending_events += len(prelude.events)
            source = prelude.source
            session.source |= {
                key: source[key]
                for key in ("ip", "port", "domain", "address")
                if key in source and not (key == "address" and source[key] == source.get("ip"))
            }
            if "name" in prelude.account and "name" not in session.user:
                session.user = {**session.user, "name": prelude.account["name"]}
        if "id" in session.user and "name" in session.user:
            session.names[session.user["id"]] = session.user["name"]
        self._from_where(session, row, event, ms)
        row["user"] = dict(session.user)
        session.failed_before = self._doors.failed_before(node, session.source.get("ip"), ms)
        self._links.caused(session, event, ms)
        self._write(session, "session-opened" if known is None else "session-updated")

    def _from_where(self, session: Session, row: Row, event: Event, ms: int) -> None:
        address = session.source.get("ip")
        if address is None or "port" in session.source:
            return
        process = event["process"]
        pids = (process.get("pid", 0), process.get("parent", _NONE).get("pid", 0))
        if found := self._doors.port_of(node_of(session.host), pids, address, ms):
            port, event_id, alone = found
            session.source["port"] = port
            row["events"].insert(0, event_id)
            session.events += 1
            if not alone:
                row["inferred"] = ["source.port"]
            row["source"] = dict(session.source)

    def _without_session(self, event: Event, ms: int) -> None:
        message = event["auditd"]["message_type"]
        inner = event["event"]
        node = node_of(event.get("host", _NONE))
        if (message in LOGIN_FAILURES and inner["outcome"] == "failure") or message.startswith("anom_login"):
            self._doors.refused(node, event.get("host", _NONE), event, ms)
        elif message in PRELUDES:
            self._doors.heard(node, event, ms)
        elif message == "syscall" and "source" in event and program(event).startswith("sshd"):
            self._doors.accepted(node, event, ms)
        elif message in ("service_start", "service_stop") and self._links.service(event, ms):
            pass
        else:
            if message in ("system_boot", "system_shutdown"):
                self.reboot(node, ms)
            self._unowned(inner["id"])
        if self._doors.done or self._doors.unowned:
            self._give_doors()

    def reboot(self, node: str, ms: int, *, inferred: bool = False) -> None:
        """The host has booted again: what was open on it has ended."""
        for session in [one for one in self.sessions.values() if node_of(one.host) == node]:
            end: dict[str, Any] = {"reason": "reboot", "at": ms}
            self._end(session, {**end, "inferred": True} if inferred else end)
        for key in [key for key in self._ids if key[0] == node]:
            self._ended.pop(self._ids.pop(key), None)

    def _end_by_time(self, session: Session, now: int) -> None:
        quiet = now - session.last
        if session.logged_out is not None and session.exits and not session.processes:
            self._end(session, {"reason": "last-process", "inferred": True})
        elif session.logged_out is not None and quiet >= LOGOUT_MS:
            self._end(session, {"reason": "logout", "inferred": True})
        elif quiet >= TIMEOUT_MS:
            self._end(session, {"reason": "timeout", "inferred": True})

    def _end(self, session: Session, end: dict[str, Any]) -> None:
        del self.sessions[session.id]
        self._emit(session.write("session-ended", max(session.last, end.get("at", 0)), end))
        self.changed.add(session.id)
        session.folds.clear()
        session.processes.clear()
        session.searches.clear()
        if len(self._ended) >= ENDED:
            old, _ = self._ended.popitem(last=False)
            self._ids = {key: value for key, value in self._ids.items() if value != old}
        self._ended[session.id] = session

    def _write(self, session: Session, action: str = "session-updated") -> None:
        self._emit(session.write(action, session.last))
        self.changed.add(session.id)

    def _give_doors(self) -> None:
        for document in self._doors.done:
            self._emit(document)
        self._doors.done.clear()
        for event_id in self._doors.unowned:
            self._unowned(event_id)
        self._doors.unowned.clear()

    def _of_daemon(self, event: Event) -> None:
        """An event of a daemon's own, such as of losses."""
        if lost := event.get("tsauditd", _NONE).get("lost"):
            count = sum(value for value in lost.values() if isinstance(value, int))
            self.lost(event["event"].get("reason", "records were lost"), milliseconds(event), count)
