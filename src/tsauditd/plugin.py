"""Records from auditd's hands: its plugin protocol, lines on standard input (auditd-plugins(5), format = string).

auditd keeps the kernel's audit, its rules and audit.log; nothing of that is touched here. It starts the plugin without
environment, sends it SIGHUP and SIGTERM when it gets them itself, and closes the input when it ends.
"""

import contextlib
import os
import select
import socket
from collections.abc import Callable

from tsauditd.config import Kernel
from tsauditd.errors import TsauditdError, UsageError, visible
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import SignalInfo
from tsauditd.kernel.rules.drift import Drift
from tsauditd.kernel.standing import Notice
from tsauditd.kernel.status import glance, status

_INPUT = 0

_LAST_WAIT_MS = 1000
"""How long the end of the input is waited for: a service manager ends auditd and its plugins at the same moment."""

_DAEMON_WARNING = 3 << 3 | 4
"""Facility and severity (RFC 3164, 4.1.1)."""


class PluginInput:
    """What auditd writes to its plugin."""

    netlink = True
    lines = True
    connections = False
    accepts = False
    titles = False
    registered = False
    reading = "as auditd's plugin"
    problems: tuple[str, ...] = ()
    fd = _INPUT

    def __init__(self, config: Kernel, say: Callable[[str], None]) -> None:
        """Raises UsageError when standard input is a terminal."""
        if os.isatty(_INPUT):
            message = (
                "--plugin reads what auditd writes to its plugins: let auditd start it (docs/install.md)"
            )
            raise UsageError(message)
        if config.rules != "none":
            say("kernel.rules is left to auditd, whose plugin this is")
        self.early: list[bytes] = []
        self._lost = 0
        self._control: ControlSocket | None = None
        try:
            self._control = ControlSocket()
            self._lost_before = status(self._control).lost
        except TsauditdError as error:
            say(f"what the kernel loses is not told: {error}")
            self.close()

    def lost(self) -> int:
        """Records that the kernel has lost since the start, as far as it may be asked and answers."""
        if self._control is not None:
            with contextlib.suppress(TsauditdError):
                now = glance(self._control).lost
                # Less: somebody has set it back to 0.
                self._lost = now - self._lost_before if now >= self._lost_before else now
        return self._lost

    def backlog(self) -> tuple[int, int]:
        """Records that wait in the kernel, and how many may. Raises TsauditdError."""
        if self._control is None:
            return 0, 0
        now = status(self._control)
        return now.backlog, now.backlog_limit

    def plan(self, _config: Kernel) -> Callable[[], None]:
        """Nothing: the kernel is auditd's."""
        return lambda: None

    def sender(self) -> SignalInfo | None:
        """Nobody: the kernel tells auditd alone."""
        return None

    def notices(self) -> list[Notice]:
        """None: the audit pid is auditd's."""
        return []

    def drift(self) -> Drift | None:
        """None: the rules are auditd's, and what is done to them comes as records."""
        return None

    def quieten(self) -> None:
        """Waits a moment for auditd to end as well, so that its last records arrive."""
        end = select.poll()
        end.register(_INPUT, 0)  # POLLHUP is told unasked
        end.poll(_LAST_WAIT_MS)

    def close(self) -> None:
        """Leaves the kernel as it is."""
        if self._control is not None:
            self._control.close()
            self._control = None


def tell(line: str) -> None:
    """Tells a line to the local syslog: the standard error of auditd's plugins is mostly /dev/null.

    Not by syslog(3), which would wait for a syslog daemon that does not read.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.setblocking(False)
        log.sendto(f"<{_DAEMON_WARNING}>tsauditd[{os.getpid()}]: {visible(line, 1000)}".encode(), "/dev/log")
