"""How the daemon does, told to whoever asks: as JSON on a local socket, as text, as numbers for Prometheus."""

import asyncio
import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tsauditd.errors import TsauditdError, visible

_WINDOW = 6
"""Samples that a rate is taken over; with one each ten seconds, a minute."""

_MOST = 20
"""Keys and executables told."""

_ANSWER_SECONDS = 5.0

Talkers = Mapping[str, list[tuple[str, int]]]
"""Counts of events by `keys` and by `executables`."""


class Rates:
    """Events a second by rule key and by executable, over the last minute. `sample` is called now and then."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[tuple[str, str], int]]] = deque(maxlen=_WINDOW + 1)

    def sample(self, now: float, talkers: Talkers) -> None:
        """Notes the counts at `now`, seconds of a steady clock."""
        counts = {(kind, name): count for kind, pairs in talkers.items() for name, count in pairs}
        self._samples.append((now, counts))

    def top(self, now: float, talkers: Talkers) -> dict[str, list[dict[str, Any]]]:
        """The most talkative of each kind: name, events since the start, events a second."""
        then, before = self._samples[0] if self._samples else (now, {})
        seconds = max(now - then, 1.0)
        return {
            kind: [
                {
                    "name": name,
                    "events": count,
                    "per_second": round(max(count - before.get((kind, name), 0), 0) / seconds, 3),
                }
                for name, count in pairs[:_MOST]
            ]
            for kind, pairs in talkers.items()
        }


def metrics(data: Mapping[str, Any]) -> str:
    """The numbers in Prometheus' text format (prometheus.io, exposition formats, 0.0.4)."""
    lines: list[str] = []

    def family(name: str, kind: str, text: str, samples: list[tuple[dict[str, str], float]]) -> None:
        lines.append(f"# HELP tsauditd_{name} {text}")
        lines.append(f"# TYPE tsauditd_{name} {kind}")
        for labels, value in samples:
            inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            lines.append(f"tsauditd_{name}{{{inner}}} {value}" if inner else f"tsauditd_{name} {value}")

    counters = data["counters"]
    family("events_total", "counter", "Events written.", [({}, counters["events"])])
    family("records_total", "counter", "Audit records read.", [({}, counters["records"])])
    family(
        "lost_total",
        "counter",
        "What never arrived, by where it was lost.",
        [({"where": where}, count) for where, count in data["lost"].items()],
    )
    family(
        "problems",
        "gauge",
        "What is not as the daemon left it in the kernel: audit pid, enabled flag, rules.",
        [({}, len(data["problems"]))],
    )
    family("backlog", "gauge", "Records that wait in the kernel.", [({}, data["backlog"])])
    family("backlog_limit", "gauge", "Records that may wait in the kernel.", [({}, data["backlog_limit"])])
    for name, kind, text in (
        ("waiting_bytes", "gauge", "Bytes in an output's queue."),
        ("queue_bytes", "gauge", "Bytes that the queue may hold."),
        ("written_bytes", "counter", "Bytes written by an output."),
        ("dropped", "counter", "Lines dropped by an output's full queue."),
        ("cut", "counter", "Messages that were too long for an output."),
        ("held", "counter", "Times that reading waited for an output's queue."),
        (
            "uncertain",
            "counter",
            "Messages that went down with a connection and were not sent again, at most.",
        ),
    ):
        samples = [({"output": sink["name"], "type": sink["type"]}, sink[name]) for sink in data["outputs"]]
        family(f"output_{name}{'_total' if kind == 'counter' else ''}", kind, text, samples)
    family(
        "output_up",
        "gauge",
        "Whether an output writes.",
        [
            ({"output": sink["name"], "type": sink["type"]}, 0 if sink["error"] else 1)
            for sink in data["outputs"]
        ],
    )
    for kind, label in (("keys", "key"), ("executables", "executable")):
        samples = [({label: each["name"]}, each["events"]) for each in data["rates"][kind]]
        family(f"{label}_events_total", "counter", f"Events by {label}, the most frequent ones.", samples)
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def told(data: Mapping[str, Any] | None) -> str:
    """The daemon's state for people, after the kernel's; None: no daemon that runs here can be asked."""
    if data is None:
        return "\ntsauditd: no daemon answers here\n"
    lost = ", ".join(f"{count} {name}" for name, count in data["lost"].items() if count) or "nothing"
    seconds = int(data["now"] - data["started"])
    rows = [
        ("tsauditd", f"{data['version']}, pid {data['pid']}, {data['reading']}, for {seconds} s"),
        ("events", f"{data['counters']['events']} of {data['counters']['records']} records"),
        ("lost since then", lost),
        ("both ends known", _ends(data["counters"])),
        *(("to be looked at", visible(each)) for each in data["problems"]),
    ]
    for sink in data["outputs"]:
        dropped = "".join(f", {sink[name]} {name}" for name in ("dropped", "cut", "uncertain") if sink[name])
        waiting = (
            f", {sink['waiting_bytes']} of {sink['queue_bytes']} bytes wait" if sink["waiting_bytes"] else ""
        )
        state = visible(sink["error"] or "writes")
        state += f", held reading back {sink['held']} times" if sink["held"] else ""
        rows.append((f"output {sink['type']}", f"{visible(sink['name'])}: {state}{waiting}{dropped}"))
    for kind, title in (("keys", "events by rule key"), ("executables", "events by program")):
        for place, each in enumerate(data["rates"][kind][:5]):
            text = f"{each['per_second']:.1f}/s, {each['events']} in all: {visible(each['name'])}"
            rows.append(("" if place else title, text))
    width = max(len(name) for name, _ in rows)
    return "\n" + "".join(f"{name:<{width}}  {value}\n" for name, value in rows)


def _ends(counters: Mapping[str, int]) -> str:
    """How many connections have both ends, and who knew the end that the record does not hold."""
    if counters["looks_off"] and not counters["ends_trace"]:
        return "sockets cannot be looked at: CAP_SYS_PTRACE is missing, or pidfd_getfd(2) is refused"
    shares = [
        f"{counters[f'{what}_known']} of {counters[what]} {word}"
        for what, word in (("accepts", "accepted"), ("connects", "made"))
    ]
    sources = [
        f"{counters[f'ends_{source}']} {source}"
        for source in ("event", "listener", "trace", "pidfd", "destroyed", "unknown")
        if counters[f"ends_{source}"]
    ]
    off = "; no tracepoints: CAP_PERFMON or tracefs is missing" if counters["trace_off"] else ""
    return f"{', '.join(shares)} connections" + (f" ({', '.join(sources)})" if sources else "") + off


def flat(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The data as `key = value` lines, for the state file."""
    lines: list[str] = []
    for key, value in data.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{key} ")
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, str):
                    lines.append(f"{name} = {each}")
                    continue
                head = " ".join(str(each[word]) for word in ("type", "name") if word in each)
                rest = ", ".join(
                    f"{k.replace('_', ' ')} {v}" for k, v in each.items() if k not in ("type", "name")
                )
                lines.append(f"{name} = {head}: {rest}")
        else:
            lines.append(f"{name} = {'-' if value is None else value}")
    return lines


def write_private(path: str, text: str, mode: int) -> None:
    """Puts a file in place whole, never half. A directory that is missing is made. Raises OSError."""
    directory = os.path.dirname(path)
    if directory:
        os.makedirs(directory, mode=0o755, exist_ok=True)
    part = f"{path}.part"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(part, path)


def listen(path: str, group: int | None) -> socket.socket | None:
    """A socket at `path` that root, and the group, may connect to; None when a daemon that lives has it.

    Raises OSError.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    if ask(path) is not None:
        return None
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        before = os.umask(0o177)
        try:
            door.bind(path)
        except OSError as error:  # Python does not say which file
            raise OSError(error.errno, error.strerror or str(error), path) from None
        finally:
            os.umask(before)
        if group is not None:
            os.chmod(directory, 0o711)  # noqa: S103 - the files in it are root's alone
            os.chown(path, 0, group)
            os.chmod(path, 0o660)
        door.listen(8)
        door.setblocking(False)
    except BaseException:
        door.close()
        raise
    return door


def ask(path: str) -> dict[str, Any] | None:
    """What the daemon behind the socket tells; None when there is none, or the asker may not.

    Raises TsauditdError when it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_ANSWER_SECONDS)
        try:
            line.connect(path)
        except OSError:
            return None
        answer = b""
        try:
            while part := line.recv(1 << 16):
                answer += part
            found = json.loads(answer)
        except (OSError, ValueError):
            message = f"the daemon behind {path} does not answer"
            raise TsauditdError(message) from None
    assert isinstance(found, dict)
    return found


class Doors:
    """Where the daemon is asked: the status socket, and a port of this host for Prometheus."""

    def __init__(self, tell: Callable[[], Mapping[str, Any]]) -> None:
        self._tell = tell
        self._servers: list[asyncio.Server] = []
        self._paths: list[str] = []

    async def open(self, path: str, group: int | None, port: int) -> None:
        """Opens them; an empty path or port 0 is none. Raises OSError."""
        if path and (door := listen(path, group)) is not None:
            self._paths.append(path)
            self._servers.append(await asyncio.start_unix_server(self._answer_status, sock=door))
        if port:
            self._servers.append(await asyncio.start_server(self._answer_metrics, "127.0.0.1", port))

    def close(self) -> None:
        """Closes them."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    async def _answer_status(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, json.dumps(self._tell()).encode())

    async def _answer_metrics(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, ValueError, asyncio.IncompleteReadError, OSError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _ANSWER_SECONDS)
        body = metrics(self._tell()).encode()
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
        await self._send(writer, head.encode() + body)

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, answer: bytes) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(answer)
            await asyncio.wait_for(writer.drain(), _ANSWER_SECONDS)
        writer.close()
