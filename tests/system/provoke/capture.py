#!/usr/bin/env python3
"""Record what the kernel's audit says while one command runs.

What is recorded is not tsauditd's to read: Python's standard library, Debian's `auditctl` and `libaudit.so.1` do it.
Of this project it takes the audit lock, which finds and leaves the kernel's audit as it has to be; themes.py puts that
beside it.

    export PYTHONPATH=src:benchmarks
    capture.py --name exec --rule '-a always,exit -F arch=b64 -S execve -F auid=4242' --auid 4242 -- /bin/ls /

The order matters: take the lock, by which audit is at rest, register as the audit daemon, load the rules while
audit is still off (so that they leave no CONFIG_CHANGE), enable audit, only then start the command (a process born
before audit was ever enabled has no audit context and is never audited), then send a USER message with a random
marker and read until it comes back: everything queued before it has been received. Then all is put back.

Writes DIR/NAME.log, the lines auditd would write with log_format=RAW but with the EOE lines left in, and
DIR/NAME.packets, every datagram as received (u32 little-endian length, then header and payload).
The kernel writes the payload's length into nlmsg_len of unicast records (kernel/audit.c,
audit_log_end), so the received size is the only one to trust.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import gzip
import os
import secrets
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit_lock import audit_at_rest

from tsauditd.errors import TsauditdError

NETLINK_AUDIT = 9
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
# include/uapi/linux/audit.h
AUDIT_GET, AUDIT_SET, AUDIT_USER = 1000, 1001, 1005
FIRST_RECORD, AUDIT_REPLACE = 1006, 1329
STATUS_ENABLED, STATUS_FAILURE, STATUS_PID, STATUS_BACKLOG_LIMIT = 1, 2, 4, 16
STATUS = struct.Struct(
    "=11I"
)  # mask enabled failure pid rate_limit backlog_limit lost backlog features wait actual
HEADER = struct.Struct("=IHHII")
LOCK_SECONDS = 600.0
BACKLOG = 32768
RECEIVE_BUFFER = 64 << 20


class CaptureError(Exception):
    """What went wrong, in one line for the user."""


@dataclass
class Status:
    """The part of struct audit_status that a capture waits for or tells."""

    pid: int
    lost: int


class Control:
    """One NETLINK_AUDIT socket and its numbered requests."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_AUDIT)
        self.sock.bind((0, 0))
        self._sequence = 0

    def send(self, kind: int, payload: bytes, flags: int = NLM_F_REQUEST | NLM_F_ACK) -> None:
        """Send one request; its answer is the caller's to read."""
        self._sequence += 1
        self.sock.send(HEADER.pack(16 + len(payload), kind, flags, self._sequence, 0) + payload)

    def acknowledged(self, kind: int, payload: bytes) -> None:
        """Send one request and wait for its acknowledgement.

        Raises CaptureError when the kernel refuses it.
        """
        self.send(kind, payload)
        while True:
            packet = self.sock.recv(16384)
            if HEADER.unpack_from(packet)[1] == NLMSG_ERROR:
                raise_for_error(packet)
                return

    def status(self) -> Status:
        """Ask for the kernel's audit status (no NLM_F_ACK: the answer is enough)."""
        self.send(AUDIT_GET, b"", NLM_F_REQUEST)
        while True:
            packet = self.sock.recv(16384)
            kind = HEADER.unpack_from(packet)[1]
            if kind == NLMSG_ERROR:
                raise_for_error(packet)
            if kind == AUDIT_GET:
                values = STATUS.unpack(packet[16 : 16 + STATUS.size].ljust(STATUS.size, b"\0"))
                return Status(pid=values[3], lost=values[6])

    def set(self, mask: int, *, enabled: int = 0, pid: int = 0, backlog_limit: int = 0) -> None:
        """Set what `mask` names and wait for the acknowledgement."""
        self.acknowledged(
            AUDIT_SET, status_bytes(mask, enabled=enabled, pid=pid, backlog_limit=backlog_limit)
        )


def status_bytes(mask: int, *, enabled: int = 0, pid: int = 0, backlog_limit: int = 0) -> bytes:
    """struct audit_status for AUDIT_SET."""
    return STATUS.pack(mask, enabled, 0, pid, 0, backlog_limit, 0, 0, 0, 0, 0)


def raise_for_error(packet: bytes) -> None:
    """Raise CaptureError if this NLMSG_ERROR packet is a refusal and not an acknowledgement."""
    (code,) = struct.unpack_from("=i", packet, 16)
    if code:
        raise CaptureError(f"the kernel refused an audit request: {os.strerror(-code)}")


@dataclass
class Recording:
    """The packets of one capture, in the order of arrival."""

    packets: list[bytes] = field(default_factory=list)
    lost: int = 0

    def types(self) -> collections.Counter[str]:
        """How many records of each type there are."""
        return collections.Counter(type_name(HEADER.unpack_from(p)[1]) for p in self.packets if is_record(p))

    def write(self, directory: Path, name: str, compress: bool = False) -> None:
        """Write NAME.log and NAME.packets, each with .gz at the end if `compress`."""
        lines = [record_line(p) for p in self.packets if is_record(p)]
        framed = (struct.pack("<I", len(p)) + p for p in self.packets)
        for kind, pieces in (("log", (line + b"\n" for line in lines)), ("packets", framed)):
            data = b"".join(pieces)
            if compress:
                (directory / f"{name}.{kind}.gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                (directory / f"{name}.{kind}").write_bytes(data)


def is_record(packet: bytes) -> bool:
    """Whether a datagram is an audit record, not an answer or the liveness ping."""
    kind = HEADER.unpack_from(packet)[1]
    return bool(kind >= FIRST_RECORD - 1 and kind != AUDIT_REPLACE and packet[16:22] == b"audit(")


def record_line(packet: bytes) -> bytes:
    """The line auditd writes: newlines become spaces, one space at the end goes."""
    text = packet[16:].rstrip(b"\0").replace(b"\n", b" ")
    if text.endswith(b" "):
        text = text[:-1]
    return b"type=%s msg=%s" % (type_name(HEADER.unpack_from(packet)[1]).encode(), text)


_libaudit = ctypes.CDLL("libaudit.so.1")
_libaudit.audit_msg_type_to_name.restype = ctypes.c_char_p


def type_name(kind: int) -> str:
    """The record type's name in Debian's libaudit, or UNKNOWN[n], as auditd writes it."""
    name = _libaudit.audit_msg_type_to_name(kind)
    return name.decode() if name else f"UNKNOWN[{kind}]"


def login(auid: int | None) -> Callable[[], None]:
    """What a new process does first to become part of `auid`'s login (None: of nobody's)."""

    def become() -> None:
        if auid is not None:
            Path("/proc/self/loginuid").write_text(str(auid), encoding="ascii")

    return become


def auditctl(*arguments: str) -> str:
    """Run auditctl; its standard output. Raises CaptureError with its complaint."""
    done = subprocess.run(["auditctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CaptureError(f"auditctl {shlex.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def record(command: Sequence[str], rules: Sequence[str], auid: int | None, timeout: float) -> Recording:
    """Run `command` under `rules` and return every packet until it ended and the queue was drained.

    For who holds the audit lock. `auid`: login user that the command starts with (None: unset). `timeout` in seconds.
    Raises CaptureError when a request or rule is refused, or the time is up.
    """
    control, events = Control(), Control()
    before = control.status()
    events.sock.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER)  # SO_RCVBUFFORCE
    recording = Recording()
    control.set(STATUS_BACKLOG_LIMIT, backlog_limit=BACKLOG)
    # From this socket: its port is where the kernel sends. The acknowledgement lands among the records.
    events.send(AUDIT_SET, status_bytes(STATUS_PID, pid=os.getpid()))
    for rule in rules:
        auditctl(*shlex.split(rule))
    control.set(STATUS_ENABLED, enabled=1)
    _drain(events, control, recording, command, auid, timeout)
    recording.lost = control.status().lost - before.lost
    return recording


def _drain(
    events: Control,
    control: Control,
    recording: Recording,
    command: Sequence[str],
    auid: int | None,
    timeout: float,
) -> None:
    """Start the command and read packets until the marker sent after its end comes back."""
    marker = f"marker-{secrets.token_hex(8)}".encode()
    deadline = time.monotonic() + timeout
    starting = subprocess.Popen(list(command), preexec_fn=login(auid), stdin=subprocess.DEVNULL)  # noqa: PLW1509
    with starting as child:
        pidfd = os.pidfd_open(child.pid)
        waiting = [events.sock.fileno(), pidfd]
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                child.kill()
                raise CaptureError(f"the command did not end within {timeout:g} s")
            ready = select.select(waiting, [], [], left)[0]
            if pidfd in ready:
                waiting.remove(pidfd)
                os.close(pidfd)
                control.acknowledged(
                    AUDIT_USER, marker + b"\0"
                )  # the kernel overwrites the last byte with NUL
            if events.sock.fileno() in ready:
                packet = events.sock.recv(65536)
                if marker in packet:
                    break
                recording.packets.append(packet)
    if child.returncode:
        print(f"capture: {shlex.join(command)}: exit {child.returncode}", file=sys.stderr)


def main() -> int:
    """Read the arguments, make one capture, say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--name", required=True, help="of the files written")
    parser.add_argument("--out", type=Path, default=Path("."), help="directory (default: here)")
    parser.add_argument(
        "--rule", action="append", default=[], help="auditctl arguments, may be given many times"
    )
    parser.add_argument("--auid", type=int, help="login user that the command starts with (default: unset)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds (default: 120)")
    parser.add_argument("--compress", action="store_true", help="write .gz files")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs
    try:
        with audit_at_rest(LOCK_SECONDS):
            recording = record(options.command, options.rule, options.auid, options.timeout)
    except (CaptureError, TsauditdError, OSError) as error:
        print(f"capture: {error}", file=sys.stderr)
        return 1
    recording.write(options.out, options.name, options.compress)
    told = " ".join(f"{name}={count}" for name, count in sorted(recording.types().items()))
    print(f"{options.name}: {len(recording.packets)} packets, lost {recording.lost}: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
