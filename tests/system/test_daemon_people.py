"""Logins, sudo and connections of this machine through the demonstration rules."""

import subprocess
import sys
from pathlib import Path

import pytest
from live import PATIENCE_S, Event, events, losses, running
from logins import people

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

PROVOKE = Path(__file__).resolve().parent / "provoke"
ALICE, BOB = {"id": "4242", "name": "alice"}, {"id": "4243", "name": "bob"}
# The ends of the link that work/ssh.sh makes.
CLIENT, CLIENT6 = "203.0.113.10", "2001:db8::10"
LOGGED_IN = ["sh", "-c", 'echo 4242 >/proc/self/loginuid && exec "$@"', "sh"]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people") / "out.json"


@pytest.fixture
def lived(untouched: Snapshot, output: Path, project: Path, tmp_path: Path) -> list[Event]:
    """The events of the scripts, which run for the first test only."""
    if not output.exists():
        rules = project / "rules" / "demonstration" / "people.rules"
        key = [line.split(" -k ")[1] for line in rules.read_text().splitlines() if " -k " in line][-1]
        words = ["--rules", str(rules), "--output", str(output)]
        with people(), running(tmp_path, *words, key=key) as daemon:
            for command in (
                ["bash", "work/ssh.sh"],
                [*LOGGED_IN, "bash", "work/sudo.sh"],
                [*LOGGED_IN, sys.executable, "work/connect.py"],
            ):
                subprocess.run(
                    command, cwd=PROVOKE, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S
                )
            daemon.stop()
    return events(output)


def ran(found: list[Event], *arguments: str) -> list[Event]:
    """Events of programs that were started with these arguments."""
    started = [e for e in found if e["event"]["action"] == "executed"]
    return [e for e in started if e["process"].get("args") == list(arguments)]


def person(event: Event) -> object:
    return event["user"]["audit"]


def from_afar(found: list[Event], action: str, outcome: str) -> list[Event]:
    """Events of an action that name an address."""
    return [
        e
        for e in found
        if (e["event"]["action"], e["event"]["outcome"]) == (action, outcome) and "source" in e
    ]


def test_a_login_says_who_and_from_where(lived: list[Event]) -> None:
    # sshd calls it a login when there is a terminal, and a session in any case.
    (login,) = from_afar(lived, "logged-in", "success")
    assert (person(login), login["source"]["ip"]) == (ALICE, CLIENT)
    started = from_afar(lived, "started-session", "success")
    assert {e["source"]["ip"] for e in started} == {CLIENT, CLIENT6}
    assert [e for e in started if person(e) == BOB]
    refused = from_afar(lived, "logged-in", "failure")
    assert {e["source"]["ip"] for e in refused} == {CLIENT}
    assert "alice" in [name for e in refused for name in e["related"].get("user", [])]
    assert all("authentication" in e["event"]["category"] for e in [login, *refused])
    assert losses(lived) == []


def test_commands_carry_the_person_and_the_session_of_the_login(lived: list[Event]) -> None:
    sessions = {e["auditd"]["session"] for e in from_afar(lived, "started-session", "success")}
    (typed,) = ran(lived, "whoami")
    assert person(typed) == ALICE
    assert typed["auditd"]["data"]["tty"].startswith("pts")
    assert typed["process"]["working_directory"] == "/home/alice"
    assert typed["process"]["executable"] == "/usr/bin/whoami"
    assert typed["tags"] == ["commands"]
    assert typed["auditd"]["session"] in sessions

    (given,) = [e for e in ran(lived, "ls", "/") if person(e) == ALICE]
    assert given["auditd"]["data"]["tty"] == "(none)"
    assert given["auditd"]["session"] in sessions - {typed["auditd"]["session"]}

    (failing,) = ran(lived, "bash", "-c", "exit 3")
    assert person(failing) == BOB


def test_sudo_shows_who_became_whom(lived: list[Event]) -> None:
    asked = ran(lived, "sudo", "-n", "id")
    assert {person(e)["name"] for e in asked} == {"alice"}, "the login user, whoever runs it"  # type: ignore[index]
    assert {e["user"]["name"] for e in asked} == {"alice", "bob"}
    for event in asked:
        assert event["tags"] == ["escalation"]
        assert event["user"]["effective"]["name"] == "root"
        assert event["user"]["changes"]["effective"] == {"id": "0", "name": "root"}
        assert event["tsauditd"]["user"]["before"]["effective"]["name"] == event["user"]["name"]
    (odd,) = ran(lived, "/bin/echo", "two words", "it's", 'say "hi"', "new\nline", "é")
    assert odd["user"]["name"] == "root"
    assert person(odd) == ALICE
    told = [e for e in lived if e["event"]["action"] == "ran-command"]
    assert {e["event"]["outcome"] for e in told} == {"success", "failure"}


def test_connections_have_their_far_end(lived: list[Event]) -> None:
    made = [e for e in lived if e["event"]["action"] == "connected-to"]
    assert {"127.0.0.1", "::1"} <= {e["destination"]["ip"] for e in made if "destination" in e}
    taken = [
        e for e in lived if e["event"]["action"] == "accepted-connection-from" and "ip" in e.get("source", {})
    ]
    assert {"127.0.0.1", "::1"} <= {e["source"]["ip"] for e in taken}
    for event in [*(e for e in made if "destination" in e), *taken]:
        end = event.get("destination") or event["source"]
        assert 0 < end["port"] < 65536
        assert event["tags"] == ["connections"]
        assert person(event) in (ALICE, BOB)
