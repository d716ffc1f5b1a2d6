"""Sessions that commands in other sessions have caused, and of programs put into containers: made-up events."""

import pytest
from made import Event, Maker
from sessions import Watched, told

SECOND_MS = 1_000
BOOT = "fedcba98-7654-4321-8000-000000000000"
LONG = "0123456789abcdef" * 4


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def maker() -> Maker:
    return Maker(boot=BOOT)


def push(watched: Watched, *events: Event) -> None:
    for event in events:
        watched.timelines.push(event)
    watched.timelines.flush()


def caused(watched: Watched, number: str) -> tuple[str, int] | None:
    by = watched.one(number).session.get("started_by")
    return (by["id"], by["row"]) if by else None


@pytest.mark.parametrize(
    ("line", "opener", "wait", "kind"),
    [
        ("crontab -e", "/usr/sbin/cron", 3_600, "cron"),
        ("at now", "/usr/sbin/atd", 3_600, "at"),
        ("batch", "/usr/sbin/atd", 0, "at"),
        ("systemd-run --uid=bob -p PAMName=login id", "/usr/lib/systemd/systemd", 2, "systemd-user"),
        ("run0 id", "/usr/lib/systemd/systemd-executor", 2, "systemd-user"),
    ],
)
def test_a_session_is_linked_to_the_command_that_asked_for_it(
    watched: Watched, maker: Maker, line: str, opener: str, wait: int, kind: str
) -> None:
    push(watched, maker.login(7), maker.command(7, line.split(), pid=50))
    maker.ms += wait * SECOND_MS
    push(watched, maker.login(8, program=opener))
    asker = watched.one("7")
    assert watched.one("8").session["kind"] == kind
    assert caused(watched, "8") == (asker.id, 1)
    assert told(asker)[2:] == [("link", "", f"started session {watched.one('8').id} ({kind})")]
    assert asker.rows[2]["parent"] == 1
    assert asker.rows[2]["inferred"] == ["session"]


@pytest.mark.parametrize(
    ("line", "opener", "wait"),
    [
        ("systemd-run --uid=bob -p PAMName=login id", "/usr/lib/systemd/systemd", 11),  # too long ago
        ("systemd-run --user sleep 9", "/usr/lib/systemd/systemd", 0),  # opens none
        ("at now", "/usr/sbin/cron", 0),  # another door
        ("atq", "/usr/sbin/atd", 0),  # asks for nothing
    ],
)
def test_without_evidence_there_is_no_link(
    watched: Watched, maker: Maker, line: str, opener: str, wait: int
) -> None:
    push(watched, maker.login(7), maker.command(7, line.split(), pid=50))
    maker.ms += wait * SECOND_MS
    push(watched, maker.login(8, program=opener))
    assert caused(watched, "8") is None


def test_another_user_s_job_is_not_linked(watched: Watched, maker: Maker) -> None:
    other = {"effective": {"id": "1001", "name": "bob"}, "audit": {"id": "1001", "name": "bob"}}
    push(watched, maker.login(7), maker.command(7, ["at", "now"], pid=50))
    job = maker.login(8, program="/usr/sbin/atd")
    push(watched, {**job, "user": other})
    assert caused(watched, "8") is None


@pytest.mark.parametrize(
    ("line", "unit", "linked"),
    [
        ("systemd-run id", "run-u12", True),
        ("systemd-run id", "run-p12-i34", True),
        ("systemd-run id", "cron", False),
        ("systemd-run --unit=mine id", "mine", True),
        ("systemd-run -u mine.service id", "mine", True),
        ("systemd-run --unit=mine id", "run-u12", False),
        ("systemd-run --user id", "run-u12", False),
        ("systemd-run --scope id", "run-u12", False),
        ("systemctl restart cron.service", "cron", True),
    ],
)
def test_a_service_is_of_the_command_that_had_it_started(
    watched: Watched, maker: Maker, line: str, unit: str, linked: bool
) -> None:
    push(watched, maker.login(7), maker.command(7, line.split(), pid=50))
    start = maker.event("service_start", None, auditd={"data": {"unit": unit}})
    push(watched, start)
    rows = [row for row in watched.one("7").rows.values() if row["kind"] == "service"]
    assert [row["parent"] for row in rows] == [1] * linked


@pytest.mark.parametrize(
    ("line", "ran", "wait", "linked"),
    [
        ("systemd-run --user id -un", ["/usr/bin/id", "-un"], 1, True),
        ("systemd-run --user -- id -un", ["/usr/bin/id", "-un"], 1, True),
        ("systemd-run --user id -un", ["/usr/bin/id", "-un"], 11, False),
        ("systemd-run --user --on-active=1h id -un", ["/usr/bin/id", "-un"], 3_600, True),
        ("systemd-run --user id -un", ["/usr/bin/id", "-gn"], 1, False),
        ("systemd-run --user id -un", ["/usr/bin/touch", "-un"], 1, False),
        ("systemd-run --user --scope id", ["/usr/bin/id"], 1, False),
        ("systemd-run id", ["/usr/bin/id"], 1, False),
    ],
)
def test_a_command_of_a_manager_is_of_who_asked_for_it(
    watched: Watched, maker: Maker, line: str, ran: list[str], wait: int, linked: bool
) -> None:
    push(watched, maker.login(8, program="/usr/lib/systemd/systemd"))
    push(watched, maker.command(8, ["/lib/systemd/systemd", "--user"], pid=60))
    push(watched, maker.login(7), maker.command(7, line.split(), pid=50))
    maker.ms += wait * SECOND_MS
    push(watched, maker.command(8, ran, pid=61, parent=60))
    asker, manager = watched.one("7"), watched.one("8")
    (row,) = [row for row in manager.rows.values() if row.get("process", {}).get("args") == ran]
    assert row.get("session") == (asker.id if linked else None)
    assert "parent" not in row
    links = [one for one in asker.rows.values() if one["kind"] == "link"]
    assert [(one["session"], one["parent"]) for one in links] == [(manager.id, 1)] * linked


def test_what_an_executor_becomes_stands_by_itself(watched: Watched, maker: Maker) -> None:
    push(watched, maker.login(7), maker.command(7, ["systemd-run", "--user", "id"], pid=50))
    push(watched, maker.login(8, program="/usr/lib/systemd/systemd-executor"))
    for args, pid, parent in (
        (["/usr/lib/systemd/systemd", "--user"], 60, 1),
        (["/usr/lib/systemd/systemd-executor", "--deserialize", "47"], 61, 60),
        (["/usr/bin/id"], 61, 60),
        (["/usr/lib/systemd/systemd-not-its-file"], 62, 60),
    ):
        event = maker.command(8, args, pid=pid, parent=parent)
        event["process"]["executable"] = "/usr/bin/rm" if pid == 62 else args[0]
        push(watched, event)
    rows = list(watched.one("8").rows.values())[1:]
    assert [row.get("noise") for row in rows] == [None, "startup", None, None]
    assert rows[2]["session"] == watched.one("7").id
    assert all("parent" not in row for row in rows)


def put_into(maker: Maker, entity: str, args: list[str], *, pid: int, parent: int, **box: str) -> Event:
    """A program in a container, without a login, of the session of one that was put into it."""
    event = maker.command(1, args, pid=pid, parent=parent, uid="0")
    del event["auditd"]["session"]
    event["tsauditd"] = {"session": {"id": f"01234567-fedcba98-{entity}"}}
    event["container"] = {"id": LONG, "name": "web", **box}
    return event


def test_a_program_put_into_a_container_is_a_session(watched: Watched, maker: Maker) -> None:
    push(
        watched,
        put_into(maker, "MQshEnP6-s_5TYMs", ["sh"], pid=80, parent=70),
        put_into(maker, "MQshEnP6-s_5TYMs", ["ls", "-l"], pid=81, parent=80),
        put_into(maker, "another-process_", ["id"], pid=90, parent=71),
    )
    view = watched.one("MQshEnP6-s_5TYMs")
    assert view.id == "01234567-fedcba98-MQshEnP6-s_5TYMs"
    assert (view.session["kind"], view.session["how"]) == ("container", "exec")
    assert view.document["container"] == {"id": LONG, "name": "web"}
    assert view.document["user"] == {"id": "0", "name": "root"}
    assert told(view) == [("command", "root", "sh"), ("command", "root", "ls -l")]
    assert told(watched.one("another-process_")) == [("command", "root", "id")]
    assert watched.unowned == []


@pytest.mark.parametrize(
    ("line", "linked"),
    [
        ("docker exec -it web sh", True),
        ("docker exec --user 0 web sh", True),
        (f"docker exec {LONG[:12]} sh", True),
        (f"ctr task exec --exec-id 1 {LONG} sh", True),
        ("kubectl exec web-0 -- sh", True),
        ("docker exec db sh", False),
        ("docker run --name web image", False),
        ("docker logs web", False),
    ],
)
def test_it_is_linked_to_the_command_that_names_the_container(
    watched: Watched, maker: Maker, line: str, linked: bool
) -> None:
    push(watched, maker.login(7), maker.command(7, line.split(), pid=50))
    maker.ms += SECOND_MS
    inside = put_into(maker, "MQshEnP6lsR5TYMs", ["sh"], pid=80, parent=70)
    inside["orchestrator"] = {"resource": {"name": "web-0", "type": "pod"}}
    push(watched, inside)
    asker = watched.one("7")
    assert caused(watched, "MQshEnP6lsR5TYMs") == ((asker.id, 1) if linked else None)
    assert [row["kind"] for row in asker.rows.values()] == ["login", "command", *["link"] * linked]


def test_it_ends_with_its_last_process(watched: Watched, maker: Maker) -> None:
    push(watched, put_into(maker, "MQshEnP6lsR5TYMs", ["sh"], pid=80, parent=70))
    watched.timelines.tick(maker.ms + SECOND_MS, lambda some: [one.id for one in some])
    assert watched.one("MQshEnP6lsR5TYMs").session["state"] == "open"
    watched.timelines.tick(maker.ms + 3 * SECOND_MS, lambda _: [])
    assert watched.one("MQshEnP6lsR5TYMs").session["end"] == {"reason": "last-process"}
