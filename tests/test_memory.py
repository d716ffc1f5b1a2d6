"""What never ends takes no memory: a million records without an end marker, live."""

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import resource, sys
from replay import packet, socket_pair
from tsauditd.event import Listener

def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

kind, one_event = int(sys.argv[1]), sys.argv[2] == "one"
with socket_pair() as (sender, receiver):
    listener = Listener(receiver.fileno(), netlink=False)
    listener.start()
    for round in range(2):
        idle = peak()
        lines = 0
        for serial in range(1_000 if round == 0 else 1_000_000):
            stamp = 7 if one_event else serial
            text = "audit(1700000000.%03d:%d): item=0 name=\\"/etc/hosts\\" inode=1 mode=0100644 nametype=NORMAL"
            sender.send(packet(kind, text % (round, stamp)))
            if serial % 500 == 0:
                lines += listener.take().count(b"\\n")
    listener.stop()
    lines += listener.take().count(b"\\n")
print(peak() - idle, lines)
"""


@pytest.mark.parametrize("events", ["one", "many"])
def test_a_million_records_without_an_end_take_less_than_64_mb(events: str) -> None:
    tests = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, "1302", events],
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=250,
        env={"PYTHONPATH": f"{tests.parent / 'src'}:{tests}", "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, run.stderr
    grown, lines = map(int, run.stdout.split())
    assert grown < 64 << 10
    assert lines > (5 if events == "one" else 990_000)


SESSIONS = """
import resource
import orjson
from made import Maker
from tsauditd.timelines import Timelines

def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

last = {}

def emit(document) -> None:
    session = orjson.loads(orjson.dumps(document))["tsauditd"]["session"]
    last[session["number"]] = session["summary"]["commands"], session["state"]

maker, timelines = Maker(), Timelines(emit)
idle = peak()
for number in range(1, 10_001):
    maker.ms += 1
    timelines.push(maker.login(number))
    timelines.push(maker.command(number, ["bash"], pid=1_000_000 + number))
opened = peak()
timelines.push(maker.command(7, ["make"], pid=50))
for number in range(500_000):
    maker.ms += number % 20 == 0
    timelines.push(maker.command(7, ["cc", "-c", f"file{number}.c"], pid=100_000 + number % 30_000, parent=50))
built = peak()
assert len(timelines.sessions) == 10_000
for session in list(timelines.sessions):
    timelines.gone(session, "reboot")
print(opened - idle, built - opened, *last["7"], *last["10000"])
"""


def test_ten_thousand_open_sessions_and_half_a_million_commands_in_one() -> None:
    tests = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", SESSIONS],
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=250,
        env={"PYTHONPATH": f"{tests.parent / 'src'}:{tests}", "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, run.stderr
    opened, built, *ends = run.stdout.split()
    assert int(opened) < 96 << 10
    assert int(built) < 8 << 10
    assert ends == ["500002", "ended", "1", "ended"]
