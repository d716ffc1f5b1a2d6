"""Fixtures of the tests that need root and the kernel's own audit subsystem."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_lock import audit_at_rest
from live import state

from tsauditd.errors import TsauditdError
from tsauditd.kernel.state import KernelState, Snapshot

LOCK_SECONDS = 240.0

WORKLOAD = Path(__file__).resolve().parent / "workload"


@pytest.fixture
def audit_lock() -> Iterator[Snapshot]:
    """Holds the machine's audit lock for the test: auditing is at rest, as the snapshot says.

    Afterwards all is put back as it was found, even when the test fails; when it is killed, by the next.
    """
    if os.geteuid() != 0:
        pytest.fail("system tests need root", pytrace=False)
    with contextlib.ExitStack() as stack:
        try:
            control = stack.enter_context(audit_at_rest(LOCK_SECONDS))
        except TsauditdError as error:
            pytest.fail(f"system tests cannot run: {error}", pytrace=False)
        yield KernelState(control).snapshot()


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
