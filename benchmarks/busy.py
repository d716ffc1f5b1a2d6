"""Logs of a busy host: what Debian's auditd writes while a web server serves, and while a program is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from borrowed import borrowed_audit
from readers import BACKLOG_LIMIT, auditd, joined_log
from workload import add, end, wait_until_it_reads

from tsauditd.errors import NotPrivileged, TsauditdError
from tsauditd.kernel import status as kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tsauditd.kernel.netlink import ControlSocket

PORT = 18080
WEB_SECONDS = 2
"""wrk's: as long as ausearch keeps an event open, so that longer would change nothing but the log's size."""

SOURCES = 100
"""C files of the build."""

LAST_SECONDS = 20.0
"""For what is still on its way through the kernel when the work is done."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Work that makes a log: what it needs, the rules that audit it, and the work, done in a directory."""

    tools: dict[str, str]
    """Programs, and the packages that bring them."""
    rules: Callable[[], Sequence[str]]
    work: Callable[[Path], None]


def write_busy(busy: Busy, path: Path, directory: Path) -> None:
    """Has auditd write the log to `path`, borrowing this machine's audit meanwhile.

    Raises TsauditdError when that is not possible here, or when the kernel lost a record.
    """
    if os.geteuid() != 0:
        raise NotPrivileged("root is needed to have auditd write it")
    for tool, package in {"auditd": "auditd", **busy.tools}.items():
        if shutil.which(tool) is None:
            raise TsauditdError(f"{tool} is missing: apt-get install {package}")
    with tempfile.TemporaryDirectory(dir=directory) as at, borrowed_audit(BACKLOG_LIMIT) as control:
        place = Path(at)
        place.chmod(0o755)  # the web server's workers go in
        before = kernel.status(control).lost
        with _auditd(place / "auditd", control):
            for rule in busy.rules():
                add(rule, control)
            kernel.set_enabled(1, control)
            busy.work(place)
            _wait_for_the_last(control)
            kernel.set_enabled(0, control)
        if lost := kernel.status(control).lost - before:
            raise TsauditdError(f"the kernel lost {lost} records on the way to auditd")
        joined_log(place / "auditd", path)


@contextmanager
def _auditd(at: Path, control: ControlSocket) -> Iterator[None]:
    """auditd as Debian ships it, reading; its log lies under `at`."""
    at.mkdir()
    with (at / "stdout").open("wb") as out, (at / "stderr").open("wb") as err:
        process = subprocess.Popen(
            auditd(at, "ENRICHED"), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
    try:
        wait_until_it_reads(control, process, at)
        kernel.set_backlog_limit(BACKLOG_LIMIT, control)
        yield
    finally:
        kernel.set_enabled(0, control)
        end(process)


def _wait_for_the_last(control: ControlSocket) -> None:
    until = time.monotonic() + LAST_SECONDS
    while kernel.status(control).backlog and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)


def _serve(at: Path) -> None:
    """nginx under wrk, a connection a request."""
    (at / "index.html").write_text("hello\n", encoding="ascii")
    configuration = at / "nginx.conf"
    configuration.write_text(
        f"user www-data;\npid {at}/nginx.pid;\nerror_log /dev/null;\ndaemon off;\nworker_processes 1;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; keepalive_timeout 0;\nserver {{ listen 127.0.0.1:{PORT}; root {at}; }} }}\n",
        encoding="ascii",
    )
    server = subprocess.Popen(["nginx", "-c", configuration], stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        subprocess.run(
            ["wrk", "-t1", "-c20", f"-d{WEB_SECONDS}s", f"http://127.0.0.1:{PORT}/index.html"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    finally:
        end(server)


def _build(at: Path) -> None:
    """make -j2 over C files that include what most do."""
    source = at / "source"
    source.mkdir()
    heads = "".join(f"#include <{name}.h>\n" for name in ("stdio", "stdlib", "string", "errno", "unistd"))
    for number in range(SOURCES):
        functions = "".join(
            f'int f{number}_{n}(int a) {{ return printf("%d", a * {n}); }}\n' for n in range(20)
        )
        (source / f"f{number}.c").write_text(heads + functions, encoding="ascii")
    (source / "Makefile").write_text(
        "OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))\n"
        "all: $(OBJECTS)\n\tar rcs all.a $(OBJECTS)\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\n",
        encoding="ascii",
    )
    subprocess.run(["make", "-s", "-j2", "-C", source], check=True, stdin=subprocess.DEVNULL)


def _audited(calls: str, programs: Sequence[str]) -> list[str]:
    """A rule for each program, by the file that is run in the end."""
    files = {os.path.realpath(found) for name in programs if (found := shutil.which(name))}
    return [f"-a always,exit -F arch=b64 -S {calls} -F exe={file} -k busy" for file in sorted(files)]


def _compilers() -> list[str]:
    """gcc and what it runs: cc1 lies where only gcc knows."""
    inner = [
        subprocess.run(["gcc", f"-print-prog-name={name}"], check=True, capture_output=True, text=True).stdout
        for name in ("cc1", "as")
    ]
    return ["make", "gcc", "ar", "sh", *(name.strip() for name in inner)]


WEB = Busy(
    {"nginx": "nginx-light", "wrk": "wrk"},
    lambda: _audited("accept4,connect,openat,execve", ["nginx"]),
    _serve,
)
BUILD = Busy(
    {"make": "make", "gcc": "gcc libc6-dev"}, lambda: _audited("execve,openat", _compilers()), _build
)
