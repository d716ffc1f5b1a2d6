"""What happens before there is a session: who asks to be let in, from where, and whether it was refused."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from tsauditd.timelines.facts import Event, identity, program, time_text
from tsauditd.timelines.session import ECS_VERSION

PRELUDE_MS = 180_000
"""LOGIN comes at most so long after the first words of its process (sshd_config(5): LoginGraceTime is 120 s)."""
PRELUDE_PROCESSES = 1_024
ATTEMPTS_MS = 600_000
"""Failures from one source belong together when each comes at most so long after the one before."""
SOURCES = 10_000
"""Sources of failures remembered; beyond, the oldest is written and forgotten."""
ATTEMPT_EVENTS = 512
"""Events that attempts name before they are written and counted anew."""
BURST = 3
CONNECTIONS = 256
"""Connections that a listening sshd has accepted and whose session has not come yet."""

_NOBODY = frozenset({"(invalid user)", "(unknown)", "(unknown user)", "?", ""})


@dataclass(slots=True)
class Prelude:
    """What a process said before LOGIN. Times are milliseconds."""

    since: int
    events: list[str] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)
    account: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Attempts:
    """Failures from one source, one after the other."""

    host: dict[str, Any]
    source: dict[str, Any]
    program: str
    first: int
    last: int
    events: list[str] = field(default_factory=list)
    processes: dict[int, list[Any]] = field(default_factory=dict)
    """Of each process: passwords refused, other failures, who was tried."""

    @property
    def users(self) -> dict[str, int]:
        """Who was tried, how often. A process that failed without a password being refused tried once."""
        found: dict[str, int] = {}
        for refused, _, name in self.processes.values():
            found[name] = found.get(name, 0) + max(refused, 1)
        return found

    def summary(self) -> dict[str, Any]:
        """As `failed_before` has it."""
        users = self.users
        count = sum(users.values())
        return {
            "count": count,
            **({"burst": True} if count >= BURST else {}),
            "first": time_text(self.first),
            "last": time_text(self.last),
            "users": users,
        }

    def document(self) -> dict[str, Any]:
        """The object that tells of them."""
        summary = self.summary()
        logins = {name: summary[name] for name in ("count", "burst", "users") if name in summary}
        related = {
            "user": sorted(summary["users"]),
            "ip": [self.source["ip"]] if "ip" in self.source else [],
        }
        document: dict[str, Any] = {
            "@timestamp": time_text(self.last),
            "ecs": {"version": ECS_VERSION},
            "event": {
                "kind": "event",
                "module": "tsauditd",
                "dataset": "tsauditd.session",
                "category": ["authentication"],
                "type": ["start", "denied"],
                "action": "logins-failed",
                "outcome": "failure",
                "start": time_text(self.first),
                "end": time_text(self.last),
                "duration": (self.last - self.first) * 1_000_000,
            },
            "host": self.host,
            "source": self.source,
            "related": {name: value for name, value in related.items() if value},
            "tsauditd": {"logins": {**logins, "program": self.program, "events": self.events}},
        }
        return {name: value for name, value in document.items() if value}


class Doors:
    """What goes on at a host's doors: bounded memory of those who ask to be let in."""

    def __init__(self) -> None:
        self._preludes: OrderedDict[tuple[str, int], Prelude] = OrderedDict()
        self._attempts: OrderedDict[tuple[str, ...], Attempts] = OrderedDict()
        self._accepted: OrderedDict[tuple[str, int, str, int], tuple[int, str]] = OrderedDict()
        self.unowned: list[str] = []
        """Events that turned out to belong to nobody; whoever looks takes them away."""
        self.done: list[dict[str, Any]] = []
        """Finished objects; whoever writes takes them away."""

    def heard(self, node: str, event: Event, ms: int) -> None:
        """Keeps what a process said that has no session yet."""
        key = (node, event.get("process", {}).get("pid", 0))
        prelude = self._preludes.get(key)
        if prelude is None:
            if len(self._preludes) >= PRELUDE_PROCESSES:
                self.unowned += self._preludes.popitem(last=False)[1].events
            prelude = self._preludes[key] = Prelude(ms)
        prelude.events.append(event["event"]["id"])
        prelude.source = prelude.source or dict(event.get("source", {}))
        prelude.account = prelude.account or identity(event.get("user", {}).get("effective"))

    def entered(self, node: str, pid: int, ms: int) -> Prelude | None:
        """What the process said that LOGIN now gives a session."""
        prelude = self._preludes.pop((node, pid), None)
        if prelude is not None and ms - prelude.since > PRELUDE_MS:
            self.unowned += prelude.events
            return None
        return prelude

    def accepted(self, node: str, event: Event, ms: int) -> None:
        """Keeps a connection that sshd has accepted, or asked for the other end of."""
        source = event.get("source", {})
        event_id = event["event"]["id"]
        if "ip" not in source or "port" not in source:
            self.unowned.append(event_id)
            return
        if len(self._accepted) >= CONNECTIONS:
            self.unowned.append(self._accepted.popitem(last=False)[1][1])
        key = (node, event["process"].get("pid", 0), source["ip"], source["port"])
        if old := self._accepted.pop(key, None):
            self.unowned.append(old[1])
        self._accepted[key] = (ms, event_id)

    def port_of(
        self, node: str, pids: tuple[int, ...], address: str, ms: int
    ) -> tuple[int, str, bool] | None:
        """The port that a session's peer came from: (port, the event that shows it, whether there was no other).

        That is the last connection from the address that the session's process or the one that made it has accepted.
        """
        found = [
            (when, port, event_id, key)
            for key, (when, event_id) in self._accepted.items()
            if (port := key[3]) and key[0] == node and key[1] in pids and key[2] == address
            and ms - when <= PRELUDE_MS
        ]  # fmt: skip
        if not found:
            return None
        _, port, event_id, key = found[-1]
        del self._accepted[key]
        return port, event_id, len(found) == 1

    def refused(self, node: str, host: dict[str, Any], event: Event, ms: int) -> None:
        """Counts a failure."""
        source = dict(event.get("source", {}))
        data = event["auditd"].get("data", {})
        where = source.get("ip") or source.get("address") or str(data.get("terminal", "?"))
        name = program(event)
        key = (node, where, name)
        attempts = self._attempts.get(key)
        if attempts is not None and (
            ms - attempts.last > ATTEMPTS_MS or len(attempts.events) >= ATTEMPT_EVENTS
        ):
            self.done.append(self._attempts.pop(key).document())
            attempts = None
        if attempts is None:
            if len(self._attempts) >= SOURCES:
                self.done.append(self._attempts.popitem(last=False)[1].document())
            attempts = self._attempts[key] = Attempts(host, source, name, ms, ms)
        attempts.last = max(attempts.last, ms)
        attempts.events.append(event["event"]["id"])
        user = event.get("user", {})
        tried = user.get("effective") or user.get("target") or {}
        account = tried.get("name") or tried.get("id") or "?"
        pid = event.get("process", {}).get("pid", 0)
        process = attempts.processes.setdefault(pid, [0, 0, account])
        if process[2] in _NOBODY and account not in _NOBODY:
            process[2] = account
        process[0 if event["auditd"]["message_type"] == "user_auth" else 1] += 1

    def failed_before(self, node: str, address: str | None, ms: int) -> dict[str, Any] | None:
        """The failures from an address that came shortly before a success; they are then written."""
        if address is None:
            return None
        for key in [key for key in self._attempts if key[:2] == (node, address)]:
            attempts = self._attempts.pop(key)
            self.done.append(attempts.document())
            if ms - attempts.last <= ATTEMPTS_MS:
                return attempts.summary()
        return None

    def tick(self, now: int) -> None:
        """Lets go what nothing more can come of."""
        while self._preludes and now - next(iter(self._preludes.values())).since > PRELUDE_MS:
            self.unowned += self._preludes.popitem(last=False)[1].events
        while self._accepted and now - next(iter(self._accepted.values()))[0] > PRELUDE_MS:
            self.unowned.append(self._accepted.popitem(last=False)[1][1])
        for key in [key for key, value in self._attempts.items() if now - value.last > ATTEMPTS_MS]:
            self.done.append(self._attempts.pop(key).document())

    def end(self) -> None:
        """Lets go everything."""
        for prelude in self._preludes.values():
            self.unowned += prelude.events
        self.unowned += [event_id for _, event_id in self._accepted.values()]
        self.done += [attempts.document() for attempts in self._attempts.values()]
        self._preludes.clear()
        self._accepted.clear()
        self._attempts.clear()
