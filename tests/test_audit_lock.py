"""The audit lock of tests and benchmarks: who waits for it, and which processes belong to holders who are gone."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from audit_lock import MARK, locked, orphans
from live import environment, python, wait_until

from tsauditd.errors import TsauditdError


def test_one_at_a_time_has_it(tmp_path: Path) -> None:
    path, told = tmp_path / "lock", list[str]()
    with locked(0, path=path):
        with ExitStack() as stack, pytest.raises(TsauditdError, match=rf"^{path} is held by another .* 0 s$"):
            stack.enter_context(locked(0, path=path))
        with ExitStack() as stack, pytest.raises(TsauditdError):
            stack.enter_context(locked(0.1, told.append, path))
    assert told == [f"waiting for {path}"]
    with locked(0, told.append, path):
        assert len(told) == 1


def test_a_killed_holder_has_it_no_more(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from audit_lock import locked\n"
        f"with locked(0, path=Path({str(path)!r})): print('held', flush=True); sys.stdin.read()\n"
    )
    with python(code) as (holder, _):
        with ExitStack() as stack, pytest.raises(TsauditdError):
            stack.enter_context(locked(0, path=path))
        holder.kill()
        holder.wait()
        with locked(0, path=path):
            pass


def test_who_was_started_by_a_holder_that_is_gone_is_known() -> None:
    code = (
        "import subprocess, sys\nfrom audit_lock import marking\n"
        "with marking():\n"
        "    print(subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with python(code) as (holder, said):
        child = int(said)
        assert child not in orphans(), "its holder lives"
        holder.kill()
        holder.wait()
        wait_until(lambda: child in orphans(), "its holder is gone")
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("mark", ["", "x", "1", "1:-1", "4194305:1", "²:1", f"{os.getpid()}:1"])
def test_a_mark_of_nobody_who_lives(mark: str) -> None:
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: mark})
    try:
        # The kernel shows an environment a moment after the program has begun (`create_elf_tables`, fs/binfmt_elf.c).
        wait_until(lambda: child.pid in orphans(), "its mark is seen")
    finally:
        child.kill()
        child.wait()
    assert child.pid not in orphans(), "it has ended"


def test_who_takes_the_lock_is_nobodys_orphan() -> None:
    code = "import os; from audit_lock import orphans; print(os.getpid() in orphans())"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**environment(), MARK: "1:-1"}, capture_output=True, check=True
    )
    assert said.stdout == b"False\n"
