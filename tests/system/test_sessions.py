"""Sessions of this machine's own kernel: real logins, watched by the daemon, which is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live import events, running, wait_until, whole_lines
from sessions import told

from tsauditd.kernel.state import Snapshot
from tsauditd.timelines.view import View, Views

pytestmark = pytest.mark.system

PERSON = 47_114_711
"""A login id that nobody else on this machine has."""

_SHELL = """
import os, subprocess, sys
with open("/proc/self/loginuid", "w") as file:
    file.write(sys.argv[1])
print(open("/proc/self/sessionid").read(), flush=True)
for line in sys.stdin:
    subprocess.run(line.split(), stdout=subprocess.DEVNULL)
    print("done", flush=True)
"""


class Login:
    """A process that has logged in as `PERSON` and runs what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.number = process.stdout.readline().strip()

    def run(self, line: str) -> None:
        """Runs a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        """Ends the process, which is the session's last."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(60) == 0


@contextmanager
def login() -> Iterator[Login]:
    words = [sys.executable, "-I", "-c", _SHELL, str(PERSON)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Login(process)
        finally:
            process.kill()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two outputs, and rules for the person's commands and their ends."""
    (tmp_path / "person.rules").write_text(
        f"-a always,exit -F arch=b64 -S execve,exit_group -F auid={PERSON} -k person\n"
    )
    path = tmp_path / "tsauditd.toml"
    path.write_text(
        f'[kernel]\nrules = "{tmp_path}/person.rules"\n'
        f'[[output]]\ntype = "file"\npath = "{tmp_path}/events.json"\n'
        f'[[output]]\ntype = "file"\nlines = "sessions"\npath = "{tmp_path}/sessions.json"\n'
    )
    return path


def session(tmp_path: Path, number: str) -> View | None:
    """The session as far as its objects are written."""
    path = tmp_path / "sessions.json"
    views = Views(lambda _: True)
    for line in whole_lines(path):
        views.take(json.loads(line))
    found = [view for view in views.sessions.values() if view.session["number"] == number]
    assert len(found) <= 1
    return found[0] if found else None


def ended(tmp_path: Path, number: str) -> View:
    """The session, once its end is written."""

    def over() -> bool:
        view = session(tmp_path, number)
        return view is not None and view.session["state"] == "ended"

    wait_until(over, "the end of the session")
    view = session(tmp_path, number)
    assert view is not None
    return view


def commands(view: View) -> list[str]:
    lines = [row[2] for row in told(view) if row[0] == "command"]
    return [line for line in lines if "provoked" in line]


def proofs(view: View) -> list[str]:
    return [name for row in view.rows.values() for name in row.get("events", [])]


def of_session(tmp_path: Path, number: str) -> list[dict[str, Any]]:
    return [
        event
        for event in events(tmp_path / "events.json")
        if event.get("auditd", {}).get("session") == number
    ]


def test_a_session_from_its_login_to_its_last_process(
    untouched: Snapshot, config: Path, tmp_path: Path
) -> None:
    with running(tmp_path, "-c", str(config), key="person") as daemon:
        with login() as person:
            person.run("/usr/bin/echo provoked-first")
            person.run("/usr/bin/false provoked-failure")
            person.end()
        view = ended(tmp_path, person.number)
        daemon.stop()
    assert view.document["user"]["id"] == str(PERSON)
    assert view.session["end"] == {"reason": "last-process"}
    assert view.id.endswith(f"-{person.number}")
    assert commands(view) == ["/usr/bin/echo provoked-first", "/usr/bin/false provoked-failure"]
    (false,) = [row for row in view.rows.values() if row.get("process", {}).get("name") == "false"]
    assert false["process"]["exit_code"] == 1
    assert false["duration"] >= 0
    assert Counter(proofs(view)) == Counter(
        event["event"]["id"] for event in of_session(tmp_path, person.number)
    )
    assert {event["tsauditd"]["session"]["id"] for event in of_session(tmp_path, person.number)} == {view.id}


def test_a_killed_daemon_goes_on_with_the_same_session(
    untouched: Snapshot, config: Path, tmp_path: Path
) -> None:
    with login() as person:
        # Known already: it has logged in before there was a daemon.
        with running(tmp_path, "-c", str(config), key="person") as daemon:
            person.run("/usr/bin/echo provoked-1")
            wait_until(lambda: session(tmp_path, person.number), "the session is open")
            person.run("/usr/bin/echo provoked-2")
            wait_until(lambda: len(of_session(tmp_path, person.number)) >= 4, "its events are written")
            state = tmp_path / "sessions.json.state"
            wait_until(
                lambda: all(
                    one["event"]["id"].encode() in state.read_bytes()
                    for one in of_session(tmp_path, person.number)
                ),
                "they are kept",
            )
            daemon.send(signal.SIGKILL)
            daemon.process.wait()
        time.sleep(1.1)
        person.run("/usr/bin/echo provoked-unseen")
        with running(tmp_path, "-c", str(config), key="person") as second:
            person.run("/usr/bin/echo provoked-3")
            wait_until(
                lambda: any("provoked-3" in str(one) for one in of_session(tmp_path, person.number)),
                "the last command is written",
            )
            person.end()
            view = ended(tmp_path, person.number)
            second.stop()
    kinds = [row["kind"] for row in view.rows.values()]
    assert kinds.count("blind") == 1
    (blind,) = [row for row in view.rows.values() if row["kind"] == "blind"]
    assert blind["duration"] >= 1_000_000_000
    assert commands(view)[:2] == ["/usr/bin/echo provoked-1", "/usr/bin/echo provoked-2"]
    assert commands(view)[-1] == "/usr/bin/echo provoked-3"
    assert sorted(view.rows) == list(range(len(view.rows)))
    assert Counter(proofs(view)) == Counter(
        event["event"]["id"] for event in of_session(tmp_path, person.number)
    )


def test_a_session_that_ended_unwatched_is_ended(untouched: Snapshot, config: Path, tmp_path: Path) -> None:
    with login() as person:
        with running(tmp_path, "-c", str(config), key="person") as daemon:
            person.run("/usr/bin/echo provoked-1")
            wait_until(lambda: session(tmp_path, person.number), "the session is open")
            daemon.stop()
        person.end()
    with running(tmp_path, "-c", str(config), key="person") as second:
        view = ended(tmp_path, person.number)
        second.stop()
    assert view.session["end"] == {"reason": "unwatched", "inferred": True}
    assert os.path.exists(tmp_path / "sessions.json.state")


def test_a_reload_begins_moves_and_ends_the_watch(untouched: Snapshot, config: Path, tmp_path: Path) -> None:
    whole = config.read_text()
    events_only = whole.replace(whole[whole.rindex("[[output]]") :], "")
    config.write_text(events_only)
    with login() as person, running(tmp_path, "-c", str(config), key="person") as daemon:

        def reload(text: str, count: int) -> None:
            config.write_text(text)
            daemon.send(signal.SIGHUP)
            wait_until(
                lambda: (
                    sum(
                        event.get("auditd", {}).get("message_type") == "daemon_config"
                        for event in events(tmp_path / "events.json")
                    )
                    == count
                ),
                "the reload",
            )

        def kept(name: str, word: bytes) -> None:
            wait_until(lambda: word in (tmp_path / name).read_bytes(), f"{name} has the command")

        # What the kernel still has, or the reading thread, is for whom the reload brings.
        person.run("/usr/bin/echo provoked-before")
        kept("events.json", b"provoked-before")
        reload(whole, 1)
        person.run("/usr/bin/echo provoked-watched")
        kept("sessions.json.state", b"provoked-watched")
        reload(whole.replace("sessions.json", "moved.json"), 2)
        assert (tmp_path / "moved.json.state").exists()
        assert not (tmp_path / "sessions.json.state").exists()
        person.run("/usr/bin/echo provoked-moved")
        kept("moved.json.state", b"provoked-moved")
        reload(events_only, 3)
        person.run("/usr/bin/echo provoked-after")
        person.end()
        daemon.stop()
    assert not [line for line in daemon.said if "next start" in line]
    views = Views(lambda _: True)
    for name in ("sessions.json", "moved.json"):
        for line in (tmp_path / name).read_bytes().splitlines():
            views.take(json.loads(line))
    (view,) = views.sessions.values()
    assert commands(view) == ["/usr/bin/echo provoked-watched", "/usr/bin/echo provoked-moved"]


def test_a_pid_namespace_does_not_show_every_process(audit_lock: Snapshot) -> None:
    script = "from tsauditd.alive import every_process_seen as seen; print(seen())"
    ask = [sys.executable, "-c", script]
    inside = ["unshare", "--pid", "--fork", "--mount-proc", *ask]
    assert [subprocess.check_output(words, text=True).strip() for words in (ask, inside)] == ["True", "False"]
