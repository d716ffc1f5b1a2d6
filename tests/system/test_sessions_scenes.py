"""What people do in real logins, as the daemon tells it: every timeline here was written from what was typed."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from live import PATIENCE_S, running, wait_until
from logins import THERE, Door, cron, door, people, pipe, waited_at
from sessions import told

from tsauditd.kernel.state import Snapshot
from tsauditd.timelines.view import View, Views

pytestmark = pytest.mark.system

NOBODY = 47_114_712
"""A user id that has no name."""

RULES = (
    "".join(
        f"-a always,exit -F arch=b64 -S execve,execveat,exit_group -F auid={auid} -k scenes\n"
        for auid in (4242, 4243, NOBODY)
    )
    + "-a always,exit -F arch=b64 -S mkdir,mkdirat -F exe=/usr/bin/mkdir -F auid=4242 -k scenes\n"
    + "-a always,exit -F arch=b64 -S accept,accept4 -F exe=/usr/sbin/sshd -k scenes\n"
)

BASH = ("command", "alice", "-bash")


@dataclass(frozen=True)
class Scene:
    """An sshd to log in to, a directory that everybody may use, and what the daemon writes."""

    sshd: Door
    place: Path
    written: Path

    def views(self) -> list[View]:
        """The sessions so far, in the order of their opening."""
        views = Views(lambda _: True)
        for line in self.written.read_bytes().splitlines() if self.written.exists() else ():
            views.take(json.loads(line))
        return list(views.sessions.values())

    def logged_out(self) -> None:
        """Waits for USER_END among the events: sshd closes the session after its client has gone. Sessions are
        written apart from events, and later: waits for the first of them too."""
        said = self.written.with_name("events.json")
        wait_until(lambda: b'"user_end"' in said.read_bytes(), "the logout")
        wait_until(self.views, "the session")

    def ended(self, count: int) -> list[View]:
        """The sessions, once that many have ended."""
        wait_until(
            lambda: sum(view.session["state"] == "ended" for view in self.views()) >= count, "their ends"
        )
        views = self.views()
        assert [view.session["end"] for view in views] == [{"reason": "last-process"}] * count
        return views


@pytest.fixture
def scene(untouched: Snapshot, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    place = Path(subprocess.check_output(["mktemp", "-d", "/tmp/scene.XXXXXX"], text=True).strip())
    place.chmod(0o777)
    (tmp_path / "scenes.rules").write_text(RULES)
    config = tmp_path / "tsauditd.toml"
    config.write_text(
        f'[kernel]\nrules = "{tmp_path}/scenes.rules"\n'
        f'[[output]]\ntype = "file"\npath = "{tmp_path}/events.json"\n'
        f'[[output]]\ntype = "file"\nlines = "sessions"\npath = "{tmp_path}/sessions.json"\n'
    )
    try:
        with people(), door() as sshd, running(tmp_path, "-c", str(config), key="scenes") as daemon:
            yield Scene(sshd, place, tmp_path / "sessions.json")
            daemon.stop()
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


def lines(view: View) -> list[tuple[str, ...]]:
    """The rows in short, without the ends of processes that never started a program."""
    return [row for row in told(view) if row[0] != "other"]


def shown(*words: object) -> str:
    """What `tsauditd` prints into a pipe."""
    command = [sys.executable, "-m", "tsauditd", *map(str, words)]
    return subprocess.check_output(command, text=True, timeout=PATIENCE_S)


def shown_on_a_terminal(*words: object, columns: int) -> str:
    """What `tsauditd` prints on a terminal of its own, of that width."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    command = [sys.executable, "-m", "tsauditd", *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        command, stdout=theirs, stdin=theirs, env={**environment, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        found = b""
        with suppress(OSError):  # EIO: its last writer has gone
            while chunk := os.read(ours, 65536):
                found += chunk
        assert process.wait(PATIENCE_S) == 0
    os.close(ours)
    return found.decode().replace("\r\n", "\n")


def test_a_background_job_outlives_the_logout(scene: Scene) -> None:
    gate = pipe(scene.place, "gate")
    with scene.sshd.terminal("alice") as terminal:
        terminal.type(f"nohup sh -c 'cat {gate}; whoami' >/dev/null 2>&1 &")
        held = waited_at(gate)
        terminal.leave()
    scene.logged_out()
    assert [view.session["state"] for view in scene.views()] == ["open"]
    os.close(held)
    (view,) = scene.ended(1)
    assert lines(view) == [
        ("login", "alice", ""),
        BASH,
        ("command", "alice", f"nohup sh -c cat {gate}; whoami"),
        ("command", "alice", f"sh -c cat {gate}; whoami"),
        ("command", "alice", f"cat {gate}"),
        ("logout", "alice", ""),
        ("command", "alice", "whoami"),
    ]


def test_tmux_outlives_the_logout(scene: Scene) -> None:
    gate = pipe(scene.place, "gate")
    script = f"cat {gate}; whoami; true"
    with scene.sshd.terminal("alice") as terminal:
        terminal.type(f"tmux -S {scene.place}/socket new-session -d '{script}'")
        held = waited_at(gate)
        terminal.leave()
    scene.logged_out()
    os.close(held)
    (view,) = scene.ended(1)
    assert lines(view) == [
        ("login", "alice", ""),
        BASH,
        ("command", "alice", f"tmux -S {scene.place}/socket new-session -d {script}"),
        ("command", "alice", f"bash -c {script}"),
        ("command", "alice", f"cat {gate}"),
        ("logout", "alice", ""),
        ("command", "alice", "whoami"),
    ]


def test_two_sessions_of_one_account_at_once(scene: Scene) -> None:
    with scene.sshd.terminal("alice") as one, scene.sshd.terminal("alice") as two:
        for number in range(3):
            one.type(f"/bin/echo one {number}")
            two.type(f"/bin/echo two {number}")
        two.leave()
        one.type("/bin/echo one alone")
        one.leave()
    first, second = scene.ended(2)
    begin = [("login", "alice", ""), BASH]
    assert lines(first) == [
        *begin,
        *(("command", "alice", f"/bin/echo one {number}") for number in range(3)),
        ("command", "alice", "/bin/echo one alone"),
        ("logout", "alice", ""),
    ]
    assert lines(second) == [
        *begin,
        *(("command", "alice", f"/bin/echo two {number}") for number in range(3)),
        ("logout", "alice", ""),
    ]
    assert first.document["source"]["port"] != second.document["source"]["port"]


def test_who_became_whom(scene: Scene) -> None:
    with scene.sshd.terminal("alice") as terminal:
        terminal.type("sudo -i -u bob")
        terminal.type("whoami")
        terminal.type("exit")
        terminal.type("sudo -u bob whoami")
        terminal.type(f"sudo setpriv --reuid {NOBODY} --clear-groups whoami")
        terminal.type("su bob", "Password: ")
        terminal.type("wrong")
        terminal.type("su bob", "Password: ")
        terminal.type("bob-pass")
        terminal.type("sudo -n id")
        terminal.type("exit")
        terminal.leave()
    (view,) = scene.ended(1)
    assert lines(view) == [
        ("login", "alice", ""),
        BASH,
        ("escalation", "alice>bob", "sudo -i -u bob"),
        ("command", "bob", "-bash"),
        ("command", "bob", "whoami"),
        ("escalation", "alice>bob", "sudo -u bob whoami"),
        ("command", "bob", "whoami"),
        ("escalation", "alice>root", f"sudo setpriv --reuid {NOBODY} --clear-groups whoami"),
        ("command", "root", f"setpriv --reuid {NOBODY} --clear-groups whoami"),
        ("command", str(NOBODY), "whoami"),
        ("escalation", "alice", "su bob", "failure"),
        ("escalation", "alice>bob", "su bob"),
        ("command", "bob", "bash"),
        ("escalation", "bob", "sudo -n id", "failure"),
        ("logout", "alice", ""),
    ]
    assert set(view.session["summary"]["users"]) == {"alice", "bob", "root", str(NOBODY)}
    assert view.session["summary"]["escalations"] == 6


def test_a_login_of_a_uid_without_a_name(scene: Scene) -> None:
    script = f"echo {NOBODY} >/proc/self/loginuid && exec setpriv --reuid {NOBODY} --clear-groups id -u"
    subprocess.run(["sh", "-c", script], check=True, stdout=subprocess.DEVNULL)
    (view,) = scene.ended(1)
    assert view.document["user"] == {"id": str(NOBODY)}
    assert lines(view) == [
        ("login", str(NOBODY), ""),
        ("command", "root", f"setpriv --reuid {NOBODY} --clear-groups id -u"),
        ("command", str(NOBODY), "id -u"),
    ]


def test_a_job_of_cron_is_linked_to_who_made_it(scene: Scene) -> None:
    try:
        scene.sshd.run("alice", "echo '@reboot /bin/echo from-cron' | crontab -")
        with cron():
            ssh, job = scene.ended(2)
    finally:
        subprocess.run(["crontab", "-r", "-u", "alice"], check=False)
    (crontab,) = [row for row in ssh.rows.values() if row.get("process", {}).get("name") == "crontab"]
    assert lines(ssh) == [
        ("login", "alice", ""),
        ("command", "alice", "bash -c echo '@reboot /bin/echo from-cron' | crontab -"),
        ("command", "alice", "crontab -"),
        ("logout", "alice", ""),
        ("link", "", f"started session {job.id} (cron)"),
    ]
    assert (job.session["kind"], job.document["user"]["name"]) == ("cron", "alice")
    assert {name: job.session["started_by"][name] for name in ("id", "row")} == {
        "id": ssh.id,
        "row": crontab["number"],
    }
    assert lines(job) == [
        ("login", "alice", ""),
        ("command", "alice", "/bin/sh -c /bin/echo from-cron"),
        ("command", "alice", "/bin/echo from-cron"),
        ("logout", "alice", ""),
    ]


HOSTILE = r"$'\e]0;owned\a\e[2J\n+0.000s  root  \xe2\x80\xaetxt.exe\r\xff'"
"""As it is typed: a title, a cleared screen, a line that looks like ours, a name turned round, no UTF-8."""

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def test_hostile_names_are_shown_safely(scene: Scene) -> None:
    with scene.sshd.terminal("alice") as terminal:
        terminal.type(f"cd {scene.place}; PS1='ready$ '", "ready$ ")
        for line in (f"/bin/echo {HOSTILE}", f"mkdir {HOSTILE}", f"cd {HOSTILE}",
                     f"cp /bin/true {HOSTILE}", f"./{HOSTILE}", f"/bin/cat ./missing{HOSTILE}"):  # fmt: skip
            terminal.type(line, "ready$ ")
        terminal.leave()
    (view,) = scene.ended(1)
    piped = shown("session", "--verbose", view.id, scene.written)
    coloured = shown_on_a_terminal("session", "--verbose", view.id, scene.written, columns=400)
    assert re.search("\x1b\\[[0-9;]+m", coloured)
    narrow = shown_on_a_terminal("session", "--verbose", view.id, scene.written, columns=80)
    assert not UNSAFE.search(re.sub("\x1b\\[[0-9;]*m", "", narrow))
    for text in (piped, re.sub("\x1b\\[[0-9;]*m", "", coloured)):
        assert not UNSAFE.search(text)
        named = [line for line in text.splitlines() if "owned" in line or "txt.exe" in line]
        assert len(named) == 6, text
        assert all("owned" in line and "txt.exe" in line for line in named), text
    assert not UNSAFE.search(shown("sessions", scene.written))
    assert THERE in shown("sessions", scene.written)
