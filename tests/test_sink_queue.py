"""The queue before a writer: bounded, in order, every drop counted; a writer that hangs holds up nobody."""

import threading
import tracemalloc

import pytest
from gates import PATIENCE, Gate
from hypothesis import given, settings
from hypothesis import strategies as st

from tsauditd.sinks.queue import QueueSink


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


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_an_end_without_patience_counts_what_is_left(kind: type[bytes] | type[memoryview]) -> None:
    writer = Gate()
    sink = QueueSink(writer, 1000)
    sink.write(kind(b"one\ntwo\n"))
    assert writer.reached.wait(PATIENCE)
    sink.write(kind(b"three\n"))
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
@given(
    st.lists(st.integers(1, 12), max_size=20),
    st.integers(1, 60),
    st.sampled_from([0, 20]),
    st.sampled_from([bytes, memoryview]),
)
@settings(max_examples=50, deadline=None)
def test_whole_lines_in_order_and_every_other_counted(
    when_full: str, batches: list[int], limit: int, gathers: int, kind: type[bytes] | type[memoryview]
) -> None:
    writer = Gate()
    writer.gathers = gathers
    sink = QueueSink(writer, limit, when_full=when_full)
    sent: list[bytes] = []
    for count in batches:
        lines = [b"%d\n" % (len(sent) + place) for place in range(count)]
        sent += lines
        sink.write(kind(b"".join(lines)))
    writer.open.set()
    sink.close(PATIENCE)
    got = writer.got.splitlines(keepends=True)
    remaining = iter(sent)
    assert all(line in remaining for line in got), "in order, uncut"
    assert len(got) + sink.health().dropped == len(sent)
