"""Control messages, registration, state and report without a kernel: its answers are made here."""

import errno
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsauditd.errors import NoAudit, NotPrivileged
from tsauditd.kernel import registration
from tsauditd.kernel.netlink import HEADER, KernelRefused, pack, refusal, unpack
from tsauditd.kernel.numbers import STATUS_MEMBERS, Kind, StatusMask
from tsauditd.kernel.registration import PidTaken, register
from tsauditd.kernel.report import listeners, render, report
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.load import RulesLocked, load
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse
from tsauditd.kernel.state import KernelState, RestoreFailed
from tsauditd.kernel.status import status, status_payload

NAMES = Names(syscall_number=lambda arch, name: None)


class FakeKernel:
    """A Control with a status and rules; `refuse` makes a kind of message fail with an errno."""

    def __init__(self, **members: int) -> None:
        self.members = {**dict.fromkeys(STATUS_MEMBERS, 0), "backlog_limit": 64, "failure": 1, **members}
        self.rules: list[bytes] = []
        self.refuse: dict[int, int] = {}
        self.told: list[tuple[int, bytes]] = []
        self.status_size = 44

    def ask(self, kind: int, payload: bytes = b"") -> list[bytes]:
        if kind == Kind.GET:
            return [struct.pack("=11I", *(self.members[name] for name in STATUS_MEMBERS))[: self.status_size]]
        if kind == Kind.GET_FEATURE:
            return [struct.pack("=4I", 1, 3, 2, 2)]
        assert kind == Kind.LIST_RULES
        return list(self.rules)

    def tell(self, kind: int, payload: bytes = b"") -> int:
        self.told.append((kind, payload))
        if kind in self.refuse:
            raise refusal(self.refuse[kind], kind)
        if kind == Kind.SET:
            values = dict(zip(STATUS_MEMBERS, struct.unpack("=11I", payload), strict=True))
            mask = StatusMask(values["mask"])
            assert mask.name is not None
            self.members[mask.name.lower()] = values[mask.name.lower()]
        elif kind == Kind.ADD_RULE:
            self.rules.append(payload)
        elif kind == Kind.DEL_RULE:
            self.rules.remove(payload)
        return 0


def payloads(lines: Sequence[str]) -> list[bytes]:
    return [encode(command.rule) for command in parse(lines, "x", NAMES) if command.rule]


def test_a_message_is_packed_and_read() -> None:
    sent = pack(Kind.SET, 5, 7, b"abcde")
    assert sent == struct.pack("=IHHII", 21, 1001, 5, 7, 0) + b"abcde"
    answer = unpack(sent + b"\0\0\0")
    assert answer is not None
    assert (answer.kind, answer.sequence, answer.payload) == (1001, 7, b"abcde")


def test_the_received_size_counts_when_nlmsg_len_leaves_out_the_header() -> None:
    text = b"audit(1.2:3): the whole text"
    answer = unpack(HEADER.pack(len(text), 1300, 0, 0, 0) + text)
    assert answer is not None
    assert answer.payload == text


@given(st.binary(max_size=64))
def test_any_datagram_is_read_or_passed_over(datagram: bytes) -> None:
    answer = unpack(datagram)
    if answer is None:
        assert len(datagram) < 16 or datagram[4:6] == b"\x02\x00"
    else:
        assert datagram[16:].startswith(answer.payload)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, NotPrivileged),
        (errno.EACCES, NotPrivileged),
        (errno.ECONNREFUSED, NoAudit),
        (errno.EINVAL, KernelRefused),
    ],
)
def test_refusals_become_errors_that_say_what_was_wanted(number: int, kind: type[Exception]) -> None:
    error = refusal(number, Kind.ADD_RULE)
    assert type(error) is kind
    assert str(error).startswith("adding an audit rule: ")
    assert "\n" not in str(error)


def test_status_of_an_old_kernel_reads_as_zero_what_it_lacks() -> None:
    kernel = FakeKernel(backlog_wait_time=9, lost=3)
    kernel.status_size = 32
    now = status(kernel)
    assert (now.lost, now.backlog_wait_time, now.feature_bitmap) == (3, 0, 0)
    assert now.features.loginuid_immutable
    assert now.features.locked == {"loginuid_immutable"}


class FakeSocket:
    """The datagrams that come while the audit pid is claimed."""

    def __init__(self, answers: list[tuple[bytes, int]]) -> None:
        self.answers = answers
        self.sent: list[bytes] = []
        self.timeout: float | None = None

    def gettimeout(self) -> float | None:
        return self.timeout

    def settimeout(self, value: float | None) -> None:
        self.timeout = value

    def sendto(self, data: bytes, _address: tuple[int, int]) -> int:
        self.sent.append(data)
        return len(data)

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        if not self.answers:
            raise TimeoutError
        datagram, port = self.answers.pop(0)
        return datagram, (port, 0)


def acknowledgement(number: int, sequence: int = registration._REGISTER_SEQUENCE) -> bytes:
    return pack(2, 0, sequence, struct.pack("=i", number) + bytes(16))


def test_records_that_come_before_the_acknowledgement_are_kept_whole() -> None:
    record = HEADER.pack(9, 1300, 0, 0, 0) + b"audit(1.2"
    forged = HEADER.pack(16 + 5, 1300, 0, 0, 0) + b"trick"
    fake = FakeSocket(
        [(record, 0), (forged, 4711), (b"short", 0), (acknowledgement(0, 1), 0), (acknowledgement(0), 0)]
    )
    assert register(cast("socket.socket", fake)) == [record, acknowledgement(0, 1)]
    (sent,) = fake.sent
    assert sent[16:] == status_payload(StatusMask.PID, os.getpid())
    assert fake.timeout is None


def test_a_taken_pid_tells_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = FakeKernel(pid=os.getpid())
    monkeypatch.setattr(registration, "status", lambda: status(kernel))
    fake = FakeSocket([(acknowledgement(-errno.EEXIST), 0)])
    with pytest.raises(PidTaken) as taken:
        register(cast("socket.socket", fake))
    assert taken.value.holder_pid == os.getpid()
    assert f"process {os.getpid()} (" in str(taken.value)


def test_a_kernel_without_an_answer_is_told() -> None:
    with pytest.raises(Exception, match="claiming the audit pid: the kernel gave no answer"):
        register(cast("socket.socket", FakeSocket([])))


def test_restoring_goes_on_after_a_part_that_fails() -> None:
    kernel = FakeKernel()
    kernel.rules = payloads(["-a always,exit -F pid=1"])
    state = KernelState(kernel)
    before = state.snapshot()
    kernel.rules = payloads(["-a always,exit -F pid=2"])
    kernel.members.update(enabled=1, backlog_limit=8192)
    kernel.refuse = {Kind.DEL_RULE: errno.EINVAL}
    with pytest.raises(RestoreFailed, match="deleting a rule") as failed:
        state.restore(before)
    assert len(failed.value.problems) == 1
    assert kernel.members["enabled"] == 0
    assert kernel.members["backlog_limit"] == 64
    kernel.refuse = {}
    state.restore(before)
    assert state.snapshot() == before


def test_a_locked_kernel_is_told_of_and_never_written_to() -> None:
    kernel = FakeKernel(enabled=1)
    state = KernelState(kernel)
    before = state.snapshot()
    kernel.members["enabled"] = 2
    with pytest.raises(RestoreFailed, match="locked until reboot"):
        state.restore(before)
    lines = ["-D", "-a never,exclude -F msgtype=1307", "-w /etc/a -k one", "-a always,exit -F pid=7"]
    kernel.rules = payloads([*lines[2:], lines[1]])  # list after list
    for others in (["-D"], lines[:-1], [*lines, "-w /etc/b"], [*lines[:2], *lines[:1:-1]]):
        with pytest.raises(RulesLocked, match="nothing was changed"):
            load(parse(others, "x", NAMES), kernel)
    done = load(parse([*lines, "-e 2"], "x", NAMES), kernel)
    assert (done.added, done.deleted, done.kept, done.failed) == (0, 0, 3, False)
    assert kernel.told == []


def test_nothing_is_written_when_nothing_changed() -> None:
    kernel = FakeKernel()
    state = KernelState(kernel)
    state.restore(state.snapshot())
    assert kernel.told == []


def proc_with_listener(tmp_path: Path) -> Path:
    """A /proc where process 77 reads the multicast group and process 5 only speaks control."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "netlink").write_text(
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
        "0000000000000001 9   0          00000000 0        0        0     2        0        6\n"
        "0000000000000002 9   77         00000001 0        0        0     2        0        1234\n"
        "0000000000000003 9   5          00000000 0        0        0     2        0        1235\n"
        "0000000000000004 0   6          00000001 0        0        0     2        0        1236\n"
    )
    for pid, inode, name in ((77, 1234, "systemd-journal"), (5, 1235, "auditctl")):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "3").symlink_to(f"socket:[{inode}]")
        (tmp_path / str(pid) / "fd" / "0").symlink_to("/dev/null")
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
        (tmp_path / str(pid) / "exe").symlink_to(f"/usr/lib/{name}")
    return tmp_path


def test_listeners_are_found_by_their_sockets(tmp_path: Path) -> None:
    found = listeners(proc_with_listener(tmp_path))
    assert found == [{"pid": 77, "name": "systemd-journal", "executable": "/usr/lib/systemd-journal"}]


def test_the_report_is_json_and_readable(tmp_path: Path) -> None:
    kernel = FakeKernel(enabled=1, pid=5, lost=12, feature_bitmap=3, backlog=2)
    kernel.rules = payloads(["-a always,exit -F pid=1", "-a never,user -F pid=1", "-a always,exit -F pid=2"])
    data = report(kernel, proc_with_listener(tmp_path))
    assert json.loads(json.dumps(data)) == data
    assert data["rules"] == {"count": 3, "lists": {"exit": 2, "user": 1}}
    shown = render(data)
    lines = dict(line.split("  ", 1) for line in shown.splitlines())
    assert lines["records go to"].strip() == "auditctl (pid 5, /usr/lib/auditctl)"
    assert lines["also read by"].strip() == "systemd-journal (pid 77, /usr/lib/systemd-journal)"
    assert lines["lost records"].strip().startswith("12 ")
    assert lines["rules"].strip() == "3 (2 exit, 1 user)"
    assert len({len(line) - len(line[line.index("  ") :].lstrip()) for line in shown.splitlines()}) == 1


def test_a_machine_at_rest_is_told_in_plain_words(tmp_path: Path) -> None:
    shown = render(report(FakeKernel(), tmp_path))
    assert "auditing               off\n" in shown
    assert "records go to          nobody (the kernel log)\n" in shown
    assert "rules                  none\n" in shown


def test_the_daemons_part_does_not_load_pyroute2() -> None:
    code = (
        "import sys, tsauditd.kernel.registration, tsauditd.kernel.state, tsauditd.kernel.report\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('pyroute2', 'asyncio')])"
    )
    source = str(Path(registration.__file__).parents[2])
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True
    )
    assert out.stdout == "[]\n", out.stderr
