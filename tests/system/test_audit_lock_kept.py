"""The tests' own hold on the kernel's audit: at rest inside, as it was found afterwards, also after a kill."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from audit_lock import DIRECTORY, at_rest, locked, orphans
from live import PATIENCE_S, auditctl, python, state

from tsauditd.errors import TsauditdError
from tsauditd.kernel import sender
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.state import KernelState, Snapshot
from tsauditd.kernel.status import set_backlog_limit, set_enabled, set_failure, status

pytestmark = pytest.mark.system

DAEMON = (
    "import signal\nfrom tsauditd.kernel.registration import open_unicast, register\n"
    "sock = open_unicast(1 << 20)\nregister(sock)\nprint('reads', flush=True)\nsignal.pause()\n"
)
"""Takes the audit pid."""

HOLDER = f"""
import subprocess, sys
from pathlib import Path
from audit_lock import at_rest, locked
from tsauditd.kernel.netlink import ControlSocket
with locked(0, path=Path(sys.argv[1])), ControlSocket() as control, at_rest(control):
    subprocess.run(["auditctl", "-a", "always,exit", "-S", "all", "-F", "pid=4243", "-F", "ppid=4243", "-k", "ours"],
                   check=True)
    subprocess.run(["auditctl", "-e", "1", "-b", "4096", "-f", "0"], check=True, stdout=subprocess.DEVNULL)
    daemon = subprocess.Popen([sys.executable, "-c", {DAEMON!r}], stdout=subprocess.PIPE)
    daemon.stdout.readline()
    print(daemon.pid, flush=True)
    sys.stdin.read()
"""
"""Holds a lock and has changed the state, with a daemon that goes on without it."""


@pytest.fixture
def control(audit_lock: Snapshot) -> Iterator[ControlSocket]:
    """Of a machine whose administrator has rules, settings and auditing on."""
    with ControlSocket() as opened:
        auditctl("-a", "always,exit", "-S", "all", "-F", "pid=4242", "-F", "ppid=4242", "-k", "theirs")
        auditctl("-a", "never,exclude", "-F", "msgtype=1327", "-F", "auid=4242")
        set_backlog_limit(8192, opened)
        set_failure(0, opened)
        sender.set_policy(sender.BATCH)
        set_enabled(1, opened)
        yield opened


def look() -> tuple[str, int | None, list[Path]]:
    """The state, who sends, and what is written down."""
    return state(), sender.policy(), sorted(DIRECTORY.iterdir())


def test_who_holds_it_finds_rest_and_leaves_what_was_found(
    control: ControlSocket, audit_lock: Snapshot
) -> None:
    theirs = look()
    with at_rest(control):
        inside = KernelState(control).snapshot()
        now = inside.status
        assert (now.enabled, now.pid, now.failure, now.backlog_limit, now.rate_limit) == (0, 0, 1, 64, 0)
        assert inside.rules == ()
        assert inside.sender == audit_lock.sender != sender.BATCH
        set_enabled(1, control)
        auditctl("-a", "always,exit", "-S", "all", "-F", "pid=4243", "-F", "ppid=4243", "-k", "ours")
    assert look() == theirs


def test_what_a_killed_holder_left_is_put_back_by_the_next(control: ControlSocket, tmp_path: Path) -> None:
    theirs, lock = look(), tmp_path / "lock"
    with python(HOLDER, str(lock)) as (holder, said):
        with ExitStack() as stack, pytest.raises(TsauditdError, match="is held by another process"):
            stack.enter_context(locked(0, path=lock))
        holder.kill()
        holder.wait()
        assert status(control).pid == int(said)
        assert int(said) in orphans(), "its daemon lives"
        assert "key=ours" in auditctl("-l")
        with locked(0, path=lock), at_rest(control):
            assert int(said) not in orphans(), "it has ended"
            assert status(control).pid == 0
            assert KernelState(control).snapshot().rules == ()
        assert look() == theirs


def test_a_daemon_that_lives_is_named_and_one_that_is_gone_is_nobody(control: ControlSocket) -> None:
    theirs = look()
    with python(DAEMON) as (daemon, _):
        during = look()
        name = Path(f"/proc/{daemon.pid}/comm").read_text().rstrip()
        place = rf"^{name} \(pid {daemon.pid}\) receives this machine's audit records: stop it first$"
        with ExitStack() as stack, pytest.raises(TsauditdError, match=place):
            stack.enter_context(at_rest(control))
        assert look() == during
        daemon.kill()
        daemon.wait()
        with at_rest(control):
            assert status(control).pid == 0
    assert look() == theirs


def test_a_daemon_that_is_left_running_is_ended(control: ControlSocket) -> None:
    theirs = look()
    with ExitStack() as stack:
        with at_rest(control):
            daemon, _ = stack.enter_context(python(DAEMON))
            assert status(control).pid == daemon.pid
        assert daemon.wait(PATIENCE_S) == -signal.SIGTERM
    assert look() == theirs
