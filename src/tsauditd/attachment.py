"""How the daemon attaches itself to the kernel's audit, and how it leaves it as it was."""

import contextlib
import socket
import time
from collections.abc import Callable

from tsauditd.config import Kernel
from tsauditd.errors import TsauditdError
from tsauditd.kernel import registration, state, status
from tsauditd.kernel.rules import load

_QUEUE_PATIENCE = 1.0
"""Seconds that the kernel gets at the end to hand over what waits in its queue."""


class Attachment:
    """The daemon's hold on the kernel's audit: a socket that gets every record, and the state from before."""

    netlink = True

    def __init__(self, before: state.KernelState, receiver: socket.socket, *, registered: bool) -> None:
        """`before` is the state to put back; `registered` says whether the audit pid is ours."""
        self._before = before
        self._socket = receiver
        self._registered = registered
        self._lost_before = status.status().lost
        self.fd = receiver.fileno()
        self.early: list[bytes] = []
