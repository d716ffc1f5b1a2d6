"""Which parts are off for want of a capability."""

from pathlib import Path

import pytest

from tsauditd import privileges

SYS_PTRACE, DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 19, 1 << 1, 1 << 2
ALL = (1 << 41) - 1


def lost(tmp_path: Path, effective: int) -> list[str]:
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapPrm:\t{ALL:016x}\nCapEff:\t{effective:016x}\nCapBnd:\t{ALL:016x}\n")
    return [line.split()[1] for line in privileges.lost(status)]


@pytest.mark.parametrize(
    ("without", "named"),
    [
        (0, []),
        (SYS_PTRACE, ["CAP_SYS_PTRACE"]),
        (DAC_READ_SEARCH, []),
        (DAC_READ_SEARCH | DAC_OVERRIDE, ["CAP_DAC_READ_SEARCH"]),
        (ALL, ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]),
    ],
)
def test_each_part_that_is_off_is_told_once(tmp_path: Path, without: int, named: list[str]) -> None:
    assert lost(tmp_path, ALL & ~without) == named


def test_every_capability_is_documented(project: Path) -> None:
    text = (project / "docs/privileges.md").read_text()
    assert all(f"\n| `{one.name}` " in text for one in privileges.PRIVILEGES)
