"""A clock that is set while events come: no event is cut, none is lost, and files are not rotated for ever."""

import json
from pathlib import Path

import pytest
from replay import packet, socket_pair

from tsauditd.config import FileOutput
from tsauditd.event import Listener, listener_counters
from tsauditd.sinks.action import Actions, Commands
from tsauditd.sinks.file import FileWriter

NOON, HOUR = 1_700_000_000, 3600


def event(serial: int, seconds: int) -> list[bytes]:
    stamp = f"audit({seconds}.000:{serial}):"
    return [
        packet(1300, f"{stamp} arch=c000003e syscall=257 success=no exit=-2 pid=101 uid=0 key=(null)"),
        packet(1307, f'{stamp} cwd="/root"'),
        packet(1302, f'{stamp} item=0 name="/etc/{serial}" nametype=UNKNOWN'),
        packet(1320, f"{stamp} "),
    ]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_events_around_a_step_are_whole_and_in_order(step: int) -> None:
    """Lost: nothing. The stamps are the kernel's, before and after the step."""
    stamps = [NOON] * 500 + [NOON + step] * 500 + [NOON] * 500
    packets = [each for serial, seconds in enumerate(stamps, 1) for each in event(serial, seconds)]
    # Two events of both sides of the step, one within the other.
    first, second = event(1501, NOON), event(1502, NOON + step)
    packets += [*first[:2], *second[:2], *first[2:], *second[2:]]
    with socket_pair() as (_, receiver):
        listener = Listener(receiver.fileno(), early=packets, netlink=False)
        listener.start()
        listener.stop()
        found = [json.loads(line) for line in bytes(listener.take()).splitlines()]
    assert [each["event"]["sequence"] for each in found] == list(range(1, 1503))
    assert [each["file"]["path"] for each in found] == [f"/etc/{serial}" for serial in range(1, 1503)]
    assert "incomplete" not in json.dumps(found)
    counters = listener_counters(listener)
    assert (counters["gaps"], counters["late"], counters["incomplete"]) == (0, 0, 0)


def test_a_step_rotates_once(tmp_path: Path) -> None:
    """Lost: no line. One file more for the step, and one for the way back."""
    now = float(NOON)
    path = tmp_path / "out"
    output = FileOutput(path=str(path), rotate_seconds=86_400)
    writer = FileWriter(output, Actions(Commands((), ()), pytest.fail), wall=lambda: now)
    lines = [b'{"n":%d}\n' % number for number in range(300)]
    for number, line in enumerate(lines):
        now = NOON + (0, 24 * HOUR, 0)[number // 100]
        writer.write(line, 0)
        writer.tick()
    writer.close()
    files = [*(tmp_path / f"out.{number}" for number in (2, 1)), path]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert b"".join(file.read_bytes() for file in files) == b"".join(lines)
