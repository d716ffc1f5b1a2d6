"""How the daemon takes hold of the kernel's audit, and how it leaves it as it was."""

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tsauditd.config import Kernel
from tsauditd.errors import NoAudit, NotPrivileged, TsauditdError
from tsauditd.kernel import registration, sender
from tsauditd.kernel.loan import Loan
from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import SignalInfo
from tsauditd.kernel.report import listeners
from tsauditd.kernel.rules.decode import UnknownRule, decode
from tsauditd.kernel.rules.drift import Drift, DriftWatch
from tsauditd.kernel.rules.files import read_rules
from tsauditd.kernel.rules.lists import delete_rule, list_rules, may_exclude, name_any
from tsauditd.kernel.rules.load import load
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.rule import Command, Rule, Verb
from tsauditd.kernel.standing import Notice, Standing
from tsauditd.kernel.state import SETTINGS, KernelState, Snapshot
from tsauditd.kernel.status import Glance, glance, set_backlog_limit, set_enabled, status

NO_RULES = "none"

_JOURNAL = "systemd-journal"
"""The command name of journald, as the kernel cuts it at 15 bytes."""

_LOCKED = "the audit rules are locked until reboot (enabled is 2): they stay as they are"

_CONNECTIONS = ("connect", "accept", "accept4")
_ACCEPTS = ("accept", "accept4")

_PROCTITLE = 1327
"""AUDIT_PROCTITLE (linux/audit.h)."""

_DRAIN_SECONDS = 1.0
"""How long the kernel gets at the end to hand over what waits in its queue."""


class NotReceiving(TsauditdError):
    """The kernel gives this process no records, although it may ask for them."""


class Attachment:
    """The daemon's hold on the kernel's audit: a socket that gets every record, and what to put back."""

    netlink = True
    lines = False

    def __init__(
        self,
        control: ControlSocket,
        loan: Loan,
        receiver: socket.socket,
        early: list[bytes],
        lost_before: int,
        say: Callable[[str], None],
        *,
        registered: bool,
    ) -> None:
        """`early` are the packets that came while the pid was taken, `lost_before` the kernel's count until then."""
        self._control = control
        self._loan = loan
        self._socket = receiver
        self._lost_before = lost_before
        self.registered = registered
        self.fd = receiver.fileno()
        self.early = early
        self.watch: DriftWatch | None = None
        self.titles = False
        self.taken: Snapshot | None = None
        """The state as this daemon has made it, without what others did since."""
        self._say = say
        self.standing = Standing(receiver, registered=registered, enabled=0)
        self._now: Glance | None = None

    @property
    def reading(self) -> str:
        """How it gets the records, in words."""
        if (away := self.standing.away) is not None:
            return f"beside {away}"
        return "as the audit daemon" if self.registered else "beside another daemon"

    @property
    def connections(self) -> bool:
        """Whether a rule names the system calls of connections."""
        return self.taken is not None and name_any(self.taken.rules, _CONNECTIONS, core_names())

    @property
    def accepts(self) -> bool:
        """Whether a rule names those that accept connections."""
        return self.taken is not None and name_any(self.taken.rules, _ACCEPTS, core_names())

    @property
    def problems(self) -> list[str]:
        """What is not as this daemon has made it or found it, a sentence each."""
        told = self.watch.told if self.watch else None
        return [*self.standing.problems, *([told.sentence] if told else [])]

    def plan(self, config: Kernel) -> Callable[[], None]:
        """What makes the kernel's state what `config` asks for. Raises BadConfiguration when the rules are wrong.

        What it returns raises TsauditdError when the kernel refuses a rule; the rules then are as they were.
        """
        return partial(self._change, config, _commands(config))

    def _change(self, config: Kernel, commands: list[Command]) -> None:
        """Makes the difference alone. What others have changed meanwhile stays theirs."""
        state = KernelState(self._control)
        now = state.snapshot()
        taken = self.taken or now
        ours = [rule for rule in taken.rules if rule not in self._loan.before.rules]
        if now.status.locked:
            if commands or ours:
                self._say(_LOCKED)
            return
        limit = max(config.backlog_limit, self._loan.before.status.backlog_limit)
        here = now.status.backlog_limit
        if self.registered and 0 < here != limit and (here < limit or here == taken.status.backlog_limit):
            set_backlog_limit(limit, self._control)
        for problem in load(commands, self._control).problems if commands else ():
            self._say(problem)
        wanted = {command.rule for command in commands if command.verb is Verb.ADD}
        present = list_rules(self._control)
        for payload, rule in _known(tuple(ours)).items():
            if rule not in wanted and payload in present:
                delete_rule(payload, self._control)
        if commands and not now.status.enabled:
            set_enabled(1, self._control)
        if self.registered:
            _schedule(config, now.sender, self._loan.before.sender, self._say)
        registration.set_receive_buffer(self._socket, config.receive_buffer)
        _tell_room(config, self._socket, self._say)
        after = state.snapshot()
        self.taken = _ours(taken, now, after)
        self.standing.expect(after.status.enabled)
        self._loan.taken(self.taken)
        self.watch = DriftWatch(after.rules, core_names(), own=bool(commands))

    def lost(self) -> int:
        """Records that the kernel has lost since the state was taken."""
        self._now = glance(self._control)
        now, before = self._now.lost, self._lost_before
        return now - before if now >= before else now  # somebody has set it back to 0

    def notices(self) -> list[Notice]:
        """What has come to be otherwise with the audit pid and the enabled flag, if `lost` has looked since."""
        now, self._now = self._now, None
        return self.standing.look(now) if now else []

    def backlog(self) -> tuple[int, int]:
        """Records that wait in the kernel, and how many may. Raises TsauditdError."""
        now = status(self._control)
        return now.backlog, now.backlog_limit

    def sender(self) -> SignalInfo | None:
        """Who sent this process its last signal. The kernel tells it to the holder of the audit pid alone."""
        if not self.registered:
            return None
        try:
            return registration.signal_info(self._control)
        except TsauditdError:
            return None

    def drift(self) -> Drift | None:
        """How the kernel's rules differ from those that were loaded, when that is new. Raises TsauditdError."""
        rules = list_rules(self._control)
        self.see(rules)
        return self.watch.look(rules) if self.watch else None

    def see(self, rules: Sequence[bytes]) -> None:
        """Keeps what follows from the kernel's rules, which are these."""
        self.titles = not may_exclude(rules, _PROCTITLE)

    def quieten(self) -> None:
        """Puts the rules and the enabled flag back, and waits for the kernel to hand over what is in its queue.

        The audit pid and the room in the queue stay: what is on its way still arrives. Raises TsauditdError.
        """
        state = KernelState(self._control)
        now = state.snapshot()
        wanted = self._loan.given_back(now)
        kept = dataclasses.replace(
            wanted.status,
            pid=now.status.pid,
            backlog_limit=now.status.backlog_limit,
            failure=now.status.failure,
        )
        state.restore(Snapshot(kept, wanted.rules, now.sender))
        until = time.monotonic() + _DRAIN_SECONDS
        while status(self._control).backlog and time.monotonic() < until:
            time.sleep(0.01)

    def close(self) -> None:
        """Puts back everything and gives back the pid and the socket. Raises TsauditdError."""
        try:
            state = KernelState(self._control)
            state.restore(self._loan.given_back(state.snapshot()))
        except BaseException:
            self._loan.leave()
            raise
        else:
            self._loan.settle()
        finally:
            self._socket.close()
            self._control.close()


def attach(config: Kernel, say: Callable[[str], None]) -> Attachment:
    """Takes the audit pid, or joins the multicast group if it must not or another process has it, and loads rules.

    A rules file that is wrong is told before anything is touched; after a failure everything is as it was. Raises
    NotPrivileged, NoAudit, BadConfiguration or another TsauditdError.
    """
    commands = _commands(config)
    control = ControlSocket()
    try:
        present = KernelState(control).snapshot()
        receiver, early, registered = _receiver(config, say)
    except (NotPrivileged, NoAudit):
        control.close()
        raise
    except TsauditdError as error:
        control.close()
        raise NotReceiving(str(error)) from error
    except BaseException:
        control.close()
        raise
    if any((each["name"] or "").startswith(_JOURNAL) for each in listeners()):
        say(
            "journald reads every audit record too, which costs more than an audit daemon: to stop it"
            " systemctl disable --now systemd-journald-audit.socket, or Audit=no in journald.conf, and restart journald"
        )
    _tell_room(config, receiver, say)
    loan = Loan(present, say)
    loan.begin()
    attachment = Attachment(control, loan, receiver, early, present.status.lost, say, registered=registered)
    try:
        _prepare(config, control, present, loan.before, commands, registered=registered, say=say)
        taken = KernelState(control).snapshot()
        loan.taken(taken)
        attachment.taken = taken
        attachment.see(taken.rules)
        attachment.standing.expect(taken.status.enabled)
        attachment.watch = DriftWatch(taken.rules, core_names(), own=bool(commands))
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
            say(
                f"{holder} has the audit pid: reading the multicast group beside it"
                " (to take its place stop it first: auditctl --signal TERM)"
            )
        except BaseException:
            receiver.close()
            raise
    return registration.open_multicast(config.receive_buffer), [], False


def _prepare(
    config: Kernel,
    control: ControlSocket,
    present: Snapshot,
    before: Snapshot,
    commands: list[Command],
    *,
    registered: bool,
    say: Callable[[str], None],
) -> None:
    limit = present.status.backlog_limit
    if registered and 0 < limit < config.backlog_limit and not present.status.locked:
        set_backlog_limit(config.backlog_limit, control)
    if registered:
        _schedule(config, present.sender, before.sender, say)
    rules = _known(present.rules)
    wanted = {command.rule for command in commands if command.verb is Verb.ADD}
    for payload, rule in rules.items():
        # A killed daemon's, and not of this one's rules.
        if payload not in before.rules and rule not in wanted and not present.status.locked:
            delete_rule(payload, control)
    if commands and present.status.locked:
        say(_LOCKED)
    elif commands:
        for problem in load(commands, control).problems:
            say(problem)
    # Without a rule of ours there is no reason to switch on what another daemon has switched off.
    if (registered or commands) and not status(control).enabled:
        set_enabled(1, control)


def _commands(config: Kernel) -> list[Command]:
    return [] if config.rules == NO_RULES else read_rules(Path(config.rules), core_names())


def _schedule(config: Kernel, now: int | None, before: int | None, say: Callable[[str], None]) -> None:
    """Has kauditd scheduled as `config` asks for; what somebody else has chosen for it stays."""
    wanted = sender.BATCH if config.batch_sending else before
    if before == sender.USUAL and now in (sender.USUAL, sender.BATCH) and wanted not in (None, now):
        try:
            sender.set_policy(wanted)
        except TsauditdError:
            say(
                "without CAP_SYS_NICE kauditd interrupts whoever makes records, which is then slower: "
                "start tsauditd with it, or set kernel.batch_sending = false (docs/privileges.md)"
            )


def _tell_room(config: Kernel, receiver: socket.socket, say: Callable[[str], None]) -> None:
    room = registration.receive_buffer(receiver)
    if room < config.receive_buffer:
        say(
            f"without CAP_NET_ADMIN the audit socket's buffer is {room} bytes, not {config.receive_buffer}, and a "
            "burst of records may be lost: start tsauditd with it, or raise net.core.rmem_max (docs/privileges.md)"
        )


def _ours(taken: Snapshot, before: Snapshot, after: Snapshot) -> Snapshot:
    """What this daemon has made of the state, after it made `after` of `before` too."""
    settings = {
        name: getattr(after.status, name)
        for name in SETTINGS
        if getattr(before.status, name) != getattr(after.status, name)
    }
    kept = [rule for rule in taken.rules if rule in after.rules or rule not in before.rules]
    added = [rule for rule in after.rules if rule not in before.rules and rule not in kept]
    sends = after.sender if after.sender != before.sender else taken.sender
    return Snapshot(dataclasses.replace(taken.status, **settings), (*kept, *added), sends)


def _known(payloads: tuple[bytes, ...]) -> dict[bytes, Rule | None]:
    """The kernel's rules as this program reads them; None: newer than this program."""
    rules: dict[bytes, Rule | None] = {}
    for payload in payloads:
        try:
            rules[payload] = decode(payload)
        except UnknownRule:
            rules[payload] = None
    return rules
