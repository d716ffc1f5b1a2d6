"""Which process is kauditd: nobody else can pass for it."""

from pathlib import Path

import pytest

from tsauditd.kernel import sender

KERNEL_THREAD, PROGRAM = 0x0020_8040, 0x0040_0000


def process(proc: Path, pid: int, name: str, flags: int) -> None:
    """A process in a directory that is like /proc."""
    at = proc / str(pid)
    at.mkdir()
    (at / "comm").write_text(f"{name}\n")
    (at / "stat").write_text(f"{pid} ({name}) S 2 0 0 0 -1 {flags} 0 0 0\n")


def test_it_is_a_thread_of_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    process(tmp_path, 2, "kthreadd", KERNEL_THREAD)
    process(tmp_path, 30, "kauditd", PROGRAM)
    process(tmp_path, 31, "1 (kauditd) S 2 ", PROGRAM)
    process(tmp_path, 7, "kauditd", KERNEL_THREAD)
    assert sender.find(tmp_path) == 7


@pytest.mark.parametrize("flags", [PROGRAM, None])
def test_where_it_cannot_be_seen_there_is_none(tmp_path: Path, flags: int | None) -> None:
    if flags is not None:
        process(tmp_path, 7, "kauditd", flags)
    assert sender.find(tmp_path) is None


def test_what_is_gone_while_it_is_looked_for_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "5").mkdir()
    process(tmp_path, 7, "kauditd", KERNEL_THREAD)
    assert sender.find(tmp_path) == 7
