"""Sessions of real logins: sshd between two network namespaces, sudo and su, as the daemon tells them."""

import json
import subprocess
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from live import PATIENCE_S, events, running, wait_until, whole_lines
from logins import PROVOKE, people
from sessions import told

from tsauditd.kernel.state import Snapshot
from tsauditd.timelines.view import View, Views

pytestmark = pytest.mark.system

LOGGED_IN = ["sh", "-c", 'echo 4242 >/proc/self/loginuid && exec "$@"', "sh"]
RULES = """\
-a always,exit -F arch=b64 -S execve,exit_group -F auid=4242 -k people
-a always,exit -F arch=b64 -S accept,accept4 -F exe=/usr/sbin/sshd -k people
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture
def lived(untouched: Snapshot, place: Path, tmp_path: Path) -> Views:
    """The sessions of the scripts, which run for the first test only."""
    if not (place / "sessions.json").exists():
        (place / "people.rules").write_text(RULES)
        config = place / "tsauditd.toml"
        config.write_text(
            f'[kernel]\nrules = "{place}/people.rules"\n'
            f'[[output]]\ntype = "file"\npath = "{place}/events.json"\n'
            f'[[output]]\ntype = "file"\nlines = "sessions"\npath = "{place}/sessions.json"\n'
        )
        with people(), running(tmp_path, "-c", str(config), key="people") as daemon:
            for command in (["bash", "work/ssh.sh"], [*LOGGED_IN, "bash", "work/sudo.sh"]):
                subprocess.run(
                    command, cwd=PROVOKE, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S
                )
            wait_until(lambda: over(place) >= 7, "every session's end")
            daemon.stop()
    return read(place)


def read(place: Path) -> Views:
    views = Views(lambda _: True)
    for line in whole_lines(place / "sessions.json"):
        views.take(json.loads(line))
    return views


def over(place: Path) -> int:
    views = read(place).sessions.values() if (place / "sessions.json").exists() else ()
    return sum(
        view.session["state"] == "ended" and view.session["kind"] in ("ssh", "unknown") for view in views
    )


def of_ssh(views: Views) -> list[View]:
    return [view for view in views.sessions.values() if view.session["kind"] == "ssh"]


def test_every_way_to_log_in(lived: Views) -> None:
    # ssh.sh: a command by password, one by key over IPv6, scp of both kinds, a terminal, bob's exit 3.
    four, six = "203.0.113.10", "2001:db8::10"
    found = [
        (view.document["user"]["name"], view.document["source"]["ip"], view.session["how"])
        for view in of_ssh(lived)
    ]
    assert found == [
        ("alice", four, "command"),
        ("alice", six, "command"),
        ("alice", four, "sftp"),
        ("alice", four, "scp"),
        ("alice", four, "interactive"),
        ("bob", four, "nothing"),
    ]
    assert all(view.session["end"] == {"reason": "last-process"} for view in of_ssh(lived))
    assert all("port" in view.document["source"] for view in of_ssh(lived))


def test_wrong_passwords_and_the_success_after_them(lived: Views) -> None:
    (document,) = lived.logins
    assert document["tsauditd"]["logins"]["users"] == {"alice": 1, "nobody-here": 1, "we ird": 1, "root": 1}
    assert of_ssh(lived)[2].session["failed_before"]["burst"] is True


def test_what_was_typed_on_the_terminal(lived: Views) -> None:
    view = of_ssh(lived)[4]
    assert view.session["terminal"].startswith("pts/")
    assert told(view) == [
        ("login", "alice", ""),
        ("command", "alice", "-bash"),
        ("command", "alice", "tty"),
        ("command", "alice", "whoami"),
        ("command", "alice", "rm -f /tmp/provoke-copied"),
        ("logout", "alice", ""),
    ]


def test_sudo_and_su(lived: Views) -> None:
    (view,) = [one for one in lived.sessions.values() if one.session["summary"]["escalations"]]
    echo = 'sudo -n /bin/echo two words it\'s say "hi" new\nline é'
    assert [row[1:] for row in told(view) if row[0] == "escalation"] == [
        ("alice>root", "sudo -n id"),
        ("alice>bob", 'sudo -n -u bob -- sh -c echo "I am $(id -un)"'),
        ("alice", "sudo -n -D /etc cat hostname", "failure"),
        ("alice>root", echo),
        ("alice", "sudo -n /usr/bin/nothing-here", "failure"),
        ("bob", "sudo -n id", "failure"),
        ("bob", "sudo -S -p  id", "failure"),
        ("bob", "sudo -S -p  id", "failure"),
        ("root>alice", "su - alice -c id"),
        ("bob", "su alice -c id", "failure"),
        ("bob>alice", "su alice -c echo as alice"),
    ]


def test_rows_are_the_events_of_the_sessions(lived: Views, place: Path) -> None:
    wanted: dict[str, Counter[str]] = {}
    for event in events(place / "events.json"):
        if name := event.get("tsauditd", {}).get("session", {}).get("id"):
            wanted.setdefault(name, Counter())[event["event"]["id"]] += 1
    for name, view in lived.sessions.items():
        proofs: Counter[str] = Counter(proof for row in view.rows.values() for proof in row.get("events", []))
        # Before LOGIN the records of the session's own process have no number.
        first: list[str] = view.rows[0]["events"]
        login = Counter(first) - wanted[name]
        assert proofs - login == wanted[name], name
        assert max(proofs.values()) == 1


def test_the_daemon_writes_what_the_schema_says(lived: Views, place: Path) -> None:
    schema = json.loads((resources.files("tsauditd") / "schema" / "session.schema.json").read_text())
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for line in whole_lines(place / "sessions.json"):
        validator.validate(json.loads(line))
    assert all("entity_id" in row["process"] for view in of_ssh(lived) for row in commands(view))


def commands(view: View) -> list[dict[str, Any]]:
    return [row for row in view.rows.values() if row["kind"] == "command"]
