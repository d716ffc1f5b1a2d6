"""Syslog over every transport, to sockets of this process; TLS with certificates made for the test."""

import contextlib
import errno
import json
import select
import socket
import ssl
import threading
from pathlib import Path

import pytest
from certificates import make_certificates

from tsauditd.config import SyslogOutput
from tsauditd.errors import BadConfiguration
from tsauditd.event import send_datagrams
from tsauditd.sinks.queue import QueueSink
from tsauditd.sinks.syslog import SyslogWriter

PATIENCE_S = 60.0


def line(number: int, more: str = "") -> bytes:
    event = {"@timestamp": "2024-05-01T10:30:00.123Z", "event": {"id": f"1.2:{number}", "outcome": "success"}}
    return json.dumps({**event, "more": more}, separators=(",", ":")).encode() + b"\n"


def server(kind: socket.SocketKind = socket.SOCK_STREAM) -> tuple[socket.socket, int]:
    made = socket.socket(socket.AF_INET, kind)
    made.settimeout(PATIENCE_S)
    made.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made, made.getsockname()[1]


def counted(stream: socket.socket, messages: int) -> list[bytes]:
    """So many messages of a stream, by their counted octets."""
    stream.settimeout(PATIENCE_S)
    found: list[bytes] = []
    got = b""
    while len(found) < messages:
        head, blank, rest = got.partition(b" ")
        if blank and len(rest) >= int(head):
            found.append(rest[: int(head)])
            got = rest[int(head) :]
        else:
            part = stream.recv(1 << 16)
            assert part, "the stream has ended"
            got += part
    assert got == b""
    return found


def test_udp_one_datagram_each() -> None:
    collector, port = server(socket.SOCK_DGRAM)
    writer = SyslogWriter(SyslogOutput(address=f"udp://127.0.0.1:{port}", facility="local3"))
    assert writer.write(line(1) + line(2), 0) == len(line(1) + line(2))
    for number in (1, 2):
        head, _, message = collector.recv(1 << 16).partition(b"] ")
        assert head.startswith(b"<158>1 2024-05-01T10:30:00.123Z ")
        assert head.endswith(f'[tsauditd@32473 id="1.2:{number}" outcome="success"'.encode())
        assert message + b"\n" == line(number)
    writer.close()
    collector.close()


def test_the_local_socket_gets_its_own_form(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        writer = SyslogWriter(SyslogOutput(address=f"unix:{tmp_path}/log"))
        writer.write(line(1), 0)
        head, _, message = log.recv(1 << 16).partition(b": ")
        assert head.startswith(b"<86>")
        assert b" tsauditd[" in head
        assert message + b"\n" == line(1)
        writer.close()


def test_tcp_and_what_was_sent_last_again_after_a_break() -> None:
    collector, port = server()
    writer = SyslogWriter(SyslogOutput(address=f"tcp://127.0.0.1:{port}", resend_bytes=len(line(1)) + 1))
    for number in (1, 2, 3):
        writer.write(line(number), 0)
    first = collector.accept()[0]
    assert [one.rpartition(b"] ")[2] + b"\n" for one in counted(first, 3)] == [line(n) for n in (1, 2, 3)]
    first.close()

    def until_it_is_noticed() -> None:
        while True:
            writer.tick()

    with pytest.raises(ConnectionResetError):
        until_it_is_noticed()
    writer.write(line(4), 0)
    again = collector.accept()[0]
    assert [one.rpartition(b"] ")[2] + b"\n" for one in counted(again, 3)] == [line(n) for n in (2, 3, 4)]
    again.close()
    writer.close()
    collector.close()


def test_what_is_perhaps_lost_with_a_connection_is_counted() -> None:
    collector, port = server()
    writer = SyslogWriter(SyslogOutput(address=f"tcp://127.0.0.1:{port}", resend_bytes=0))
    for number in range(100):
        writer.write(line(number), 0)
    stream = collector.accept()[0]
    read = stream.recv(4000).count(b"@timestamp")
    stream.close()

    def until_it_is_noticed() -> None:
        while True:
            writer.tick()

    with pytest.raises(ConnectionResetError):
        until_it_is_noticed()
    assert 100 - read <= writer.uncertain <= 100
    writer.close()
    collector.close()


def test_a_collector_that_takes_nothing_is_left_when_nobody_wants_it_any_more() -> None:
    collector, port = server()
    writer = SyslogWriter(SyslogOutput(address=f"tcp://127.0.0.1:{port}"))
    sink = QueueSink(writer, 64 << 20)
    for _ in range(40):
        sink.write(line(0, "x" * 1000) * 1000)
    stream = collector.accept()[0]
    sink.close(0.1)
    got = 0
    stream.settimeout(PATIENCE_S)
    with contextlib.suppress(ConnectionResetError):
        while part := stream.recv(1 << 20):
            got += part.count(b"@timestamp")
    stream.close()
    assert got < 40_000, "it was closed before all was taken"
    assert sink.health().dropped > 0
    collector.close()


def test_a_local_socket_that_nobody_reads_is_left_when_nobody_wants_it_any_more(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        sink = QueueSink(SyslogWriter(SyslogOutput(address=f"unix:{tmp_path}/log")), 1 << 20)
        sink.write(b"".join(line(number) for number in range(1000)))
        writers = [thread for thread in threading.enumerate() if thread.name == f"sink {sink.name}"]
        assert select.select([log], [], [], PATIENCE_S)[0]
        sink.close(0.1)
        for thread in writers:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        got = []
        while select.select([log], [], [], 0)[0]:
            got.append(log.recv(1 << 16).partition(b": ")[2] + b"\n")
        assert got == [line(number) for number in range(len(got))]
        assert 0 < len(got) < 1000
        assert sink.health().dropped == 1000


def test_datagrams_go_in_order_until_there_is_no_room() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.setblocking(False)
        messages, ends = b"a" + b"bb" * 1000, [1, *range(3, 2002, 2)]
        sent, error = send_datagrams(one.fileno(), messages, ends, 0)
        assert error == errno.EAGAIN
        assert 1 < sent < len(ends)
        assert [other.recv(9) for _ in range(sent)] == [b"a", *[b"bb"] * (sent - 1)]
        assert send_datagrams(one.fileno(), messages, ends, len(ends) - 1) == (1, 0)
        assert send_datagrams(one.fileno(), messages, ends, len(ends)) == (0, 0)
        for wrong in ([1, 5000], [3, 2]):
            with pytest.raises(ValueError, match="ends"):
                send_datagrams(one.fileno(), messages, wrong, 1)
        other.close()
        assert send_datagrams(one.fileno(), messages, ends, 0) == (0, errno.ECONNREFUSED)
    assert send_datagrams(-1, b"x", [1], 0) == (0, errno.EBADF)


def test_an_end_in_good_order_leaves_nothing_behind() -> None:
    collector, port = server()
    writer = SyslogWriter(SyslogOutput(address=f"tcp://127.0.0.1:{port}"))
    writer.write(line(1), 0)
    stream = collector.accept()[0]
    stream.send(b"something that nobody reads")
    thread = threading.Thread(target=writer.close)
    thread.start()
    assert len(counted(stream, 1)) == 1
    assert stream.recv(1) == b""
    stream.close()
    thread.join(PATIENCE_S)
    collector.close()


def test_a_collector_that_is_not_there_is_told() -> None:
    collector, port = server()
    collector.close()
    writer = SyslogWriter(SyslogOutput(address=f"tcp://127.0.0.1:{port}"))
    with pytest.raises(ConnectionRefusedError):
        writer.write(line(1), 0)
    writer.close()


def test_a_message_that_is_too_long_stays_json() -> None:
    collector, port = server(socket.SOCK_DGRAM)
    writer = SyslogWriter(SyslogOutput(address=f"udp://127.0.0.1:{port}"))
    long = line(1, "x" * 70_000)
    writer.write(long, 0)
    message = json.loads(collector.recv(1 << 17).partition(b"] ")[2])
    assert message["event"]["id"] == "1.2:1"
    assert message["tsauditd"] == {"cut_bytes": len(long) - 1}
    assert writer.cut == 1
    writer.close()
    collector.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("certificates")
    make_certificates(where)
    return where


def tls_server(certificates: Path) -> tuple[ssl.SSLSocket, int]:
    plain, port = server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), port


def accept(collector: ssl.SSLSocket, got: list[bytes]) -> None:
    stream, _ = collector.accept()
    with stream:
        stream.settimeout(PATIENCE_S)
        try:
            stream.do_handshake()
            got += counted(stream, 1)
        except OSError:
            got.append(b"refused")


@pytest.mark.parametrize(
    ("ca", "name", "arrives"),
    [
        ("ca.pem", "collector.example", True),
        ("ca.pem", "another.example", False),
        ("", "collector.example", False),
    ],
)
def test_tls_checks_the_certificate(certificates: Path, ca: str, name: str, arrives: bool) -> None:
    collector, port = tls_server(certificates)
    got: list[bytes] = []
    thread = threading.Thread(target=accept, args=(collector, got))
    thread.start()
    authority = str(certificates / ca) if ca else ""
    writer = SyslogWriter(
        SyslogOutput(address=f"tls://127.0.0.1:{port}", ca_file=authority, server_name=name)
    )
    if arrives:
        writer.write(line(1), 0)
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            writer.write(line(1), 0)
    thread.join(PATIENCE_S)
    writer.close()
    collector.close()
    assert got[0].endswith(line(1).rstrip()) if arrives else got == [b"refused"]


def test_a_certificate_that_cannot_be_read_is_told(certificates: Path) -> None:
    with pytest.raises(
        BadConfiguration, match="certificates"
    ):  # and no terminal is asked for the pass phrase
        SyslogWriter(
            SyslogOutput(
                address="tls://127.0.0.1:1",
                certificate_file=str(certificates / "sender.crt"),
                key_file=str(certificates / "locked.key"),
            )
        )
    with pytest.raises(BadConfiguration, match=r"certificates \(/missing\): No such file"):
        SyslogWriter(SyslogOutput(address="tls://127.0.0.1:1", ca_file="/missing"))
    for name in (".example", "two..dots", "x" * 64):
        with pytest.raises(BadConfiguration, match="is not the name of a host"):
            SyslogWriter(SyslogOutput(address="tls://127.0.0.1:1", server_name=name))
    with pytest.raises(BadConfiguration, match="0 is not a port"):
        SyslogWriter(SyslogOutput(address="udp://127.0.0.1:0"))
