"""Batches to sinks, losses into the stream."""

import json

import pytest

from tsauditd.event import Lines, SinkHealth
from tsauditd.pipeline import Losses, Origin, Pipeline, loss_event


class Memory:
    """A sink that keeps what it gets."""

    name = "memory"
    takes = "events"
    holding = False

    def __init__(self, room: int = 1 << 20) -> None:
        self.got = b""
        self.room = room
        self.dropped = 0
        self.cut = 0
        self.uncertain = 0
        self.error: str | None = None
        self.closed = False

    def write(self, lines: Lines) -> None:
        self.got += lines

    def health(self) -> SinkHealth:
        return SinkHealth(len(self.got), 0, self.dropped, self.error, self.cut, self.uncertain)

    def close(self, patience: float) -> None:
        self.closed = True


def build(*sinks: Memory) -> tuple[Pipeline, list[str]]:
    said: list[str] = []
    return Pipeline(sinks, Origin("here", None, "b"), say=said.append, wall=lambda: 1714559400.1234), said


def test_every_sink_gets_every_batch() -> None:
    first, second = Memory(), Memory()
    pipeline, _ = build(first, second)
    pipeline.deliver(b"one\n")
    pipeline.deliver(b"two\n")
    assert first.got == second.got == b"one\ntwo\n"


def test_a_loss_is_told_once_with_what_is_new_and_the_total() -> None:
    sink = Memory()
    pipeline, _ = build(sink)
    pipeline.tell(0, 0, 0)
    assert sink.got == b""
    pipeline.tell(5, 1, 0)
    pipeline.tell(5, 1, 0)
    pipeline.tell(7, 1, 2)
    first, second = (json.loads(line) for line in sink.got.splitlines())
    assert first["tsauditd"]["lost"] == {
        "kernel": 5,
        "overrun": 1,
        "total": {
            "kernel": 5,
            "overrun": 1,
            "gap": 0,
            "dropped": 0,
            "cut": 0,
            "unreadable": 0,
            "uncertain": 0,
        },
    }
    assert second["tsauditd"]["lost"] == {
        "kernel": 2,
        "gap": 2,
        "total": {
            "kernel": 7,
            "overrun": 1,
            "gap": 2,
            "dropped": 0,
            "cut": 0,
            "unreadable": 0,
            "uncertain": 0,
        },
    }


def test_drops_are_told_to_the_sink_that_dropped() -> None:
    slow, quick = Memory(), Memory()
    pipeline, _ = build(slow, quick)
    slow.dropped = 3
    pipeline.tell(0, 0, 0)
    assert json.loads(slow.got)["tsauditd"]["lost"]["dropped"] == 3
    assert quick.got == b""
    assert pipeline.losses == Losses(dropped=3)


def test_what_is_shortened_is_told_but_not_that_the_telling_was_shortened() -> None:
    sink, raw = Memory(), Memory()
    raw.takes = "records"
    pipeline, _ = build(sink, raw)
    sink.cut = 2
    pipeline.tell(0, 0, 0, raw_cut=5)
    assert json.loads(sink.got)["tsauditd"]["lost"]["cut"] == 2
    assert b" cut=5 " in raw.got
    before = sink.got
    sink.cut += 1  # the line that told it
    pipeline.tell(0, 0, 0, raw_cut=5)
    pipeline.tell(0, 0, 0, raw_cut=5)
    assert sink.got == before
    sink.cut += 1
    pipeline.tell(0, 0, 0, raw_cut=5)
    assert sink.got != before
    assert pipeline.losses == Losses(cut=9)


def test_a_full_sink_is_told_later_and_of_all() -> None:
    sink = Memory(room=10)
    pipeline, _ = build(sink)
    pipeline.tell(5, 0, 0)
    pipeline.tell(6, 0, 0)
    assert sink.got == b""
    sink.room = 1 << 20
    pipeline.tell(6, 0, 0)
    assert json.loads(sink.got)["tsauditd"]["lost"]["kernel"] == 6


def test_an_error_is_said_once_and_so_is_its_end() -> None:
    sink = Memory()
    pipeline, said = build(sink)
    sink.error = "No space left on device"
    pipeline.tell(0, 0, 0)
    pipeline.tell(0, 0, 0)
    sink.error = None
    pipeline.tell(0, 0, 0)
    assert said == ["memory: No space left on device", "memory: writing again"]


def test_it_is_finished_when_every_reader_has_gone() -> None:
    first, second = Memory(), Memory()
    pipeline, _ = build(first, second)
    first.closed = True
    assert not pipeline.finished
    pipeline.close(0)
    assert pipeline.finished


def test_the_loss_event_is_ecs() -> None:
    line = loss_event(Losses(kernel=2), Losses(kernel=9), Origin("here", "id", None), 1714559400.1234)
    assert line.endswith(b"}\n")
    event = json.loads(line)
    assert event["@timestamp"] == "2024-05-01T10:30:00.123Z"
    assert event["host"] == {"name": "here", "id": "id"}
    assert event["event"]["kind"] == "event"
    assert event["event"]["category"] == ["process"]
    assert event["event"]["type"] == ["info"]
    assert event["event"]["action"] == "audit-records-lost"
    assert event["event"]["reason"] == "2 records lost in the kernel"


@pytest.mark.parametrize("total", [Losses(), Losses(1, 2, 3, 4)])
def test_nothing_new_is_no_loss(total: Losses) -> None:
    assert not total - total


def test_what_cannot_be_read_is_told_with_its_text() -> None:
    sink = Memory()
    pipeline, said = build(sink)
    pipeline.note_unreadable([(7, "no type", f"noise {number}\x1b") for number in range(20)])
    pipeline.tell(0, 0, 0, unreadable=20)
    pipeline.tell(0, 0, 0, unreadable=20)
    (event,) = (json.loads(line) for line in sink.got.splitlines())
    assert event["tsauditd"]["lost"]["unreadable"] == 20
    assert event["event"]["reason"] == "20 records that cannot be read"
    assert event["event"]["original"].split("\n") == [f"noise {number}\x1b" for number in range(10)]
    assert said[0] == "record 7 cannot be read: no type: noise 0\\x1b"
    assert len(said) == 10
