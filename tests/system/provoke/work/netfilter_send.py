"""One packet of each kind that netfilter.sh has an AUDIT target for."""

import contextlib
import socket

for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", (address, 9))
    with socket.socket(family) as client, contextlib.suppress(OSError):
        client.connect((address, 9))
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
    raw.sendto(b"\x08\x00\xf7\xfe\x00\x01\x00\x00", ("127.0.0.1", 0))
