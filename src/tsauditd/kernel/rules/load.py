"""Whole rules files carried out: the kernel's rules are made what the file leads to, by the difference alone."""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tsauditd.errors import TsauditdError
from tsauditd.kernel import status as kernel_status
from tsauditd.kernel.netlink import Control, KernelRefused, using
from tsauditd.kernel.numbers import Kind
from tsauditd.kernel.rules.encode import LENGTH, encode
from tsauditd.kernel.rules.lists import add_rule, delete_rule, identity, keys, list_rules
from tsauditd.kernel.rules.parse import LENIENT
from tsauditd.kernel.rules.rule import Command, Rule, Verb
from tsauditd.kernel.rules.transition import steps

_SETTERS = {
    Verb.ENABLED: kernel_status.set_enabled,
    Verb.FAILURE: kernel_status.set_failure,
    Verb.BACKLOG_LIMIT: kernel_status.set_backlog_limit,
    Verb.RATE_LIMIT: kernel_status.set_rate_limit,
    Verb.BACKLOG_WAIT_TIME: kernel_status.set_backlog_wait_time,
}
_OF_RULES = frozenset({Verb.ADD, Verb.DELETE, Verb.DELETE_ALL, Verb.FAULTY})
_AFTER_RULES = frozenset({Verb.TRIM, Verb.EQUIVALENT})
"""About the trees that rules with a directory have: these rules must be there."""


class RulesLocked(TsauditdError):
    """The rules cannot be changed until reboot."""

    def __init__(self) -> None:
        super().__init__("the audit rules are locked until reboot (enabled is 2): nothing was changed")


@dataclass(slots=True)
class Loaded:
    """What loading rules did, counted in rules; kept: those that were there already.

    problems: one line each, of commands passed over after -c or -i.
    """

    added: int = 0
    deleted: int = 0
    kept: int = 0
    problems: list[str] = field(default_factory=list)
    failed: bool = False


@dataclass(slots=True)
class Aim:
    """The rules that commands lead to, in the kernel's order, and where each that they add is written."""

    rules: list[bytes]
    commands: dict[Rule | bytes, Command] = field(default_factory=dict)
    problems: list[tuple[str, int]] = field(default_factory=list)
    """One line and an errno for each command that is wrong or that the kernel would refuse."""

    def take(self, command: Command) -> None:
        """Changes the rules as the kernel would, once it had carried out the command."""
        if command.verb is Verb.FAULTY:
            self.problems.append((command.warning, errno.EINVAL))
            return
        if command.verb is Verb.DELETE_ALL:
            gone = [rule for rule in self.rules if not command.texts or command.texts[0] in keys(rule)]
            self.rules = [rule for rule in self.rules if rule not in gone]
            for rule in gone:
                self.commands.pop(identity(rule), None)
            return
        assert command.rule is not None
        payload = encode(replace(command.rule, prepend=False))
        same = identity(payload)
        present = next((index for index, rule in enumerate(self.rules) if identity(rule) == same), None)
        if command.verb is Verb.DELETE:
            if present is None:
                self._problem(command, errno.ENOENT)
            else:
                del self.rules[present]
                self.commands.pop(same, None)
        elif present is None:
            # Within its list the order counts; lists do not see each other.
            self.rules.insert(0 if command.rule.prepend else len(self.rules), payload)
            self.commands[same] = command
        elif same in self.commands:
            self._problem(command, errno.EEXIST)

    def _problem(self, command: Command, number: int) -> None:
        self.problems.append((f"{command.place}: {_reason(command, KernelRefused('', number))}", number))


def aim(commands: Iterable[Command], current: Sequence[bytes]) -> Aim:
    """The rules that the commands make of `current`, payloads as list_rules gives them. Touches nothing."""
    found = Aim(list(current))
    for command in commands:
        if command.verb in _OF_RULES:
            found.take(command)
    return found


def load(commands: Sequence[Command], control: Control | None = None) -> Loaded:
    """Carries out the commands of a rules file, changing of the kernel's rules only what differs.

    No event that the rules before and after both record is missed meanwhile (transition). Rules that are loaded
    already stay. When a command cannot be carried out the rules are left as they were, unless -c or -i is given: then
    it is passed over. Where the kernel is locked and has the rules already, nothing is done. Raises RulesLocked,
    NotPrivileged, NoAudit, or KernelRefused that names file and line.
    """
    done = Loaded()
    go_on = any(command.verb in LENIENT for command in commands)
    last = max((index for index, command in enumerate(commands) if command.verb in _OF_RULES), default=-1)
    with using(control) as link:
        before = list_rules(link)
        wanted = aim(commands, before)
        if kernel_status.status(link).locked:
            if wanted.problems or steps(before, wanted.rules):
                raise RulesLocked
            return Loaded(kept=len(before))
        for problem, number in wanted.problems:
            if not go_on:
                raise KernelRefused(problem, number)
            done.problems.append(problem)
        for index, command in enumerate(commands):
            if index <= last and command.verb not in _AFTER_RULES:
                _set(command, link, done, go_on=go_on)
        _change(wanted, before, link, done, go_on=go_on)
        for index, command in enumerate(commands):
            if index > last or command.verb in _AFTER_RULES:
                _set(command, link, done, go_on=go_on)
    done.failed = bool(done.problems) and not any(command.verb is Verb.IGNORE for command in commands)
    return done


def _change(wanted: Aim, before: list[bytes], link: Control, done: Loaded, *, go_on: bool) -> None:
    """Makes the kernel's rules the wanted ones, or what they were before when one is refused."""
    for rule, error in carry_out(link, wanted.rules, go_on=go_on):
        command = wanted.commands.get(identity(rule))
        problem = f"{command.place}: {_reason(command, error)}" if command else str(error)
        if not go_on:
            carry_out(link, before)
            raise KernelRefused(problem, error.number)
        done.problems.append(problem)
        wanted.rules.remove(rule)
    was, now = ({identity(rule) for rule in rules} for rules in (before, wanted.rules))
    done.added, done.deleted, done.kept = len(now - was), len(was - now), len(now & was)


def carry_out(
    link: Control, wanted: Sequence[bytes], *, go_on: bool = False
) -> list[tuple[bytes, KernelRefused]]:
    """Makes the kernel's rules the wanted ones; returns those that it refuses, and why.

    go_on: without these; otherwise it stops at the first, with old and new rules loaded. Raises NotPrivileged, NoAudit,
    or KernelRefused when a rule cannot be deleted.
    """
    refusals: dict[bytes, KernelRefused] = {}
    for step in steps(list_rules(link), wanted):
        if step.wanted in refusals:
            continue
        try:
            if step.wanted is None:
                delete_rule(step.payload, link)
            else:
                add_rule(step.payload, link)
        except KernelRefused as refused:
            if step.wanted is not None:
                refusals[step.wanted] = refused
                if not go_on:
                    break
            elif refused.number != errno.ENOENT:  # gone already: somebody else's doing, or its directory went
                raise
    return list(refusals.items())


def _set(command: Command, link: Control, done: Loaded, *, go_on: bool) -> None:
    try:
        _carry_out_setting(command, link)
    except KernelRefused as refused:
        problem = f"{command.place}: {refused}"
        if not go_on:
            raise KernelRefused(problem, refused.number) from None
        done.problems.append(problem)


def _carry_out_setting(command: Command, link: Control) -> None:
    match command.verb:
        case verb if verb in _SETTERS:
            _SETTERS[verb](command.value, link)
        case Verb.LOGINUID_IMMUTABLE:
            kernel_status.set_feature("loginuid_immutable", True, lock=True, control=link)
        case Verb.RESET_LOST:
            kernel_status.reset_lost(link)
        case Verb.RESET_BACKLOG_WAIT_TIME_ACTUAL:
            kernel_status.reset_backlog_wait_time_actual(link)
        case Verb.TRIM:
            link.tell(Kind.TRIM)
        case Verb.EQUIVALENT:
            mount, subtree = (path.encode("utf-8", "surrogateescape") for path in command.texts)
            # Two lengths, then the two paths without NULs (audit_make_equiv in audit_receive_msg).
            link.tell(Kind.MAKE_EQUIV, LENGTH.pack(len(mount)) + LENGTH.pack(len(subtree)) + mount + subtree)
        case _:
            pass  # the rules themselves, -c and -i


def _reason(command: Command, refused: KernelRefused) -> str:
    reasons = {
        (Verb.ADD, errno.EEXIST): "this rule stands in the file twice",
        (Verb.DELETE, errno.ENOENT): "there is no such rule to delete",
        (Verb.ADD, errno.ENOENT): "a path or the directory that holds it does not exist",
        (Verb.ADD, errno.EINVAL): "the kernel refuses this rule as invalid",
    }
    return reasons.get((command.verb, refused.number), str(refused))
