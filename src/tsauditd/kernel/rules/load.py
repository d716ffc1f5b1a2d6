"""The kernel's lists of rules: read, add, delete, the difference between two states, and whole rules files."""

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tsauditd.errors import BadConfiguration, TsauditdError
from tsauditd.kernel import status as kernel_status
from tsauditd.kernel.netlink import Control, KernelRefused, using
from tsauditd.kernel.numbers import Kind
from tsauditd.kernel.rules.decode import UnknownRule, decode, text
from tsauditd.kernel.rules.encode import FIXED_SIZE, HEAD, LENGTH, encode
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import LENIENT, parse
from tsauditd.kernel.rules.rule import Command, Rule, Verb
from tsauditd.kernel.rules.tables import KEY, KEY_SEPARATOR, PREPEND

_SETTERS = {
    Verb.ENABLED: kernel_status.set_enabled,
    Verb.FAILURE: kernel_status.set_failure,
    Verb.BACKLOG_LIMIT: kernel_status.set_backlog_limit,
    Verb.RATE_LIMIT: kernel_status.set_rate_limit,
    Verb.BACKLOG_WAIT_TIME: kernel_status.set_backlog_wait_time,
}

# What augenrules does with the control lines of a directory: first, second, third; -e is last.
_FIRST = (Verb.DELETE_ALL, Verb.BACKLOG_LIMIT, Verb.FAILURE)


class RulesLocked(TsauditdError):
    """The rules cannot be changed until reboot."""

    def __init__(self) -> None:
        super().__init__("the audit rules are locked until reboot (enabled is 2): nothing was changed")


@dataclass(slots=True)
class Loaded:
    """What loading rules did. problems: one line each, of commands passed over after -c or -i."""

    added: int = 0
    deleted: int = 0
    problems: list[str] = field(default_factory=list)
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """Payloads to delete and to add, in this order, to make one state of the rules into another."""

    delete: tuple[bytes, ...]
    add: tuple[bytes, ...]


def list_rules(control: Control | None = None) -> list[bytes]:
    """The payloads of all rules, list after list, in the order in which the kernel tries them."""
    with using(control) as link:
        return [_trimmed(payload) for payload in link.ask(Kind.LIST_RULES)]


def listing(names: Names, control: Control | None = None) -> list[str]:
    """All rules as text, as auditctl -l prints them; one that is newer than this program as a comment."""
    return [_as_text(payload, names) for payload in list_rules(control)]


def add_rule(payload: bytes, control: Control) -> None:
    """Adds a rule at the end of its list, or at its beginning when it says so. Raises KernelRefused."""
    control.tell(Kind.ADD_RULE, payload)


def delete_rule(payload: bytes, control: Control) -> None:
    """Deletes a rule. Raises KernelRefused (ENOENT) when there is none like it."""
    control.tell(Kind.DEL_RULE, payload)


def delete_all(control: Control, key: str | None = None) -> int:
    """Deletes all rules, or those that have the key; returns how many."""
    payloads = [payload for payload in list_rules(control) if key is None or key in _keys(payload)]
    for payload in payloads:
        delete_rule(payload, control)
    return len(payloads)


def difference(current: Sequence[bytes], wanted: Sequence[bytes]) -> Difference:
    """What makes `current` into `wanted`, both payloads as list_rules gives them, with the order kept.

    Rules that stand together in both stay; others are deleted and added again before or after them.
    """
    delete: list[bytes] = []
    add: list[bytes] = []
    lists = sorted({_list(payload) for payload in (*current, *wanted)})
    for number in lists:
        have = [payload for payload in current if _list(payload) == number]
        want = [payload for payload in wanted if _list(payload) == number]
        have_keys, want_keys = [_identity(rule) for rule in have], [_identity(rule) for rule in want]
        kept = [index for index, key in enumerate(have_keys) if key in want_keys]
        start = _run_start([have_keys[index] for index in kept], want_keys)
        if start is None:
            # Another order: only the common beginning stays.
            same = 0
            for index, key in zip(kept, want_keys, strict=False):
                if have_keys[index] != key:
                    break
                same += 1
            kept, start = kept[:same], 0
        delete += [payload for index, payload in enumerate(have) if index not in kept]
        add += [_prepended(payload) for payload in reversed(want[:start])]
        add += want[start + len(kept) :]
    return Difference(tuple(delete), tuple(add))


def read_rules(path: Path, names: Names) -> list[Command]:
    """The commands of a rules file, or of a directory's *.rules in natural order, arranged as augenrules does.

    Raises BadConfiguration when it cannot be read, RuleError when a line is wrong.
    """
    try:
        if not path.is_dir():
            return parse(_lines(path), str(path), names)
        files = sorted(path.glob("*.rules"), key=_natural)
        commands: list[Command] = []
        for file in files:
            lenient = any(command.verb in LENIENT for command in commands)
            commands += parse(_lines(file), str(file), names, lenient=lenient)
    except OSError as error:
        raise BadConfiguration(f"cannot read rules {path}: {error.strerror}") from None
    return _arranged(commands)


def load(commands: Iterable[Command], control: Control | None = None) -> Loaded:
    """Carries out the commands of a rules file. Stops at the first that fails, unless -c or -i came before.

    Raises RulesLocked, NotPrivileged, NoAudit, or KernelRefused that names file and line.
    """
    done = Loaded()
    go_on, quiet = False, False
    with using(control) as link:
        if kernel_status.status(link).locked:
            raise RulesLocked
        for command in commands:
            if command.verb in LENIENT:
                go_on, quiet = True, quiet or command.verb is Verb.IGNORE
                continue
            if command.verb is Verb.FAULTY:
                done.problems.append(command.warning)
                continue
            try:
                _carry_out(command, link, done)
            except KernelRefused as refused:
                problem = f"{command.place}: {_reason(command, refused)}"
                if not go_on:
                    raise KernelRefused(problem, refused.number) from None
                done.problems.append(problem)
    done.failed = bool(done.problems) and not quiet
    return done


def _carry_out(command: Command, link: Control, done: Loaded) -> None:
    match command.verb:
        case Verb.ADD:
            assert command.rule is not None
            add_rule(encode(command.rule), link)
            done.added += 1
        case Verb.DELETE:
            assert command.rule is not None
            delete_rule(encode(command.rule), link)
            done.deleted += 1
        case Verb.DELETE_ALL:
            done.deleted += delete_all(link, *command.texts)
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
        case verb:
            _SETTERS[verb](command.value, link)


def _reason(command: Command, refused: KernelRefused) -> str:
    reasons = {
        (Verb.ADD, errno.EEXIST): "this rule is loaded already",
        (Verb.DELETE, errno.ENOENT): "there is no such rule to delete",
        (Verb.ADD, errno.ENOENT): "a path or the directory that holds it does not exist",
        (Verb.ADD, errno.EINVAL): "the kernel refuses this rule as invalid",
    }
    return reasons.get((command.verb, refused.number), str(refused))


def _arranged(commands: list[Command]) -> list[Command]:
    early: list[Command] = []
    for verb in _FIRST:
        found = [command for command in commands if command.verb is verb and not command.texts]
        early += found[-1:]
    last = [command for command in commands if command.verb is Verb.ENABLED][-1:]
    moved = {*_FIRST, Verb.ENABLED}
    rest = [command for command in commands if command.verb not in moved or command.texts]
    return early + rest + last


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "surrogateescape").split("\n")


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """`9-x` before `10-x`, as sort -V."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _trimmed(payload: bytes) -> bytes:
    if len(payload) < FIXED_SIZE:
        return payload
    (length,) = LENGTH.unpack_from(payload, FIXED_SIZE - LENGTH.size)
    return payload[: FIXED_SIZE + length]


def _list(payload: bytes) -> int:
    return int(HEAD.unpack_from(payload.ljust(HEAD.size, b"\0"))[0]) & ~PREPEND


def _identity(payload: bytes) -> Rule | bytes:
    """What is equal for equal rules: the kernel gives some bits of the mask back changed."""
    try:
        return replace(decode(payload), prepend=False)
    except UnknownRule:
        return _trimmed(payload)


def _prepended(payload: bytes) -> bytes:
    flags, action, count = HEAD.unpack_from(payload)
    return HEAD.pack(flags | PREPEND, action, count) + payload[HEAD.size :]


def _run_start(part: list[Rule | bytes], whole: list[Rule | bytes]) -> int | None:
    """Where `part` stands in `whole` in one piece, or None."""
    for start in range(len(whole) - len(part) + 1):
        if whole[start : start + len(part)] == part:
            return start
    return None


def _keys(payload: bytes) -> list[str]:
    try:
        fields = decode(payload).fields
    except UnknownRule:
        return []
    return [key for found in fields if found.number == KEY for key in str(found.value).split(KEY_SEPARATOR)]


def _as_text(payload: bytes, names: Names) -> str:
    try:
        return text(decode(payload), names)
    except UnknownRule as unknown:
        return f"# {unknown}"
