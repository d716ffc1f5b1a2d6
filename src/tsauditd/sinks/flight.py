"""What was sent to a collector and may not have been read there: kept to be sent again, or at least counted."""

import fcntl
import socket
import struct
import sys
import termios
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tsauditd.sinks.packed import PIECE_BYTES, Packed, packed

_CHUNK = 64 << 10
"""Bytes of what is only counted that share one entry."""

_OPTIONS_AT = 5
"""Where struct tcp_info has tcpi_options, and behind it tcpi_snd_wscale in four bits (linux/tcp.h)."""

_SCALED = 4
"""TCPI_OPT_WSCALE: the reader's end scales its windows."""

_LARGEST_WINDOW = 65_535
"""Bytes, before they are scaled (RFC 7323, 2.2)."""


@dataclass(slots=True)
class _Sent:
    size: int
    """Bytes as they went over the connection."""

    messages: int


class Flight:
    """The last `resend_bytes` that were sent, and how many messages before those may still be on their way.

    Bounds: `resend_bytes`, which are kept compressed, and one batch or piece more; entries of 64 KiB for what both
    ends' socket buffers can hold.
    """

    def __init__(self, resend_bytes: int) -> None:
        self._limit = resend_bytes
        self._packed: deque[tuple[Packed, _Sent]] = deque()
        self._loose: deque[tuple[bytes, _Sent]] = deque()
        self._loose_lines = 0
        self._kept_lines = 0
        self._kept_size = 0
        self._counted: deque[_Sent] = deque()
        self._counted_size = 0

    @property
    def keeps(self) -> bool:
        """Whether there is anything to send again."""
        return self._kept_lines > 0

    def kept(self) -> Iterator[bytes]:
        """The lines to send again after a break, in order."""
        for piece, _ in self._packed:
            yield piece.lines()
        for lines, _ in self._loose:
            yield lines

    def sent(self, lines: bytes, size: int, messages: int, under_way: int) -> None:
        """Takes note of a batch. size: its bytes on the connection. under_way: bytes that may be unread there now."""
        self._loose.append((lines, _Sent(size, messages)))
        self._loose_lines += len(lines)
        self._kept_lines += len(lines)
        self._kept_size += size
        while self._kept_lines and self._kept_lines - self._oldest() >= self._limit:
            self._let_go()
        if self._loose_lines >= PIECE_BYTES:
            self._pack()
        self._forget(under_way)

    def _pack(self) -> None:
        what = _Sent(sum(each.size for _, each in self._loose), sum(each.messages for _, each in self._loose))
        self._packed.append((packed([lines for lines, _ in self._loose]), what))
        self._loose.clear()
        self._loose_lines = 0

    def _oldest(self) -> int:
        """Bytes of the oldest lines that are kept."""
        return self._packed[0][0].size if self._packed else len(self._loose[0][0])

    def _let_go(self) -> None:
        """Only counts the oldest lines from now on."""
        self._kept_lines -= self._oldest()
        if self._packed:
            _, what = self._packed.popleft()
        else:
            lines, what = self._loose.popleft()
            self._loose_lines -= len(lines)
        self._kept_size -= what.size
        self._counted_size += what.size
        if self._counted and self._counted[-1].size + what.size <= _CHUNK:
            self._counted[-1].size += what.size
            self._counted[-1].messages += what.messages
        else:
            self._counted.append(what)

    def broken(self, under_way: int) -> int:
        """The connection broke: how many messages are at most lost that are not kept."""
        self._forget(under_way)
        lost = sum(each.messages for each in self._counted)
        self._counted.clear()
        self._counted_size = 0
        return lost

    def _forget(self, under_way: int) -> None:
        """Lets go of what has been read by now."""
        while self._counted and self._kept_size + self._counted_size - self._counted[0].size >= under_way:
            self._counted_size -= self._counted.popleft().size
        if self._counted and self._kept_size >= under_way:
            self._counted.clear()
            self._counted_size = 0


class UnderWay:
    """How many bytes sent over a socket its reader may not have read: what the kernels' buffers hold."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._stream = line.type == socket.SOCK_STREAM
        self._closed = False
        self._room = self._largest_room() if self._stream else 0

    def closed(self) -> None:
        """Notes that the reader's end has closed the stream: what it acknowledged has then been read.

        An end that closes with something unread, or is told more afterwards, resets the connection instead
        (RFC 1122, 4.2.2.13; tcp_close, net/ipv4/tcp.c), also when its process is killed.
        """
        self._closed = True

    def bytes(self) -> int:
        """For a stream what is not acknowledged, and as much as the reader's buffer can have room for.

        For datagrams to a local socket what the sender's buffer may hold, which is charged until they are read
        (unix(7)).
        """
        if not self._stream:
            return self._line.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        unacknowledged = struct.unpack("i", fcntl.ioctl(self._line.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        return int(unacknowledged) + (0 if self._closed else self._room)

    def _largest_room(self) -> int:
        """The largest window that the reader's end can ever offer.

        It chose the scale by the largest buffer that it will have (tcp_select_initial_window, net/ipv4/tcp_output.c);
        what it offers now says less, since the buffer grows while it is being filled.
        """
        known = self._line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OPTIONS_AT + 2)
        options, scales = known[_OPTIONS_AT:]
        low = scales & 15 if sys.byteorder == "little" else scales >> 4
        return _LARGEST_WINDOW << (low if options & _SCALED else 0)
