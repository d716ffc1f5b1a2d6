"""What systemd-run starts for a person, from the records of a real systemd: tests/captures/systemd.log."""

import pytest
from sessions import Watched, of_log, told

from tsauditd.timelines.view import View

LINK = "started '{}' in session {} (systemd-user)"


@pytest.fixture(scope="module")
def watched() -> Watched:
    return of_log("systemd.log")


def shown(view: View) -> list[tuple[str, ...]]:
    """The rows without noise, and without what processes say that are no commands."""
    return [row for row in told(view) if row[0] != "other"]


def test_what_a_person_had_systemd_run(watched: Watched) -> None:
    ssh, manager = watched.one("1"), watched.one("2")
    login = [watched.one(number).id for number in ("3", "4")]
    pam = "systemd-run --uid=bob --pipe --wait --quiet -p PAMName=login id -un"
    assert shown(ssh) == [
        ("login", "alice", ""),
        ("command", "alice", "-bash"),
        ("command", "alice", "systemd-run --user --wait --quiet id -un"),
        ("link", "", LINK.format("/usr/bin/id -un", manager.id)),
        ("command", "alice", "systemd-run --user --scope --quiet id -un"),
        ("command", "alice", "/usr/bin/id -un"),
        ("command", "alice", "systemd-run --user --on-active=1 --unit=later --quiet touch /tmp/later"),
        ("link", "", LINK.format("/usr/bin/touch /tmp/later", manager.id)),
        ("escalation", "alice>root", "sudo systemd-run --wait --quiet id -un"),
        ("command", "root", "systemd-run --wait --quiet id -un"),
        ("service", "root", ""),
        ("service", "root", ""),
        ("escalation", "alice>root", "sudo systemd-run --unit=named --wait --quiet id -un"),
        ("command", "root", "systemd-run --unit=named --wait --quiet id -un"),
        ("service", "root", ""),
        ("service", "root", ""),
        ("escalation", "alice>root", "sudo systemd-run --scope --quiet id -un"),
        ("command", "root", "systemd-run --scope --quiet id -un"),
        ("command", "root", "/usr/bin/id -un"),
        ("escalation", "alice>root", f"sudo {pam}"),
        ("command", "root", pam),
        ("service", "root", ""),
        *[("link", "", f"started session {one} (systemd-user)") for one in login],
        ("service", "root", ""),
        ("command", "alice", "systemd-run --user --pty --quiet sh -c id -un; id -gn"),
        ("link", "", LINK.format("/usr/bin/sh -c id -un; id -gn", manager.id)),
        ("logout", "alice", ""),
    ]
    assert ssh.session["summary"]["users"] == ["alice", "root"]


def test_what_the_person_s_manager_ran_says_who_asked(watched: Watched) -> None:
    ssh, manager = watched.one("1"), watched.one("2")
    assert shown(manager) == [
        ("login", "alice", ""),
        ("command", "alice", "/lib/systemd/systemd --user"),
        ("command", "alice", "/usr/bin/id -un"),
        ("command", "alice", "/usr/bin/touch /tmp/later"),
        ("command", "alice", "/usr/bin/sh -c id -un; id -gn"),
        ("command", "alice", "id -un"),
        ("command", "alice", "id -gn"),
    ]
    asked = [row for row in manager.rows.values() if row.get("session") == ssh.id]
    assert [row["process"]["name"] for row in asked] == ["id", "touch", "sh"]
    assert all(row["inferred"] == ["session"] and "parent" not in row for row in asked)
    assert "started_by" not in manager.session
    noise = [row["process"]["name"] for row in manager.rows.values() if "noise" in row]
    assert noise[-2:] == ["systemctl", "dbus-daemon"]


def test_a_service_points_at_the_command_that_had_it_made(watched: Watched) -> None:
    rows = watched.one("1").rows
    services = [row for row in rows.values() if row["kind"] == "service"]
    assert [(row["service"]["name"], row["action"]) for row in services] == [
        (unit, action)
        for unit in ("run-u5", "named", "run-u7")
        for action in ("started-service", "stopped-service")
    ]
    assert [rows[row["parent"]]["process"]["args"][0] for row in services] == ["systemd-run"] * 6
    assert all(row["inferred"] == ["session", "parent"] for row in services)


def test_a_log_in_of_a_service_is_linked_to_who_asked(watched: Watched) -> None:
    ssh = watched.one("1")
    for number in ("3", "4"):
        by = watched.one(number).session["started_by"]
        assert (by["id"], ssh.rows[by["row"]]["process"]["name"]) == (ssh.id, "systemd-run")
