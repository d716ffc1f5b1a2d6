"""Scenes of people in real logins: a daemon, an sshd, and the sessions that come of it."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from live import running, wait_until, whole_lines
from logins import Door, door, people
from sessions import told

from tsauditd.timelines.view import View, Views

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
        for line in whole_lines(self.written):
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


@contextmanager
def played(directory: Path, rules: str = "") -> Iterator[Scene]:
    """The daemon with rules for alice, bob and nobody and with those given, and an sshd. Files stand in `directory`."""
    place = Path(
        tempfile.mkdtemp(prefix="scene.", dir="/tmp")
    )  # its path is typed, and shown in narrow columns
    place.chmod(0o777)
    (directory / "scenes.rules").write_text(RULES + rules)
    config = directory / "tsauditd.toml"
    config.write_text(
        f'[kernel]\nrules = "{directory}/scenes.rules"\n'
        f'[[output]]\ntype = "file"\npath = "{directory}/events.json"\n'
        f'[[output]]\ntype = "file"\nlines = "sessions"\npath = "{directory}/sessions.json"\n'
    )
    try:
        with people(), door() as sshd, running(directory, "-c", str(config), key="scenes") as daemon:
            yield Scene(sshd, place, directory / "sessions.json")
            daemon.stop()
    finally:
        shutil.rmtree(place)


def lines(view: View) -> list[tuple[str, ...]]:
    """The rows in short, without the ends of processes that never started a program."""
    return [row for row in told(view) if row[0] != "other"]


def outliving(*commands: str) -> list[tuple[str, ...]]:
    """A login of alice with these commands and its logout, after which the last of them goes on to `whoami`."""
    begun = [("command", "alice", command) for command in commands]
    return [("login", "alice", ""), BASH, *begun, ("logout", "alice", ""), ("command", "alice", "whoami")]
