"""The rules by which rows fold, are linked, are told apart: made-up events, one rule a test."""

import random
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import START, Event, Maker
from sessions import Watched, short, told

from tsauditd.timelines.session import EVENTS_WAITING, PROCESSES, ROWS_WAITING
from tsauditd.timelines.tracker import ENDED, LOGOUT_MS, TIMEOUT_MS

SECOND_MS = 1_000


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def maker() -> Maker:
    return Maker()


def push(watched: Watched, *events: Event) -> None:
    for event in events:
        watched.timelines.push(event)


def rows(watched: Watched, number: str = "7") -> list[dict[str, Any]]:
    watched.timelines.flush()
    view = watched.one(number)
    return [view.rows[number] for number in sorted(view.rows)]


def test_repeats_under_a_command_fold_and_the_first_stays(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["make"], pid=50))
    for pid in range(60, 263):
        maker.ms += 10
        push(watched, maker.command(7, ["cc", "-c", "a.c"], pid=pid, parent=50))
    found = rows(watched)
    assert [short(row)[2] for row in found] == ["", "make", "cc -c a.c"]
    assert found[2]["count"] == 203
    assert found[2]["last"] > found[2]["@timestamp"]
    assert len(found[2]["events"]) == 203
    assert found[2]["parent"] == 1


def test_what_goes_on_starting_commands_is_not_forgotten_and_the_rest_is(
    watched: Watched, maker: Maker
) -> None:
    push(watched, maker.login(7), maker.command(7, ["make"], pid=50), maker.command(7, ["idle"], pid=51))
    for n in range(3 * PROCESSES):
        push(watched, maker.command(7, ["cc", "a.c"], pid=60 + n, parent=50))
    (session,) = watched.timelines.sessions.values()
    assert len(session.processes) <= PROCESSES
    assert 50 in session.processes
    assert 51 not in session.processes
    found = rows(watched)
    assert [short(row)[2] for row in found] == ["", "make", "idle", "cc a.c"]
    assert found[3]["count"] == 3 * PROCESSES


def test_when_all_have_started_something_the_oldest_go(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["a"], pid=50))
    for n in range(3 * PROCESSES):  # each started by the one before
        push(watched, maker.command(7, ["a"], pid=51 + n, parent=50 + n))
    (session,) = watched.timelines.sessions.values()
    assert len(session.processes) <= PROCESSES


def test_different_forms_have_a_row_each_up_to_a_bound(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["make"], pid=50))
    for n in range(100):
        push(watched, maker.command(7, ["cc", f"file{n}.c"], pid=60 + n, parent=50))
    found = [row for row in rows(watched) if row["process"].get("name") == "cc"]
    assert len(found) == 33
    assert found[-1]["count"] == 68


def test_a_repeat_that_fails_has_its_own_row(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["make"], pid=50))
    push(watched, *(maker.command(7, ["cc", "a.c"], pid=60 + n, parent=50) for n in range(3)))
    push(watched, maker.exit(7, pid=61), maker.exit(7, pid=62, code=1))
    found = rows(watched)
    assert [row["kind"] for row in found] == ["login", "command", "command", "command"]
    assert found[3]["process"]["exit_code"] == 1
    assert found[3]["parent"] == 2


def test_a_repeat_as_another_user_does_not_fold(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["script"], pid=50))
    push(watched, maker.command(7, ["id"], pid=60, parent=50), maker.command(7, ["id"], pid=61, parent=50))
    push(watched, maker.command(7, ["id"], pid=62, parent=50, uid="0"))
    found = rows(watched)
    assert [(short(row), row.get("count")) for row in found[2:]] == [
        (("command", "alice", "id"), 2),
        (("command", "root", "id"), None),
    ]


def test_what_is_typed_does_not_fold_and_stands_by_itself(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["-bash"], pid=50))
    for n in range(3):
        maker.ms += 5_000
        push(watched, maker.command(7, ["ls"], pid=60 + n, parent=50))
    found = rows(watched)[2:]
    assert [short(row) for row in found] == [("command", "alice", "ls")] * 3
    assert not any("parent" in row or "count" in row for row in found)


def test_a_pipeline_is_inferred_from_its_start_in_one_moment(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["-bash"], pid=50))
    maker.ms += 5_000
    push(watched, maker.command(7, ["cat", "x"], pid=60, parent=50))
    push(watched, maker.command(7, ["grep", "y"], pid=61, parent=50))
    maker.ms += 5_000
    push(watched, maker.command(7, ["ls"], pid=62, parent=50))
    found = rows(watched)[2:]
    assert [row.get("pipeline") for row in found] == [None, 2, None]
    assert found[1]["inferred"] == ["pipeline"]


def test_a_command_s_end_gives_its_time_and_exit_code(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["vi"], pid=50))
    watched.timelines.flush()  # the row is written long before
    maker.ms += 3_600 * SECOND_MS
    push(watched, maker.exit(7, pid=50, code=3))
    vi = rows(watched)[1]
    assert vi["duration"] == 3_600 * 1_000_000_000
    assert vi["process"]["exit_code"] == 3
    assert vi["process"]["name"] == "vi"
    assert len(vi["events"]) == 2


def test_a_silence_is_a_gap_and_not_active(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7))
    maker.ms += 60 * SECOND_MS
    push(watched, maker.command(7, ["ls"], pid=50))
    maker.ms += 3 * 3_600 * SECOND_MS
    push(watched, maker.command(7, ["id"], pid=51))
    found = rows(watched)
    assert [row["kind"] for row in found] == ["login", "command", "gap", "command"]
    assert found[2]["duration"] == 3 * 3_600 * 1_000_000_000
    assert watched.one("7").session["summary"]["active"] == 60 * 1_000_000_000


def failed(maker: Maker, pid: int, name: str = "alice") -> Event:
    return maker.event(
        "user_auth",
        None,
        user={"effective": {"name": name}},
        process={"pid": pid, "executable": "/usr/sbin/sshd"},
        source={"ip": "203.0.113.10"},
        event={"outcome": "failure"},
    )


def let_in(maker: Maker, pid: int) -> Event:
    return maker.event(
        "user_acct",
        None,
        user={"effective": {"name": "alice"}},
        process={"pid": pid, "executable": "/usr/sbin/sshd"},
        source={"ip": "203.0.113.10"},
    )


@pytest.mark.parametrize(("tries", "burst"), [(2, None), (3, True)])
def test_a_burst_is_three_failures(watched: Watched, maker: Maker, tries: int, burst: bool | None) -> None:
    for n in range(tries):
        push(watched, failed(maker, 900 + n))
        maker.ms += 60 * SECOND_MS
    login = maker.login(7)
    push(watched, let_in(maker, login["process"]["pid"]), login)
    watched.timelines.flush()
    before = watched.one("7").session["failed_before"]
    assert before["count"] == tries
    assert before.get("burst") is burst
    assert before["users"] == {"alice": tries}


def test_failures_long_before_are_no_burst(watched: Watched, maker: Maker) -> None:
    for n in range(3):
        push(watched, failed(maker, 900 + n))
    maker.ms += 3_600 * SECOND_MS
    login = maker.login(7)
    push(watched, let_in(maker, login["process"]["pid"]), login)
    watched.timelines.flush()
    assert "failed_before" not in watched.one("7").session
    (logins,) = [one for one in watched.documents if "logins" in one["tsauditd"]]
    assert logins["tsauditd"]["logins"]["count"] == 3


def test_one_connection_may_fail_several_times(watched: Watched, maker: Maker) -> None:
    push(watched, failed(maker, 900), failed(maker, 900), failed(maker, 900))
    watched.timelines.finish(ended=True)
    (logins,) = watched.documents
    assert logins["tsauditd"]["logins"]["users"] == {"alice": 3}


def test_a_job_is_linked_to_the_crontab_that_was_edited(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["crontab", "-e"], pid=50))
    maker.ms += 3_600 * SECOND_MS
    push(watched, maker.login(8, program="/usr/sbin/cron"))
    watched.timelines.flush()
    job, editor = watched.one("8"), watched.one("7")
    assert job.session["kind"] == "cron"
    assert job.session["started_by"]["id"] == editor.id
    assert job.session["started_by"]["row"] == 1
    link = next(row for row in editor.rows.values() if row["kind"] == "link")
    assert link["session"] == job.id
    assert link["inferred"] == ["session"]


def test_a_service_is_linked_to_the_systemctl_that_named_it(watched: Watched, maker: Maker) -> None:
    started = {"auditd": {"message_type": "service_start", "data": {"unit": "nginx"}}}
    push(watched, maker.login(7), maker.command(7, ["systemctl", "restart", "nginx"], pid=50))
    maker.ms += SECOND_MS
    push(watched, maker.event("service_start", None, **started))
    maker.ms += 60 * SECOND_MS
    late = maker.event("service_start", None, **started)
    push(watched, late)
    found = rows(watched)
    assert found[-1]["kind"] == "service"
    assert found[-1]["service"] == {"name": "nginx"}
    assert found[-1]["parent"] == 1
    assert "session" in found[-1]["inferred"]
    assert watched.unowned == [late["event"]["id"]]


def test_the_same_number_after_a_boot_is_another_session(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7))
    maker.ms += 3_600 * SECOND_MS
    push(watched, maker.event("system_boot", None))
    maker.ms += 60 * SECOND_MS
    push(watched, maker.login(7))
    watched.timelines.flush()
    first, second = watched.views.sessions.values()
    assert first.session["end"]["reason"] == "reboot"
    assert second.session["state"] == "open"
    assert first.id != second.id


def test_without_a_boot_record_the_same_number_tells_of_the_boot(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7))
    maker.ms += 3_600 * SECOND_MS
    push(watched, maker.login(7))
    watched.timelines.flush()
    first, _ = watched.views.sessions.values()
    assert first.session["end"] == {"reason": "reboot", "inferred": True}


def test_without_proc_a_logout_and_silence_end_a_session(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.logout(7))
    watched.timelines.tick(maker.ms + LOGOUT_MS - 1)
    assert watched.timelines.sessions
    watched.timelines.tick(maker.ms + LOGOUT_MS)
    assert watched.one("7").session["end"] == {"reason": "logout", "inferred": True}


def test_without_proc_a_long_silence_ends_a_session(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7))
    watched.timelines.tick(maker.ms + TIMEOUT_MS - 1)
    assert watched.timelines.sessions
    watched.timelines.tick(maker.ms + TIMEOUT_MS)
    assert watched.one("7").session["end"] == {"reason": "timeout", "inferred": True}


def test_many_commands_take_the_memory_of_a_few(maker: Maker) -> None:
    """Fewer here; what is held is looked at, not timed."""
    watched = Watched()
    watched.timelines._emit = lambda _: None  # what is written is not held
    push(watched, maker.login(7), maker.command(7, ["make"], pid=50))

    def build(count: int) -> None:
        for n in range(count):
            push(watched, maker.command(7, ["cc", f"{n}.c"], pid=60 + n % 30_000, parent=50))
            if n % 7 == 0:
                push(watched, maker.command(7, [f"tool{n}"], pid=40_000 + n % 9_000))

    build(3_000)
    tracemalloc.start()
    build(20_000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (session,) = watched.timelines.sessions.values()
    assert held < 4_000_000
    assert len(session.pending) <= ROWS_WAITING
    assert session.pending_events <= EVENTS_WAITING
    summary = session.write("session-updated", maker.ms)["tsauditd"]["session"]["summary"]
    assert summary["commands"] == 1 + 23_000 + -(-3_000 // 7) + -(-20_000 // 7)


def test_ended_sessions_are_forgotten_in_time(maker: Maker) -> None:
    watched = Watched()
    watched.timelines._emit = lambda _: None
    for ses in range(1, ENDED + 100):
        push(watched, maker.login(ses))
        watched.timelines.gone(next(iter(watched.timelines.sessions)), "timeout")
    assert len(watched.timelines._ended) == ENDED
    assert len(watched.timelines._ids) == ENDED


def test_hostile_members_do_no_harm(watched: Watched, maker: Maker) -> None:
    for program in ("", "\x1b[2J", "sudo", "su", "sshd", "bash"):
        for kind in ("user_cmd", "user_start", "user_end", "service_start", "tty", "config_change", "login"):
            event = maker.event(kind, 7, process={"pid": 5, "executable": program})
            event["auditd"]["data"] = {"op": ["a", "b"], "cmd": ["x"], "unit": [], "data": ["\x1b"]}
            push(watched, event)
            del event["process"]
            event["event"]["id"] = f"{START // 1000}.000:{maker.serial}0"
            push(watched, event)
    watched.timelines.finish(ended=True)
    assert any(told(view) for view in watched.views.sessions.values())


KINDS = st.sampled_from(
    ["login", "user_auth", "user_acct", "user_start", "user_end", "user_cmd", "cred_acq", "cred_disp", "service_start",
     "system_boot", "config_change", "add_user", "tty", "syscall", "exec", "failed exec", "exit", "setuid", "connect"]
)  # fmt: skip


def test_a_number_given_twice_in_a_second_is_two_sessions() -> None:
    maker, watched = Maker(), Watched()
    for _ in range(3):
        watched.timelines.push(maker.event("login", 1, process={"pid": 1}))
    watched.timelines.finish(ended=True)
    assert len(watched.views.sessions) == 3


@given(
    st.lists(st.tuples(KINDS, st.sampled_from([None, 1, 2]), st.integers(1, 5)), max_size=60), st.integers()
)
@settings(max_examples=300, deadline=None)
def test_rows_and_unowned_events_are_the_events(what: list[tuple[str, int | None, int]], seed: int) -> None:
    maker, watched, chance = Maker(), Watched(), random.Random(seed)
    wanted = []
    for kind, ses, pid in what:
        maker.ms += chance.choice([0, 4, 700, 60_000, 700_000])
        outcome = chance.choice(["success", "failure", "unknown"])
        program = chance.choice(["/usr/sbin/sshd", "/usr/bin/sudo", "/usr/bin/su", "/usr/bin/bash", "/bin/x"])
        process = {
            "pid": pid,
            "parent": {"pid": chance.randrange(6)},
            "executable": program,
            "args": [program],
        }
        user = {"id": "1000", "effective": {"id": chance.choice(["0", "1000"])}}
        name = "syscall" if kind in ("exec", "failed exec", "exit", "setuid", "connect") else kind
        event = maker.event(name, ses, user=user, process=process, source={"ip": "203.0.113.1", "port": pid})
        event["event"]["outcome"] = {"exec": "success", "failed exec": "failure"}.get(kind, outcome)
        event["event"]["action"] = {
            "exec": "executed",
            "failed exec": "executed",
            "exit": "end",
            "setuid": "changed-identity-of",
            "connect": "connected-to",
        }.get(kind, kind)
        event["auditd"]["data"] = {"exit": chance.choice(["0", "EACCES", "ENOENT"]), "unit": "x"}
        wanted.append(event["event"]["id"])
        watched.timelines.push(event)
        if chance.random() < 0.1:
            watched.timelines.tick(
                maker.ms, chance.choice([None, lambda some: {one.id for one in some}, lambda _: []])
            )
    watched.timelines.finish(ended=True)
    assert Counter(watched.proofs()) == Counter(wanted)
    for view in watched.views.sessions.values():
        assert view.session["summary"]["events"] == sum(
            len(row.get("events", [])) for row in view.rows.values()
        )
