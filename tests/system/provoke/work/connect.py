"""Connections by name, by IPv4 and IPv6, refused, in progress, accepted; datagrams; UNIX sockets of each kind."""

import contextlib
import ctypes
import os
import socket
import struct
import tempfile


def tcp(family: int, address: str) -> None:
    """A connection with both ends in this process, one refused and one not waited for."""
    with socket.socket(family) as server, socket.socket(family) as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, 0))
        server.listen(1)
        client.connect(server.getsockname()[:2])
        peer, _ = server.accept()
        peer.close()
        port = server.getsockname()[1]
    with socket.socket(family) as client, contextlib.suppress(OSError):
        client.connect((address, port))
    with socket.socket(family) as client, contextlib.suppress(OSError):
        client.setblocking(False)
        client.connect((address, port))


def udp(family: int, address: str) -> None:
    """sendto, sendmsg, recvfrom and a connected datagram socket."""
    with (
        socket.socket(family, socket.SOCK_DGRAM) as server,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        server.bind((address, 0))
        client.sendto(b"one", server.getsockname()[:2])
        client.sendmsg([b"two"], [], 0, server.getsockname()[:2])
        server.recvfrom(16)
        server.recvmsg(16)
        client.connect(server.getsockname()[:2])
        client.send(b"three")


def unix(name: str | bytes) -> None:
    """One stream connection to a UNIX address."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(name)
        server.listen(1)
        client.connect(name)
        peer, _ = server.accept()
        peer.close()


def raw(address: bytes, call: str = "bind") -> None:
    """bind or connect with an address of any bytes and length, valid or not."""
    family = struct.unpack("=H", address.ljust(2, b"\0")[:2])[0]
    known = family if family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6) else socket.AF_INET
    with socket.socket(known, socket.SOCK_DGRAM) as client:
        getattr(ctypes.CDLL(None), call)(client.fileno(), address, len(address))


tcp(socket.AF_INET, "127.0.0.1")
tcp(socket.AF_INET6, "::1")
udp(socket.AF_INET, "127.0.0.1")
udp(socket.AF_INET6, "::1")
with tempfile.TemporaryDirectory(prefix="provoke-") as directory:
    for leaf in ("a.sock", "with space.sock", 'q"uote\n.sock', "é.sock"):
        unix(os.path.join(directory, leaf))
    os.chdir(directory)
    unix("relative.sock")
    raw(b"\x01\x00" + b"x" * 108)  # sun_path full: no NUL at the end
    raw(b"\x01\x00no-nul")  # ended by the length alone
    raw(b"\x01\x00early\0late")
    raw(b"\x01\x00")
    unix(b"\0provoke-abstract")
    unix(b"\0provoke\0two\xff")
    with socket.socket(socket.AF_UNIX) as autobound:
        autobound.bind("")  # the kernel chooses an abstract name; the address is the family alone
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(os.path.join(directory, "nobody-listens"))
raw(b"\x02\x00\x00\x09\x7f", "connect")  # shorter than sockaddr_in
raw(b"\x0a\x00\x00\x09" + bytes(8), "connect")  # shorter than sockaddr_in6
raw(b"\x02", "connect")
raw(b"\x00\x00" + bytes(14), "connect")  # AF_UNSPEC
raw(b"\x63\x00" + b"unheard-of", "connect")
raw(b"\x02\x00\x00\x35\x7f\x00\x00\x01" + b"\xff" * 120, "connect")  # the longest the kernel takes
with socket.socket(socket.AF_INET) as client:
    client.bind(("127.0.0.1", 0))
    with contextlib.suppress(OSError):
        client.connect(("255.255.255.255", 9))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError):
    client.connect(("fe80::1", 9, 0, 1))
with socket.socket(socket.AF_INET6) as client, contextlib.suppress(OSError):
    client.connect(("::ffff:127.0.0.1", 9))
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
    route.bind((0, 0))
    route.sendto(struct.pack("=IHHII", 16, 1, 1, 0, 0), (0, 0))
for family, kind, address in (
    (socket.AF_VSOCK, socket.SOCK_STREAM, (1, 12345)),
    (socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0x0800)),
    (socket.AF_ALG, socket.SOCK_SEQPACKET, ("hash", "sha256")),
    (socket.AF_CAN, socket.SOCK_RAW, ("lo",)),
    (socket.AF_TIPC, socket.SOCK_SEQPACKET, (1, 0, 18888, 0, 0)),
    (socket.AF_BLUETOOTH, socket.SOCK_STREAM, ("00:00:00:00:00:00", 1)),
):
    with contextlib.suppress(OSError), socket.socket(family, kind) as other, contextlib.suppress(OSError):
        other.bind(address)
