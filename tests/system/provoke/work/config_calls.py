"""Audit requests that auditctl does not make: features, another daemon's claim, a listener, an unknown request."""

import socket
import struct
import time

AUDIT_SET, AUDIT_SET_FEATURE = 1001, 1018


def ask(kind: int, body: bytes) -> None:
    """One request; its answer only shows that it was handled."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as control:
        control.send(struct.pack("=IHHII", 16 + len(body), kind, 5, 1, 0) + body)
        control.recv(8192)


for feature in (0, 1):  # only_unset_loginuid, loginuid_immutable: on and off again, never locked
    for value in (1, 0):
        ask(AUDIT_SET_FEATURE, struct.pack("=IIII", 1, 1 << feature, value << feature, 0))
ask(AUDIT_SET, struct.pack("=11I", 4, 0, 0, 99999999, 0, 0, 0, 0, 0, 0, 0))  # not our own pid: EINVAL
with open("/proc/self/status", encoding="ascii") as status:
    own = next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))
ask(AUDIT_SET, struct.pack("=11I", 4, 0, 0, own, 0, 0, 0, 0, 0, 0, 0))  # the place is taken: EEXIST
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as listener:
    listener.bind((0, 0))
    listener.setsockopt(270, 1, 1)  # NETLINK_ADD_MEMBERSHIP, AUDIT_NLGRP_READLOG
    time.sleep(0.1)
