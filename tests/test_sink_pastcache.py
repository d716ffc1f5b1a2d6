"""Writing past the page cache: what goes there, and what does not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tsauditd.sinks.pastcache import PastCache

MIB = 1 << 20


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "lines", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield fd
    os.close(fd)


def test_a_piece_goes_at_once_while_the_disk_is_quick_and_to_the_cache_for_a_minute_when_it_was_not(
    fd: int,
) -> None:
    now, took = 0.0, 0.0001

    def clock() -> float:
        nonlocal now
        now += took
        return now

    past = PastCache(wanted=True, clock=clock)
    data = os.urandom(5 * MIB)
    written = b""
    for disk, at, taken in (
        (0.0001, 0, MIB + 5),
        (0.004, 1, 2 * MIB),
        (1.0, 2, 2 * MIB),  # the one that shows it
        (0.0001, 40, 5 * MIB),
        (0.0001, 70, 2 * MIB),
    ):
        now, took = at, disk
        piece = data[: MIB + 5] if at == 0 else data
        assert past.write(fd, len(written), memoryview(piece)) == taken, at
        written += piece[:taken]
    assert os.pread(fd, 2 * len(written), 0) == written


def test_what_is_small_or_unwanted_goes_as_usual(fd: int) -> None:
    never = iter(()).__next__  # nobody asks how long it took
    assert PastCache(wanted=True, clock=never).write(fd, 0, memoryview(b"line\n")) == 5
    assert PastCache(wanted=False, clock=never).write(fd, 5, memoryview(bytes(MIB))) == MIB
