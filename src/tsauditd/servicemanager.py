"""What the service manager is told: ready, alive, ending (sd_notify(3)). Nothing happens where there is none."""

import os
import socket
import time
from collections.abc import Callable, Mapping


class ServiceManager:
    """Speaks the protocol of $NOTIFY_SOCKET, and of $WATCHDOG_USEC when this process is the one that is watched."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = environment.get("WATCHDOG_USEC", "")
        # Half of the time, as sd_watchdog_enabled(3) advises.
        self._every = int(period) / 2e6 if watched and period.isdecimal() else None
        self._told = clock()

    def ready(self, status: str) -> None:
        """The daemon works; `status` is one line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """The daemon's loop turns: told as often as the watchdog asks, however often this is called."""
        if self._every is not None and self._clock() - self._told >= self._every:
            self._told = self._clock()
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon has begun to end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # A leading @ stands for the NUL of an abstract name.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.sendto(text.encode(), address)
        except OSError:
            return  # the manager's own timeouts tell of it
