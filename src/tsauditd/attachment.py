"""How the daemon takes hold of the kernel's audit, and how it leaves it as it was."""

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tsauditd.config import Kernel
from tsauditd.errors import TsauditdError
from tsauditd.kernel import registration
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.rules.decode import UnknownRule, decode
from tsauditd.kernel.rules.load import load, read_rules
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.rule import Command, Rule, Verb
from tsauditd.kernel.state import KernelState, Snapshot
from tsauditd.kernel.status import set_backlog_limit, set_enabled, status

NO_RULES = "none"

_DRAIN_SECONDS = 1.0
"""How long the kernel gets at the end to hand over what waits in its queue."""


class Attachment:
    """The daemon's hold on the kernel's audit: a socket that gets every record, and the state from before."""

    netlink = True

    def __init__(
        self, control: ControlSocket, before: Snapshot, receiver: socket.socket, early: list[bytes]
    ) -> None:
        """`before` is the state to put back, `early` the packets that came while the pid was taken."""
        self._control = control
        self._before = before
        self._socket = receiver
        self.fd = receiver.fileno()
        self.early = early

    def lost(self) -> int:
        """Records that the kernel has lost since the state was taken."""
        now = status(self._control).lost
        before = self._before.status.lost
        return now - before if now >= before else now  # somebody has set it back to 0

    def quieten(self) -> None:
        """Puts the rules and the enabled flag back, and waits for the kernel to hand over what is in its queue.

        The audit pid and the room in the queue stay: what is on its way still arrives. Raises TsauditdError.
        """
        now = status(self._control)
        kept = dataclasses.replace(
            self._before.status, pid=now.pid, backlog_limit=now.backlog_limit, failure=now.failure
        )
        KernelState(self._control).restore(Snapshot(kept, self._before.rules))
        until = time.monotonic() + _DRAIN_SECONDS
        while status(self._control).backlog and time.monotonic() < until:
            time.sleep(0.01)

    def close(self) -> None:
        """Puts back everything and gives back the pid and the socket. Raises TsauditdError."""
        try:
            KernelState(self._control).restore(self._before)
        finally:
            self._socket.close()
            self._control.close()


def attach(config: Kernel, say: Callable[[str], None]) -> Attachment:
    """Takes the audit pid, or joins the multicast group if it must not or another process has it, and loads rules.

    A rules file that is wrong is told before anything is touched; after a failure everything is as it was. Raises
    NotPrivileged, NoAudit, BadConfiguration or another TsauditdError.
    """
    commands = [] if config.rules == NO_RULES else read_rules(Path(config.rules), core_names())
    control = ControlSocket()
    try:
        before = KernelState(control).snapshot()
        receiver, early, registered = _receiver(config, say)
    except BaseException:
        control.close()
        raise
    attachment = Attachment(control, before, receiver, early)
    try:
        _prepare(config, control, before, commands, registered=registered, say=say)
    except BaseException:
        # What failed first is what to tell.
        with contextlib.suppress(TsauditdError):
            attachment.close()
        raise
    return attachment


def _receiver(config: Kernel, say: Callable[[str], None]) -> tuple[socket.socket, list[bytes], bool]:
    if not config.observe:
        receiver = registration.open_unicast(config.receive_buffer)
        try:
            return receiver, registration.register(receiver), True
        except registration.PidTaken as taken:
            receiver.close()
            holder = f"{taken.holder_name or 'a process'} (pid {taken.holder_pid})"
            say(f"{holder} has the audit pid: reading the multicast group beside it")
        except BaseException:
            receiver.close()
            raise
    return registration.open_multicast(config.receive_buffer), [], False


def _prepare(
    config: Kernel,
    control: ControlSocket,
    before: Snapshot,
    commands: list[Command],
    *,
    registered: bool,
    say: Callable[[str], None],
) -> None:
    if registered and 0 < before.status.backlog_limit < config.backlog_limit and not before.status.locked:
        set_backlog_limit(config.backlog_limit, control)
    if commands:
        for problem in load(_missing(commands, before.rules), control).problems:
            say(problem)
    # Without a rule of ours there is no reason to switch on what another daemon has switched off.
    if (registered or commands) and not status(control).enabled:
        set_enabled(1, control)


def _missing(commands: list[Command], present: tuple[bytes, ...]) -> list[Command]:
    """The commands without the rules that are loaded already, by a daemon that was killed or by an administrator."""
    if any(command.verb is Verb.DELETE_ALL for command in commands):
        return commands
    rules: set[Rule] = set()
    for payload in present:
        with contextlib.suppress(UnknownRule):
            rules.add(decode(payload))
    return [command for command in commands if command.verb is not Verb.ADD or command.rule not in rules]
