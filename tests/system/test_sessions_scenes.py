"""What people do in real logins, as the daemon tells it: every timeline here was written from what was typed."""

import os
import pty
import re
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from live import PATIENCE_S, wait_until
from logins import HERE, THERE, cron, pipe, waited_at
from scenes import BASH, NOBODY, Scene, lines, outliving, played

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system


@pytest.fixture
def scene(untouched: Snapshot, tmp_path: Path) -> Iterator[Scene]:
    with played(tmp_path) as scene:
        yield scene


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
    assert lines(view) == outliving(
        f"nohup sh -c cat {gate}; whoami",
        f"sh -c cat {gate}; whoami",
        f"cat {gate}",
    )


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
    assert lines(view) == outliving(
        f"tmux -S {scene.place}/socket new-session -d {script}",
        f"bash -c {script}",
        f"cat {gate}",
    )


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


def test_a_session_is_followed_while_it_goes_on(scene: Scene) -> None:
    with scene.sshd.terminal("alice") as terminal:
        wait_until(scene.views, "the session")
        (view,) = scene.views()
        words = [sys.executable, "-m", "tsauditd", "session", "--follow", view.id, str(scene.written)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            shown = [follower.stdout.readline() for _ in range(4)]
            terminal.type("sudo -i", "# ")
            terminal.type("whoami", "# ")
            terminal.type("exit")
            terminal.leave()
            rest, _ = follower.communicate(timeout=PATIENCE_S)
            assert follower.returncode == 0
    assert shown[2].endswith("still open\n")
    assert shown[3].split()[1:] == ["alice", "login", "sshd"]
    said = [line.split("  (")[0].split(maxsplit=1)[1] for line in rest.splitlines()[:-1]]
    # What root's own start-up files run stands between these.
    wanted = ["alice → root  $ sudo -i", "root          $ -bash", "root          $ whoami"]
    assert [line for line in said if line in wanted] == wanted
    assert rest.splitlines()[-1] == "ended: last-process"


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


def test_a_login_that_only_forwards_a_port(untouched: Snapshot, tmp_path: Path) -> None:
    connects = "-a always,exit -F arch=b64 -S connect -F exe=/usr/sbin/sshd -F auid=4242 -k scenes\n"
    with played(tmp_path, connects) as scene:
        near = scene.place / "forwarded"
        with scene.sshd.forwarding("alice", near), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(near))
            assert client.recv(8) == b"SSH-2.0-"
        (view,) = scene.ended(1)
    assert (view.session["kind"], view.session["how"]) == ("ssh", "forward")
    assert {row[0] for row in lines(view)} <= {"login", "logout", "connection"}
    assert view.session["summary"]["hosts"] == [HERE]
    (row,) = (row for row in view.rows.values() if row.get("destination", {}).get("ip") == HERE)
    assert (row["kind"], row["destination"]["port"]) == ("connection", 22)
    assert row["process"]["executable"] == "/usr/sbin/sshd"


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
