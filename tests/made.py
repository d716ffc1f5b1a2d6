"""Events as the core writes them, made up: what tests of timelines need of them, and lines for those of sinks."""

import random
from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]
START = 1_700_000_000_000


def storm_line(number: int) -> bytes:
    """A line of 1,000 bytes that differs from others in its number: as in a storm of one program's open()."""
    head = (
        b'{"@timestamp":"2024-05-01T10:30:00.123Z","event":{"id":"1714559400.123:%09d","outcome":"success"}'
        % number
    )
    return (head + _MEMBERS)[:998] + b"}\n"


_MEMBERS = b"".join(b',"member%02d":"its value"' % number for number in range(99))


def random_lines(source: random.Random, size: int) -> bytes:
    """So many bytes of lines of 1,000 that hardly can be compressed: the worst that somebody could have opened."""
    text = source.randbytes(size).translate(bytes(33 + byte % 94 for byte in range(256)))
    return b"".join(text[start : start + 999] + b"\n" for start in range(0, size, 1000))


class Maker:
    """Makes events one after the other. `ms` is the next one's time, for the test to set."""

    def __init__(self, *, boot: str | None = None, serial: int = 1) -> None:
        self.ms = START
        self.serial = serial
        self._boot = boot

    def event(self, kind: str, ses: int | None, **members: Any) -> Event:
        stamp = f"{self.ms // 1000}.{self.ms % 1000:03d}:{self.serial}"
        host: dict[str, Any] = {"name": "here"}
        if self._boot is not None:
            host |= {"id": "0123456789abcdef", "boot": {"id": self._boot}}
        event: Event = {
            "@timestamp": datetime.fromtimestamp(self.ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6]
            + "Z",
            "event": {
                "id": stamp,
                "dataset": "auditd.event",
                "category": ["process"],
                "type": ["info"],
                "action": kind,
                "outcome": "success",
            },
            "host": host,
            "auditd": {"message_type": kind, "data": {}},
            "process": {"pid": 1},
        }
        if ses is not None:
            event["auditd"]["session"] = str(ses)
            if self._boot is not None:
                event["tsauditd"] = {"session": {"id": f"01234567-{self._boot[:8]}-{ses}"}}
        self.serial += 1
        for name, value in members.items():
            event[name] = {**event.get(name, {}), **value} if isinstance(value, dict) else value
        return event

    def login(self, ses: int, *, program: str = "/usr/sbin/sshd") -> Event:
        user = {"effective": {"id": "1000", "name": "alice"}, "audit": {"id": "1000", "name": "alice"}}
        process = {"pid": 40 + 10_000 * ses, "executable": program, "parent": {"pid": 30}}
        return self.event("login", ses, user=user, process=process)

    def logout(self, ses: int) -> Event:
        process = {"pid": 40 + 10_000 * ses, "executable": "/usr/sbin/sshd"}
        return self.event("user_end", ses, process=process)

    def command(
        self, ses: int, args: list[str], *, pid: int, parent: int = 40, uid: str = "1000", effective: str = ""
    ) -> Event:
        names = {"1000": "alice", "0": "root"}
        user = {"id": uid, "name": names.get(uid, uid)}
        euid = effective or uid
        process = {
            "pid": pid,
            "parent": {"pid": parent},
            "executable": f"/usr/bin/{args[0].lstrip('-')}",
            "name": args[0],
            "args": args,
            "working_directory": "/home/alice",
        }
        event = self.event(
            "syscall",
            ses,
            user={**user, "effective": {"id": euid, "name": names.get(euid, euid)}},
            process=process,
            event={"action": "executed", "type": ["start"]},
        )
        event["auditd"]["data"] = {"syscall": "execve", "tty": "pts0"}
        return event

    def exit(self, ses: int, *, pid: int, code: int = 0) -> Event:
        event = self.event(
            "syscall",
            ses,
            user={"id": "1000", "effective": {"id": "1000"}},
            process={"pid": pid, "exit_code": code},
            event={"action": "end", "type": ["end"]},
        )
        event["auditd"]["data"] = {"syscall": "exit_group"}
        return event
