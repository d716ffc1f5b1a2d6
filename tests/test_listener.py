"""The listener: packets that a socket replays come out as the engine alone would give them, and none is lost."""

import contextlib
import json
import socket
import time
from itertools import pairwise

import pytest
from replay import (
    event,
    events,
    is_ready,
    sending,
    serials,
    socket_pair,
    take_lines,
    wait_for,
    wait_ready,
)

from tsauditd.event import Listener, listener_counters


def alone(packets: list[bytes]) -> bytes:
    """What the engine gives for the packets when no socket is between."""
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), early=packets, netlink=False)
        listener.start()
        listener.stop()
        return bytes(listener.take())


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
        assert serials(bytes(listener.take()).splitlines()) == list(range(1, 12))
        assert listener_counters(listener)["packets"] == len(packets)


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
        assert len(bytes(listener.take()).splitlines()) == 100
        assert not is_ready(listener)
        assert not listener.take()
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
                lines += bytes(listener.take()).splitlines()
        listener.stop()
        assert in_order(lines + bytes(listener.take()).splitlines()) == list(range(count))


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
        lines = bytes(listener.take()).splitlines()
        assert in_order(lines, records=sent - sent // 5) == list(range(-(-sent // 5)))


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


def test_names_of_this_machines_users_are_there_at_once() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        for each in event(1):
            sender.send(each)
        (line,) = take_lines(listener, 1)
        listener.stop()
    assert json.loads(line)["user"]["name"] == "root"
