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
    serials,
    socket_pair,
    take_lines,
    threads,
    wait_for,
)

from tsauditd.event import Listener


def test_stop_is_heard_at_rest_and_may_come_again() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        listener.stop()
        listener.stop()
        assert listener.take() == b""


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
            assert serials(listener.take().splitlines()) == [serial]
        listener.stop()
