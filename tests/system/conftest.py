"""Fixtures of the tests that need root and the kernel's own audit subsystem."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import state

from tsauditd.errors import TsauditdError
from tsauditd.kernel.borrowed import left_behind
from tsauditd.kernel.state import KernelState, Snapshot

AUDIT_LOCK = Path("/run/tsauditd-audit.lock")
"""Whoever changes this machine's audit state holds an exclusive flock on this file meanwhile."""

LOCK_SECONDS = 240.0

WORKLOAD = Path(__file__).resolve().parent / "workload"


def take_lock() -> int:
    """The descriptor of the lock file, locked. Fails the test when others hold the lock for too long."""
    descriptor = os.open(AUDIT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                pytest.fail(
                    f"{AUDIT_LOCK} is held by another process for {LOCK_SECONDS:.0f} s", pytrace=False
                )
            time.sleep(0.1)
        else:
            return descriptor


@pytest.fixture
def audit_lock() -> Iterator[Snapshot]:
    """Holds the machine's audit lock for the test and puts status and rules back exactly, even when it fails."""
    if os.geteuid() != 0:
        pytest.fail("system tests need root", pytrace=False)
    descriptor = take_lock()
    try:
        kernel = KernelState()
        try:
            before = kernel.snapshot()
        except TsauditdError as error:
            pytest.fail(f"system tests need the kernel's audit subsystem: {error}", pytrace=False)
        if before.status.locked:
            pytest.fail(
                "auditing is locked until reboot (enabled is 2): system tests cannot run", pytrace=False
            )
        try:
            yield before
        finally:
            kernel.restore(before)
            # What a daemon that the test killed would have given back: the next test's is not to.
            for entry in left_behind():
                entry.remove()
    finally:
        os.close(descriptor)


@pytest.fixture
def untouched(audit_lock: Snapshot) -> Iterator[Snapshot]:
    """The kernel's audit state, settings and rules, must be at the end of the test what it was at its beginning."""
    before = state()
    yield audit_lock
    assert state() == before


@pytest.fixture(scope="session")
def flood(tmp_path_factory: pytest.TempPathFactory) -> str:
    """workload/flood.c, compiled to a path of its own, by which rules can tell it from everything else."""
    program = tmp_path_factory.mktemp("workload") / "flood"
    subprocess.run(["cc", "-O2", "-static", "-o", program, WORKLOAD / "flood.c"], check=True)
    return str(program)


@pytest.fixture
def flood_rules(flood: str, tmp_path: Path) -> Path:
    """Rules for what flood does, with the key `flood`."""
    path = tmp_path / "flood.rules"
    path.write_text(
        f"-a always,exit -F arch=b64 -S openat -F exe={flood} -F success=0 -k flood\n"
        f"-a always,exit -F arch=b64 -S execve -F exe={flood} -k flood\n"
    )
    return path
