"""tsauditd sessions, session and convert --sessions: what they list and show, safely, from whatever holds sessions."""

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from made import Maker
from sessions import CAPTURES

from tsauditd.cli import main
from tsauditd.timelines.text import hides
from tsauditd.timelines.view import View

SSH = str(CAPTURES / "ssh.enriched.log")
HOSTILE = str(CAPTURES / "hostile.log")


def out(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[str]:
    assert main(words) == code
    return capfd.readouterr().out.splitlines()


def test_a_line_a_session(capfd: pytest.CaptureFixture[str]) -> None:
    heading, *lines = out(capfd, "sessions", SSH)
    assert heading.split() == [
        "SESSION", "USER", "FROM", "KIND", "START", "(UTC)", "DURATION", "COMMANDS", "ESCALATIONS", "STATE",
    ]  # fmt: skip
    assert len(lines) == 6
    assert [line.split()[1] for line in lines] == ["alice"] * 5 + ["bob"]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--user", "bob"], 1),
        (["--user", "4242"], 5),
        (["--user", "nobody"], 0),
        (["--from", "2001:db8::/32"], 1),
        (["--from", "203.0.113.10"], 5),
        (["--since", "2030-01-01"], 0),
        (["--until", "2000-01-01"], 0),
        (["--since", "2026-01-01", "--until", "2030-01-01"], 6),
        (["--open"], 0),
    ],
)
def test_filters(capfd: pytest.CaptureFixture[str], words: list[str], count: int) -> None:
    assert len(out(capfd, "sessions", *words, SSH)) == 1 + count


def test_failed_logins(capfd: pytest.CaptureFixture[str]) -> None:
    refused, _, *after = out(capfd, "sessions", "--failed", SSH)
    assert "203.0.113.10  failed 4 times, a burst: alice x1, nobody-here x1, we ird x1, root x1" in refused
    assert len(after) == 1  # the session that came after them


def test_every_way_in_shows_the_same(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = out(capfd, "sessions", SSH)
    out(
        capfd,
        "convert",
        SSH,
        "-o",
        str(tmp_path / "events.json"),
        "--sessions",
        str(tmp_path / "sessions.json"),
    )
    data = Path(SSH).read_bytes()
    (tmp_path / "log.gz").write_bytes(gzip.compress(data))
    directory = tmp_path / "logs"
    directory.mkdir()
    half = data.index(b"\n", len(data) // 2) + 1
    (directory / "audit.log.1").write_bytes(data[:half])
    (directory / "audit.log").write_bytes(data[half:])
    for place in ("events.json", "sessions.json", "log.gz", "logs", "."):
        assert out(capfd, "sessions", str(tmp_path / place)) == expected, place
    ran = subprocess.run(
        [sys.executable, "-m", "tsauditd", "sessions", "-"], input=data, stdout=subprocess.PIPE
    )
    assert ran.stdout.decode().splitlines() == expected


def test_a_timeline_by_number_by_id_and_by_event(capfd: pytest.CaptureFixture[str]) -> None:
    view = json.loads("".join(out(capfd, "session", "--json", numbers(capfd)[4], SSH)))
    session = view["tsauditd"]["session"]
    text = out(capfd, "session", session["number"], SSH)
    assert text == out(capfd, "session", session["id"], SSH)
    assert text == out(capfd, "session", session["rows"][3]["events"][0], SSH)
    assert text[1].startswith("alice by ssh, interactive on pts/0 from 203.0.113.10:")
    assert text[3].startswith("4 commands (+8 noise), ")
    shown = [line.split(None, 2)[2] for line in text[4:-1]]
    assert shown == [
        "login sshd  (inferred)",  # of several connections from there, the last
        "$ -bash",
        "$ tty",
        "$ whoami",
        "$ rm -f /tmp/provoke-copied",
        "logout sshd",
        "1 serial never seen  (inferred)",  # a loss, of which nobody is the author: the log has such a gap
    ]
    assert len(out(capfd, "session", "-v", session["id"], SSH)) > len(text)


def numbers(capfd: pytest.CaptureFixture[str]) -> list[str]:
    found = [json.loads(line) for line in out(capfd, "sessions", "--json", SSH)]
    return [document["tsauditd"]["session"]["number"] for document in found]


def test_a_session_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["session", "12345", SSH]) == 1
    assert capfd.readouterr().err.startswith("tsauditd: no session is, ends in or has the event 12345")


def test_an_end_that_two_sessions_share_is_told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [json.dumps(Maker(boot=f"{n}{n}{n}{n}{n}{n}{n}{n}-0").login(7)) for n in "ab"]
    (tmp_path / "x.json").write_text("\n".join(lines))
    # Two hosts: two boots of one host would be one after the other.
    assert main(["session", "7", str(tmp_path / "x.json")]) == 1
    assert "is the end of 2 sessions" in capfd.readouterr().err


def test_hostile_names_are_shown_safely(capfd: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(out(capfd, "session", "-v", "75", HOSTILE))
    assert text.replace("\n", "").isprintable()
    assert "\\u202e" in text
    assert "\\x1b[2J" in text
    assert not [line for line in text.splitlines() if line.startswith(("type=", "line type="))]


def test_no_colour_in_a_pipe_and_colour_on_a_terminal() -> None:
    words = [sys.executable, "-m", "tsauditd", "session", "61", str(CAPTURES / "sudo.log")]
    assert b"\x1b" not in subprocess.run(words, stdout=subprocess.PIPE).stdout
    assert b"\x1b[33m" in on_a_terminal(words)
    assert b"\x1b" not in on_a_terminal(words, NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal(words, TERM="dumb")


def test_lines_fit_the_terminal_and_keep_their_notes() -> None:
    words = [sys.executable, "-m", "tsauditd", "session", "61", str(CAPTURES / "sudo.log")]
    lines = on_a_terminal(words, NO_COLOR="1", COLUMNS="60").decode().splitlines()
    assert max(len(line) for line in lines[4:-1]) == 60
    (cut,) = [line for line in lines if "4243" in line and "(+1 command)" in line]
    assert "…" in cut


def on_a_terminal(words: list[str], **environment: str) -> bytes:
    """What a program prints on a terminal of its own."""
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    terminal, inside = os.openpty()
    with subprocess.Popen(words, stdout=inside, env={**known, "TERM": "xterm", **environment}) as process:
        os.close(inside)
        shown = b""
        try:
            while chunk := os.read(terminal, 65_536):
                shown += chunk
        except OSError:  # EIO: the other end is closed
            pass
        assert process.wait() == 0
    os.close(terminal)
    return shown


@pytest.mark.parametrize("place", ["sessions.json", "."])
def test_following_shows_what_comes_and_ends_with_the_session(tmp_path: Path, place: str) -> None:
    path = tmp_path / "sessions.json"
    maker = Maker(boot="fedcba98-0")
    from tsauditd.timelines import Timelines

    written: list[str] = []
    timelines = Timelines(lambda document: written.append(json.dumps(document) + "\n"))

    def give() -> None:
        timelines.flush()
        with path.open("a") as file:
            file.write("".join(written))
        written.clear()

    timelines.push(maker.login(7))
    give()
    words = [sys.executable, "-m", "tsauditd", "session", "-f", "7", str(tmp_path / place)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        killer = threading.Timer(60, process.kill)
        killer.start()
        shown = [process.stdout.readline() for _ in range(4)]
        assert "login" in shown[-1]
        timelines.push(maker.command(7, ["whoami"], pid=50, uid="1000"))
        give()
        assert "$ whoami" in process.stdout.readline()
        for number in range(2):
            # Written at the last moment before the rotation, and at the first after it.
            timelines.push(maker.command(7, ["last", str(number)], pid=60 + number))
            give()
            path.rename(tmp_path / f"sessions.json.{number + 1}")
            timelines.push(maker.command(7, ["first", str(number)], pid=70 + number))
            give()
            assert f"$ last {number}" in process.stdout.readline()
            assert f"$ first {number}" in process.stdout.readline()
        timelines.gone(next(iter(timelines.sessions)), "timeout")
        give()
        assert process.stdout.readline() == "ended: timeout\n"
        assert process.wait() == 0
        killer.cancel()


def test_what_is_neither_is_told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a":1}\n{"b":\n')
    assert main(["sessions", str(tmp_path / "x.json")]) == 1
    assert capfd.readouterr().err == 'tsauditd: neither an event nor a session, passed over: {"a":1}\n'


def test_noise_hides_no_failure_and_no_change_of_user_but_pam_s() -> None:
    def row(number: int, kind: str, noise: str, outcome: str) -> dict[str, object]:
        return {"number": number, "kind": kind, "noise": noise, "outcome": outcome}

    rows = [
        row(0, "command", "startup", "success"),
        row(1, "command", "startup", "failure"),
        row(2, "escalation", "startup", "success"),
        row(3, "escalation", "login", "success"),
        row(4, "escalation", "login", "failure"),
    ]
    view = View({}, dict(enumerate(rows)))
    assert [hides(row, view) for row in rows] == [True, False, False, True, False]


def test_what_enters_a_container_has_a_line_and_what_it_starts_there_folds() -> None:
    def row(number: int, **members: object) -> dict[str, object]:
        parent = {"parent": number - 1} if number else {}
        return {"number": number, "kind": "command", "outcome": "success", **parent, **members}

    inside = {"id": "web"}
    rows = [row(0), row(1), row(2, container=inside), row(3, container=inside), row(4)]
    view = View({}, dict(enumerate(rows)))
    assert [hides(row, view) for row in rows] == [False, True, False, True, False]
