"""Control messages of the kernel's audit subsystem, over a plain netlink socket.

The daemon uses this one: importing pyroute2 takes some 85 ms and 24 MB (13 MB where asyncio is loaded anyway), this
module 5 ms and 2 MB. `pyroute.AuditNetlink` offers the same face for the commands.

A request whose answer is a reply goes out without NLM_F_ACK, so that the reply is the only thing that comes back;
one that only changes something asks for the acknowledgement (an NLMSG_ERROR that holds 0 or -errno).
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from tsauditd.errors import NoAudit, NotPrivileged, TsauditdError
from tsauditd.kernel.numbers import (
    NETLINK_AUDIT,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    PURPOSES,
    Kind,
)

HEADER = struct.Struct("=IHHII")
ERROR = struct.Struct("=i")
DATAGRAM_SIZE = 65536
"""Longer than any audit message: AUDIT_MESSAGE_TEXT_MAX is 8,560 bytes, a rule is 1,040 and its strings."""

MANY_REPLIES = frozenset({Kind.LIST_RULES})
"""Requests that are answered with any number of replies and an NLMSG_DONE (audit_list_rules_send)."""

ANSWER_SECONDS = 10.0
"""The kernel answers while it handles the request; ten seconds without an answer is a fault, not load."""


class KernelRefused(TsauditdError):
    """The kernel answered a control message with an error; `number` is its errno."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


def refusal(number: int, kind: int) -> TsauditdError:
    """The error to raise for the errno `number` that a message of type `kind` was answered with."""
    purpose = PURPOSES.get(kind, f"audit message {kind}")
    if number in (errno.EPERM, errno.EACCES):
        return NotPrivileged(
            f"{purpose}: not permitted: run as root in the host's own pid and user namespace (CAP_AUDIT_CONTROL)"
        )
    if number in (errno.ECONNREFUSED, errno.EPROTONOSUPPORT):
        return NoAudit(
            f"{purpose}: no audit subsystem answers here: the kernel has none, it was started with audit=off,"
            " or this is a container's user namespace"
        )
    return KernelRefused(f"{purpose}: the kernel refused: {os.strerror(number)}", number)


@dataclass(frozen=True, slots=True)
class Answer:
    """One control message that came from the kernel."""

    kind: int
    sequence: int
    payload: bytes

    @property
    def error(self) -> int:
        """The number that an NLMSG_ERROR holds: 0 for an acknowledgement, -errno, or a value above 0 (LOST reset)."""
        return int(ERROR.unpack_from(self.payload)[0])


def pack(kind: int, flags: int, sequence: int, payload: bytes = b"") -> bytes:
    """A netlink message as it is sent: header and payload. Port 0 lets the kernel fill in the sender's."""
    return HEADER.pack(HEADER.size + len(payload), kind, flags, sequence, 0) + payload


def unpack(datagram: bytes) -> Answer | None:
    """The message in a datagram from the kernel, or None when it is shorter than its header.

    The size received counts: the kernel's unicast audit records carry the payload's length in nlmsg_len (kauditd in
    kernel/audit.c does not count the header), so that nlmsg_len only ever shortens a reply by its padding.
    """
    if len(datagram) < HEADER.size:
        return None
    length, kind, _flags, sequence, _port = HEADER.unpack_from(datagram)
    padding = len(datagram) - length
    payload = datagram[HEADER.size : length] if 0 <= padding < 4 else datagram[HEADER.size :]
    if kind == NLMSG_ERROR and len(payload) < ERROR.size:
        return None
    return Answer(kind, sequence, payload)


class Control(Protocol):
    """A way to speak with the kernel's audit subsystem."""

    def ask(self, kind: int, payload: bytes = b"") -> list[bytes]:
        """Sends a request and returns the payloads of its replies. Raises TsauditdError."""

    def tell(self, kind: int, payload: bytes = b"") -> int:
        """Sends a change, waits for its acknowledgement and returns the number in it. Raises TsauditdError."""


def open_socket() -> socket.socket:
    """A netlink socket of the audit family, close-on-exec. Raises NoAudit when the kernel has none."""
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_AUDIT)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            raise NoAudit("this kernel has no audit subsystem (CONFIG_AUDIT)") from None
        raise TsauditdError(f"cannot open an audit socket: {error.strerror}") from None


class ControlSocket:
    """`Control` over a socket of its own. A context manager."""

    def __init__(self) -> None:
        self._sequence = 0
        self._socket = open_socket()
        self._socket.settimeout(ANSWER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def ask(self, kind: int, payload: bytes = b"") -> list[bytes]:
        """See Control."""
        self._send(kind, NLM_F_REQUEST, payload)
        replies: list[bytes] = []
        while True:
            answer = self._receive(kind)
            if answer.kind == NLMSG_ERROR and answer.error < 0:
                raise refusal(-answer.error, kind)
            if answer.kind == NLMSG_DONE:
                return replies
            if answer.kind == kind:
                replies.append(answer.payload)
                if kind not in MANY_REPLIES:
                    return replies

    def tell(self, kind: int, payload: bytes = b"") -> int:
        """See Control."""
        self._send(kind, NLM_F_REQUEST | NLM_F_ACK, payload)
        while True:
            answer = self._receive(kind)
            if answer.kind == NLMSG_ERROR:
                if answer.error < 0:
                    raise refusal(-answer.error, kind)
                return answer.error

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self._sequence += 1
        try:
            self._socket.sendto(pack(kind, flags, self._sequence, payload), (0, 0))
        except OSError as error:
            raise refusal(error.errno or errno.EIO, kind) from None

    def _receive(self, kind: int) -> Answer:
        """The next message that answers the last request."""
        while True:
            try:
                datagram, (port, _groups) = self._socket.recvfrom(DATAGRAM_SIZE)
            except TimeoutError:
                purpose = PURPOSES.get(kind, f"audit message {kind}")
                raise TsauditdError(
                    f"{purpose}: the kernel gave no answer in {ANSWER_SECONDS:.0f} s"
                ) from None
            except OSError as error:
                raise refusal(error.errno or errno.EIO, kind) from None
            answer = unpack(datagram)
            # Port 0 is the kernel; another process may send to any netlink port.
            if port == 0 and answer is not None and answer.sequence == self._sequence:
                return answer


@contextmanager
def using(control: Control | None) -> Iterator[Control]:
    """`control` itself, or a ControlSocket for as long as the block runs when it is None."""
    if control is not None:
        yield control
        return
    with ControlSocket() as own:
        yield own
