"""By which door a process came to be on the host: sshd, cron or a terminal."""

import subprocess
from pathlib import Path

import pytest
from live import PATIENCE_S, Event, events, running
from logins import PROVOKE, people, terminal

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system


# The ends of the link that work/ssh.sh makes.
CLIENT, CLIENT6 = "203.0.113.10", "2001:db8::10"
WORKLOAD = Path(__file__).resolve().parent / "workload"


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("entered") / "out.json"


# What OpenSSH is made of from 9.8 and 10.0 on, of which Debian 12 has nothing: their names, and how they start a shell.
NEWER_SSHD = """
exec unshare --mount sh -euc '
    mount -t tmpfs none /usr/lib/openssh
    cp /bin/sh /usr/lib/openssh/sshd-session
    cp /bin/sh /usr/lib/openssh/sshd-auth
    echo 4242 >/proc/self/loginuid
    for program in session auth; do
        /usr/lib/openssh/sshd-$program -c "setsid -w sh -c \\"id -g $program; :\\"; :" || :
    done'
"""


def at_a_terminal(who: str, command: str) -> None:
    """Logs in by login(1), as at a console, and runs a command."""
    with terminal("script", "-qec", f"login -f {who}", "/dev/null") as login:
        login.type(command)
        login.leave()


@pytest.fixture
def lived(untouched: Snapshot, entered: Path, tmp_path: Path) -> list[Event]:
    """What alice and bob do over ssh and by cron; the scripts run for the first test only."""
    if not entered.exists():
        path = tmp_path / "people.rules"
        path.write_text(
            "-a always,exit -F arch=b64 -S execve -F auid=4242 -k entered\n"
            "-a always,exit -F arch=b64 -S execve -F auid=4243 -k entered\n"
        )
        words = ["--rules", str(path), "--output", str(entered)]
        with people(), running(tmp_path, *words, key="entered") as daemon:
            for command in (["bash", "work/ssh.sh"], ["sh", "work/cron.sh"], ["sh", "-c", NEWER_SSHD]):
                subprocess.run(
                    command, cwd=PROVOKE, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S
                )
            at_a_terminal("alice", "id -rG")
            daemon.stop()
    return [event for event in events(entered) if "process" in event and event.get("tags") == ["entered"]]


def ran(found: list[Event], *arguments: str) -> Event:
    (event,) = [one for one in found if one["process"].get("args") == list(arguments)]
    return event


def test_who_comes_over_ssh(lived: list[Event]) -> None:
    typed = ran(lived, "whoami")["process"]
    assert typed["parent"]["args"] == ["-bash"]
    shells = [one["process"] for one in lived if one["process"].get("args") == ["-bash"]]
    (shell,) = [one for one in shells if one["entity_id"] == typed["parent"]["entity_id"]]
    assert typed["session_leader"]["entity_id"] == shell["entity_id"]
    assert typed["entry_leader"]["entry_meta"] == {"type": "sshd", "source": {"ip": CLIENT}}
    assert typed["entry_leader"]["entity_id"] == shell["entity_id"]
    assert typed["tty"]["char_device"]["major"] == 136
    given = ran(lived, "ls", "/")["process"]
    assert given["entry_leader"]["entry_meta"] == {"type": "sshd", "source": {"ip": CLIENT}}
    # bash runs the last of its commands itself.
    asked = ran(lived, "bash", "-c", "id; ls /")["process"]
    assert given["entry_leader"]["pid"] == given["session_leader"]["pid"] == given["pid"] == asked["pid"]
    assert given["entity_id"] == asked["entity_id"]
    assert given["parent"]["executable"] == "/usr/sbin/sshd"
    assert given["parent"]["name"] == "sshd"
    six = ran(lived, "bash", "-c", "echo over six")["process"]
    assert six["entry_leader"]["entry_meta"] == {"type": "sshd", "source": {"ip": CLIENT6}}
    assert ran(lived, "bash", "-c", "exit 3")["process"]["entry_leader"]["entry_meta"]["type"] == "sshd"


def test_what_cron_starts(lived: list[Event]) -> None:
    job = ran(lived, "/usr/bin/id")["process"]
    assert job["entry_leader"]["entry_meta"] == {"type": "cron"}
    assert job["parent"]["args"] == ["/bin/sh", "-c", "/usr/bin/id >/dev/null"]
    assert job["entry_leader"]["pid"] in (job["parent"]["pid"], job["pid"])


def test_what_newer_sshds_start(lived: list[Event]) -> None:
    for program in ("session", "auth"):
        event = ran(lived, "id", "-g", program)["process"]
        assert event["entry_leader"]["entry_meta"] == {"type": "sshd"}, program
        assert event["entry_leader"]["entity_id"] == event["parent"]["entity_id"], program


def test_who_logs_in_at_a_terminal(lived: list[Event]) -> None:
    typed = ran(lived, "id", "-rG")["process"]
    assert typed["parent"]["args"] == ["-bash"]
    assert typed["entry_leader"]["entry_meta"] == {"type": "console"}
    assert typed["entry_leader"]["entity_id"] == typed["parent"]["entity_id"]
