"""Writing past the page cache: what goes there, and what does not."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsauditd.sinks.pastcache import SHARE, SLACK, PastCache, ThreadTime, Trust

MIB = 1 << 20


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "lines", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield fd
    os.close(fd)


class Machine:
    """Time that passes by writing: what a piece takes, and what of that the thread could have run in."""

    def __init__(self) -> None:
        self.now, self.took, self.ran = 0.0, 0.0001, 0.0
        self.busy = 0.0

    def clock(self) -> float:
        self.now += self.took
        self.busy += self.ran
        return self.now


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_disk_that_is_waited_for_is_left_to_the_cache_for_a_while_and_longer_when_it_is_slow_again(
    fd: int, machine: Machine
) -> None:
    past = PastCache(wanted=True, clock=machine.clock, busy=lambda: machine.busy)
    data = os.urandom(5 * MIB)
    written = b""
    for at, took, taken in (
        (0, 0.0001, 2 * MIB),
        (1, 0.009, 2 * MIB),  # one that takes long is looked at,
        (2, 0.2, 2 * MIB),  # and one that takes far longer, once, is not a slow disk yet
        (3, 0.009, 2 * MIB),
        (4, 1.0, 2 * MIB),  # this is
        (5, 0.0001, 5 * MIB),
        (16, 0.0001, 5 * MIB),
        (18, 0.009, 2 * MIB),
        (19, 1.0, 2 * MIB),  # once more, soon after
        (33, 0.0001, 5 * MIB),
        (43, 0.0001, 2 * MIB),
    ):
        machine.now, machine.took = at, took
        size = past.write(fd, len(written), memoryview(data))
        assert size == taken, at
        written += data[:taken]
    same = os.pread(fd, 2 * len(written), 0) == written
    assert same


@given(st.lists(st.tuples(st.floats(0.001, 2.0), st.floats(0.0, 1.0)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_only_a_disk_that_is_waited_for_most_of_the_time_is_left_alone(
    pieces: list[tuple[float, float]],
) -> None:
    """pieces: seconds from one's end to the next's, and the share of them that the disk was waited for."""
    trust, now = Trust(), 0.0
    steps = [(seconds, seconds * share) for seconds, share in pieces]
    for seconds, waited in steps:
        now += seconds
        trust.note(now, waited)
    # Of all stretches from some piece to some piece, the one most waited in.
    worst = max(
        sum(waited for _, waited in steps[first:last])
        - SHARE * sum(each for each, _ in steps[first + 1 : last])
        for first in range(len(steps))
        for last in range(first + 1, len(steps) + 1)
    )
    rests = trust.rests_until > now - sum(pair[0] for pair in pieces)
    assert rests == (worst > SLACK) or abs(worst - SLACK) < 1e-6


def test_a_thread_that_waits_for_a_processor_has_no_slow_disk(fd: int, machine: Machine) -> None:
    machine.took = machine.ran = 1.0
    past = PastCache(wanted=True, clock=machine.clock, busy=lambda: machine.busy)
    for piece in range(3):
        assert past.write(fd, piece * 2 * MIB, memoryview(bytes(3 * MIB))) == 2 * MIB


def test_the_kernel_tells_how_long_a_thread_ran() -> None:
    thread = ThreadTime()
    before, ran = thread.seconds(), time.thread_time()
    while time.thread_time() < ran + 0.05:
        pass
    assert thread.seconds() - before > 0.03  # as of the last tick
    thread.close()


def test_what_is_small_or_unwanted_goes_as_usual(fd: int) -> None:
    never = iter(()).__next__  # nobody asks how long it took
    assert PastCache(wanted=True, clock=never).write(fd, 0, memoryview(b"line\n")) == 5
    assert PastCache(wanted=False, clock=never).write(fd, 5, memoryview(bytes(MIB))) == MIB
