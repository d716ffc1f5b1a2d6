"""The queue before a writer whose lines are compressed while they wait."""

import random

import pytest
from gates import PATIENCE, Gate
from hypothesis import given, settings
from hypothesis import strategies as st
from made import random_lines, storm_line

from tsauditd.sinks.queue import QueueSink


class Packs(Gate):
    """A writer whose queue is compressed, which takes all at once."""

    packs = True

    def __init__(self) -> None:
        super().__init__()
        self.piece = 1 << 30


def waits_behind_one_line(queue_bytes: int, when_full: str) -> tuple[QueueSink, Packs]:
    writer = Packs()
    sink = QueueSink(writer, queue_bytes, when_full=when_full)
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    return sink, writer


@pytest.mark.parametrize("batch", [10, 3000])
def test_a_storm_waits_in_a_fraction_of_its_bytes(batch: int) -> None:
    sink, writer = waits_behind_one_line(1 << 20, "drop-newest")
    sent = [b"one\n"]
    for first in range(0, 21_000, batch):
        sent.append(b"".join(storm_line(number) for number in range(first, first + batch)))
        sink.write(sent[-1])
        assert sink.health().waiting < 1 << 20
    orders: list[int] = []
    sink.order(lambda: orders.append(len(writer.got)))
    sink.write(b"last\n")
    assert sink.room > 0
    writer.open.set()
    sink.close(PATIENCE)
    health = sink.health()
    assert (health.dropped, health.waiting) == (0, 0)
    assert writer.got == b"".join(sent) + b"last\n"
    assert orders == [len(writer.got) - 5]
    assert health.written == len(writer.got)
    assert max(writer.pieces) < 512 << 10


@pytest.mark.parametrize("when_full", ["drop-newest", "drop-oldest"])
def test_what_cannot_be_compressed_is_bounded_all_the_same(when_full: str) -> None:
    sink, writer = waits_behind_one_line(1 << 20, when_full)
    sent = [b"one\n"]
    source = random.Random(7)
    for size in (3_000_000, 100_000, 1_000, 500_000, 70_000):
        sent.append(random_lines(source, size))
        sink.write(sent[-1])
        assert sink.health().waiting <= 1 << 20
    writer.open.set()
    sink.close(PATIENCE)
    assert max(writer.pieces) < 512 << 10
    got, every = writer.got.splitlines(), b"".join(sent).splitlines()
    remaining = iter(every)
    assert all(line in remaining for line in got), "in order, uncut"
    assert len(got) + sink.health().dropped == len(every)
    assert 500 < len(got) < len(every)
    assert (every[-1] in got) == (when_full == "drop-oldest")


def test_what_is_left_in_pieces_at_the_end_is_counted_line_by_line() -> None:
    sink, _ = waits_behind_one_line(1 << 20, "drop-newest")
    sink.write(b"".join(storm_line(number) for number in range(1234)))
    sink.close(0)
    assert sink.health().dropped == 1235


@pytest.mark.parametrize("when_full", ["drop-newest", "drop-oldest"])
@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=12), st.integers(64, 1024))
@settings(max_examples=25, deadline=None)
def test_compressed_or_not_whole_lines_in_order_and_every_other_counted(
    when_full: str, batches: list[tuple[int, bool]], limit: int
) -> None:
    sink, writer = waits_behind_one_line(limit << 10, when_full)
    source = random.Random(7)
    sent = [b"one"]
    done: list[int] = []
    for number, (count, alike) in enumerate(batches):
        lines = (
            b"".join(storm_line(each) for each in range(count))
            if alike
            else random_lines(source, count * 1000)
        )
        marked = [b"%d:%s" % (number, line) for line in lines.splitlines()]
        sent += marked
        sink.write(memoryview(b"".join(line + b"\n" for line in marked)))
        sink.order(lambda number=number: done.append(number))  # type: ignore[misc]
        assert sink.health().waiting <= limit << 10
    writer.open.set()
    sink.close(PATIENCE)
    got = writer.got.splitlines()
    remaining = iter(sent)
    assert all(line in remaining for line in got), "in order, uncut"
    assert len(got) + sink.health().dropped == len(sent)
    assert done == list(range(len(batches)))
