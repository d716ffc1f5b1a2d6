"""The listener as a thread: its beginning, its end, and what it leaves to its caller."""

import gc
import select
import signal
import socket
import time

import pytest
from replay import (
    PATIENCE_S,
    event,
    sending,
    serials,
    socket_pair,
    take_lines,
    threads,
    wait_for,
    wait_ready,
)

from tsauditd.event import Listener


def test_stop_is_heard_at_rest_and_may_come_again() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        listener.stop()
        listener.stop()
        assert not listener.take()


def test_the_socket_may_be_closed_by_its_owner() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        receiver.close()
        for each in event(1):
            sender.send(each)
        assert serials(take_lines(listener, 1)) == [1]
        listener.stop()


def until(count: int) -> list[int]:
    """The listeners' threads, once there are as many: one that was joined stays in /proc for a moment."""
    deadline = time.monotonic() + 10
    while len(found := threads("listener")) != count and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def test_the_thread_takes_no_signal_and_its_caller_still_does() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        listener.start()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        wait_for(listener, "receives", 1)
        (task,) = until(1)
        with open(f"/proc/self/task/{task}/status") as status:
            blocked = int(next(line for line in status if line.startswith("SigBlk")).split()[1], 16)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            assert blocked >> (number - 1) & 1
        listener.stop()


def test_a_forgotten_listener_ends_its_thread() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        wait_for(listener, "receives", 1)
        del listener
        gc.collect()
        assert until(0) == []


def test_starts_once() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        with pytest.raises(RuntimeError, match="started before"):
            listener.start()
        listener.stop()
        with pytest.raises(RuntimeError, match="started before"):
            listener.start()


def test_wants_an_open_datagram_socket() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Listener(1 << 20)
    with open("/dev/null") as file, pytest.raises(OSError, match="Socket operation on non-socket"):
        Listener(file.fileno())
    stream, other = socket.socketpair()
    with stream, other, pytest.raises(OSError, match="Protocol wrong type for socket"):
        Listener(stream.fileno())
    with socket_pair() as (_, receiver), pytest.raises(ValueError, match="gather_us"):
        Listener(receiver.fileno(), gather_us=2_000_000)


def test_the_bell_works_in_an_event_loop() -> None:
    with socket_pair() as (sender, receiver), select.epoll() as loop:
        listener = Listener(receiver.fileno(), netlink=False)
        loop.register(listener.fileno(), select.EPOLLIN)
        listener.start()
        for serial in (1, 2, 3):
            for each in event(serial):
                sender.send(each)
            assert loop.poll(PATIENCE_S) == [(listener.fileno(), select.EPOLLIN)]
            assert serials(bytes(listener.take()).splitlines()) == [serial]
        listener.stop()


def test_lines_that_somebody_has_stay_as_they_are() -> None:
    """Room that nobody has is used again, so every other batch is let go."""
    name, count = "/" + "n" * 4000, 4000
    held: list[tuple[memoryview, bytes]] = []
    lines: list[bytes] = []
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        with sending(sender, (each for serial in range(count) for each in event(serial, name))):
            turn = 0
            while len(lines) < count:
                wait_ready(listener)
                batch = listener.take()
                assert batch.readonly
                turn += 1
                if turn % 2:
                    held.append((batch, bytes(batch)))
                # An event that was held up on its way has a second line.
                lines += [line for line in bytes(batch).splitlines() if b'"addition"' not in line]
        listener.stop()
    del listener
    assert all(bytes(batch) == as_it_was for batch, as_it_was in held)
    assert serials(lines) == list(range(count))
