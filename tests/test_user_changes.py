"""user.changes: which ids an event gave a process, and which they were before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tsauditd.event import Decoder

X86_64, I386 = "c000003e", "40000003"
SETUID, SETREUID, SETRESUID, SETRESGID, SETFSUID, SETNS, EXECVE = 105, 113, 117, 119, 122, 308, 59
SETREUID16 = 70
UNSET = "ffffffff"
NAMES = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")

ALICE = {
    "uid": 1000,
    "euid": 1000,
    "suid": 1000,
    "fsuid": 1000,
    "gid": 100,
    "egid": 100,
    "sgid": 100,
    "fsgid": 100,
}
ROOT = dict.fromkeys(NAMES, 0)


class Log:
    """A log that grows by one event at a time."""

    def __init__(self) -> None:
        self.serial = 0
        self.text = b""

    def call(
        self,
        number: int,
        ids: dict[str, int],
        *arguments: str,
        arch: str = X86_64,
        result: int = 0,
        pid: int = 500,
        parent: int = 400,
        path: str = "",
    ) -> None:
        self.serial += 1
        stamp = f"msg=audit(1700000000.{self.serial:03d}:{self.serial}):"
        given = " ".join(f"a{n}={a}" for n, a in enumerate((*arguments, "0", "0", "0", "0")[:4]))
        order = ("uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid")
        self.text += (
            f"type=SYSCALL {stamp} arch={arch} syscall={number} success={'no' if result < 0 else 'yes'} "
            f"exit={result} {given} items={int(bool(path))} ppid={parent} pid={pid} auid=1000 "
            f"{' '.join(f'{name}={ids[name]}' for name in order)} tty=(none) ses=1 "
            f'comm="become" exe="/bin/become" key=(null)\n'
        ).encode()
        if path:
            self.text += (
                f'type=PATH {stamp} item=0 name="/bin/become" inode=1 dev=fe:00 {path} rdev=00:00 nametype=NORMAL\n'
            ).encode()

    def events(self) -> Iterator[dict[str, Any]]:
        decoder = Decoder()
        for line in (decoder.feed(self.text) + decoder.finish()).splitlines():
            yield json.loads(line)

    def changes(self) -> list[tuple[dict[str, str], dict[str, str]]]:
        """What each event changed: the ids that it gave, and those that they were before, by the kernel's names."""
        return [
            (
                flat(event["user"].get("changes", {})),
                flat(event.get("tsauditd", {}).get("user", {}).get("before", {})),
            )
            for event in self.events()
        ]


def flat(user: dict[str, Any]) -> dict[str, str]:
    """The ids in an object of ECS's user by the kernel's names."""
    kinds = {"": user, "e": user.get("effective"), "s": user.get("saved"), "fs": user.get("filesystem")}
    found = {}
    for prefix, one in kinds.items():
        if one and "id" in one:
            found[f"{prefix}uid"] = one["id"]
        if one and "group" in one:
            found[f"{prefix}gid"] = one["group"]["id"]
    return found


def texts(**ids: int) -> dict[str, str]:
    return {name: str(number) for name, number in ids.items()}


def test_the_ids_before_are_those_that_the_process_was_last_seen_with() -> None:
    log = Log()
    log.call(SETNS, ROOT)
    dropped = ROOT | {"euid": 1000, "fsuid": 1000}
    for _ in range(2):
        log.call(SETRESUID, dropped, UNSET, "3e8", UNSET)
        log.call(SETRESUID, ROOT, UNSET, "0", UNSET)
    log.call(SETUID, ALICE | dict.fromkeys(NAMES[4:], 0), "3e8")
    down = (texts(euid=1000, fsuid=1000), texts(euid=0, fsuid=0))
    last = (dict.fromkeys(NAMES[:4], "1000"), dict.fromkeys(NAMES[:4], "0"))
    assert log.changes() == [({}, {}), down, down[::-1], down, down[::-1], last]


def test_what_did_not_change_is_not_there() -> None:
    log = Log()
    log.call(SETNS, ROOT)
    log.call(SETUID, ROOT, "0")
    log.call(SETUID, ALICE, "0", result=-1)  # says nothing of what it would have been
    assert log.changes() == [({}, {})] * 3
    assert not any("user" in event.get("tsauditd", {}) for event in log.events())


def test_the_same_call_again_changes_nothing() -> None:
    log = Log()
    log.call(SETNS, ROOT)
    dropped = ROOT | {"euid": 1000, "fsuid": 1000}
    for _ in range(2):
        for _ in range(4):
            log.call(SETRESUID, dropped, UNSET, "3e8", UNSET)
        log.call(SETRESUID, ROOT, UNSET, "0", UNSET)
    down = (texts(euid=1000, fsuid=1000), texts(euid=0, fsuid=0))
    assert log.changes() == [({}, {}), *([down, *[({}, {})] * 3, down[::-1]] * 2)]


def test_what_is_too_long_ago_says_nothing() -> None:
    log = Log()
    log.call(SETNS, ALICE)
    log.call(
        SETRESGID, ROOT | {"egid": 5, "fsgid": 5}, UNSET, "5", UNSET
    )  # a uid cannot have changed by that
    log.call(SETUID, ALICE, "3e8", pid=501)
    assert log.changes() == [({}, {})] * 3


def test_setfsuid_tells_the_id_before_itself() -> None:
    log = Log()
    log.call(SETFSUID, ROOT | {"fsuid": 7}, "7", result=3)
    assert log.changes() == [(texts(fsuid=7), texts(fsuid=3))]


def test_no_change_in_sixteen_bits() -> None:
    log = Log()
    log.call(SETNS, ROOT)
    stale = ROOT | {"uid": 5}
    log.call(SETREUID16, stale | {"euid": 7, "suid": 7, "fsuid": 7}, "ffff", "7", arch=I386)
    log.call(SETREUID, stale | {"suid": 7}, "ffff", "0")  # here it is an id
    assert log.changes()[1:] == [({}, {}), (texts(euid=0, fsuid=0), texts(euid=7, fsuid=7))]


def test_running_a_set_user_id_file() -> None:
    log = Log()
    given = ALICE | dict.fromkeys(("euid", "suid", "fsuid"), 0)
    log.call(EXECVE, given, path="mode=0104755 ouid=0 ogid=0")
    # Its parent is known, and a child has its parent's ids.
    log.call(SETNS, ALICE, pid=400, parent=1)
    log.call(EXECVE, given, path="mode=0104755 ouid=0 ogid=0", pid=501)
    log.call(EXECVE, given, path="mode=0104755 ouid=0 ogid=0", pid=501)
    log.call(EXECVE, ALICE, path="mode=0104755 ouid=0 ogid=0", pid=502)  # the mount has nosuid
    log.call(EXECVE, given, path="mode=0100755 ouid=0 ogid=0", pid=503)  # it came with these ids
    became = texts(euid=0, suid=0, fsuid=0)
    before = texts(euid=1000, suid=1000, fsuid=1000)
    assert log.changes() == [(became, {}), ({}, {}), (became, before), ({}, {}), ({}, {}), ({}, {})]


def test_running_a_set_group_id_file() -> None:
    log = Log()
    log.call(SETNS, ALICE, pid=400, parent=1)
    given = ALICE | dict.fromkeys(("egid", "sgid", "fsgid"), 42)
    log.call(EXECVE, given, path="mode=0102755 ouid=0 ogid=42")
    log.call(EXECVE, given, path="mode=0102745 ouid=0 ogid=42", pid=501)
    both = given | dict.fromkeys(("euid", "suid", "fsuid"), 0)
    log.call(EXECVE, both, path="mode=0106755 ouid=0 ogid=42", pid=502)
    groups = (texts(egid=42, sgid=42, fsgid=42), texts(egid=100, sgid=100, fsgid=100))
    users = (texts(euid=0, suid=0, fsuid=0), texts(euid=1000, suid=1000, fsuid=1000))
    assert log.changes()[1:] == [groups, ({}, {}), (users[0] | groups[0], users[1] | groups[1])]


def test_names_before_and_after_are_related() -> None:
    log = Log()
    log.call(SETNS, ROOT)
    log.call(SETUID, ROOT | dict.fromkeys(NAMES[:4], 1), "1")
    decoder = Decoder(resolve=True)
    event = json.loads((decoder.feed(log.text) + decoder.finish()).splitlines()[-1])
    assert event["user"]["changes"]["effective"] == {"id": "1", "name": "daemon"}
    assert event["tsauditd"]["user"]["before"]["effective"] == {"id": "0", "name": "root"}
    assert {"root", "daemon"} <= set(event["related"]["user"])
