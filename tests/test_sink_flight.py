"""What is kept and what is counted of what was sent: nothing in between is missed, and both are bounded."""

import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import storm_line

from tsauditd.sinks.flight import Flight, UnderWay
from tsauditd.sinks.packed import PIECE_BYTES


def letters(place: int, size: int) -> bytes:
    """Lines in all that are sent, each told from its neighbours."""
    return bytes([97 + place % 26]) * size


@given(
    st.lists(st.integers(1, 100_000), max_size=60),
    st.integers(0, 1_000_000),
    st.integers(0, 3_000_000),
)
def test_every_message_under_way_is_kept_or_counted(sizes: list[int], limit: int, under_way: int) -> None:
    flight = Flight(limit)
    for place, size in enumerate(sizes):
        flight.sent(letters(place, size), size, 1, under_way)
    kept = list(flight.kept())
    assert flight.keeps == bool(kept)
    assert sum(map(len, kept[1:])) < max(limit, 1)
    assert all(len(part) < PIECE_BYTES + 100_000 for part in kept)
    first, behind = len(sizes), sum(map(len, kept))
    while behind > 0:
        first -= 1
        behind -= sizes[first]
    assert behind == 0, "whole batches"
    assert b"".join(kept) == b"".join(
        letters(place, size) for place, size in enumerate(sizes) if place >= first
    )
    lost, sum_behind = 0, 0
    for place, size in reversed(list(enumerate(sizes))):
        if place < first and sum_behind < under_way:
            lost += 1
        sum_behind += size
    counted = flight.broken(under_way)
    assert lost <= counted <= first
    if under_way == 0:
        assert counted == 0
    assert flight.broken(under_way) == 0, "told once"


def test_what_is_kept_takes_far_less_than_it_is() -> None:
    """Lines of a storm: 16 MiB of them in less than one."""
    flight = Flight(16 << 20)
    tracemalloc.start()
    try:
        for batch in range(1000):
            flight.sent(b"".join(storm_line(batch * 20 + each) for each in range(20)), 20_000, 20, 1 << 20)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1 << 20
    assert sum(map(len, flight.kept())) >= 16 << 20


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The writer's end of a connection, and the reader's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as writer,
        server.accept()[0] as reader,
    ):
        yield writer, reader


def test_what_a_reader_leaves_is_never_more_than_is_said(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    """Its buffer grows while it reads, and holds most when it stops in the middle."""
    writer, reader = connection
    under_way = UnderWay(writer)
    writer.setblocking(False)
    sent = read = 0
    for _ in range(50):
        try:
            while True:
                sent += writer.send(bytes(64 << 10))
                assert sent - read <= under_way.bytes()
        except BlockingIOError:
            read += len(reader.recv(1 << 20))
    assert sent - read <= under_way.bytes()
    reader.close()
    writer.setblocking(True)
    with pytest.raises(ConnectionResetError):
        writer.recv(1)  # there was something unread: it is not told as closed
    assert sent - read <= under_way.bytes()


def test_a_reader_that_closes_has_read_everything(connection: tuple[socket.socket, socket.socket]) -> None:
    writer, reader = connection
    under_way = UnderWay(writer)
    writer.sendall(bytes(1000))
    assert len(reader.recv(1000, socket.MSG_WAITALL)) == 1000
    reader.close()
    assert writer.recv(1) == b""
    under_way.closed()
    assert under_way.bytes() == 0
