"""Packets that a listener refuses, counts, or reads with care."""

import contextlib
import os
import socket

import pytest
from replay import (
    EOE,
    event,
    events,
    packet,
    serials,
    socket_pair,
    wait_for,
)

from tsauditd.event import Listener, ListenerCounters, listener_counters


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
        lines = bytes(listener.take()).splitlines()
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


def test_counts_everything_that_its_face_names() -> None:
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        assert set(listener.counters()) == set(ListenerCounters.__annotations__)


def test_a_lone_end_record_is_no_event() -> None:
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        sender.send(packet(EOE, "audit(1700000000.000:1): "))
        listener.stop()
        assert not listener.take()
