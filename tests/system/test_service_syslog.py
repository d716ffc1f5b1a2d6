"""A real rsyslog, killed and started again in the middle: what is counted in comes out, or is counted as lost."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import make_certificates
from live import PATIENCE_S, go_on, wait_until

from tsauditd.config import SyslogOutput
from tsauditd.pipeline import Origin, Pipeline
from tsauditd.sinks.queue import QueueSink
from tsauditd.sinks.syslog import SyslogWriter

pytestmark = pytest.mark.system

LINES = 40_000
BATCH = 80

LOOKS = 25
"""Looks without a change, 20 ms apart, after which nothing moves."""

CONFIG = """\
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imtcp" {driver}) module(load="imuxsock" SysSock.Use="off")
template(name="message" type="string" string="%msg%\\n")
ruleset(name="all" queue.type="{queue}") {{ action(type="omfile" file="{directory}/out" template="message") }}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="all")
input(type="imuxsock" Socket="{directory}/log" ruleset="all" CreatePath="off" RateLimit.Interval="0"
      UseSpecialParser="on")
"""

DRIVER = """\
streamdriver.name="gtls" streamdriver.mode="1" streamdriver.authmode="x509/name" permittedpeer="sender.example"\
"""

CERTIFICATES = """\
global(defaultNetstreamDriverCAFile="{0}/ca.pem" defaultNetstreamDriverCertFile="{0}/server.crt"
       defaultNetstreamDriverKeyFile="{0}/server.key")
"""


class Rsyslog:
    """A collector that writes the messages' text to `out`; direct: it holds nothing in its own memory."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.directory = directory
        self.out = directory / "out"
        self.direct = False
        self.tls = False
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.directory / "rsyslog.conf"
        text = CONFIG.format(
            directory=self.directory,
            port=self.port,
            queue="Direct" if self.direct else "LinkedList",
            driver=DRIVER if self.tls else "",
        )
        config.write_text((CERTIFICATES.format(self.directory) if self.tls else "") + text)
        (self.directory / "log").unlink(missing_ok=True)
        words = ["rsyslogd", "-n", "-f", str(config), "-i", str(self.directory / "pid")]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        wait_until(self._up, "rsyslog listens")

    def _up(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0 and (self.directory / "log").exists()

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_S)
            self.process = None

    def arrived(self) -> list[int]:
        """The numbers in its file, in order. A line that its end has cut is none."""
        lines = self.out.read_bytes().split(b"\n") if self.out.exists() else []
        return [int(match[1]) for each in lines if (match := re.search(rb'"id":"1\.2:(\d+)"\}.*x"\}$', each))]


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    made = Rsyslog(tmp_path)
    yield made
    made.end(signal.SIGKILL)


def line(number: int) -> bytes:
    event = {"@timestamp": "2024-05-01T10:30:00.123Z", "event": {"id": f"1.2:{number}"}, "more": "x" * 800}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def lines(first: int, end: int) -> Iterator[bytes]:
    """Batches of those numbers."""
    for start in range(first, end, BATCH):
        yield b"".join(line(number) for number in range(start, min(start + BATCH, end)))


@pytest.mark.parametrize("transport", ["tcp", "unix", "tls"])
def test_killed_and_started_again_nothing_is_missing(rsyslog: Rsyslog, transport: str) -> None:
    if transport == "tls":
        make_certificates(rsyslog.directory)
        rsyslog.tls = True
    place = (
        f"unix:{rsyslog.directory}/log" if transport == "unix" else f"{transport}://127.0.0.1:{rsyslog.port}"
    )
    output = SyslogOutput(
        address=place,
        queue_bytes=256 << 20,
        ca_file=str(rsyslog.directory / "ca.pem") if rsyslog.tls else "",
        certificate_file=str(rsyslog.directory / "sender.crt") if rsyslog.tls else "",
        key_file=str(rsyslog.directory / "sender.key") if rsyslog.tls else "",
        server_name="collector.example" if rsyslog.tls else "",
    )
    rsyslog.start()
    sink = QueueSink(SyslogWriter(output), output.queue_bytes)
    try:
        for batch in lines(0, LINES // 2):
            sink.write(batch)
        wait_until(lambda: len(rsyslog.arrived()) > 1000, "rsyslog has taken some")
        rsyslog.end(signal.SIGKILL)
        for batch in lines(LINES // 2, LINES):
            sink.write(batch)
        rsyslog.start()
        wait_until(lambda: sink.health().waiting == 0, "everything is sent")
        wait_until(lambda: len(set(rsyslog.arrived())) == LINES, "everything is there")
        health = sink.health()
        assert (health.dropped, health.cut) == (0, 0)
    finally:
        sink.close(PATIENCE_S)


def stuck(sink: QueueSink) -> Callable[[], bool]:
    """Whether nothing moves any more: so many looks in a row found the same, however busy the machine is."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(sink.health().waiting)
        return len(seen) > LOOKS and len(set(seen[-LOOKS:])) == 1

    return look


def test_one_that_stands_still_for_a_while(rsyslog: Rsyslog) -> None:
    """Lost: nothing, in the queue that every collector has, which is less than half of the lines.

    After a minute without room TCP gives the connection up, and what was on its way is sent again.
    """
    rsyslog.start()
    output = SyslogOutput(address=f"tcp://127.0.0.1:{rsyslog.port}")
    sink = QueueSink(SyslogWriter(output), output.queue_bytes)
    try:
        rsyslog.send(signal.SIGSTOP)
        for batch in lines(0, LINES):
            sink.write(batch)
        wait_until(stuck(sink), "the buffers are full")
        go_on("the collector stands still")
        rsyslog.send(signal.SIGCONT)
        wait_until(lambda: sink.health().waiting == 0, "everything is sent")
        wait_until(lambda: len(set(rsyslog.arrived())) == LINES, "everything is there")
        health = sink.health()
        assert (health.dropped, health.uncertain) == (0, 0)
    finally:
        rsyslog.send(signal.SIGCONT)
        sink.close(PATIENCE_S)


@pytest.mark.parametrize("resend_bytes", [0, 1 << 20])
def test_what_is_not_sent_again_is_told_in_the_stream_as_perhaps_lost(
    rsyslog: Rsyslog, resend_bytes: int
) -> None:
    """The collector is stopped, so that the buffers of both ends are full when it is killed."""
    rsyslog.direct = True
    rsyslog.start()
    output = SyslogOutput(
        address=f"tcp://127.0.0.1:{rsyslog.port}", queue_bytes=256 << 20, resend_bytes=resend_bytes
    )
    said: list[str] = []
    sink = QueueSink(SyslogWriter(output), output.queue_bytes)
    pipeline = Pipeline([sink], Origin("here"), say=said.append, wall=lambda: 1714559400.0)
    try:
        for batch in lines(0, LINES // 4):
            pipeline.deliver(batch)
        wait_until(lambda: len(rsyslog.arrived()) > 1000, "rsyslog has taken some")
        rsyslog.send(signal.SIGSTOP)
        for batch in lines(LINES // 4, LINES):
            pipeline.deliver(batch)
        wait_until(stuck(sink), "the buffers are full")
        rsyslog.end(signal.SIGKILL)
        rsyslog.start()
        wait_until(lambda: sink.health().waiting == 0, "everything is sent")
        pipeline.tell(0, 0, 0)
        assert pipeline.losses.uncertain > 0
    finally:
        pipeline.close(PATIENCE_S)
    last = b'"id":"1.2:%d"' % (LINES - 1)
    wait_until(lambda: last in rsyslog.out.read_bytes(), "the last is there")
    wait_until(lambda: b"audit-records-lost" in rsyslog.out.read_bytes(), "the loss is told")
    missing = sorted(set(range(LINES)) - set(rsyslog.arrived()))
    assert missing == list(range(missing[0], missing[0] + len(missing))), "in one place: at the kill"
    told = next(one for one in rsyslog.out.read_text().splitlines() if "audit-records-lost" in one)
    lost = json.loads(told)["tsauditd"]["lost"]["uncertain"]
    assert len(missing) <= lost == pipeline.losses.uncertain < LINES


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"server_name": "another.example"}, "Hostname mismatch"),
        (
            {"ca_file": ""},
            "unable to get local issuer certificate|self-signed certificate in certificate chain",
        ),
        ({"certificate_file": "", "key_file": ""}, "."),
    ],
    ids=["another name", "unknown authority", "no certificate of ours"],
)
def test_tls_with_a_wrong_certificate_gets_nothing_through(
    rsyslog: Rsyslog, wrong: dict[str, str], why: str
) -> None:
    make_certificates(rsyslog.directory)
    rsyslog.tls = True
    rsyslog.start()
    keys = {
        "ca_file": str(rsyslog.directory / "ca.pem"),
        "certificate_file": str(rsyslog.directory / "sender.crt"),
        "key_file": str(rsyslog.directory / "sender.key"),
        "server_name": "collector.example",
    }
    keys.update(wrong)
    output = SyslogOutput(
        address=f"tls://127.0.0.1:{rsyslog.port}",
        ca_file=keys["ca_file"],
        certificate_file=keys["certificate_file"],
        key_file=keys["key_file"],
        server_name=keys["server_name"],
    )
    sink = QueueSink(SyslogWriter(output), output.queue_bytes)
    sink.write(line(1))
    wait_until(lambda: re.search(why, sink.health().error or ""), "the failure is told")
    sink.close(0)
    rsyslog.end()
    assert rsyslog.arrived() == []
