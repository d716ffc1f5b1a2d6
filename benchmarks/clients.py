"""Clients that connect, servers that take it, and what those saw: the scenes of reach.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from report import fail

End = tuple[str, int]
Ends = tuple[End, End]
"""Source and destination."""

WRK_CLIENTS = 40
WRK_TRIALS = 1
"""Connections that wrk makes beforehand and closes at once, to see whether there is a server."""
WEB_PORT = 18_099
WIDTH = 40
"""Connections at a time of the client that does not wait."""

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scene was."""

    ordered: dict[int, list[Ends]]
    """By client process, in the order of its calls; empty where only the server tells."""
    all: Counter[Ends]
    """All that the server tells of."""
    port: int
    """The server's."""
    server: tuple[int, int | None]
    """The server's process and listening descriptor, or the parent of its processes and none."""
    unlogged: int = 0
    """So many more there may have been: connections of which the server does not tell, as nobody asked anything."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A client and its server."""

    name: str
    program: str
    """The client's, whose connects are asked for."""
    act: Callable[[], Seen]


class Server:
    """Takes connections one after another and remembers both ends of each; lets go of each once it has answered."""

    def __init__(self, *, answers: bool) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._sock.getsockname()[1]
        self.place = (os.getpid(), self._sock.fileno())
        self.seen: list[Ends] = []
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            taken, peer = self._sock.accept()
            with taken, contextlib.suppress(OSError):
                self.seen.append((peer, taken.getsockname()))
                if self._answers:
                    taken.recv(4096)
                    taken.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")


def missing() -> str | None:
    """What has to be installed first."""
    needed = {
        "curl": "curl",
        "nc": "netcat-openbsd",
        "nginx": "nginx",
        "wrk": "wrk",
        "ip": "iproute2",
        "cc": "gcc",
    }
    for tool, package in needed.items():
        if shutil.which(tool) is None:
            return f"{tool} is missing: apt-get install {package}"
    return None


def path_of(tool: str) -> str:
    """The file behind a command, as rules name it."""
    return os.path.realpath(shutil.which(tool) or fail(f"{tool} is missing"))


def one_by_one(server: Server, command: Sequence[str], count: int) -> Seen:
    """Runs a client so often, each time waiting for its end."""
    pids = []
    for _ in range(count):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            process.wait()
        pids.append(process.pid)
    seen = _taken(server, count)
    return Seen(
        {pid: [ends] for pid, ends in zip(pids, seen, strict=True)}, Counter(seen), server.port, server.place
    )


def in_one_go(connects: Path, count: int, width: int) -> Seen:
    """Runs connects.c, which says itself which end it had."""
    server = Server(answers=False)
    command = [str(connects), "127.0.0.1", str(server.port), str(count), str(width)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        ports = [int(line) for line in process.communicate()[0].splitlines()]
    seen = _taken(server, count)
    here = ("127.0.0.1", server.port)
    ordered: list[Ends] = [(("127.0.0.1", port), here) for port in ports]
    if Counter(ordered) != Counter(seen):
        fail("client and server have not seen the same connections")
    return Seen({process.pid: ordered}, Counter(seen), server.port, server.place)


def _taken(server: Server, count: int) -> list[Ends]:
    until = time.monotonic() + _PATIENCE_S
    while len(server.seen) < count:
        if time.monotonic() > until:
            fail(f"of {count} connections the server has seen {len(server.seen)}")
        time.sleep(0.01)
    return server.seen


@contextlib.contextmanager
def two_namespaces() -> Iterator[tuple[list[str], list[str], str]]:
    """Two network namespaces joined by a cable: how to run something in each, and the first one's address."""
    one, other = f"tsauditd-a{os.getpid()}", f"tsauditd-b{os.getpid()}"
    steps = [
        f"netns add {one}",
        f"netns add {other}",
        f"link add ts0 netns {one} type veth peer name ts1 netns {other}",
        f"-n {one} addr add 10.77.0.1/24 dev ts0",
        f"-n {other} addr add 10.77.0.2/24 dev ts1",
        *(f"-n {name} link set {device} up" for name in (one, other) for device in ("lo",)),
        f"-n {one} link set ts0 up",
        f"-n {other} link set ts1 up",
    ]
    try:
        for step in steps:
            subprocess.run(["ip", *step.split()], check=True)
        yield ["ip", "netns", "exec", one], ["ip", "netns", "exec", other], "10.77.0.1"
    finally:
        for name in (one, other):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def web(
    at: Path,
    seconds: int,
    place: tuple[str, str, int],
    there: Sequence[str],
    here: Sequence[str],
    pause_ms: int,
) -> Seen:
    """wrk against nginx, a new connection for each request.

    `place`: what nginx listens on, where it is found, its port; `there`, `here`: what runs the server and the client;
    `pause_ms`: how long each connection is held before its request.
    """
    listen, address, port = place
    at.mkdir()
    log = at / "access"
    places = "".join(
        f"{what}_temp_path {at}/t; " for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (at / "conf").write_text(
        f"daemon off; worker_processes 2; pid {at}/pid; error_log {at}/errors;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ log_format ends '$remote_addr $remote_port $server_addr $server_port';\n"
        f"access_log {log} ends buffer=64k flush=1s; keepalive_timeout 0; {places}\n"
        f"server {{ listen {listen}:{port} backlog=4096; location / {{ return 200 ok; }} }} }}\n",
        encoding="ascii",
    )
    url = f"http://{address}:{port}/"
    server = subprocess.Popen([*there, "nginx", "-c", at / "conf", "-p", at], stderr=subprocess.DEVNULL)
    try:
        _listening(at / "pid", server)
        (at / "pause.lua").write_text(f"function delay() return {pause_ms} end\n" if pause_ms else "\n")
        wrk = [*here, "wrk", "-t2", f"-c{WRK_CLIENTS}", f"-d{seconds}", "-s", str(at / "pause.lua"), url]
        subprocess.run(wrk, check=True, stdout=subprocess.DEVNULL)
    finally:
        server.terminate()
        server.wait()
    seen: Counter[Ends] = Counter()
    for line in log.read_text(encoding="ascii").splitlines():
        client, client_port, own, own_port = line.split()
        seen[(client, int(client_port)), (own, int(own_port))] += 1
    return Seen({}, seen, port, (server.pid, None), unlogged=WRK_CLIENTS + WRK_TRIALS)


def _listening(pid: Path, server: subprocess.Popen[bytes]) -> None:
    """Waits until nginx listens: it writes its pid after that (ngx_init_cycle, then ngx_create_pidfile)."""
    until = time.monotonic() + _PATIENCE_S
    while not pid.exists():
        if server.poll() is not None or time.monotonic() > until:
            fail("nginx does not listen")
        time.sleep(0.01)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        return int(sock.getsockname()[1])


def scenes(directory: Path, connects: Path, count: int, seconds: int, pause_ms: int = 0) -> list[Scene]:
    """All of them, in order. `pause_ms`: how long wrk holds each connection before its request."""

    def command(*words: str, answers: bool = False) -> Callable[[], Seen]:
        """Words with the server's address and port for {} and {}."""

        def act() -> Seen:
            server = Server(answers=answers)
            return one_by_one(server, [word.format(port=server.port) for word in words], count)

        return act

    def apart() -> Seen:
        with two_namespaces() as (there, here, address):
            return web(directory / "apart", seconds, (address, address, WEB_PORT), there, here, pause_ms)

    def together() -> Seen:
        # One that was killed may have left its server on a port that is always the same.
        return web(directory / "together", seconds, ("0.0.0.0", "127.0.0.1", free_port()), [], [], pause_ms)

    own = str(connects)
    url = "http://127.0.0.1:{port}/"
    return [
        Scene("curl", path_of("curl"), command("curl", "-s", "-o", "/dev/null", url, answers=True)),
        Scene("nc -z", path_of("nc"), command("nc", "-z", "127.0.0.1", "{port}")),
        Scene("connect and close, a process each", own, command(own, "127.0.0.1", "{port}", "1", "1")),
        Scene("connect and close, again and again", own, lambda: in_one_go(connects, 10 * count, 1)),
        Scene(f"connect and close, {WIDTH} at a time", own, lambda: in_one_go(connects, 10 * count, WIDTH)),
        Scene("wrk, nginx on any address", path_of("wrk"), together),
        Scene("wrk, nginx in another namespace", path_of("wrk"), apart),
    ]
