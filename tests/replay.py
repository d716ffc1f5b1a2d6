"""Stored packets, sent again: what a test of the listener needs instead of the kernel. No root needed."""

import contextlib
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator

from tsauditd.event import Listener

SYSCALL, PATH, CWD, EOE, PROCTITLE = 1300, 1302, 1307, 1320, 1327

# Far more than anything here takes; it is reached only when something hangs.
PATIENCE_S = 60.0


def packet(kind: int, text: str) -> bytes:
    """A datagram as the kernel sends it to the registered daemon: nlmsg_len is the length of the payload alone."""
    payload = text.encode()
    return struct.pack("=IHHII", len(payload), kind, 0, 0, 0) + payload


def event(serial: int, name: str = "/etc/hostname") -> list[bytes]:
    """The packets of an audited open(2), which give one event."""
    stamp = f"audit(1700000000.{serial % 1000:03d}:{serial}):"
    return [
        packet(
            SYSCALL,
            f"{stamp} arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=55d0c8a9a004 a2=0 a3=0 items=1 "
            "ppid=100 pid=101 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) "
            'ses=4294967295 comm="cat" exe="/usr/bin/cat" key="opened"',
        ),
        packet(CWD, f'{stamp} cwd="/root"'),
        packet(
            PATH,
            f'{stamp} item=0 name="{name}" inode=12 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 '
            "nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0",
        ),
        packet(PROCTITLE, f"{stamp} proctitle=636174002F6574632F686F73746E616D65"),
        packet(EOE, f"{stamp} "),
    ]


def events(serials: Iterable[int]) -> list[bytes]:
    """The packets of several events, in order."""
    return [each for serial in serials for each in event(serial)]


@contextlib.contextmanager
def socket_pair(
    kind: socket.SocketKind = socket.SOCK_SEQPACKET,
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A sender and the socket that gives the listener what it sends."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, kind)
    with sender, receiver:
        yield sender, receiver


@contextlib.contextmanager
def sending(sender: socket.socket, packets: Iterable[bytes]) -> Iterator[None]:
    """Sends from another thread: a full socket makes the sender wait, as it makes the kernel wait."""

    def send() -> None:
        for each in packets:
            sender.send(each)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def is_ready(listener: Listener) -> bool:
    """Whether the event loop would be woken now."""
    return bool(select.select([listener.fileno()], [], [], 0)[0])


def wait_ready(listener: Listener) -> None:
    """Sleeps until there is something to take."""
    assert select.select([listener.fileno()], [], [], PATIENCE_S)[0]


def take_lines(listener: Listener, count: int) -> list[bytes]:
    """Takes until at least `count` lines came."""
    taken = b""
    while taken.count(b"\n") < count:
        wait_ready(listener)
        taken += listener.take()
    return taken.splitlines()


def threads(name: str, pid: int | None = None) -> list[int]:
    """A process's threads of that name, this one's by default; they are not Python's, so that only /proc has them."""
    found = []
    tasks = f"/proc/{pid or os.getpid()}/task"
    for task in os.listdir(tasks):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"{tasks}/{task}/comm") as comm:
            if comm.read().strip() == name:
                found.append(int(task))
    return found


def serials(lines: list[bytes]) -> list[int]:
    """The events' serials."""
    return [json.loads(line)["event"]["sequence"] for line in lines]


def wait_for(listener: Listener, count: str, value: int) -> None:
    """Sleeps until a counter is at least `value`."""
    end = time.monotonic() + PATIENCE_S
    while listener.counters()[count] < value:
        assert time.monotonic() < end, f"{count} stays at {listener.counters()[count]}"
        time.sleep(0.001)
