"""Sinks: nothing blocks, no line is cut, what is dropped is counted."""

import os
import socket
import stat
from pathlib import Path

import pytest
from fakes import FakeLoop
from hypothesis import given
from hypothesis import strategies as st

from tsauditd.config import FileOutput
from tsauditd.sinks import Actions, Commands, open_sink
from tsauditd.sinks.descriptor import DescriptorSink
from tsauditd.sinks.file import open_append
from tsauditd.sinks.stdout import open_stdout


class Slow:
    """A descriptor's other end that takes so many bytes and then no more."""

    def __init__(self, takes: int = 0) -> None:
        self.takes = takes
        self.got = b""

    def send(self, _fd: int, data: memoryview) -> int:
        if not self.takes:
            raise BlockingIOError
        part = bytes(data[: self.takes])
        self.takes -= len(part)
        self.got += part
        return len(part)


def slow_sink(slow: Slow, loop: FakeLoop, limit: int) -> DescriptorSink:
    return DescriptorSink("slow", 99, loop, limit, release=lambda: None, send=slow.send)


def test_lines_reach_a_pipe_at_once(fake_loop: FakeLoop) -> None:
    reader, writer = os.pipe()
    sink = open_stdout(fake_loop, 1000, writer)
    sink.write(b"one\ntwo\n")
    assert os.read(reader, 100) == b"one\ntwo\n"
    assert not fake_loop.writers
    sink.close(0)
    assert os.get_blocking(writer), "the mode that others share is left alone"
    os.close(reader)
    os.close(writer)


def test_a_full_pipe_waits_then_drops_the_newest(fake_loop: FakeLoop) -> None:
    reader, writer = os.pipe()
    sink = open_stdout(fake_loop, 100_000, writer)
    line = b"x" * 999 + b"\n"
    for _ in range(40):
        sink.write(line * 10)
    health = sink.health()
    assert fake_loop.writers
    assert health.waiting <= 100_000
    assert health.dropped > 0
    got = b""
    while fake_loop.writers:
        got += os.read(reader, 1 << 16)
        fake_loop.writable()
    sink.close(0)
    os.close(writer)
    while part := os.read(reader, 1 << 16):
        got += part
    os.close(reader)
    assert got == line * (400 - health.dropped)
    assert sink.health().written == len(got)


def test_a_reader_that_went_closes_the_sink(fake_loop: FakeLoop) -> None:
    reader, writer = os.pipe()
    sink = open_stdout(fake_loop, 1000, writer)
    os.close(reader)
    sink.write(b"one\n")
    assert sink.closed
    assert sink.room == 0
    sink.write(b"two\n")
    sink.close(0)
    os.close(writer)


def test_a_socket_is_written_without_waiting(fake_loop: FakeLoop) -> None:
    mine, theirs = socket.socketpair()
    sink = open_stdout(fake_loop, 1 << 20, theirs.fileno())
    sink.write(b"one\n")
    assert mine.recv(100) == b"one\n"
    sink.write(b"x" * 999_999 + b"\n")
    assert fake_loop.writers
    assert theirs.getblocking()
    sink.close(0)
    assert not fake_loop.writers
    assert sink.health().dropped == 1
    mine.close()
    theirs.close()


def test_output_into_a_file_keeps_its_place(tmp_path: Path, fake_loop: FakeLoop) -> None:
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before\n")
    sink = open_stdout(fake_loop, 1000, fd)
    sink.write(b"one\n")
    sink.close(0)
    os.close(fd)
    assert (tmp_path / "out").read_bytes() == b"before\none\n"


def test_a_file_is_appended_to_and_private(tmp_path: Path, fake_loop: FakeLoop) -> None:
    path = tmp_path / "events.json"
    for text in (b"one\n", b"two\n"):
        sink = open_sink(FileOutput(path=str(path)), fake_loop, Actions(Commands((), ()), pytest.fail))
        sink.write(text)
        sink.close(60)
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="a symbolic link is refused"):
        open_append(str(tmp_path / "link"), None)


def test_an_error_that_passes_loses_nothing(fake_loop: FakeLoop) -> None:
    slow = Slow()
    full = True

    def send(fd: int, data: memoryview) -> int:
        if full:
            raise OSError(28, "No space left on device")
        return slow.send(fd, data)

    sink = DescriptorSink("disk", 99, fake_loop, 1000, release=lambda: None, send=send)
    sink.write(b"one\n")
    assert sink.health().error == "No space left on device"
    full = False
    slow.takes = 100
    sink.write(b"two\n")
    assert slow.got == b"one\ntwo\n"
    assert sink.health().error is None


def test_a_batch_past_the_bound_goes_through_if_it_is_taken(fake_loop: FakeLoop) -> None:
    slow = Slow(takes=10_000)
    sink = slow_sink(slow, fake_loop, 10)
    sink.write(b"line\n" * 100)
    assert slow.got == b"line\n" * 100
    assert sink.health().dropped == 0


def test_a_line_that_was_begun_is_ended(fake_loop: FakeLoop) -> None:
    slow = Slow(takes=3)
    sink = slow_sink(slow, fake_loop, 10)
    sink.write(b"a" * 50 + b"\n" + b"b\n")
    assert sink.health().dropped == 1
    slow.takes = 1000
    fake_loop.writable()
    assert slow.got == b"a" * 50 + b"\n"


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), max_size=12),
    st.lists(st.integers(0, 60), max_size=12),
    st.integers(1, 120),
)
def test_whole_lines_in_order_and_every_other_counted(
    batches: list[list[int]], takes: list[int], limit: int
) -> None:
    """Whatever the batches, the reader's pace and the bound."""
    loop, slow = FakeLoop(), Slow()
    sink = slow_sink(slow, loop, limit)
    sent: list[bytes] = []
    for index, batch in enumerate(batches):
        lines = [b"%d:" % len(sent) + b"x" * size + b"\n" for size in batch]
        numbered = []
        for line in lines:
            numbered.append(b"%d" % len(sent) + line)
            sent.append(numbered[-1])
        slow.takes += takes[index] if index < len(takes) else 0
        sink.write(b"".join(numbered))
    slow.takes = 1 << 20
    loop.writable()
    health = sink.health()
    got = slow.got.splitlines(keepends=True)
    remaining = iter(sent)
    assert all(line in remaining for line in got), "in order, uncut"
    assert len(got) + health.dropped == len(sent)
    assert health.waiting == 0
