"""Calls on sockets of every family, one after another, and the server that answers them: test_connections_families.py.

sockets.py serve HOST4 HOST6: prints its port, and after a line what each connection's two ends were.
sockets.py call HOST4 HOST6 PORT OWN4 OWN6: waits for a line, does it all and says of each call what it was and which
ends it had; waits for a line after each bind, and for another in the end, with every socket still open.
"""

import json
import os
import socket
import sys
import threading

UNIX = "\0tsauditd-sockets"


def say(*words: object) -> None:
    print(json.dumps(words), flush=True)


def serve(host4: str, host6: str) -> None:
    seen: list[object] = []

    def accept(listener: socket.socket) -> None:
        while True:
            taken, peer = listener.accept()
            kept.append(taken)
            seen.append((peer[:2], taken.getsockname()[:2]))

    def answer(sock: socket.socket) -> None:
        while True:
            sock.sendto(b"answer", sock.recvfrom(64)[1])

    kept: list[socket.socket] = []
    streams = [socket.create_server((host4, 0))]
    port = streams[0].getsockname()[1]
    streams.append(socket.create_server((host6, port), family=socket.AF_INET6))
    datagrams = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
    datagrams[0].bind((host4, port))
    datagrams[1].bind((host6, port))
    for work, socks in ((accept, streams), (answer, datagrams)):
        for sock in socks:
            threading.Thread(target=work, args=[sock], daemon=True).start()
    say(port)
    sys.stdin.readline()
    say(*seen)


def call(host4: str, host6: str, port: int, own4: str, own6: str) -> list[socket.socket]:
    """All calls. Returns the sockets: of one that is closed nobody is told more than its records say."""
    kept: list[socket.socket] = []

    def opened(family: int, kind: int) -> socket.socket:
        kept.append(socket.socket(family, kind))
        return kept[-1]

    for what, family, host in (
        ("ipv4", socket.AF_INET, host4),
        ("ipv6", socket.AF_INET6, host6),
        ("mapped", socket.AF_INET6, f"::ffff:{host4}"),
    ):
        one = opened(family, socket.SOCK_STREAM)
        one.connect((host, port))
        say("connect", what, one.getsockname()[:2], one.getpeername()[:2])
    one = opened(socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    result = one.connect_ex((host4, port))
    say("connect", os.strerror(result), one.getsockname(), (host4, port))
    one = opened(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((host4, 53))
    say("connect", "dns", one.getsockname(), one.getpeername())
    for family, host, own in ((socket.AF_INET, host4, own4), (socket.AF_INET6, host6, own6)):
        one = opened(family, socket.SOCK_DGRAM)
        one.bind((own, 0))
        ours = one.getsockname()[:2]
        # What a new socket does within the moment until it is looked at may be another's on that descriptor.
        say("bind", "datagram", ours, None)
        sys.stdin.readline()
        one.sendto(b"ask", (host, port))
        say("sendto", "datagram", ours, (host, port))
        one.recvfrom(64)
        say("recvfrom", "datagram", (host, port), ours)
        one.sendmsg([b"ask"], [], 0, (host, port))
        say("sendmsg", "datagram", ours, (host, port))
    one = opened(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{UNIX}-{os.getpid()}")
        listener.listen()
        one.connect(f"{UNIX}-{os.getpid()}")
    say("connect", "unix", None, None)
    return kept


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3])
else:
    say(os.getpid())
    sys.stdin.readline()
    open_still = call(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], sys.argv[6])
    sys.stdin.readline()
