"""Which lines of a batch a session's timeline gets, and what of them: all that it reads, and no others."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replay import events, packet, sending, socket_pair, wait_ready
from sessions import CAPTURES, contents, decoded, event_of, of_lines

from tsauditd.event import Decoder, Listener
from tsauditd.timelines.lines import LoggedTimelines

LOGS = sorted([*CAPTURES.glob("*.log"), *CAPTURES.glob("*.log.gz")])

LOGIN_TYPES = {"user_login", "user_auth", "user_acct", "user_err", "user_start", "cred_acq", "login"}
MACHINE, BOOT = "0123456789abcdef0123456789abcdef", "fedcba98-7654-4321-8000-000000000000"


def needed(event: dict[str, Any]) -> bool:
    auditd = event["auditd"]
    kind = auditd["message_type"]
    rare = ("system_boot", "system_shutdown", "service_start", "service_stop", "crypto_session")
    sshd = event.get("process", {}).get("name", "").startswith("sshd") and auditd.get("data", {}).get(
        "syscall"
    ) in (
        "accept",
        "accept4",
        "getpeername",
    )
    return (
        "session" in auditd
        or kind in LOGIN_TYPES
        or kind in rare
        or kind.startswith(("anom_login", "anom_origin"))
        or sshd
    )


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_a_timeline_needs_these_events_and_gets_no_others(path: Path) -> None:
    for lines, every in decoded(contents(path.name)):
        wanted = [event for event in map(json.loads, every.splitlines()) if needed(event)]
        got = [event_of(line) for line in lines.split(b"\n") if line]
        assert [event["event"]["id"] for event in got] == [event["event"]["id"] for event in wanted]
        assert all(within(thin, whole) for thin, whole in zip(got, wanted, strict=True))


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_what_is_left_out_makes_no_difference_to_sessions(path: Path) -> None:
    both = list(decoded(contents(path.name)))
    thin, whole = of_lines(lines for lines, _ in both), of_lines(lines for _, lines in both)
    assert thin.documents == whole.documents
    unneeded = set(whole.unowned) - set(thin.unowned)
    assert not unneeded & {event_id for lines, _ in both for event_id in ids(lines)}


def test_the_usual_command_comes_in_pieces_and_any_other_as_an_object() -> None:
    found = [line for lines, _ in decoded(contents("exec.log")) for line in lines.split(b"\n") if line]
    pieces = [line for line in found if not line.startswith(b"{")]
    assert pieces
    for line in found:
        event = event_of(line)
        usual = (
            event["event"]["action"] == "executed"
            and event["event"]["outcome"] == "success"
            and event["user"]["id"] == event["user"]["effective"]["id"]
            and "working_directory" in event["process"]
            and "args" in event["process"]
            and "container" not in event
            and b"\\" not in line
            and "incomplete" not in event.get("tsauditd", {})
        )
        assert (line in pieces) == usual, line


def ids(lines: bytes) -> list[str]:
    return [event_of(line)["event"]["id"] for line in lines.split(b"\n") if line]


def within(part: Any, whole: Any) -> bool:
    """Whether an object is another one without some of its members."""
    if isinstance(part, dict):
        return all(name in whole and within(value, whole[name]) for name, value in part.items())
    return bool(part == whole)


def opens(count: int, ses: str) -> bytes:
    """A log of a process that opens files."""
    return b"".join(
        f"type=SYSCALL msg=audit(1700000000.000:{serial}): arch=c000003e syscall=257 success=yes exit=3 a0=0 a1=0 a2=0 "
        f"a3=0 items=0 ppid=1 pid=7 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) "
        f'ses={ses} comm="x" exe="/bin/x" key=(null)\ntype=EOE msg=audit(1700000000.000:{serial}): \n'.encode()
        for serial in range(1, count + 1)
    )


def calls(act: Callable[[], object]) -> int:
    """How often Python calls anything while something is done."""
    count = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_events_of_no_session_cost_python_nothing() -> None:
    def spent(count: int, ses: str) -> int:
        pieces = list(decoded(opens(count, ses)))
        assert sum(every.count(b"\n") for _, every in pieces) == count
        logged = LoggedTimelines(lambda _: None)
        lines = b"".join(needed for needed, _ in pieces)
        return calls(lambda: logged.batch(lines, 0))

    assert spent(1, "4294967295") == spent(1_000, "4294967295")
    assert spent(1_000, "3") > 1_000


def test_without_being_asked_for_nothing_is_kept() -> None:
    decoder = Decoder()
    assert decoder.feed(contents("ssh.enriched.log"))
    assert decoder.timeline() == b""


def test_the_listener_tells_them_of_each_batch_and_names_the_session() -> None:
    of_session = [
        packet(kind, text)
        for kind, text in (
            (1112, "audit(1700000001.000:9001): pid=5 uid=0 auid=7 ses=3 msg='op=login id=7 res=success'"),
            (1320, "audit(1700000001.000:9001): "),
        )
    ]
    with socket_pair() as (sender, receiver):
        listener = Listener(
            receiver.fileno(), netlink=False, host_name="here", host_id=MACHINE, boot_id=BOOT, timelines=True
        )
        listener.start()
        found: list[bytes] = []
        count = 0
        with sending(sender, [*events(range(1, 50)), *of_session, *events(range(50, 99))]):
            while count < 99:
                wait_ready(listener)
                count += bytes(listener.take()).count(b"\n")
                found += listener.timeline().splitlines()
        listener.stop()
    assert count == 99
    (line,) = found
    assert json.loads(line)["tsauditd"]["session"] == {"id": "01234567-fedcba98-3"}


def test_a_command_of_this_host_names_its_session_and_makes_the_same_row() -> None:
    at = "audit(1700000001.000:7)"
    call = (
        "arch=c000003e syscall=59 success=yes exit=0 a0=0 a1=0 a2=0 a3=0 items=0 ppid=1 pid=7 auid=5 uid=5 gid=5 "
        'euid=5 suid=5 fsuid=5 egid=5 sgid=5 fsgid=5 tty=pts1 ses=3 comm="ls" exe="/bin/ls" key=(null)'
    )
    records = [
        (1300, f"{at}: {call}"),
        (1309, f'{at}: argc=2 a0="ls" a1="-l"'),
        (1307, f'{at}: cwd="/home"'),
        (1320, f"{at}: "),
    ]
    with socket_pair() as (sender, receiver):
        listener = Listener(
            receiver.fileno(), netlink=False, host_name="here", host_id=MACHINE, boot_id=BOOT, timelines=True
        )
        listener.start()
        with sending(sender, [packet(kind, text) for kind, text in records]):
            wait_ready(listener)
            whole = bytes(listener.take())
            line = listener.timeline()
        listener.stop()
    pieces = line.decode().rstrip("\n").split("\t")
    assert pieces[:2] == ["01234567-fedcba98-3", "1700000001000"]
    assert json.loads(pieces[-1]) == {"name": "here", "id": MACHINE, "boot": {"id": BOOT}}
    # The second time the session is known.
    assert of_lines([line + line]).documents == of_lines([whole + whole]).documents
