"""Sessions as timelines, from this kernel's own records: what the scripts in system/provoke did, written by hand."""

import json
from collections import Counter
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sessions import CAPTURES, Watched, contents, decoded, event_of, of_log, told

LOGS = sorted(path.name for path in [*CAPTURES.glob("*.log"), *CAPTURES.glob("*.log.gz")])
SCHEMA = json.loads((resources.files("tsauditd") / "schema" / "session.schema.json").read_text())


@pytest.fixture(scope="module")
def ssh() -> Watched:
    return of_log("ssh.enriched.log")


@pytest.fixture(scope="module")
def sudo() -> Watched:
    return of_log("sudo.enriched.log")


def sessions(watched: Watched) -> list[tuple[str, ...]]:
    return [
        (
            view.document["user"]["name"],
            view.document["source"]["ip"],
            view.session["kind"],
            view.session.get("how", ""),
            view.session["end"]["reason"],
        )
        for view in watched.views.sessions.values()
    ]


def test_each_ssh_login_is_a_session_of_its_own_kind(ssh: Watched) -> None:
    # ssh.sh: a command by password, one over IPv6 by key, scp by SFTP and by its own protocol, a terminal, exit 3.
    four, six = "203.0.113.10", "2001:db8::10"
    assert sessions(ssh) == [
        ("alice", four, "ssh", "command", "logout"),
        ("alice", six, "ssh", "command", "logout"),
        ("alice", four, "ssh", "sftp", "logout"),
        ("alice", four, "ssh", "scp", "logout"),
        ("alice", four, "ssh", "interactive", "logout"),
        ("bob", four, "ssh", "nothing", "logout"),  # the rule was for alice's commands
    ]


def test_a_command_over_ssh(ssh: Watched) -> None:
    view = next(iter(ssh.views.sessions.values()))
    assert told(view) == [
        ("login", "alice", ""),
        ("command", "alice", "bash -c id; ls /"),
        ("command", "alice", "id"),
        ("command", "alice", "ls /"),
        ("logout", "alice", ""),
    ]
    by_line = {row.get("process", {}).get("command_line"): row for row in view.rows.values()}
    script = by_line["bash -c id; ls /"]
    assert by_line["id"]["parent"] == by_line["ls /"]["parent"] == script["number"]
    assert "parent" not in script
    assert script["offset"] >= 0


def test_what_typing_and_start_up_did(ssh: Watched) -> None:
    view = list(ssh.views.sessions.values())[4]
    assert view.session["terminal"] == "pts/0"
    assert told(view) == [
        ("login", "alice", ""),
        ("command", "alice", "-bash"),
        ("command", "alice", "tty"),
        ("command", "alice", "whoami"),
        ("command", "alice", "rm -f /tmp/provoke-copied"),
        ("logout", "alice", ""),
    ]
    noise = {row["process"]["command_line"]: row["noise"] for row in view.rows.values() if "noise" in row}
    assert noise["dircolors -b"] == noise["id -u"] == noise["/usr/bin/clear_console -q"] == "startup"
    assert noise["run-parts --lsbsysinit /etc/update-motd.d"] == "login"


def test_the_port_is_that_of_the_connection_which_sshd_accepted(ssh: Watched) -> None:
    ports = [view.document["source"]["port"] for view in ssh.views.sessions.values()]
    assert len(set(ports)) == len(ports)
    assert all(port > 1024 for port in ports)


def test_failed_logins_stand_beside_the_sessions(ssh: Watched) -> None:
    # ssh.sh: alice with a wrong password, two names that are none, root; one connection each, one password each.
    (document,) = [one for one in ssh.documents if "logins" in one["tsauditd"]]
    assert document["source"]["ip"] == "203.0.113.10"
    logins = document["tsauditd"]["logins"]
    assert logins["count"] == 4
    assert logins["users"] == {"alice": 1, "nobody-here": 1, "we ird": 1, "root": 1}
    assert logins["burst"] is True


def test_a_success_after_a_burst_of_failures_is_marked(ssh: Watched) -> None:
    before = [view.session.get("failed_before") for view in ssh.views.sessions.values()]
    assert [one is not None for one in before] == [False, False, True, False, False, False]
    assert before[2] is not None
    assert before[2]["burst"] is True
    assert before[2]["count"] == 4


def escalations(watched: Watched) -> list[tuple[str, ...]]:
    (view,) = watched.views.sessions.values()
    return [row for row in told(view) if row[0] == "escalation" and row[2] != ""]


def test_every_escalation_with_from_whom_to_whom_and_whether_it_was_let(sudo: Watched) -> None:
    # sudo.sh, line by line. setpriv's own change of user is a row without a command line.
    echo = 'sudo -n /bin/echo two words it\'s say "hi" new\nline é'
    assert escalations(sudo) == [
        ("escalation", "alice>root", "sudo -n id"),
        ("escalation", "alice>bob", 'sudo -n -u bob -- sh -c echo "I am $(id -un)"'),
        ("escalation", "alice", "sudo -n -D /etc cat hostname", "failure"),
        ("escalation", "alice>root", echo),
        ("escalation", "alice", "sudo -n /usr/bin/nothing-here", "failure"),
        ("escalation", "bob", "sudo -n id", "failure"),
        ("escalation", "bob", "sudo -S -p  id", "failure"),
        ("escalation", "bob", "sudo -S -p  id", "failure"),
        ("escalation", "root>alice", "su - alice -c id"),
        ("escalation", "bob", "su alice -c id", "failure"),
        ("escalation", "bob>alice", "su alice -c echo as alice"),
    ]


def test_what_sudo_ran_stands_under_it_as_whom_it_ran(sudo: Watched) -> None:
    (view,) = sudo.views.sessions.values()
    by_line = {row.get("process", {}).get("command_line"): row for row in view.rows.values()}
    shell = by_line['sh -c echo "I am $(id -un)"']
    assert shell["user"]["name"] == "bob"
    assert view.rows[shell["parent"]]["process"]["command_line"].startswith("sudo -n -u bob")
    assert by_line["id -un"]["parent"] == shell["number"]


def test_a_search_along_the_path_is_part_of_the_command(sudo: Watched) -> None:
    (view,) = sudo.views.sessions.values()
    first = next(row for row in view.rows.values() if row["kind"] == "command")
    assert first["process"]["command_line"] == "bash work/sudo.sh"
    assert len(first["events"]) == 4
    assert "reason" not in first


def test_a_cron_job() -> None:
    (view,) = of_log("cron.log").views.sessions.values()
    assert view.session["kind"] == "cron"
    assert "terminal" not in view.session
    assert told(view) == [
        ("login", "alice", ""),
        ("command", "alice", "/bin/sh -c /usr/bin/id >/dev/null"),
        ("command", "alice", "/usr/bin/id"),
        ("logout", "alice", ""),
    ]


def test_accounts_changed() -> None:
    (view,) = of_log("accounts.enriched.log").views.sessions.values()
    found = [row for row in view.rows.values() if row["kind"] == "account"]
    assert [row["action"] for row in found][:3] == ["added-group-account-to"] * 3
    texts = [(row["text"], row["outcome"]) for row in found if "text" in row]
    assert ("adding user", "success") in texts
    assert ("adding user", "failure") in texts
    assert ("deleting user entries", "success") in texts
    assert view.session["summary"]["accounts"] == len(found)


def test_typed_input_and_audit_configuration() -> None:
    (view,) = of_log("terminal.log").views.sessions.values()
    typed = [row["text"] for row in view.rows.values() if row["kind"] == "input"]
    assert typed[:2] == ["ls -l /tmp\n", "echo 'two words'\n"]
    audit = [row["text"] for row in view.rows.values() if row["kind"] == "audit"]
    assert audit == ["op=tty_set"] * 3


@pytest.mark.parametrize("name", LOGS)
def test_every_event_is_in_one_row_of_one_session_or_unowned(name: str) -> None:
    wanted = [
        event_of(line)["event"]["id"] for lines, _ in decoded(contents(name)) for line in lines.splitlines()
    ]
    assert Counter(of_log(name).proofs()) == Counter(wanted)


@pytest.mark.parametrize("name", LOGS)
def test_objects_are_what_the_schema_says(name: str) -> None:
    validator = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for document in of_log(name).documents:
        validator.validate(document)


@pytest.mark.parametrize("name", LOGS)
def test_summaries_count_the_rows(name: str) -> None:
    for view in of_log(name).views.sessions.values():
        summary: dict[str, Any] = view.session["summary"]
        assert summary["rows"] == len(view.rows)
        assert summary["events"] == sum(len(row.get("events", [])) for row in view.rows.values())
        kinds = Counter(row["kind"] for row in view.rows.values())
        assert summary["escalations"] == kinds["escalation"]
        assert summary["files"] == kinds["file"]
        assert view.document["event"]["duration"] >= summary["active"]
