"""Sessions from one run of the daemon to the next: nothing twice, nothing lost, the blind time told."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import Maker
from sessions import short

from tsauditd.alive import sessions_alive
from tsauditd.journal import Journal
from tsauditd.live import LiveSessions
from tsauditd.timelines.session import Process, Session
from tsauditd.timelines.view import View, Views

BOOT = "fedcba98-7654-4321-8000-000000000000"


class Run:
    """A daemon's part of it: the file that objects go to, the state beside it, the clock."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "sessions.json"
        self.now = 1_700_000_000.0
        self.living: set[str] | None = None
        self.said: list[str] = []
        self.unwritten: list[bytes] = []
        self.writes = True
        self.later: Callable[[Callable[[], None]], object] = lambda act: act()
        self.sessions = self._start(BOOT)

    def _start(self, boot: str) -> LiveSessions:
        sessions = LiveSessions(
            self._deliver,
            journal=Journal(str(self.file) + ".state"),
            idle=lambda: not self.unwritten,
            wall=lambda: self.now,
            say=self.said.append,
            later=self._wait,
            alive=self._alive,
        )
        sessions.begin(boot, [self.file])
        return sessions

    def _deliver(self, lines: bytes) -> None:
        if not self.writes:
            self.unwritten.append(lines)
            return
        with self.file.open("ab") as file:
            file.write(lines)

    def _alive(self, sessions: Collection[Session]) -> Collection[str]:
        return {one.id for one in sessions if self.living is None or one.number in self.living}

    def _wait(self, act: Callable[[], None]) -> None:
        self.later(act)

    def batch(self, *events: dict[str, Any]) -> None:
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        self.sessions.batch(lines)

    def kill(self, *, boot: str = BOOT) -> None:
        """SIGKILL and another start. What waited in a queue never came to the file."""
        self.unwritten.clear()
        self.writes = True
        self.sessions = self._start(boot)

    def views(self) -> dict[str, View]:
        views = Views(lambda _: True)
        for line in self.file.read_bytes().splitlines() if self.file.exists() else ():
            views.take(json.loads(line))
        return {view.session["number"]: view for view in views.sessions.values()}

    def proofs(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for line in self.file.read_bytes().splitlines():
            for row in json.loads(line)["tsauditd"]["session"]["rows"]:
                found.update(row.get("events", []))
        return found


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_killed_daemon_goes_on_with_one_timeline(run: Run) -> None:
    maker = Maker(boot=BOOT)
    first = [maker.login(7), maker.command(7, ["bash"], pid=50), maker.command(7, ["ls"], pid=51, parent=50)]
    for event in first:
        run.batch(event)
    run.now += 30
    run.kill()
    maker.ms += 60_000
    later = maker.command(7, ["id"], pid=52, parent=50)
    run.batch(later)
    run.sessions.close()
    view = run.views()["7"]
    assert [short(view.rows[number]) for number in sorted(view.rows)] == [
        ("login", "alice", ""),
        ("command", "alice", "bash"),
        ("command", "alice", "ls"),
        ("blind", "", "the daemon was not running"),
        ("command", "alice", "id"),
    ]
    assert run.proofs() == Counter(event["event"]["id"] for event in [*first, later])
    assert "parent" not in view.rows[4]  # bash is known to be a shell again


def test_an_object_that_a_queue_held_when_it_was_killed_is_written_then(run: Run) -> None:
    maker = Maker(boot=BOOT)
    events = [maker.login(7), maker.command(7, ["one"], pid=50)]
    run.writes = False
    run.batch(events[0])
    run.batch(events[1])
    run.sessions.take()
    assert run.unwritten
    assert not run.file.exists()
    run.kill()
    run.sessions.close()
    assert run.proofs() == Counter(event["event"]["id"] for event in events)
    parts = [json.loads(line)["tsauditd"]["session"]["part"] for line in run.file.read_bytes().splitlines()]
    assert parts == list(range(len(parts)))


def test_a_session_all_of_whose_processes_exited_is_asked_after_at_once(run: Run) -> None:
    maker = Maker(boot=BOOT)
    run.batch(maker.login(7), maker.command(7, ["id"], pid=50), maker.exit(7, pid=50))
    run.now = maker.ms / 1000
    run.living = set()
    run.sessions.tick()
    run.now += 2
    run.sessions.tick()
    assert run.views()["7"].session["end"] == {"reason": "last-process"}


def test_a_session_that_ended_meanwhile_is_ended(run: Run) -> None:
    run.batch(Maker(boot=BOOT).login(7))
    run.living = set()
    run.kill()
    assert run.views()["7"].session["end"] == {"reason": "unwatched", "inferred": True}


def test_after_a_boot_every_session_has_ended(run: Run) -> None:
    run.batch(Maker(boot=BOOT).login(7))
    run.kill(boot="0" * 36)
    assert run.views()["7"].session["end"]["reason"] == "reboot"


def test_a_session_ends_with_its_last_process_not_with_its_logout(run: Run) -> None:
    maker = Maker(boot=BOOT)
    run.batch(maker.login(7), maker.command(7, ["bash"], pid=50), maker.logout(7))
    run.now += 5
    run.sessions.tick()
    assert run.views()["7"].session["state"] == "open"
    run.living = set()
    run.now += 100
    run.sessions.tick()
    view = run.views()["7"]
    assert view.session["end"] == {"reason": "last-process"}
    assert [row["kind"] for row in view.rows.values()] == ["login", "command", "logout"]


def test_what_comes_after_the_end_goes_on_in_the_same_session(run: Run) -> None:
    maker = Maker(boot=BOOT)
    run.batch(maker.login(7), maker.logout(7))
    run.living = set()
    run.now += 100
    run.sessions.tick()
    assert run.views()["7"].session["state"] == "ended"
    run.batch(maker.command(7, ["nohup"], pid=60))
    run.sessions.close()
    view = run.views()["7"]
    assert view.session["state"] == "open"
    assert [row["kind"] for row in view.rows.values()] == ["login", "logout", "command"]


def test_a_state_that_cannot_be_written_is_told_and_sessions_go_on(run: Run, tmp_path: Path) -> None:
    run.batch(Maker(boot=BOOT).login(7))
    run.sessions.take()
    journal = run.sessions._journal
    assert journal is not None
    os.close(journal._fd)
    journal._fd = os.open("/dev/full", os.O_WRONLY)
    run.batch(Maker(boot=BOOT, serial=100).command(7, ["ls"], pid=50))
    run.sessions.close()
    assert len(run.said) == 1
    assert "No space left" in run.said[0]
    assert len(run.views()["7"].rows) == 2


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"state":{"id":"x"},"rows":[]}\n', b"null\n[]\n\xff\n"])
def test_a_damaged_state_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "sessions.json.state").write_bytes(garbage)
    run = Run(tmp_path)
    run.batch(Maker(boot=BOOT).login(7))
    run.sessions.tick()
    assert run.views()["7"].session["state"] == "open"


def test_losses_are_rows_of_what_is_open(run: Run) -> None:
    run.batch(Maker(boot=BOOT).login(7))
    run.sessions.lost("3 records lost in the kernel", 3)
    run.sessions.close()
    view = run.views()["7"]
    assert [row["kind"] for row in view.rows.values()] == ["login", "loss"]
    assert view.session["summary"]["lost"] == 3


def test_a_session_of_this_process_is_alive() -> None:
    own = Path("/proc/self/sessionid").read_text()
    now = int(time.time() * 1000)
    mine, other = (Session(f"here-{number}", number, {}, now, now) for number in (own, "123456789"))
    here, gone, before = (Session(f"joined-{n}", f"entity-{n}", {}, now, now, joined=True) for n in range(3))
    here.remember(os.getpid(), Process(0, None, started=now))
    gone.remember(1 << 30, Process(0, None, started=now))
    before.remember(os.getpid(), Process(0, None, started=now - 86_400_000))
    alive = sessions_alive([mine, other, here, gone, before])
    assert alive == {mine.id, here.id}


STEP = st.sampled_from(["login", "command", "repeat", "exit", "sudo", "logout", "kill", "tick"])


@given(steps=st.lists(st.tuples(STEP, st.integers(1, 3), st.integers(0, 400_000)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_every_event_is_in_one_row_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    run = Run(tmp_path_factory.mktemp("run"))
    maker = Maker(boot=BOOT)
    given_ids: list[str] = []
    actions: dict[str, Callable[[int], dict[str, Any]]] = {
        "login": maker.login,
        "command": lambda ses: maker.command(ses, ["ls", str(maker.serial)], pid=maker.serial + 1000),
        "repeat": lambda ses: maker.command(ses, ["cc"], pid=maker.serial + 1000, parent=50),
        "exit": lambda ses: maker.exit(ses, pid=maker.serial + 999),
        "sudo": lambda ses: maker.command(ses, ["sudo", "id"], pid=maker.serial + 1000, effective="0"),
        "logout": maker.logout,
    }
    for step, ses, wait in steps:
        maker.ms += wait
        run.now = maker.ms / 1000
        if step == "kill":
            run.kill()
        elif step == "tick":
            run.sessions.tick()
        else:
            event = actions[step](ses)
            given_ids.append(event["event"]["id"])
            run.batch(event)
    run.sessions.close()
    assert (run.proofs() if run.file.exists() else Counter()) == Counter(given_ids)
    for view in run.views().values():
        assert sorted(view.rows) == list(range(len(view.rows)))
        assert view.session["summary"]["rows"] == len(view.rows)


def test_where_processes_cannot_be_seen_nothing_ends_for_that(tmp_path: Path) -> None:
    written: list[bytes] = []
    now = 1_700_000_000.0

    def started() -> LiveSessions:
        sessions = LiveSessions(
            written.append,
            journal=Journal(f"{tmp_path}/state"),
            idle=lambda: True,
            wall=lambda: now,
            say=print,
            later=lambda act: act(),
            alive=None,
        )
        sessions.begin(BOOT, [])
        return sessions

    maker = Maker(boot=BOOT)
    lines = json.dumps(maker.login(7)).encode() + b"\n"
    first = started()
    first.batch(lines)
    first.close()
    second = started()
    now += 3600
    second.tick()
    second.close()
    objects = [json.loads(line) for line in b"".join(written).splitlines()]
    assert {one["tsauditd"]["session"]["state"] for one in objects} == {"open"}
    assert objects[-1]["tsauditd"]["session"]["rows"][-1]["kind"] == "blind"


def test_events_are_kept_in_a_moment_and_worked_on_together(run: Run) -> None:
    asked: list[Callable[[], None]] = []
    run.later = asked.append
    maker = Maker(boot=BOOT)
    for event in (maker.login(7), maker.command(7, ["bash"], pid=50)):
        run.batch(event)
    assert len(asked) == 1
    state = Path(f"{run.file}.state")
    assert state.read_bytes() == b""
    asked.pop()()
    assert state.read_bytes().count(b"\n") == 2
    assert run.views() == {}
    run.sessions.tick()
    assert len(run.views()) == 1
    run.batch(maker.command(7, ["ls"], pid=51, parent=50))
    run.sessions.lost("2 records were lost", 2)
    run.sessions.close()
    assert [row["kind"] for row in run.views()["7"].rows.values()] == ["login", "command", "command", "loss"]


def test_what_was_kept_and_not_worked_on_is_worked_on_by_the_next_run(run: Run) -> None:
    maker = Maker(boot=BOOT)
    events = [maker.login(7), maker.command(7, ["bash"], pid=50)]
    run.batch(*events)
    run.sessions.tick()
    last = [maker.command(7, ["kill", "-9"], pid=51, parent=50), maker.login(8)]
    run.batch(*last)
    with Path(f"{run.file}.state").open("ab") as state:
        state.write(b'{"@timestamp":"2023-11-14T22:13:2')  # killed while it wrote
    for _ in range(2):
        run.kill()
    run.sessions.close()
    assert run.proofs() == Counter(event["event"]["id"] for event in [*events, *last])
    view = run.views()["7"]
    assert [row["kind"] for row in view.rows.values()][:4] == ["login", "command", "command", "blind"]


def test_what_waits_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsauditd.live._TOGETHER", 1)
    run.batch(Maker(boot=BOOT).login(7))
    assert len(run.views()) == 1


def test_the_state_moves_with_the_file(run: Run, tmp_path: Path) -> None:
    maker = Maker(boot=BOOT)
    run.batch(maker.login(7))
    run.sessions.keep_at(str(tmp_path / "elsewhere.state"))
    run.batch(maker.command(7, ["bash"], pid=50))
    assert not Path(f"{run.file}.state").exists()
    run.sessions.tick()
    kept = Journal(str(tmp_path / "elsewhere.state")).load()
    assert [(one.number, one.rows) for one in kept.sessions] == [("7", 2)]
