"""The daemon's loop on stored packets: everything is delivered, losses are told, the end is orderly."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import cast

import pytest

from tsauditd.config import Config
from tsauditd.daemon import listen, this_host
from tsauditd.delivery import Delivery, Summary
from tsauditd.event import Lines, Listener, ListenerCounters, SinkHealth
from tsauditd.kernel.rules.drift import Drift
from tsauditd.kernel.standing import Notice
from tsauditd.pipeline import Losses, Origin, Pipeline

HERE = Origin("here", "id", "boot")


def packet(serial: int, op: str = "x") -> bytes:
    text = f"audit(1700000000.000:{serial}): pid=1 uid=0 auid=0 ses=1 msg='op={op} res=success'".encode()
    return struct.pack("=IHHII", len(text), 1005, 0, 0, 0) + text


class Replay:
    """A source of stored packets."""

    netlink = False
    lines = False
    connections = False
    accepts = False
    titles = False

    def __init__(self, early: tuple[bytes, ...] = ()) -> None:
        self.sender, self._receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.fd = self._receiver.fileno()
        self.early = list(early)
        self.lost_records = 0
        self.did: list[str] = []

    def lost(self) -> int:
        return self.lost_records

    def notices(self) -> list[Notice]:
        return []

    def drift(self) -> Drift | None:
        return None

    def quieten(self) -> None:
        self.did.append("quieten")
        # What the kernel still had on its way arrives after the rules are gone.
        self.sender.send(packet(99))

    def close(self) -> None:
        self.sender.close()
        self._receiver.close()


class Memory:
    """A sink that keeps what it gets, and may lose its reader."""

    name = "memory"
    takes = "events"
    holding = False
    room = 1 << 20

    def __init__(self, then: Callable[[], None]) -> None:
        self.got = b""
        self.waiting = 0
        self.closed = False
        self._then = then

    def write(self, lines: Lines) -> None:
        self.got += lines
        self._then()

    def health(self) -> SinkHealth:
        return SinkHealth(len(self.got), self.waiting, 0, None)

    def close(self, patience: float) -> None:
        self.closed = True

    @property
    def actions(self) -> list[object]:
        return [json.loads(line)["event"].get("sequence", "loss") for line in self.got.splitlines()]


def serving(source: Replay, after: int) -> tuple[Memory, Summary]:
    """Serves until so many lines have come, then stops as a signal would."""

    async def run() -> tuple[Memory, Summary]:
        stop = asyncio.Event()
        sink = Memory(lambda: stop.set() if sink.got.count(b"\n") >= after else None)
        pipeline = Pipeline([sink], HERE, say=pytest.fail, wall=lambda: 0.0)
        listener = listen(source, Config(), HERE)
        summary = await asyncio.wait_for(Delivery(source, pipeline, listener, stop).run(lambda: None), 30)
        return sink, summary

    try:
        return asyncio.run(run())
    finally:
        source.close()


def test_everything_is_delivered_to_the_last_packet() -> None:
    source = Replay(early=(packet(1),))
    source.sender.send(packet(2))
    source.sender.send(packet(3))
    sink, summary = serving(source, after=3)
    assert source.did == ["quieten"]
    assert sink.actions[:3] == [1, 2, 3]
    assert 99 in sink.actions
    assert summary.counters["events"] == 4
    assert json.loads(sink.got.splitlines()[0])["host"]["name"] == "here"


def test_what_the_kernel_lost_is_told_in_the_stream() -> None:
    source = Replay()
    source.sender.send(packet(1))
    source.lost_records = 7
    sink, summary = serving(source, after=1)
    told = [json.loads(line) for line in sink.got.splitlines() if b"audit-records-lost" in line]
    assert told[0]["tsauditd"]["lost"]["kernel"] == 7
    assert summary.losses.kernel == 7


def test_it_ends_when_nobody_reads_any_more() -> None:
    source = Replay()

    async def run() -> Memory:
        def gone() -> None:
            sink.closed = True

        sink = Memory(gone)
        source.sender.send(packet(1))
        pipeline = Pipeline([sink], HERE, say=pytest.fail, wall=lambda: 0.0)
        listener = listen(source, Config(), HERE)
        delivery = Delivery(source, pipeline, listener, asyncio.Event())
        await asyncio.wait_for(delivery.run(lambda: None), 30)
        return sink

    assert asyncio.run(run()).actions[0] == 1
    source.close()


class Ears:
    """A listener that keeps what it is told of the rules, and has the doubts that it is given."""

    def __init__(self, listener: Listener) -> None:
        self.heard: list[tuple[bool, int]] = []
        self.doubts = 0
        self._listener = listener

    def rules_read(self, *, titles: bool, doubts: int) -> None:
        self.heard.append((titles, doubts))

    def counters(self) -> dict[str, int]:
        return {**self._listener.counters(), "doubts": self.doubts}

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)


@pytest.mark.parametrize("titles", [True, False])
def test_the_listener_is_told_of_rules_when_they_or_its_doubts_change(
    titles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Replay()
    source.titles = titles
    monkeypatch.setattr("tsauditd.delivery._TICK", 0.001)

    async def run() -> list[tuple[bool, int]]:
        stop = asyncio.Event()
        ears = Ears(listen(source, Config(), HERE))
        looks = 0

        def drift() -> None:
            nonlocal looks
            looks += 1
            # The fourth look is at rules that have come meanwhile, and of which it hears only afterwards.
            source.titles = titles if looks < 4 else not titles
            ears.doubts = 0 if looks < 2 else 1
            if looks == 6:
                stop.set()

        monkeypatch.setattr(source, "drift", drift)
        pipeline = Pipeline([Memory(lambda: None)], HERE, say=pytest.fail, wall=lambda: 0.0)
        delivery = Delivery(source, pipeline, cast("Listener", ears), stop)
        await asyncio.wait_for(delivery.run(lambda: None), 30)
        return ears.heard

    try:
        heard = asyncio.run(run())
    finally:
        source.close()
    # Until it is told it keeps the markers.
    first = [(True, 0)] if titles else []
    assert heard == [*first, (titles, 1), (not titles, 1)]


def test_memory_goes_back_after_a_storm_once_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Replay()
    source.sender.settimeout(30)
    waited: list[int] = []

    async def run() -> None:
        stop = asyncio.Event()
        sink = Memory(lambda: None)
        sink.waiting = 1
        looked = 0

        def health() -> SinkHealth:
            nonlocal looked
            looked += sink.got.count(b"\n") >= 4000
            if looked > 4:
                sink.waiting = 0
            return SinkHealth(len(sink.got), sink.waiting, 0, None)

        def given_back() -> None:
            waited.append(sink.waiting)
            stop.set()

        monkeypatch.setattr(sink, "health", health)
        monkeypatch.setattr("tsauditd.delivery.give_memory_back", given_back)
        pipeline = Pipeline([sink], HERE, say=pytest.fail, wall=lambda: 0.0)
        delivery = Delivery(source, pipeline, listen(source, Config(), HERE), stop)
        storm = asyncio.to_thread(
            lambda: [source.sender.send(packet(serial, "x" * 6000)) for serial in range(1, 4001)]
        )
        await asyncio.wait_for(asyncio.gather(storm, delivery.run(lambda: None)), 60)

    try:
        asyncio.run(run())
    finally:
        source.close()
    assert waited == [0]


def counters(**values: int) -> ListenerCounters:
    return cast("ListenerCounters", dict.fromkeys(ListenerCounters.__annotations__, 0) | values)


def test_the_summary_is_one_line() -> None:
    summary = Summary(counters(events=1000, records=5000), Losses(), 5_400_000)
    assert str(summary) == "1000 events, 5000 records, 0 lost, 5.4 µs CPU per event"
    assert str(Summary(counters(), Losses(1, 2, 3, 4), 0)) == (
        "0 events, 0 records, 1 lost, 2 overruns, 3 missing, 4 dropped"
    )


def test_this_host_has_a_name_and_a_boot() -> None:
    host = this_host()
    assert host.host_name == socket.gethostname()
    assert host.boot_id is not None
    assert len(host.boot_id) == 36
