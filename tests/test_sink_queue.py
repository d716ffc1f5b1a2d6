"""The queue before a writer: bounded, in order, every drop counted; a writer that hangs holds up nobody."""

import random
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import random_lines, storm_line

from tsauditd.sinks.queue import QueueSink

PATIENCE = 60.0


class Gate:
    """A writer that writes only while its gate is open."""

    name = "gate"
    pause = 0.001
    backs_off = True
    gathers = 0
    packs = False
    state: str | None = None
    cut = 0
    uncertain = 0

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.errors: list[OSError] = []
        self.got = b""
        self.pieces: list[int] = []
        self.piece = 1 << 20
        self.closed = threading.Event()

    def write(self, lines: bytes, start: int) -> int:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        if self.errors:
            raise self.errors.pop()
        self.pieces.append(len(lines) - start)
        part = lines[start : start + self.piece]
        self.got += part
        return start + len(part)

    def tick(self) -> float:
        return 1.0

    def close(self) -> None:
        self.closed.set()

    def abandon(self) -> None:
        self.errors.append(TimeoutError())
        self.open.set()


class Ticks(Gate):
    """A writer whose clock's work always fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open.set()
        self.ticked = threading.Event()

    def tick(self) -> float:
        self.ticked.set()
        raise OSError(1, "Operation not permitted")


class Rests(Gate):
    """A writer that the clock need not call while nothing comes."""

    def __init__(self) -> None:
        super().__init__()
        self.open.set()
        self.ticks = threading.Semaphore(0)

    def tick(self) -> float:
        self.ticks.release()
        return 1e6


def test_a_line_or_an_order_calls_the_clock_that_would_have_rested() -> None:
    writer = Rests()
    sink = QueueSink(writer, 1000)
    assert writer.ticks.acquire(timeout=PATIENCE)
    sink.write(b"one\n")
    assert writer.ticks.acquire(timeout=PATIENCE)
    sink.order(lambda: None, urgent=True)
    assert writer.ticks.acquire(timeout=PATIENCE)
    sink.close(PATIENCE)


def test_what_the_clock_asks_for_holds_no_line_up_when_it_fails() -> None:
    writer = Ticks()
    sink = QueueSink(writer, 1000)
    sink.write(b"one\n")
    assert writer.ticked.wait(PATIENCE)
    done = threading.Event()
    sink.order(done.set)
    assert done.wait(PATIENCE), "no order is lost by it"
    sink.write(b"two\n")
    while sink.health().waiting:
        pass
    assert sink.health().error == "Operation not permitted"
    sink.close(PATIENCE)
    assert writer.got == b"one\ntwo\n"


def test_a_writer_that_hangs_is_told_to_give_up() -> None:
    writer = Gate()
    sink = QueueSink(writer, 1000)
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    sink.close(0)
    assert writer.closed.wait(PATIENCE), "its thread has ended"
    assert sink.health().dropped == 1
    assert sink.health().written == 0


def test_a_writer_that_hangs_holds_up_nobody_and_drops_are_counted() -> None:
    writer = Gate()
    sink = QueueSink(writer, 10)
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    for _ in range(5):
        sink.write(b"x\ny\n")
    health = sink.health()
    assert health.waiting <= 10
    assert health.dropped == 7
    writer.open.set()
    sink.close(PATIENCE)
    assert writer.got == b"one\nx\ny\nx\n"
    assert sink.health().dropped == 7
    assert writer.closed.is_set()


def test_the_oldest_may_be_dropped_instead() -> None:
    writer = Gate()
    sink = QueueSink(writer, 10, when_full="drop-oldest")
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    for number in range(5):
        sink.write(b"a%d\n" % number)
    writer.open.set()
    sink.close(PATIENCE)
    assert writer.got == b"one\na3\na4\n"
    assert sink.health().dropped == 3


def test_who_hangs_for_long_takes_no_more_for_what_was_dropped() -> None:
    writer = Gate()
    sink = QueueSink(writer, 1000, when_full="drop-oldest")
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    done: list[str] = []
    sink.order(lambda: done.append("first"))
    sink.write(b"two\n")
    sink.order(lambda: done.append("second"))
    tracemalloc.start()
    try:
        for _ in range(20_000):
            sink.write(b"x" * 99 + b"\n")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000
    writer.open.set()
    sink.close(PATIENCE)
    assert done == ["first", "second"]
    assert sink.health().dropped == 20_001 - 9
    assert writer.got == b"one\n" + (b"x" * 99 + b"\n") * 9


def holds(sink: QueueSink) -> bool:
    return sink.holding


def test_it_holds_reading_back_rather_than_drop() -> None:
    writer = Gate()
    sink = QueueSink(writer, 10, when_full="wait")
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    sink.write(b"two\n")
    assert not holds(sink)
    sink.write(b"three\nfour\n")
    assert holds(sink)
    assert (sink.health().dropped, sink.health().held) == (0, 1)
    writer.open.set()
    while sink.health().waiting:
        pass
    assert not holds(sink)
    sink.close(PATIENCE)
    assert writer.got == b"one\ntwo\nthree\nfour\n"


def test_it_does_not_wait_for_what_fails() -> None:
    """That could last for ever: what the queue cannot hold is dropped then, counted."""
    writer = Gate()
    writer.errors = [OSError(28, "No space left on device")] * 1000
    writer.open.set()
    sink = QueueSink(writer, 10, when_full="wait")
    sink.write(b"one\n")
    while not sink.health().error:
        pass
    sink.write(b"two\n")
    sink.write(b"three\n")
    assert not holds(sink)
    assert sink.health().dropped == 1
    sink.close(0)


def test_another_policy_ends_the_wait() -> None:
    writer = Gate()
    sink = QueueSink(writer, 10, when_full="wait")
    sink.write(b"one\n")
    assert writer.reached.wait(PATIENCE)
    sink.write(b"two\nthree\n")
    assert holds(sink)
    sink.resize(10, when_full="drop-newest")
    assert not holds(sink)
    sink.write(b"four\n")
    assert sink.health().dropped == 1
    writer.open.set()
    sink.close(PATIENCE)


def test_what_fails_is_tried_again_and_loses_nothing() -> None:
    writer = Gate()
    writer.errors = [OSError(28, "No space left on device"), OSError(5, "Input/output error")]
    writer.piece = 3
    writer.open.set()
    sink = QueueSink(writer, 1000)
    sink.write(b"one\n")
    sink.write(b"two\n")
    while sink.health().waiting:
        pass
    assert sink.health().error is None
    sink.close(PATIENCE)
    assert writer.got == b"one\ntwo\n"


def test_an_end_without_patience_counts_what_is_left() -> None:
    writer = Gate()
    sink = QueueSink(writer, 1000)
    sink.write(b"one\ntwo\n")
    assert writer.reached.wait(PATIENCE)
    sink.write(b"three\n")
    sink.close(0)
    assert sink.health().dropped == 3


def test_a_reader_that_has_gone_closes_it() -> None:
    writer = Gate()
    writer.errors = [BrokenPipeError()]
    writer.open.set()
    sink = QueueSink(writer, 1000)
    sink.write(b"one\n")
    assert writer.closed.wait(PATIENCE)
    assert sink.closed
    assert sink.room == 0
    sink.write(b"two\n")
    sink.close(0)


def test_the_lines_of_a_flow_are_gathered_and_the_last_need_no_others() -> None:
    writer = Gate()
    writer.gathers = 100_000
    sink = QueueSink(writer, 1 << 20)
    batches = [b"%d" % number * 20_000 + b"\n" for number in range(10)]
    sink.write(batches[0])
    assert writer.reached.wait(PATIENCE)
    for batch in batches[1:]:
        sink.write(batch)
    sink.order(lambda: None)
    sink.write(b"after the order\n")
    writer.open.set()
    while sink.health().waiting:
        pass
    sink.close(PATIENCE)
    assert writer.pieces == [20_001, 5 * 20_001, 4 * 20_001, 16]
    assert writer.got == b"".join(batches) + b"after the order\n"


def test_what_is_enough_to_be_written_at_once_is_written_as_it_came() -> None:
    writer = Gate()
    writer.gathers = 100
    sink = QueueSink(writer, 1 << 20)
    batches = [b"%d" % number * size + b"\n" for number, size in enumerate((100, 150, 40, 200, 30))]
    sink.write(batches[0])
    assert writer.reached.wait(PATIENCE)
    for batch in batches[1:]:
        sink.write(batch)
    writer.open.set()
    sink.close(PATIENCE)
    assert writer.pieces == [101, 151, 41 + 201, 31]
    assert writer.got == b"".join(batches)


def test_orders_are_carried_out_in_their_place() -> None:
    writer = Gate()
    writer.open.set()
    seen: list[bytes] = []
    sink = QueueSink(writer, 1000)
    sink.write(b"one\n")
    sink.order(lambda: seen.append(writer.got))
    sink.write(b"two\n")
    sink.close(PATIENCE)
    assert seen == [b"one\n"]


@pytest.mark.parametrize("when_full", ["drop-newest", "drop-oldest"])
@given(st.lists(st.integers(1, 12), max_size=20), st.integers(1, 60), st.sampled_from([0, 20]))
@settings(max_examples=50, deadline=None)
def test_whole_lines_in_order_and_every_other_counted(
    when_full: str, batches: list[int], limit: int, gathers: int
) -> None:
    writer = Gate()
    writer.gathers = gathers
    sink = QueueSink(writer, limit, when_full=when_full)
    sent: list[bytes] = []
    for count in batches:
        lines = [b"%d\n" % (len(sent) + place) for place in range(count)]
        sent += lines
        sink.write(b"".join(lines))
    writer.open.set()
    sink.close(PATIENCE)
    got = writer.got.splitlines(keepends=True)
    remaining = iter(sent)
    assert all(line in remaining for line in got), "in order, uncut"
    assert len(got) + sink.health().dropped == len(sent)


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
        sink.write(b"".join(line + b"\n" for line in marked))
        sink.order(lambda number=number: done.append(number))  # type: ignore[misc]
        assert sink.health().waiting <= limit << 10
    writer.open.set()
    sink.close(PATIENCE)
    got = writer.got.splitlines()
    remaining = iter(sent)
    assert all(line in remaining for line in got), "in order, uncut"
    assert len(got) + sink.health().dropped == len(sent)
    assert done == list(range(len(batches)))
