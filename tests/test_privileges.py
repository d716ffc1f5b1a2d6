"""Which parts are off for want of a capability."""

from pathlib import Path

import pytest

from tsauditd import privileges

SYS_PTRACE, DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 19, 1 << 1, 1 << 2
PERFMON, SYS_ADMIN = 1 << 38, 1 << 21
ALL = (1 << 41) - 1


def status(tmp_path: Path, effective: int, uid: int = 400) -> Path:
    path = tmp_path / "status"
    path.write_text(
        f"Name:\tx\nUid:\t7\t{uid}\t7\t7\nCapPrm:\t{ALL:016x}\nCapEff:\t{effective:016x}\nCapBnd:\t{ALL:016x}\n"
    )
    return path


@pytest.mark.parametrize(
    ("without", "named"),
    [
        (0, []),
        (SYS_PTRACE, ["CAP_SYS_PTRACE"]),
        (PERFMON, []),
        (PERFMON | SYS_ADMIN, ["CAP_PERFMON"]),
        (DAC_READ_SEARCH, []),
        (DAC_READ_SEARCH | DAC_OVERRIDE, ["CAP_DAC_READ_SEARCH"]),
        (ALL, ["CAP_SYS_PTRACE", "CAP_PERFMON", "CAP_DAC_READ_SEARCH"]),
    ],
)
def test_each_part_that_is_off_is_told_once(tmp_path: Path, without: int, named: list[str]) -> None:
    told = privileges.lost(status(tmp_path, ALL & ~without))
    assert [line.split()[1] for line in told] == named


def test_root_reads_its_own_files_without_more(tmp_path: Path) -> None:
    without = ALL & ~(DAC_READ_SEARCH | DAC_OVERRIDE)
    assert list(privileges.lost(status(tmp_path, without, uid=0))) == []


def test_sockets_that_cannot_be_looked_at_are_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    watch = privileges.SocketsWatch(said.append, status(tmp_path, ALL))
    watch.look(0)
    assert said == []
    watch.look(1)
    watch.look(1)
    (line,) = said
    assert "pidfd_getfd" in line


def test_what_was_told_of_a_capability_is_not_told_again(tmp_path: Path) -> None:
    said: list[str] = []
    privileges.SocketsWatch(said.append, status(tmp_path, ALL & ~SYS_PTRACE)).look(1)
    assert said == []


def test_every_capability_is_documented(project: Path) -> None:
    text = (project / "docs/privileges.md").read_text()
    assert all(f"\n| `{one.name}` " in text for one in privileges.PRIVILEGES)
