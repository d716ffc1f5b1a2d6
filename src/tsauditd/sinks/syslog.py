"""A syslog collector: the local socket, UDP, TCP (RFC 6587) or TLS (RFC 5425)."""

import os
import select
import socket
import ssl
import time
from collections import deque

from tsauditd.config import SyslogOutput
from tsauditd.config.model import FACILITIES
from tsauditd.errors import BadConfiguration
from tsauditd.event import SyslogFormat

_LONGEST = {"unix": 65_536, "udp": 65_507, "tcp": 1 << 20, "tls": 1 << 20}
"""Bytes of a message: what the transport takes, and for streams what a collector can be set to."""

_CONNECT_SECONDS = 10.0

_DEAD_SECONDS = 60
"""How long a peer that acknowledges nothing is believed in (tcp(7), TCP_USER_TIMEOUT)."""


class SyslogWriter:
    """Sends each line as a message, in the thread of a QueueSink; connects again when the connection breaks.

    Nothing in syslog says what arrived. So after a broken connection the last `resend_bytes` are sent again: what was
    on its way is then there, and what had arrived is there twice, with the same event.id.
    """

    pause = 0.5
    backs_off = True
    state: str | None = None

    def __init__(self, output: SyslogOutput) -> None:
        """Raises BadConfiguration: a certificate that cannot be read, a port that is none."""
        self.name = output.address
        self._output = output
        self._kind, _, self._place = output.address.replace("unix:", "unix://", 1).partition("://")
        self._socket: socket.socket | None = None
        self._sent: deque[bytes] = deque()
        self._sent_bytes = 0
        self.cut = 0
        """Messages that were too long."""
        self._resend = False
        self._context = _context(output) if self._kind == "tls" else None
        if self._kind != "unix":
            host, _, port = self._place.rpartition(":")
            self._address = (host.strip("[]"), int(port))
            if not 0 < int(port) < 65_536:
                message = f"{output.address}: {port} is not a port"
                raise BadConfiguration(message)
        self._format = self._new_format()

    def write(self, lines: bytes, start: int) -> int:
        """See Writer: all or nothing. What fails is sent again, and may then be there twice."""
        try:
            self._connected()
            part = lines[start:] if start else lines
            self._send(part)
        except OSError as error:
            self._lose()
            if isinstance(error, BrokenPipeError):  # not for good
                raise ConnectionResetError(error.errno, "the collector has closed the connection") from None
            raise
        self._sent.append(part)
        self._sent_bytes += len(part)
        while self._sent and self._sent_bytes - len(self._sent[0]) >= self._output.resend_bytes:
            self._sent_bytes -= len(self._sent.popleft())
        return len(lines)

    def tick(self) -> None:
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

    def close(self) -> None:
        """See Writer."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

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
        if self._resend:
            for part in self._sent:
                self._send(part)
            self._resend = False

    def _connect(self) -> socket.socket:
        if self._kind == "unix":
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                local.connect(self._place)
            except OSError:
                local.close()
                raise
            return local
        if self._kind == "udp":
            family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
            datagrams = socket.socket(family, kind, protocol)
            datagrams.connect(address)
            return datagrams
        stream = socket.create_connection(self._address, _CONNECT_SECONDS)
        try:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_SECONDS * 1000)
            if self._context is not None:
                name = self._output.server_name or self._address[0]
                stream = self._context.wrap_socket(stream, server_hostname=name)
            stream.settimeout(None)
        except BaseException:
            stream.close()
            raise
        return stream

    def _send(self, lines: bytes) -> None:
        assert self._socket is not None
        messages, ends, cut = self._format.messages(lines)
        self.cut += cut
        if self._kind in ("tcp", "tls"):
            self._socket.sendall(messages)
            return
        start, view = 0, memoryview(messages)
        for end in ends:
            self._socket.send(view[start:end])
            start = end

    def _look(self) -> None:
        """Raises ConnectionResetError when a stream's other end has gone, which sending would learn too late."""
        line = self._socket
        if line is None or self._kind not in ("tcp", "tls") or not select.select([line], [], [], 0)[0]:
            return
        line.setblocking(False)
        try:
            while line.recv(4096):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            line.setblocking(True)
        raise ConnectionResetError(104, "the collector has closed the connection")

    def _lose(self) -> None:
        self.close()
        self._resend = self._kind != "udp" and bool(self._sent)


def _context(output: SyslogOutput) -> ssl.SSLContext:
    """TLS 1.2 or newer, the collector's certificate checked against ours or the system's authorities."""
    try:
        context = ssl.create_default_context(cafile=output.ca_file or None)
        if output.certificate_file:
            context.load_cert_chain(output.certificate_file, output.key_file or None)
    except OSError as error:
        files = ", ".join(name for name in (output.ca_file, output.certificate_file, output.key_file) if name)
        message = f"{output.address}: certificates ({files}): {error.strerror or error}"
        raise BadConfiguration(message) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
