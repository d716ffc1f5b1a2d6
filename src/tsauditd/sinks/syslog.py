"""A syslog collector: the local socket, UDP, TCP (RFC 6587) or TLS (RFC 5425)."""

import contextlib
import errno
import os
import select
import socket
import ssl
import struct
import time

from tsauditd.config import SyslogOutput
from tsauditd.config.model import FACILITIES
from tsauditd.errors import BadConfiguration
from tsauditd.event import Lines, SyslogFormat, send_datagrams
from tsauditd.sinks.flight import Flight, UnderWay

_LONGEST = {"unix": 65_536, "udp": 65_507, "tcp": 1 << 20, "tls": 1 << 20}
"""Bytes of a message: what the transport takes, and for streams what a collector can be set to."""

_CONNECT_SECONDS = 10.0

_DEAD_SECONDS = 60
"""How long a peer that acknowledges nothing, or takes nothing, is believed in (tcp(7), TCP_USER_TIMEOUT)."""

_SLICE_SECONDS = 0.5
"""How long one call waits for a peer that takes nothing, before it is looked whether anybody still wants it."""

_SLICE = struct.pack("ll", 0, int(_SLICE_SECONDS * 1e6))
"""The same as socket(7) takes it."""

_LOOK_SECONDS, _REST_SECONDS = 2.0, 10.0
"""How often it is looked, while there is nothing to say, whether a stream's other end is there, and what the
host is called."""

_PIECE = 1 << 20
"""Bytes given to the kernel at once."""

_FAREWELL_SECONDS = 1.0
"""How long the peer gets at the end to read all and to close its side."""


class SyslogWriter:
    """Sends each line as a message, in the thread of a QueueSink; connects again when the connection breaks.

    Nothing in syslog says what arrived. So after a broken connection the last `resend_bytes` are sent again: what was
    on its way is then there, and what had arrived is there twice, with the same event.id.
    """

    pause = 0.5
    backs_off = True
    gathers = 0
    packs = True
    state: str | None = None

    def __init__(self, output: SyslogOutput) -> None:
        """Raises BadConfiguration: a certificate that cannot be read, a port that is none."""
        self.name = output.address
        self._output = output
        self._kind, _, self._place = output.address.replace("unix:", "unix://", 1).partition("://")
        self._socket: socket.socket | None = None
        self._under_way: UnderWay | None = None
        self._flight = Flight(output.resend_bytes)
        self.cut = 0
        """Messages that were too long."""
        self.uncertain = 0
        """At most so many messages went down with a connection and were not sent again."""
        self._resend = False
        self._abandoned = False
        self._context = _context(output) if self._kind == "tls" else None
        if self._kind != "unix":
            host, _, port = self._place.rpartition(":")
            self._address = (host.strip("[]"), int(port))
            if not 0 < int(port) < 65_536:
                message = f"{output.address}: {port} is not a port"
                raise BadConfiguration(message)
            for name in (self._address[0], output.server_name):
                _check_name(output.address, name)
        self._format = self._new_format()

    def write(self, lines: Lines, start: int) -> int:
        """See Writer: all or nothing. What fails is sent again, and may then be there twice."""
        try:
            self._connected()
            part = bytes(lines[start:] if start else lines)
            size, messages, cut = self._send(part)
        except OSError as error:
            self._lose()
            if isinstance(error, BrokenPipeError):  # not for good
                raise ConnectionResetError(error.errno, "the collector has closed the connection") from None
            raise
        self.cut += cut
        if self._under_way is not None:
            self._flight.sent(part, size, messages, self._under_way.bytes())
        return len(lines)

    def tick(self) -> float:
        """See Writer: notices a collector that went while there was nothing to say, and comes back to it."""
        try:
            if self._socket is not None:
                self._look()
            if self._resend:
                self._connected()
        except OSError:
            self._lose()
            raise
        self._format = self._new_format()
        return _LOOK_SECONDS if self._streams or self._resend else _REST_SECONDS

    def close(self) -> None:
        """See Writer: in good order, since to close a socket with something unread cuts off what was sent."""
        line = self._socket
        if line is not None and self._streams and not self._abandoned:
            line.settimeout(_FAREWELL_SECONDS)
            if isinstance(line, ssl.SSLSocket):
                with contextlib.suppress(OSError, ValueError):
                    line = line.unwrap()
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_WR)
                while line.recv(4096):
                    pass
            line.close()
        self._drop()

    def abandon(self) -> None:
        """See Writer."""
        self._abandoned = True

    def _new_format(self) -> SyslogFormat:
        local = self._kind == "unix"
        form = self._output.format
        old = form == "rfc3164" or (form == "auto" and local)
        return SyslogFormat(
            facility=FACILITIES.index(self._output.facility),
            old=old,
            host="" if old and local else socket.gethostname(),
            pid=os.getpid(),
            ahead=time.localtime().tm_gmtoff,
            longest=self._output.max_bytes or _LONGEST[self._kind],
            counted=self._kind in ("tcp", "tls"),
        )

    def _connected(self) -> None:
        """Connects if need be, and sends again what may not have arrived. Raises OSError."""
        if self._socket is not None:
            self._look()
            return
        self._socket = self._connect()
        if self._streams:
            self._socket.settimeout(_SLICE_SECONDS)
        self._under_way = None if self._kind == "udp" else UnderWay(self._socket)
        if self._resend:
            for part in self._flight.kept():
                self._send(part)
            self._resend = False

    @property
    def _streams(self) -> bool:
        return self._kind in ("tcp", "tls")

    def _connect(self) -> socket.socket:
        if self._kind == "unix":
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # Rather than a timeout of Python's, which asks poll(2) before each message.
            local.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SLICE)
            try:
                local.connect(self._place)
            except OSError:
                local.close()
                raise
            return local
        if self._kind == "udp":
            family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
            datagrams = socket.socket(family, kind, protocol)
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SLICE)
            datagrams.connect(address)
            return datagrams
        stream = socket.create_connection(self._address, _CONNECT_SECONDS)
        try:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_SECONDS * 1000)
            if self._context is not None:
                name = self._output.server_name or self._address[0]
                stream = self._context.wrap_socket(stream, server_hostname=name)
        except BaseException:
            stream.close()
            raise
        return stream

    def _send(self, lines: bytes) -> tuple[int, int, int]:
        """Returns the bytes of it, how many messages they are and how many of those were shortened."""
        messages, ends, cut = self._format.messages(lines)
        if self._streams:
            self._send_all(memoryview(messages))
        else:
            self._send_each(messages, ends)
        return len(messages), len(ends), cut

    def _send_each(self, messages: bytes, ends: list[int]) -> None:
        """Sends messages, however long a reader takes that is alive; raises OSError when nobody wants them any more."""
        assert self._socket is not None
        sent = 0
        while sent < len(ends):
            more, error = send_datagrams(self._socket.fileno(), messages, ends, sent)
            sent += more
            if error and (self._abandoned or error != errno.EAGAIN):
                raise OSError(error, os.strerror(error))

    def _send_all(self, what: memoryview) -> None:
        """Sends it, however long a peer takes that is alive; raises TimeoutError when nobody wants it any more."""
        assert self._socket is not None
        while what:
            try:
                what = what[self._socket.send(what[:_PIECE]) :]
            except TimeoutError as error:
                if self._abandoned or error.errno == errno.ETIMEDOUT:
                    raise

    def _look(self) -> None:
        """Raises ConnectionResetError when a stream's other end has gone, which sending would learn too late."""
        line = self._socket
        if line is None or not self._streams or not select.select([line], [], [], 0)[0]:
            return
        line.setblocking(False)
        try:
            while line.recv(4096):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            line.settimeout(_SLICE_SECONDS)
        if self._under_way is not None:
            self._under_way.closed()
        raise ConnectionResetError(errno.ECONNRESET, "the collector has closed the connection")

    def _lose(self) -> None:
        if self._under_way is not None:
            self.uncertain += self._flight.broken(self._under_way.bytes())
        self._drop()
        self._resend = self._flight.keeps

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._under_way = None


def _check_name(address: str, name: str) -> None:
    """Refuses what can be no host's name (RFC 1035, 2.3.4), which the thread would meet with ValueError."""
    try:
        good = not name.startswith(".") and "\0" not in name and name.encode("idna") is not None
    except UnicodeError:
        good = False
    if not good:
        message = f"{address}: {name} is not the name of a host"
        raise BadConfiguration(message)


def _context(output: SyslogOutput) -> ssl.SSLContext:
    """TLS 1.2 or newer, the collector's certificate checked against ours or the system's authorities."""
    try:
        context = ssl.create_default_context(cafile=output.ca_file or None)
        if output.certificate_file:
            # Without a password given, OpenSSL would ask the terminal for one.
            context.load_cert_chain(output.certificate_file, output.key_file or None, password="")
    except OSError as error:
        files = ", ".join(name for name in (output.ca_file, output.certificate_file, output.key_file) if name)
        message = f"{output.address}: certificates ({files}): {error.strerror or error}"
        raise BadConfiguration(message) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
