"""What each rule set costs: the events, records and bytes that it makes of the same work.

Needs root, sshd, sudo, nginx, make and gcc, and audit that nobody else uses. See docs/rules.md.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
from borrowed import borrowed_audit, needs_root, workplace
from report import TSAUDITD, fail, finish, heading, machine, say, table, versions
from workload import end, wait_until_it_reads

from tsauditd.errors import TsauditdError
from tsauditd.kernel import status as kernel

PROJECT = Path(__file__).resolve().parent.parent
SETS = ("people", "servers", "containers", "nodes", "lean")
PERSON, SERVICE = ("tsabench", 54321), ("tsabweb", 54322)
SUDOERS = Path("/etc/sudoers.d/tsauditd-bench")
PORT, WEB_PORT = 2299, 2298
LOGINS, SOURCES, REQUESTS, COMMANDS = 10, 30, 1000, 100
BACKLOG_LIMIT = 32768


@dataclass
class Cost:
    """What one piece of the work came to."""

    events: int = 0
    records: int = 0
    raw_bytes: int = 0
    json_bytes: int = 0
    keys: dict[str, int] = field(default_factory=dict)


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed, 4 not root, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--set", action="append", metavar="DIR", help="another set (all of rules/)")
    sets = [Path(name) for name in parser.parse_args().set or [PROJECT / "rules" / name for name in SETS]]
    needs_root()
    for tool in ("sshd", "sudo", "nginx", "make", "gcc", "useradd"):
        if shutil.which(tool) is None:
            fail(f"{tool} is missing: apt-get install openssh-server sudo nginx-light make gcc passwd")
    about, tools = machine(), versions({"tsauditd": [TSAUDITD, "--version"]})
    costs: dict[str, dict[str, Cost]] = {}
    with (
        workplace("/var/tmp") as directory,
        people(directory) as key,
        sshd(directory, key),
        nginx(directory, small_site(directory), WEB_PORT),
    ):
        work = {
            f"{LOGINS} logins": lambda: logins(key),
            f"a build of {SOURCES} files": lambda: build(key),
            f"{REQUESTS} web requests": requests,
            f"{COMMANDS} commands of a service": service,
        }
        for rules in sets:
            costs[rules.name] = measured(rules, work, directory)
    rows = [
        [
            name,
            what,
            *(f"{number:,}" for number in (cost.events, cost.records, cost.raw_bytes, cost.json_bytes)),
        ]
        for name, each in costs.items()
        for what, cost in each.items()
    ]
    print(heading("events that each rule set makes of the same work", about, tools))
    print(table(["set", "work", "events", "records", "bytes raw", "bytes JSON"], rows))
    result = {
        "machine": about,
        "versions": tools,
        "sets": {name: {what: asdict(cost) for what, cost in each.items()} for name, each in costs.items()},
    }
    finish("rulesets", result)
    return 0


@contextlib.contextmanager
def people(directory: Path) -> Iterator[Path]:
    """A person who may use sudo and a service's user; gives the person's private key."""
    key = directory / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    try:
        for name, number in (PERSON, SERVICE):
            run("useradd", "-u", str(number), "-M", "-d", str(directory), "-s", "/bin/sh", name)
        SUDOERS.write_text(f"{PERSON[0]} ALL=(ALL) NOPASSWD: ALL\n")
        SUDOERS.chmod(0o440)
        sources = directory / "build"
        sources.mkdir()
        for number in range(SOURCES):
            (sources / f"f{number}.c").write_text(f"int f{number}(void) {{ return {number}; }}\n")
        objects = " ".join(f"f{number}.o" for number in range(SOURCES))
        (sources / "Makefile").write_text(f"all: {objects}\n\tgcc -shared -o all.so {objects}\n")
        for path in (sources, *sources.iterdir()):
            os.chown(path, PERSON[1], PERSON[1])
        yield key
    finally:
        SUDOERS.unlink(missing_ok=True)
        for name, _ in (PERSON, SERVICE):
            subprocess.run(["userdel", name], capture_output=True, check=False)


@contextlib.contextmanager
def sshd(directory: Path, key: Path) -> Iterator[None]:
    """sshd on the loopback, with a configuration of its own, for the person's key."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "host"))
    Path("/run/sshd").mkdir(exist_ok=True)
    shutil.copy(f"{key}.pub", directory / "authorized")
    (directory / "sshd").write_text(
        f"Port {PORT}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile none\nUsePAM yes\nStrictModes no\n"
        f"UseDNS no\nPasswordAuthentication no\nAuthorizedKeysFile {directory}/authorized\nMaxStartups 100\n"
    )
    command = [shutil.which("sshd") or "", "-D", "-f", str(directory / "sshd"), "-E", str(directory / "log")]
    with served(command, PORT):
        yield


@contextlib.contextmanager
def nginx(directory: Path, configuration: str, port: int) -> Iterator[None]:
    """nginx with a configuration of its own, which listens on this port of the loopback."""
    (directory / "nginx").write_text(configuration)
    with served(["nginx", "-c", str(directory / "nginx")], port):
        yield


def small_site(directory: Path) -> str:
    """The configuration of a web server that serves the sources of the build."""
    return (
        f"user {SERVICE[0]};\npid {directory}/nginx.pid;\nerror_log /dev/null;\ndaemon off;\n"
        f"events {{}}\nhttp {{ access_log {directory}/access;\n"
        f" server {{ listen 127.0.0.1:{WEB_PORT}; location / {{ root {directory}/build; }} }} }}\n"
    )


@contextlib.contextmanager
def served(command: list[str], port: int) -> Iterator[None]:
    """A server, from when it listens until it has ended."""
    process = subprocess.Popen(command)
    try:
        wait_for(lambda: listens(port), f"port {port}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def measured(rules: Path, work: dict[str, Callable[[], None]], directory: Path) -> dict[str, Cost]:
    """What each piece of the work costs under one set."""
    say(f"{rules}")
    output, config = directory / f"{rules.name}.json", directory / "original.toml"
    config.write_text("[events]\noriginal = true\n")
    costs = {}
    with borrowed_audit(BACKLOG_LIMIT) as control, (directory / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [TSAUDITD, "run", "-c", config, "--rules", rules, "--output", output], stderr=errors
        )
        try:
            lost_before = kernel.status(control).lost
            wait_until_it_reads(control, process, directory)
            wait_for(lambda: kernel.status(control).enabled == 1, "rules to be loaded")
            for name, act in work.items():
                start = output.stat().st_size
                act()
                wait_for(lambda: not kernel.status(control).backlog, "the kernel's queue to be empty")
                time.sleep(3)  # what has no end marker is complete after two seconds
                with output.open("rb") as lines:
                    lines.seek(start)
                    costs[name] = cost(lines.read())
            if lost := kernel.status(control).lost - lost_before:
                raise TsauditdError(f"{lost} records were lost: nothing can be said")
        finally:
            end(process)
    return costs


def cost(lines: bytes) -> Cost:
    """What the work's own events come to; the machine's other events are left out."""
    marks = tuple(word.encode() for name, number in (PERSON, SERVICE) for word in (name, f'"{number}"'))
    total, keys = Cost(), Counter[str]()
    for line in lines.splitlines():
        if not any(mark in line for mark in marks) and b'sshd"' not in line:
            continue
        event = orjson.loads(line)
        original = event["event"].pop("original")
        records = original if isinstance(original, list) else original.splitlines()
        total.events += 1
        total.records += len(records)
        total.raw_bytes += sum(len(record) for record in records)
        total.json_bytes += len(orjson.dumps(event))
        keys.update(event.get("tags") or [event["event"]["action"]])
    total.keys = dict(keys.most_common())
    return total


def ssh(key: Path, command: str) -> None:
    """One login of the person, over the network, and its command."""
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "IdentitiesOnly=yes",
    )
    words = [word for option in options for word in ("-o", option)]
    run("ssh", "-F", "/dev/null", *words, "-i", str(key), "-p", str(PORT), f"{PERSON[0]}@127.0.0.1", command)


def logins(key: Path) -> None:
    """Logins, each with a few commands and one of sudo's."""
    for _ in range(LOGINS):
        ssh(key, "id; ls -l /; cat /etc/hostname; sudo -n id")


def build(key: Path) -> None:
    """A login that compiles a program of many files."""
    ssh(key, "cd build && rm -f *.o && make")


def requests() -> None:
    """Requests to the web server, a connection each."""
    for _ in range(REQUESTS):
        connection = http.client.HTTPConnection("127.0.0.1", WEB_PORT)
        connection.request("GET", "/f1.c")
        connection.getresponse().read()
        connection.close()


def service() -> None:
    """A service that runs commands."""
    user = str(SERVICE[1])
    loop = f"i=0; while [ $i -lt {COMMANDS} ]; do /bin/true; i=$((i+1)); done"
    run("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "sh", "-c", loop)


def run(*command: str) -> None:
    """Runs a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise TsauditdError(f"{' '.join(command)}: {done.stderr.strip()}")


def listens(port: int) -> bool:
    """Whether somebody listens on the port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Waits until the condition holds; half a minute at most."""
    until = time.monotonic() + 30
    while not condition():
        if time.monotonic() > until:
            raise TsauditdError(f"waited in vain for {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
