"""The kernel's audit state as it was found, to be put back exactly."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from tsauditd.errors import TsauditdError
from tsauditd.kernel import sender
from tsauditd.kernel import status as kernel_status
from tsauditd.kernel.netlink import Control, using
from tsauditd.kernel.registration import release
from tsauditd.kernel.rules.lists import add_rule, delete_rule, list_rules
from tsauditd.kernel.rules.transition import steps
from tsauditd.kernel.status import AuditStatus, status


class RestoreFailed(TsauditdError):
    """Some of the state could not be put back; `problems` has one line for each part."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(f"the kernel's audit state is not as it was: {'; '.join(problems)}")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The status, the rules, as payloads of AUDIT_LIST_RULES, and who sends the records, at one moment."""

    status: AuditStatus
    rules: tuple[bytes, ...]
    sender: int | None = None
    """kauditd's scheduling policy; None where it cannot be seen."""


_SETTINGS: tuple[tuple[str, Callable[[int, Control], object]], ...] = (
    ("failure", kernel_status.set_failure),
    ("rate_limit", kernel_status.set_rate_limit),
    ("backlog_limit", kernel_status.set_backlog_limit),
    ("backlog_wait_time", kernel_status.set_backlog_wait_time),
    ("enabled", kernel_status.set_enabled),
)
"""In the order in which they are put back: auditing is turned off last, so that what is changed is recorded."""

SETTINGS = tuple(name for name, _ in _SETTINGS)
"""The members of the status that can be put back; the audit pid is given back rather than set."""


class KernelState:
    """Takes and restores snapshots of the kernel's audit state."""

    def __init__(self, control: Control | None = None) -> None:
        self._control = control

    def snapshot(self) -> Snapshot:
        """The state now. Raises NotPrivileged, NoAudit or KernelRefused."""
        with using(self._control) as link:
            return Snapshot(status(link), tuple(list_rules(link)), sender.policy())

    def restore(self, wanted: Snapshot) -> None:
        """Makes the state what it was: rules and their order, the settings, and the audit pid if this process has it.

        kauditd's scheduling as well, if the snapshot knows it.

        Counters (lost, backlog_wait_time_actual) are not settings and stay. Goes on after a part that fails and
        raises RestoreFailed in the end. A kernel that is locked (enabled is 2) is told of and never written to.
        """
        problems: list[str] = []

        def attempt(what: str, act: Callable[..., object], *arguments: object) -> None:
            try:
                act(*arguments)
            except TsauditdError as error:
                problems.append(f"{what}: {error}")

        with using(self._control) as link:
            now = self.snapshot()
            changes = steps(now.rules, wanted.rules)
            settings = [
                (name, setter, getattr(wanted.status, name))
                for name, setter in _SETTINGS
                if getattr(now.status, name) != getattr(wanted.status, name)
            ]
            if now.status.locked:
                if changes or settings:
                    problems.append("auditing is locked until reboot (enabled is 2)")
            else:
                for step in changes:
                    if step.wanted is None:
                        attempt("deleting a rule", delete_rule, step.payload, link)
                    else:
                        attempt("adding a rule", add_rule, step.payload, link)
                for name, setter, value in settings:
                    attempt(name, setter, value, link)
            if wanted.sender not in (None, now.sender):
                attempt("kauditd", sender.set_policy, wanted.sender)
            if now.status.pid == os.getpid() != wanted.status.pid:
                attempt("audit pid", release, link)
        if problems:
            raise RestoreFailed(problems)
