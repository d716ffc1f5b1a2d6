"""The audit pid, the multicast group and real records, on this machine's kernel."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tsauditd.kernel.netlink import ControlSocket, KernelRefused
from tsauditd.kernel.numbers import Kind
from tsauditd.kernel.registration import (
    PidTaken,
    open_multicast,
    open_unicast,
    register,
    release,
    signal_info,
)
from tsauditd.kernel.report import render, report
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.lists import add_rule
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse_line
from tsauditd.kernel.rules.rule import Place
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import set_enabled, status

pytestmark = pytest.mark.system

BUFFER = 1 << 20
SOURCES = Path(__file__).resolve().parents[2] / "src"
NOBODY = 65534


def python(code: str) -> subprocess.Popen[str]:
    """Another process that runs `code` with the package at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def audited_child(control: ControlSocket, path: str) -> Iterator[subprocess.Popen[str]]:
    """A shell whose opening of files is audited, and no other process's; it opens `path` when told a line."""
    set_enabled(1, control)
    # A process that started while auditing was off has no audit context: this one starts after it went on.
    child = subprocess.Popen(["/bin/sh", "-c", f"read go; : <{path}"], stdin=subprocess.PIPE, text=True)
    names = Names(syscall_number=lambda arch, name: None)
    (command,) = parse_line(f"-a always,exit -F pid={child.pid} -F success=0 -k kerneltest", Place(), names)
    assert command.rule is not None
    add_rule(encode(command.rule), control)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def packets_until(sock: socket.socket, marker: bytes) -> list[bytes]:
    """The datagrams up to the first that holds `marker`."""
    sock.settimeout(20)
    found: list[bytes] = []
    while not found or marker not in found[-1]:
        found.append(sock.recv(65536))
    return found


def test_an_event_arrives_and_the_pid_is_given_back(audit_lock: Snapshot, tmp_path: Path) -> None:
    missing = f"{tmp_path}/missing-unicast"
    with ControlSocket() as control, audited_child(control, missing) as child, open_unicast(BUFFER) as sock:
        early = register(sock)
        assert status(control).pid == os.getpid()
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        found = early + packets_until(sock, missing.encode())
        # The length in the header of a unicast record is the payload's: the received size counts.
        last = found[-1]
        assert int.from_bytes(last[:4], sys.byteorder) == len(last) - 16
        assert any(b"kerneltest" in packet for packet in found)
        release(control)
        assert status(control).pid == 0
    assert sock.fileno() == -1


def test_a_second_registration_is_refused_and_says_who_holds_the_pid(audit_lock: Snapshot) -> None:
    with open_unicast(BUFFER) as sock, open_unicast(BUFFER) as second:
        register(sock)
        with pytest.raises(PidTaken) as refused:
            register(second)
        assert refused.value.holder_pid == os.getpid()
        assert refused.value.holder_name == Path("/proc/self/comm").read_text().rstrip("\n")

        other = python(
            "from tsauditd.kernel.registration import *\n"
            "try: register(open_unicast(65536))\n"
            "except PidTaken as taken: print(taken.holder_pid, taken)\n"
            "try: release()\n"
            "except Exception as error: print(type(error).__name__, error)\n"
        )
        said = other.communicate(timeout=60)[0].splitlines()
        assert said[0].startswith(f"{os.getpid()} process {os.getpid()} (")
        assert said[1].startswith("KernelRefused the audit pid is not given back")
        assert status().pid == os.getpid()
        release()
    release()  # harmless when nobody holds it


def test_the_pid_of_a_process_that_died_is_taken_over(audit_lock: Snapshot) -> None:
    other = python(
        "from tsauditd.kernel.registration import *\n"
        "sock = open_unicast(65536)\nregister(sock)\nprint('registered', flush=True)\ninput()\n"
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "registered\n"
    assert status().pid == other.pid
    other.kill()
    other.communicate()
    with open_unicast(BUFFER) as sock:
        register(sock)
        assert status().pid == os.getpid()
        release()


def test_multicast_beside_a_registered_process(audit_lock: Snapshot, tmp_path: Path) -> None:
    missing = f"{tmp_path}/missing-multicast"
    with (
        ControlSocket() as control,
        audited_child(control, missing) as child,
        open_unicast(BUFFER) as sock,
        open_multicast(BUFFER) as beside,
    ):
        register(sock)
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        unicast = packets_until(sock, missing.encode())
        multicast = packets_until(beside, missing.encode())
        assert unicast[-1][16:].rstrip(b"\0") == multicast[-1][16:].rstrip(b"\0")

        data = report(control)
        assert data["receiver"]["pid"] == os.getpid()
        assert os.getpid() in [process["pid"] for process in data["listeners"]]
        assert f"(pid {os.getpid()}, " in render(data)
        release(control)


def test_the_receive_buffer_is_forced_above_the_system_limit(audit_lock: Snapshot) -> None:
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with open_unicast(4 * limit) as sock:
        # The kernel doubles the size for its bookkeeping (socket(7)).
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 8 * limit
        assert not os.get_inheritable(sock.fileno())


def test_who_sent_a_signal(audit_lock: Snapshot) -> None:
    got: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    try:
        with open_unicast(BUFFER) as sock:
            set_enabled(1)
            register(sock)
            sender = subprocess.Popen(["/bin/sh", "-c", f"kill -USR1 {os.getpid()}"])
            sender.wait()
            while not got:
                time.sleep(0.01)
            info = signal_info()
            assert info.pid == sender.pid
            assert info.uid in (os.getuid(), int(Path("/proc/self/loginuid").read_text()))
            release()
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("call", ["status()", "register(open_unicast(65536))", "open_multicast(65536)"])
def test_without_privilege_it_says_so(audit_lock: Snapshot, call: str) -> None:
    other = python(
        "import os\n"
        "from tsauditd.errors import NotPrivileged\n"
        "from tsauditd.kernel.registration import *\n"
        "from tsauditd.kernel.registration import status\n"
        f"os.setuid({NOBODY})\n"
        f"try: {call}\n"
        "except NotPrivileged as error: print(error.exit_code, error)\n"
    )
    said = other.communicate(timeout=60)[0]
    assert said.startswith("4 ")
    assert "run as root" in said


def test_in_a_user_namespace_no_audit_answers(audit_lock: Snapshot) -> None:
    code = (
        "from tsauditd.errors import NoAudit\n"
        "from tsauditd.kernel.status import status\n"
        "try: status()\n"
        "except NoAudit as error: print(error)\n"
    )
    made = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert "no audit subsystem answers here" in made.stdout, made.stderr


def test_the_kernels_refusal_keeps_its_errno(audit_lock: Snapshot) -> None:
    with ControlSocket() as control, pytest.raises(KernelRefused) as refused:
        control.tell(Kind.DEL_RULE, bytes(1040))
    assert refused.value.number != 0
    assert "deleting an audit rule" in str(refused.value)
