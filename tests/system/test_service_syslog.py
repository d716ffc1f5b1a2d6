"""A real rsyslog, killed and started again in the middle: what is counted in comes out."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from live import PATIENCE_S, wait_until

from tsauditd.config import SyslogOutput
from tsauditd.sinks.queue import QueueSink
from tsauditd.sinks.syslog import SyslogWriter

pytestmark = pytest.mark.system

LINES = 40_000
BATCH = 80

CONFIG = """\
global(workDirectory="{0}" maxMessageSize="64k")
module(load="imtcp") module(load="imuxsock" SysSock.Use="off")
template(name="message" type="string" string="%msg%\\n")
ruleset(name="all") {{ action(type="omfile" file="{0}/out" template="message") }}
input(type="imtcp" port="{1}" address="127.0.0.1" ruleset="all")
input(type="imuxsock" Socket="{0}/log" ruleset="all" CreatePath="off" RateLimit.Interval="0" UseSpecialParser="on")
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def rsyslog(tmp_path: Path, port: int) -> Start:
    config = tmp_path / "rsyslog.conf"
    config.write_text(CONFIG.format(tmp_path, port))

    def start() -> "subprocess.Popen[bytes]":
        (tmp_path / "log").unlink(missing_ok=True)
        words = ["rsyslogd", "-n", "-f", str(config), "-i", str(tmp_path / "pid")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL)

        def up() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0 and (tmp_path / "log").exists()

        wait_until(up, "rsyslog listens")
        return process

    return start


def line(number: int) -> bytes:
    event = {"@timestamp": "2024-05-01T10:30:00.123Z", "event": {"id": f"1.2:{number}"}, "more": "x" * 800}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def arrived(path: Path) -> list[int]:
    """The numbers in rsyslog's file, in order. A line that its end has cut is none."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [int(match[1]) for each in lines if (match := re.search(rb'"id":"1\.2:(\d+)"\}.*x"\}$', each))]


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_killed_and_started_again_nothing_is_missing(
    tmp_path: Path, port: int, rsyslog: Start, transport: str
) -> None:
    address = f"tcp://127.0.0.1:{port}" if transport == "tcp" else f"unix:{tmp_path}/log"
    output = SyslogOutput(address=address, queue_bytes=256 << 20)
    out = tmp_path / "out"
    process: subprocess.Popen[bytes] | None = rsyslog()
    sink = QueueSink(SyslogWriter(output), output.queue_bytes)
    try:
        for first in range(0, LINES, BATCH):
            sink.write(b"".join(line(number) for number in range(first, first + BATCH)))
            if first == LINES // 2:
                wait_until(lambda: len(arrived(out)) > 1000, "rsyslog has taken some")
                assert process is not None
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = None
            if first == LINES * 3 // 4:
                assert sink.health().dropped == 0
                process = rsyslog()
        assert process is not None
        wait_until(lambda: sink.health().waiting == 0, "everything is sent")
        wait_until(lambda: len(set(arrived(out))) == LINES, "everything is there")
        found = arrived(out)
        assert set(found) == set(range(LINES))
        assert sink.health().dropped == 0
    finally:
        sink.close(PATIENCE_S)
        if process is not None:
            process.terminate()
            process.wait(PATIENCE_S)
