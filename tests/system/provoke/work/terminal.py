"""Typed input on a terminal under TTY auditing (TTY), and a shell's own report of it (USER_TTY)."""

import os
import pty
import socket
import struct
import time

AUDIT_TTY_GET, AUDIT_TTY_SET, AUDIT_USER_TTY = 1016, 1017, 1124


def tty_audit(on: bool, passwords: bool) -> None:
    """Switch TTY auditing of this process and those it starts."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as control:
        for kind, body in ((AUDIT_TTY_GET, b""), (AUDIT_TTY_SET, struct.pack("=II", on, passwords))):
            control.send(struct.pack("=IHHII", 16 + len(body), kind, 5, kind, 0) + body)
            control.recv(8192)


def typed(*pieces: bytes, echo: bool = True) -> None:
    """A shell on a terminal of its own, fed `pieces` as if by a person."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "$ "
        command = "stty -icanon min 1 2>/dev/null; exec cat" if not echo else "exec cat"
        os.execl("/bin/sh", "sh", "-c", command)
    time.sleep(0.3)
    for piece in pieces:
        os.write(terminal, piece)
        time.sleep(0.1)
    time.sleep(0.2)
    os.close(terminal)
    os.waitpid(pid, 0)


tty_audit(on=True, passwords=False)
typed(b"ls -l /tmp\n", b"echo 'two words'\n", b"\x04")
typed(b"vi\x1b[A\x1b[D\x7f\x08\t\r", b"caf\xc3\xa9\xff\x00\x01\n", echo=False)
tty_audit(on=True, passwords=True)
typed(b"x" * 300 + b"\n", b"\x04")
for text in (b"ls -l", b"echo 'two words'", b"caf\xc3\xa9\x1b"):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as user:
        user.send(struct.pack("=IHHII", 16 + len(text) + 1, AUDIT_USER_TTY, 5, 1, 0) + text + b"\0")
        user.recv(8192)
tty_audit(on=False, passwords=False)
