"""The work that makes events: which rules it is under, what it does, and what must then be told of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mypyc
from rulesets import PERSON, SERVICE, ssh

from tsauditd.errors import TsauditdError

WEB_PORT = 2296
CONNECT_PORT = 2297
WEB_CLIENTS = 16

_LUA = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "wall_ns": %d, "p50_ns": %d, "p99_ns": %d, "most_ns": %d, "errors": %d}\\n',
    summary.requests, summary.duration * 1000, latency:percentile(50) * 1000, latency:percentile(99) * 1000,
    latency.max * 1000, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
_STUB = re.compile(r"^ (\d+) (\d+) (\d+)", re.MULTILINE)

LEAN_THEME = Path(__file__).resolve().parents[2] / "rules" / "themes" / "12-lean.rules"


@dataclass(frozen=True, slots=True)
class Done:
    """What the work says of itself, and how often which thing was done."""

    told: dict[str, Any]
    truth: Counter[str] = field(default_factory=Counter)
    events: int | None = None
    """How many events that makes; None where only the contenders know, and `truth` is some of them."""


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work."""

    name: str
    what: str
    rule: str
    """What the rule asks for; its key comes with it."""
    do: Callable[[], Done]

    @property
    def key(self) -> str:
        """The rule's key, by which its events are known."""
        return f"showdown-{self.name}"

    def rules(self, *, lean: bool) -> list[str]:
        """In auditctl's syntax."""
        lines = [f"-a always,exit -F arch=b64 {self.rule} -k {self.key}"]
        if lean:
            text = LEAN_THEME.read_text(encoding="utf-8").splitlines()
            lines += [line for line in text if line.startswith("-a always,exclude")]
        return lines


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each."""

    opens: int
    execs: int
    connects: int
    web_seconds: int
    burst_records: int
    idle_seconds: int
    probes: int
    log_megabytes: int


def works(directory: Path, storms: Path, leaf: Path, key: Path, sizes: Sizes) -> list[Work]:
    """All of it. `directory` has the web server's files and the compile's sources; `key` is the person's."""
    opened = directory / "opened"
    opened.touch()
    return [
        Work(
            "web",
            f"nginx, {WEB_CLIENTS} clients of wrk, a connection a request, {sizes.web_seconds} s",
            f"-S accept4,openat,connect,execve -F uid={SERVICE[1]} -F success=1",
            lambda: web(directory, sizes.web_seconds),
        ),
        Work(
            "open",
            f"{sizes.opens:,} open() calls",
            f"-S openat -F exe={storms} -F success=1",
            lambda: _storm(storms, "open", str(opened), Counter({str(opened): sizes.opens})),
        ),
        Work(
            "exec",
            f"{sizes.execs:,} programs run",
            f"-S execve -F exe={leaf}",
            lambda: _storm(storms, "exec", str(leaf), Counter(map(str, range(sizes.execs)))),
        ),
        Work(
            "connect",
            f"{sizes.connects:,} outgoing connections",
            f"-S connect -F exe={storms}",
            lambda: _storm(storms, "connect", str(CONNECT_PORT), _addresses(sizes.connects)),
        ),
        Work(
            "build",
            "a C library compiled by a person over ssh, its files and programs audited",
            f"-S execve,openat -F auid={PERSON[1]} -F success=1",
            lambda: build(directory, key),
        ),
    ]


def _addresses(count: int) -> Counter[str]:
    """Where storms.c connects to."""
    return Counter(f"127.1.{n // 250 % 250}.{n % 250 + 1}:{CONNECT_PORT}" for n in range(count))


def _storm(program: Path, what: str, target: str, truth: Counter[str]) -> Done:
    command = [str(program), what, target, str(truth.total())]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, start_new_session=True)
    return Done(json.loads(done.stdout), truth, truth.total())


def web(directory: Path, seconds: int) -> Done:
    """Requests to nginx for a file of 1 KiB; how many there were is nginx's own count."""
    before = _served()
    script = directory / "done.lua"
    script.write_text(_LUA, encoding="ascii")
    wrk = ["wrk", "-t1", f"-c{WEB_CLIENTS}", f"-d{seconds}s", "-H", "Connection: close", "-s", str(script)]
    done = subprocess.run(
        [*wrk, f"http://127.0.0.1:{WEB_PORT}/page"], capture_output=True, text=True, check=True
    )
    accepts, requests = (after - at for after, at in zip(_served(), before, strict=True))
    told = json.loads(done.stdout.splitlines()[-1])
    # Both looks at the counters are connections of their own, and under the rules.
    truth = Counter({"127.0.0.1": accepts + 1, str(directory / "web" / "page"): requests - 1})
    return Done(told, truth, truth.total())


def _served() -> tuple[int, int]:
    """Connections that nginx has taken, and requests: ngx_http_stub_status_module, this one included."""
    connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT)
    connection.request("GET", "/status")
    found = _STUB.search(connection.getresponse().read().decode())
    connection.close()
    if found is None:
        raise TsauditdError("nginx does not tell its counters")
    return int(found[1]), int(found[3])


def nginx_configuration(directory: Path) -> str:
    """Debian's settings where they matter (workers, access log), with a place of its own."""
    root = directory / "web"
    root.mkdir()
    (root / "page").write_text("x" * 1024)
    return (
        f"user {SERVICE[0]};\nworker_processes auto;\npid {directory}/web.pid;\nerror_log /dev/null;\ndaemon off;\n"
        f"events {{ worker_connections 768; }}\nhttp {{ sendfile on; access_log {directory}/web.log;\n"
        f"server {{ listen 127.0.0.1:{WEB_PORT} backlog=4096; location / {{ root {root}; }}\n"
        "location = /status { stub_status; } } }\n"
    )


def sources(directory: Path) -> None:
    """A real C library to compile, and the headers it needs: the run-time part of mypyc, which the tools bring."""
    to = directory / "library"
    shutil.copytree(Path(mypyc.__file__).parent / "lib-rt", to)
    shutil.copytree(sysconfig.get_path("include"), to / "include")
    objects = " ".join(sorted(f"{file.stem}.o" for file in to.glob("*.c")))
    (to / "Makefile").write_text(f"CFLAGS = -O0 -I. -Iinclude\nall: {objects}\n", encoding="utf-8")
    for path in (to, *to.rglob("*")):
        os.chown(path, PERSON[1], PERSON[1])


def build(directory: Path, key: Path) -> Done:
    """A login that compiles it. What is known beforehand is that the compiler reads each of its files."""
    before = time.monotonic_ns()
    ssh(key, "cd library && rm -f *.o && make -j2 >/dev/null")
    sources = Counter(file.name for file in (directory / "library").glob("*.c"))
    return Done({"wall_ns": time.monotonic_ns() - before}, sources)
