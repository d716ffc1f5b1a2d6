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
