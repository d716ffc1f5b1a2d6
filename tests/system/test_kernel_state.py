"""Status, state and rules of this machine's kernel, changed and put back."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tsauditd.kernel import status as kernel_status
from tsauditd.kernel.netlink import Control, ControlSocket, KernelRefused
from tsauditd.kernel.pyroute import AuditNetlink
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.files import read_rules
from tsauditd.kernel.rules.lists import add_rule, delete_all, list_rules, listing
from tsauditd.kernel.rules.load import load
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse, parse_line
from tsauditd.kernel.rules.rule import Place
from tsauditd.kernel.state import KernelState, Snapshot

pytestmark = pytest.mark.system

NAMES = Names(syscall_number=lambda arch, name: None)
OPENERS: list[Callable[[], AbstractContextManager[Control]]] = [ControlSocket, AuditNetlink]


@pytest.fixture(params=OPENERS, ids=["socket", "pyroute2"])
def control(request: pytest.FixtureRequest, audit_lock: Snapshot) -> Iterator[Control]:
    """Each of the two ways to the kernel; both must do the same."""
    with request.param() as opened:
        yield opened


def auditctl(option: str) -> str:
    out = subprocess.run(["auditctl", option], capture_output=True, text=True, check=True).stdout
    # The counters count on, whoever asks.
    lines = out.splitlines(keepends=True)
    return "".join(
        line for line in lines if not line.startswith(("lost", "backlog ", "backlog_wait_time_actual"))
    )


def payload(line: str) -> bytes:
    (command,) = parse_line(line, Place(), NAMES)
    assert command.rule is not None
    return encode(command.rule)


def rule(number: int) -> str:
    """A rule that matches no process."""
    return f"-a always,exit -S all -F pid={number} -F ppid={number} -F key=kerneltest"


def test_status_is_what_auditctl_says(control: Control) -> None:
    said = dict(line.split(maxsplit=1) for line in auditctl("-s").splitlines())
    now = kernel_status.status(control)
    for member in ("enabled", "failure", "pid", "rate_limit", "backlog_limit", "backlog_wait_time"):
        assert getattr(now, member) == int(said[member]), member
    assert now.features.loginuid_immutable == (said["loginuid_immutable"][0] == "1")
    assert ("loginuid_immutable" in now.features.locked) == said["loginuid_immutable"].endswith(" locked")
    assert not now.locked
    assert "filter_fs" in now.abilities


def test_settings_are_set(control: Control) -> None:
    kernel_status.set_backlog_limit(8192, control)
    kernel_status.set_rate_limit(123456, control)
    kernel_status.set_failure(0, control)
    kernel_status.set_backlog_wait_time(1000, control)
    kernel_status.set_enabled(1, control)
    now = kernel_status.status(control)
    assert (now.backlog_limit, now.rate_limit, now.failure) == (8192, 123456, 0)
    assert (now.backlog_wait_time, now.enabled) == (1000, 1)
    assert kernel_status.reset_lost(control) >= 0
    assert kernel_status.reset_backlog_wait_time_actual(control) >= 0
    assert kernel_status.status(control).backlog_wait_time_actual == 0


def test_a_value_that_cannot_be_is_refused(control: Control) -> None:
    with pytest.raises(KernelRefused, match="changing the audit status"):
        kernel_status.set_failure(7, control)


def test_state_is_put_back_exactly(control: Control) -> None:
    for number in (1, 2, 3, 4):
        add_rule(payload(rule(number)), control)
    add_rule(payload("-w /etc/shadow -p wa -k kerneltest"), control)
    add_rule(payload("-a never,exclude -F msgtype=1327 -F auid=4242"), control)
    before = auditctl("-s"), auditctl("-l")
    state = KernelState(control)
    snapshot = state.snapshot()

    delete_all(control, "kerneltest")
    add_rule(payload(rule(9)), control)
    add_rule(payload(rule(3)), control)
    add_rule(payload("-A user,never -F pid=1"), control)
    kernel_status.set_backlog_limit(1000, control)
    kernel_status.set_enabled(1, control)
    kernel_status.set_failure(0, control)
    assert (auditctl("-s"), auditctl("-l")) != before

    state.restore(snapshot)
    assert (auditctl("-s"), auditctl("-l")) == before
    assert state.snapshot().rules == snapshot.rules
    state.restore(snapshot)
    assert state.snapshot().rules == snapshot.rules


def test_a_rules_file_is_loaded(control: Control, tmp_path: Path) -> None:
    directory = tmp_path / "rules.d"
    directory.mkdir()
    (directory / "10-b.rules").write_text(f"{rule(2)}\n-b 512\n")
    (directory / "9-a.rules").write_text(f"# first\n{rule(1)}\n-f 0\n-b 256\n")
    (directory / "other.txt").write_text("nonsense")
    before = listing(NAMES, control)
    done = load(read_rules(directory, NAMES), control)
    assert (done.added, done.deleted, done.problems) == (2, 0, [])
    assert listing(NAMES, control) == [*before, rule(1), rule(2)]
    now = kernel_status.status(control)
    assert (now.backlog_limit, now.failure) == (512, 0)
    assert load(parse(["-D -k kerneltest"], "x", NAMES), control).deleted == 2
    assert listing(NAMES, control) == before


def test_what_the_kernel_refuses_is_told_with_file_and_line(control: Control) -> None:
    lines = [rule(1), rule(1), rule(2)]
    with pytest.raises(KernelRefused, match=r"^my\.rules:2: this rule stands in the file twice$"):
        load(parse(lines, "my.rules", NAMES), control)
    lines = ["-c", rule(1), "-w relative", rule(2), "-d exit,always -F pid=77", "-w /no/such/directory/x"]
    done = load(parse(lines, "my.rules", NAMES), control)
    assert done.failed
    assert done.added == 2
    assert [problem.split(":")[1] for problem in done.problems] == ["3", "5", "6"]
    assert "there is no such rule to delete" in done.problems[1]
    assert not load(parse(["-i", "-w relative"], "my.rules", NAMES), control).failed
    again = load(parse([rule(2), rule(3)], "my.rules", NAMES), control)
    assert (again.added, again.deleted, again.kept) == (1, 0, 2)


def test_rules_that_cannot_be_loaded_leave_everything_as_it_was(control: Control) -> None:
    load(parse([rule(1), rule(2), rule(3)], "my.rules", NAMES), control)
    before = list_rules(control)
    lines = ["-D", rule(3), rule(4), "-w /no/such/directory/x", rule(1)]
    with pytest.raises(KernelRefused, match=r"^my\.rules:4: a path or the directory"):
        load(parse(lines, "my.rules", NAMES), control)
    assert list_rules(control) == before


def test_many_rules_are_listed_whole(control: Control) -> None:
    before = list_rules(control)
    lines = [rule(number) for number in range(1, 101)]
    for line in lines:
        add_rule(payload(line), control)
    assert listing(NAMES, control)[len(before) :] == lines
    assert delete_all(control, "kerneltest") == 100
