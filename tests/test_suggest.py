"""tsauditd rules suggest: habits are proposed, what matters never is, and what is proposed is a good rule."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsauditd.cli import main
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.parse import parse
from tsauditd.kernel.rules.rule import Verb
from tsauditd.suggest import tally as tally_module
from tsauditd.suggest.candidates import EXCLUDABLE, Candidate, Kept, Seen, candidate
from tsauditd.suggest.report import as_text, proposals
from tsauditd.suggest.tally import Tally


def event(**changes: Any) -> dict[str, Any]:
    """A service that runs the same check again; changes name parts as `user__id`."""
    found: dict[str, Any] = {
        "@timestamp": "2026-11-21T03:00:00.000Z",
        "event": {"action": "executed", "outcome": "success"},
        "user": {"id": "33", "effective": {"id": "33"}},
        "process": {"executable": "/usr/bin/check", "command_line": "check --all"},
        "tags": ["service-commands"],
        "auditd": {"message_type": "syscall", "data": {"syscall": "execve", "arch": "x86_64"}},
    }
    for where, value in changes.items():
        part = found
        *ways, last = where.split("__")
        for way in ways:
            part = part.setdefault(way, {})
        part[last] = value
    return found


def suggested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], events: list[dict[str, Any]]
) -> dict[str, Any]:
    log = tmp_path / "events.json"
    log.write_text("".join(json.dumps(one) + "\n" for one in events))
    assert main(["rules", "suggest", "--json", str(log)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert main(["rules", "suggest", str(log)]) == 0
    text = capsys.readouterr().out
    rules = parse(text.splitlines(), "suggested", core_names())
    assert [command.verb for command in rules] == [Verb.ADD] * len(found["proposals"])
    return found


def day(**changes: Any) -> list[dict[str, Any]]:
    return [event(**{"@timestamp": f"2026-11-21T{hour:02}:00:00.000Z", **changes}) for hour in range(24)]


def test_a_habit_is_proposed_with_its_saving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = suggested(tmp_path, capsys, [*day(), *day(process__executable="/usr/bin/other")[:6]])
    assert found["events"] == 30
    assert [one["rule"] for one in found["proposals"]] == [
        "-a never,exit -F arch=b64 -S execve -F exe=/usr/bin/check -F uid=33 -C uid=euid -F auid=unset -F success=1",
        "-a never,exit -F arch=b64 -S execve -F exe=/usr/bin/other -F uid=33 -C uid=euid -F auid=unset -F success=1",
    ]
    first = found["proposals"][0]
    assert (first["events"], first["hours"], first["keys"]) == (24, 24, ["service-commands"])
    assert first["events_share"] == 0.8
    assert first["examples"] == ["check --all"]
    assert 0.75 < first["bytes_share"] < 0.85


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"event__outcome": "failure"}, Kept.FAILURE),
        ({"auditd__result": "fail"}, Kept.FAILURE),
        ({"user__audit": {"id": "1000"}}, Kept.PERSON),
        ({"user__audit": {"id": "0"}}, Kept.PERSON),
        ({"user__effective": {"id": "0"}}, Kept.RIGHTS),
        ({"user__saved": {"id": "0"}}, Kept.RIGHTS),
        ({"user__changes": {"id": "0"}}, Kept.RIGHTS),
        ({"user__id": "www"}, Kept.RIGHTS),
        ({"container": {"id": "x"}}, Kept.CONTAINER),
        ({"process__executable": "/usr/bin/python3.11"}, Kept.PROGRAM),
        ({"process__executable": "/usr/bin/sudo"}, Kept.PROGRAM),
        ({"process__executable": "/tmp/check"}, Kept.PROGRAM),
        ({"process__executable": "/usr/bin/x\n-a never,exit"}, Kept.PROGRAM),
        ({"process__executable": "/usr/../tmp/x"}, Kept.PROGRAM),
        ({"auditd__message_type": "user_login"}, Kept.MEANING),
        ({"auditd__message_type": "add_user"}, Kept.MEANING),
        ({"auditd__message_type": "config_change"}, Kept.MEANING),
        ({"auditd__data": {"syscall": "setuid", "arch": "x86_64"}}, Kept.MEANING),
        ({"auditd__data": {"syscall": "init_module", "arch": "x86_64"}}, Kept.MEANING),
        ({"auditd__data__syscall": "openat", "file__path": "/etc/passwd"}, Kept.PLACE),
        ({"auditd__data__syscall": "openat", "file__path": "relative/name"}, Kept.PLACE),
        ({"auditd__data__syscall": "openat", "file__path": "/tmp"}, Kept.PLACE),
        ({"auditd__data__syscall": "connect"}, Kept.PLACE),
    ],
)
def test_what_matters_is_never_proposed(changes: dict[str, Any], why: Kept) -> None:
    assert candidate(event(**changes)) is why


def test_files_and_addresses_narrow_the_rule() -> None:
    files = candidate(event(auditd__data__syscall="openat", file__path="/var/lib/app/1/2/cache file"))
    assert isinstance(files, Seen)
    assert files.candidate.rule.endswith(" -F success=1 -F dir=/var/lib/app")
    assert files.detail == "/var/lib/app/1/2/cache file"
    network = candidate(
        event(auditd__data={"syscall": "connect", "arch": "i386", "socket": {"family": "ipv6"}})
    )
    assert isinstance(network, Seen)
    assert network.candidate.rule.endswith(" -F saddr_fam=10")
    assert "arch=b32" in network.candidate.rule


def test_what_is_seldom_or_varied_is_no_habit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seldom = day()[:1] * 50 + day(user__audit={"id": "1000"})
    assert suggested(tmp_path, capsys, seldom)["proposals"] == []
    varied = [
        event(**{"@timestamp": one["@timestamp"], "process__command_line": f"check {number}"})
        for number, one in enumerate(day())
    ]
    assert suggested(tmp_path, capsys, varied)["proposals"] == []


def test_a_record_type_with_failures_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = day(auditd={"message_type": "crypto_key_user"})
    (one,) = suggested(tmp_path, capsys, keys)["proposals"]
    assert one["rule"] == "-a always,exclude -F msgtype=CRYPTO_KEY_USER"
    failed = [*keys, event(auditd={"message_type": "crypto_key_user", "result": "fail"})]
    assert suggested(tmp_path, capsys, failed)["proposals"] == []
    assert not EXCLUDABLE & {"LOGIN", "USER_LOGIN", "USER_AUTH", "USER_CMD", "USER_START", "USER_END", "AVC"}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "MAX_CANDIDATES", 100)
    tally = Tally()
    for number in range(5_000):
        tally.add(Seen(Candidate(program=f"/usr/bin/{number}"), "x" * 10_000), 1, number, [])
        tally.add(Seen(Candidate(program="/usr/bin/often"), str(number) * 100), 1, number, ["k" * 9] * 99)
    assert len(tally.counts) <= 101
    often = tally.counts[Candidate(program="/usr/bin/often")]
    assert often.events == 5_000
    assert len(often.details) == tally_module.MAX_DETAILS
    assert all(len(detail) <= tally_module.MAX_DETAIL_CHARACTERS for detail in often.details)


def test_audit_logs_are_read_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "suggest", "--json", str(project / "tests/captures/ssh.log")]) == 0
    from_log = json.loads(capsys.readouterr().out)
    assert from_log["events"] > 50
    assert from_log["unreadable"] == 0
    assert main(["rules", "suggest", "--json", str(project / "tests/golden/ssh.jsonl.gz")]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == from_log["events"]


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_lines_that_are_no_events_are_counted(tmp_path_factory: pytest.TempPathFactory, junk: Any) -> None:
    log = tmp_path_factory.mktemp("junk") / "x.json"
    log.write_text(json.dumps(event()) + "\n" + json.dumps(junk) + "\n{broken\n")
    assert main(["rules", "suggest", "--json", str(log)]) == 0


def test_the_text_of_nothing() -> None:
    tally = Tally()
    assert as_text(proposals(tally, 0.01), tally).startswith("# 0 events")
