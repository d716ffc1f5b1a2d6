"""What never ends takes no memory: a million records without an end marker, an output whose reader does not read."""

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
                lines += bytes(listener.take()).count(b"\\n")
    listener.stop()
    lines += bytes(listener.take()).count(b"\\n")
print(peak() - idle, lines)
"""


def done(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A program of Python's, run to its end in a process of its own, which is what it measures."""
    tests = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=250,
        env={"PYTHONPATH": f"{tests.parent / 'src'}:{tests}", "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, run.stderr
    return run


@pytest.mark.parametrize("events", ["one", "many"])
def test_a_million_records_without_an_end_take_less_than_64_mb(events: str) -> None:
    run = done(MEASURE, "1302", events)
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
    run = done(SESSIONS)
    opened, built, *ends = run.stdout.split()
    assert int(opened) < 96 << 10
    assert int(built) < 8 << 10
    assert ends == ["500002", "ended", "1", "ended"]


FREED = """
from pathlib import Path
from tsauditd.event import give_memory_back

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

kept, before = [], resident()
for number in range(640):
    freed = bytes(100_000) + bytes(number)
    kept.append((freed, bytes(100 + number)))
kept = [small for _, small in kept]
del freed
lots = resident() - before
give_memory_back()
print(lots, resident() - before)
"""


def test_memory_between_what_stays_is_given_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, timeout=60, check=True
    )
    lots, rest = map(int, run.stdout.split())
    assert rest < 10 << 20 < 40 << 20 < lots


OUTPUTS = """
import os, random, re, socket, sys, threading
from contextlib import ExitStack
from pathlib import Path
from fakes import FakeLoop
from made import random_lines, storm_line
from tsauditd.config import FileOutput, StdoutOutput, SyslogOutput
from tsauditd.sinks import Actions, Commands, open_sink

def peak() -> int:
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def read(size: int) -> None:
    stream, _ = reader.accept()
    accepted.append(stream)
    while size > 0:
        size -= len(stream.recv(1 << 16))

which, alike, directory = sys.argv[1], sys.argv[2] == "alike", Path(sys.argv[3])
with ExitStack() as stack:
    if which == "unix":
        reader = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        reader.bind(str(directory / "log"))
        output = SyslogOutput(address=f"unix:{directory}/log")
    elif which == "tcp":
        reader = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        output = SyslogOutput(address="tcp://127.0.0.1:%d" % reader.getsockname()[1])
    elif which == "gone":
        output = SyslogOutput(address=f"unix:{directory}/nowhere")
    elif which == "stdout":
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        output = StdoutOutput()
    else:
        os.mkfifo(directory / "pipe")
        reader = os.open(directory / "pipe", os.O_RDWR)
        output = FileOutput(path=str(directory / "pipe"))
    sink = open_sink(output, FakeLoop(), Actions(Commands((), ()), lambda line: None))
    source = random.Random(7)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew (proc_pid_clear_refs(5))
    idle = peak()
    if which == "tcp":  # what was read may have to be sent again
        accepted: list[socket.socket] = []
        threading.Thread(target=read, args=(20_000_000,), daemon=True).start()
        for batch in range(200):
            sink.write(random_lines(source, 100_000))
            while sink.health().waiting > 1_000_000:
                pass
    given = 0
    for batch in range(200):
        size = (1_000, 200_000, 600_000, 1_000_000)[batch % 4]
        if sink.holding:
            break
        if alike:
            sink.write(b"".join(storm_line(given // 1000 + number) for number in range(size // 1000)))
        else:
            sink.write(random_lines(source, size))
        given += size
    health = sink.health()
    print(peak() - idle, given, health.waiting, health.dropped, file=sys.stderr)
    sink.close(0)
"""


@pytest.mark.parametrize("lines", ["alike", "unlike"])
@pytest.mark.parametrize("output", ["unix", "tcp", "gone", "stdout", "file"])
def test_an_output_whose_reader_does_not_read_takes_less_than_48_mb(
    output: str, lines: str, tmp_path: Path
) -> None:
    """With its defaults; so that a daemon that has 40 at rest stays below 100 MB with its batches on their way."""
    run = done(OUTPUTS, output, lines, str(tmp_path))
    grown, given, waiting, dropped = map(int, run.stderr.split())
    assert grown < 48 << 10
    if output == "file":
        assert dropped == 0, "it waits instead"
        assert waiting <= 33 << 20 < given + (1 << 20)
    elif lines == "alike" and output != "stdout":
        assert dropped == 0
        assert waiting < given / 50
    else:
        assert dropped > 0
