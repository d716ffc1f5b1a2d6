"""The listener: packets that a socket replays come out as the engine alone would give them, and none is lost."""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import time
from itertools import pairwise

import pytest
from replay import (
    EOE,
    PATIENCE_S,
    event,
    events,
    is_ready,
    packet,
    sending,
    socket_pair,
    take_lines,
    threads,
    wait_ready,
)

from tsauditd.event import Listener, ListenerCounters, listener_counters


def alone(packets: list[bytes]) -> bytes:
    """What the engine gives for the packets when no socket is between."""
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), early=packets, netlink=False)
        listener.start()
        listener.stop()
        return listener.take()


def serials(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["event"]["sequence"] for line in lines]


def wait_for(listener: Listener, count: str, value: int) -> None:
    """Sleeps until a counter is at least `value`."""
    end = time.monotonic() + PATIENCE_S
    while listener.counters()[count] < value:
        assert time.monotonic() < end, f"{count} stays at {listener.counters()[count]}"
        time.sleep(0.001)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("gather_us", [0, 100])
def test_gives_what_the_engine_gives(kind: socket.SocketKind, gather_us: int) -> None:
    packets = events(range(1, 1001))
    with socket_pair(kind) as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False, gather_us=gather_us)
        listener.start()
        with sending(sender, packets):
            lines = take_lines(listener, 1000)
        listener.stop()
        assert b"".join(line + b"\n" for line in lines) == alone(packets)
        counted = listener_counters(listener)
    assert serials(lines) == list(range(1, 1001))
    assert counted["packets"] == counted["records"] == 5000
    assert counted["events"] == 1000
    assert counted["bytes_in"] == sum(map(len, packets))
    assert counted["bytes_out"] == sum(map(len, lines)) + 1000
    assert counted["cpu_ns"] > 0


def test_without_context_the_records_alone_speak() -> None:
    lines = []
    for context in (True, False):
        with socket_pair() as (sender, receiver):
            listener = Listener(receiver.fileno(), netlink=False, context=context)
            listener.start()
            with sending(sender, event(1)):
                lines.append(json.loads(take_lines(listener, 1)[0]))
            listener.stop()
    told = lines[0]["process"].pop("entity_id")
    assert len(told) == 16
    assert lines[0] == lines[1]


def test_early_packets_come_first() -> None:
    with socket_pair() as (sender, receiver):
        for each in event(2):
            sender.send(each)
        listener = Listener(receiver.fileno(), early=event(1), netlink=False)
        listener.start()
        assert serials(take_lines(listener, 2)) == [1, 2]
        listener.stop()


def test_an_event_is_joined_across_early_and_received_packets() -> None:
    first, *rest = event(1)
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), early=[first], netlink=False)
        listener.start()
        for each in rest:
            sender.send(each)
        lines = take_lines(listener, 1)
        listener.stop()
    assert lines == alone(event(1)).splitlines()


def test_stop_reads_what_the_socket_holds_and_ends_open_events() -> None:
    packets = events(range(1, 11)) + event(11)[:-1]
    with socket_pair(socket.SOCK_DGRAM) as (sender, receiver):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        listener = Listener(receiver.fileno(), netlink=False)
        with sending(sender, packets):
            listener.start()
        listener.stop()
        assert serials(listener.take().splitlines()) == list(range(1, 12))
        assert listener_counters(listener)["packets"] == len(packets)


def test_stop_is_heard_at_rest_and_may_come_again() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        listener.stop()
        listener.stop()
        assert listener.take() == b""


def test_an_event_without_its_end_comes_out_by_the_clock() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        for each in event(7)[:-1]:
            sender.send(each)
        assert serials(take_lines(listener, 1)) == [7]
        listener.stop()


def test_sleeps_at_rest() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        for each in event(1):
            sender.send(each)
        take_lines(listener, 1)
        time.sleep(0.3)
        before = listener.counters()
        time.sleep(0.5)
        assert listener.counters() == before
        listener.stop()


def test_python_is_woken_once_for_a_batch() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        assert not is_ready(listener)
        listener.start()
        with sending(sender, events(range(1, 101))):
            pass
        wait_for(listener, "events", 100)
        wait_ready(listener)
        wait_for(listener, "bytes_out", len(alone(events(range(1, 101)))))
        assert len(listener.take().splitlines()) == 100
        assert not is_ready(listener)
        assert listener.take() == b""
        listener.stop()


def test_a_slow_taker_loses_nothing() -> None:
    name = "/" + "n" * 4000
    count = 6000
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False, original=True)
        listener.start()
        lines: list[bytes] = []
        with sending(sender, (each for serial in range(count) for each in event(serial, name))):
            wait_for(listener, "stalls", 1)
            stalled = listener.counters()["packets"]
            time.sleep(0.1)
            assert listener.counters()["packets"] == stalled
            while len(lines) < count:
                wait_ready(listener)
                lines += listener.take().splitlines()
        listener.stop()
        assert in_order(lines + listener.take().splitlines()) == list(range(count))


def in_order(lines: list[bytes], records: int | None = None) -> list[int]:
    """The serials of the events, of which each record must be there once; `records`: how many, if not all of each.

    A sender that is held up in the middle of an event (it needs Python's lock, which taking 64 MiB holds; or it gets no
    processor) may be silent for so long that the rest comes as an addition.
    """
    got = [json.loads(line) for line in lines]
    events = [each for each in got if "addition" not in each["tsauditd"]]
    assert sum(len(each["event"]["original"]) for each in got) == (records or 4 * len(events))
    for before, each in pairwise(got):
        if "addition" in each["tsauditd"]:
            assert before["event"]["id"] == each["event"]["id"]
            if "addition" not in before["tsauditd"]:
                assert "no end of the event came in time" in before["tsauditd"]["incomplete"]
    return [each["event"]["sequence"] for each in events]


@pytest.mark.parametrize("cut", [1, 4])
def test_a_sender_that_is_held_up_within_an_event_loses_nothing(cut: int) -> None:
    before, held = events(range(300)), event(300)
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False, original=True)
        listener.start()
        with sending(sender, before + held[:cut]):
            lines = take_lines(listener, 301)
        with sending(sender, held[cut:] + events(range(301, 600))):
            lines += take_lines(listener, 299 + (cut < 4))
        listener.stop()
        assert in_order(lines) == list(range(600))
        assert listener.counters()["late"] == (cut < 4)


def test_a_full_outbox_does_not_keep_stop_waiting() -> None:
    name = "/" + "n" * 4000
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False, original=True)
        listener.start()
        sender.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            for serial in range(100_000):
                for each in event(serial, name):
                    sender.send(each)
                    sent += 1
        assert sent < 500_000, "the thread went on reading"
        listener.stop()
        assert listener.counters()["packets"] == sent
        lines = listener.take().splitlines()
        assert in_order(lines, records=sent - sent // 5) == list(range(-(-sent // 5)))


def test_packets_of_other_senders_are_refused() -> None:
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK) as receiver,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK) as sender,
    ):
        receiver.bind((0, 0))
        port = receiver.getsockname()[0]
        for netlink, refused in ((False, 0), (True, 5)):
            for each in event(1):
                sender.sendto(each, (port, 0))
            listener = Listener(receiver.fileno(), netlink=netlink)
            listener.start()
            listener.stop()
            counted = listener_counters(listener)
            assert (counted["packets"], counted["rejected"], counted["records"]) == (5, refused, 5 - refused)
        with pytest.raises(ConnectionRefusedError):
            sender.sendto(b"x", (port, 0))


def test_packets_of_other_senders_to_a_group_are_refused() -> None:
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK) as receiver,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK) as sender,
    ):
        receiver.bind((0, 1))
        listener = Listener(receiver.fileno())
        listener.start()
        wait_for(listener, "receives", 1)
        for each in event(1):
            with contextlib.suppress(ConnectionRefusedError):  # the kernel takes none of this kind itself
                sender.sendto(each, (0, 1))
        listener.stop()
        counted = listener_counters(listener)
        # Whoever else sends to the group is heard as well.
        assert counted["rejected"] == counted["packets"] >= 5
        assert counted["records"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="joining a multicast group needs root")
def test_overruns_are_counted() -> None:
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK) as receiver,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_USERSOCK) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.bind((0, 1))
        for each in events(range(1, 101)):
            with contextlib.suppress(ConnectionRefusedError):  # nobody took it, for want of room
                sender.sendto(each, (0, 1))
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        listener.stop()
        counted = listener_counters(listener)
        assert counted["overruns"] == 1
        assert 0 < counted["packets"] < 500


def test_long_packets_are_read_whole_and_longer_ones_told() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        sender.send(packet(1400, "audit(1.000:1): op=" + "x" * 20_000))
        sender.send(packet(1400, "audit(1.000:2): op=" + "x" * 30_000))
        listener.stop()
        counted = listener_counters(listener)
        assert (counted["packets"], counted["truncated"]) == (2, 1)
        lines = listener.take().splitlines()
        assert b"x" * 20_000 in lines[0]
        assert serials(lines) == [1, 2]


def test_replies_and_nonsense_are_counted() -> None:
    with socket_pair(socket.SOCK_DGRAM) as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        for each in (
            packet(2, "\0\0\0\0"),
            packet(1329, "\0\0\0\0"),
            b"",
            b"short",
            packet(1300, "nonsense"),
        ):
            sender.send(each)
        for each in event(1):
            sender.send(each)
        listener.stop()
        counted = listener_counters(listener)
        assert (counted["control"], counted["unreadable"], counted["events"]) == (2, 3, 1)


def test_the_end_of_the_socket_ends_the_open_events() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        assert listener.counters()["ended"] == 0
        for each in event(1)[:2]:
            sender.send(each)
        sender.close()
        assert serials(take_lines(listener, 1)) == [1]
        wait_for(listener, "ended", 1)
        listener.stop()


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


def test_names_of_this_machines_users_are_there_at_once() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        for each in event(1):
            sender.send(each)
        (line,) = take_lines(listener, 1)
        listener.stop()
    assert json.loads(line)["user"]["name"] == "root"


def test_counts_everything_that_its_face_names() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        assert set(listener.counters()) == set(ListenerCounters.__annotations__)


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


def test_a_lone_end_record_is_no_event() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        sender.send(packet(EOE, "audit(1700000000.000:1): "))
        listener.stop()
        assert listener.take() == b""
