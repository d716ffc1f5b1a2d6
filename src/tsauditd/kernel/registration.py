"""Who receives the audit records: the one process that holds the audit pid, and listeners of the multicast group.

Rules of the kernel (audit_receive_msg in kernel/audit.c): the pid set must be the caller's own process (tgid); a
newcomer is refused with EEXIST while the holder still takes packets, and takes over from one that is gone; only
the holder may give the pid back. The kernel pings the holder with AUDIT_REPLACE, which is answered by receiving it.
"""

import errno
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from tsauditd.errors import NotPrivileged, TsauditdError
from tsauditd.kernel.netlink import (
    ANSWER_SECONDS,
    DATAGRAM_SIZE,
    Control,
    KernelRefused,
    open_socket,
    pack,
    refusal,
    unpack,
    using,
)
from tsauditd.kernel.numbers import (
    AUDIT_NLGRP_READLOG,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_DROP_MEMBERSHIP,
    NLM_F_ACK,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    SO_RCVBUFFORCE,
    SOL_NETLINK,
    Kind,
    StatusMask,
)
from tsauditd.kernel.status import status, status_payload

_REGISTER_SEQUENCE = 0x74736175
"""Of the one request that is sent on the records' own socket; kauditd numbers the records it sends 0."""

_SIGNAL_INFO = struct.Struct("=Ii")


class PidTaken(TsauditdError):
    """Another process holds the audit pid. holder_pid is 0 when it let go between the refusal and the question."""

    def __init__(self, holder_pid: int, holder_name: str | None) -> None:
        name = f" ({holder_name})" if holder_name else ""
        super().__init__(
            f"process {holder_pid}{name} receives this machine's audit records already:"
            " stop it, or read beside it with --observe"
        )
        self.holder_pid = holder_pid
        self.holder_name = holder_name


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """Who sent the registered process its last signal: login uid (or uid where there is none), pid, LSM context."""

    uid: int
    pid: int
    context: str


def process_name(pid: int, proc: Path = Path("/proc")) -> str | None:
    """The command name of a process as /proc/PID/comm has it; None when it is gone or not visible."""
    try:
        return (proc / str(pid) / "comm").read_bytes().decode("utf-8", "replace").rstrip("\n") or None
    except OSError:
        return None


def open_unicast(receive_buffer: int) -> socket.socket:
    """A socket for `register`, with room for `receive_buffer` bytes (the kernel doubles it for its bookkeeping).

    Above net.core.rmem_max where CAP_NET_ADMIN allows it. Blocking, close-on-exec, not yet bound to the records.
    Raises NoAudit.
    """
    sock = open_socket()
    try:
        set_receive_buffer(sock, receive_buffer)
        sock.bind((0, 0))
        # From here on the kernel refuses what anybody else sends (netlink_getsockbyportid, net/netlink/af_netlink.c).
        sock.connect((0, 0))
    except OSError as error:
        sock.close()
        raise TsauditdError(f"cannot set up the audit socket: {error.strerror}") from None
    return sock


def receive_buffer(sock: socket.socket) -> int:
    """How many bytes of those asked for the socket's buffer has room for: socket(7), SO_RCVBUF, tells twice that."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def open_multicast(receive_buffer: int) -> socket.socket:
    """A socket in the group AUDIT_NLGRP_READLOG, which gets a copy of each record beside the registered process.

    The kernel drops what does not fit into the buffer. Raises NoAudit, or NotPrivileged without CAP_AUDIT_READ.
    """
    sock = open_socket()
    try:
        set_receive_buffer(sock, receive_buffer)
        sock.bind((0, 1 << (AUDIT_NLGRP_READLOG - 1)))
    except OSError as error:
        sock.close()
        if error.errno == errno.EPERM:
            raise NotPrivileged(
                "joining the audit multicast group: not permitted: run as root (CAP_AUDIT_READ)"
            ) from None
        raise TsauditdError(f"joining the audit multicast group: {error.strerror}") from None
    return sock


def register(sock: socket.socket) -> list[bytes]:
    """Makes this process the receiver of all audit records, on `sock`.

    Returns the packets that came before the acknowledgement, whole datagrams in order: they are records like all
    that follow. Raises PidTaken, NotPrivileged, NoAudit or KernelRefused.
    """
    before = sock.gettimeout()
    sock.settimeout(ANSWER_SECONDS)
    early: list[bytes] = []
    try:
        payload = status_payload(StatusMask.PID, os.getpid())
        sock.sendto(pack(Kind.SET, NLM_F_REQUEST | NLM_F_ACK, _REGISTER_SEQUENCE, payload), (0, 0))
        while True:
            datagram, (port, _groups) = sock.recvfrom(DATAGRAM_SIZE)
            answer = unpack(datagram)
            if port != 0 or answer is None:
                continue
            if answer.kind == NLMSG_ERROR and answer.sequence == _REGISTER_SEQUENCE:
                break
            early.append(datagram)
    except TimeoutError:
        raise TsauditdError("claiming the audit pid: the kernel gave no answer") from None
    except OSError as error:
        raise refusal(error.errno or errno.EIO, Kind.SET) from None
    finally:
        sock.settimeout(before)
    if answer.error == -errno.EEXIST:
        holder = status().pid
        raise PidTaken(holder, process_name(holder))
    if answer.error < 0:
        raise refusal(-answer.error, Kind.SET)
    return early


def claim(sock: socket.socket) -> None:
    """Asks for the audit pid on a socket that another thread reads from: whether it came is seen in the status.

    Raises OSError.
    """
    payload = status_payload(StatusMask.PID, os.getpid())
    sock.sendto(pack(Kind.SET, NLM_F_REQUEST, _REGISTER_SEQUENCE, payload), (0, 0))


def join_multicast(sock: socket.socket) -> None:
    """Has the socket get a copy of each record that another process receives. Raises OSError without CAP_AUDIT_READ."""
    sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, AUDIT_NLGRP_READLOG)


def leave_multicast(sock: socket.socket) -> None:
    """Ends `join_multicast`. Raises OSError."""
    sock.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, AUDIT_NLGRP_READLOG)


def release(control: Control | None = None) -> None:
    """Gives the audit pid back. Harmless when nobody holds it. Raises KernelRefused when another process does."""
    with using(control) as link:
        holder = status(link).pid
        if holder == 0:
            return
        if holder != os.getpid():
            raise KernelRefused(
                f"the audit pid is not given back: process {holder} ({process_name(holder)}) holds it",
                errno.EACCES,
            )
        link.tell(Kind.SET, status_payload(StatusMask.PID, 0))


def signal_info(control: Control | None = None) -> SignalInfo:
    """Who sent this process, the registered one, its last signal. Raises KernelRefused when none was sent."""
    with using(control) as link:
        replies = link.ask(Kind.SIGNAL_INFO)
    if not replies or len(replies[0]) < _SIGNAL_INFO.size:
        raise TsauditdError("the kernel gave an empty answer to the question who sent a signal")
    uid, pid = _SIGNAL_INFO.unpack_from(replies[0])
    context = replies[0][_SIGNAL_INFO.size :].rstrip(b"\0").decode("utf-8", "replace")
    return SignalInfo(uid, pid, context)


def set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Has the socket hold so many bytes; without CAP_NET_ADMIN at most net.core.rmem_max. Raises OSError."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
