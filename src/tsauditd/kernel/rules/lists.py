"""The kernel's lists of rules: read, printed, added to and deleted from."""

from collections.abc import Iterable
from dataclasses import replace
from operator import eq, ge, gt, le, lt, ne

from tsauditd.kernel.netlink import Control, using
from tsauditd.kernel.numbers import Kind
from tsauditd.kernel.rules.decode import UnknownRule, decode, text
from tsauditd.kernel.rules.encode import FIXED_SIZE, HEAD, LENGTH
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.rule import Rule
from tsauditd.kernel.rules.tables import (
    ARCH,
    ARCHES,
    EQUAL,
    KEY,
    KEY_SEPARATOR,
    MSGTYPE,
    OPERATORS,
    PREPEND,
    WIDTHS,
    Action,
    List,
)

_COMPARISONS = {
    OPERATORS[word]: compare
    for word, compare in (("=", eq), ("!=", ne), ("<", lt), ("<=", le), (">", gt), (">=", ge))
}


def list_rules(control: Control | None = None) -> list[bytes]:
    """The payloads of all rules, list after list, in the order in which the kernel tries them."""
    with using(control) as link:
        return [_trimmed(payload) for payload in link.ask(Kind.LIST_RULES)]


def listing(names: Names, control: Control | None = None) -> list[str]:
    """All rules as text, as auditctl -l prints them; one that is newer than this program as a comment."""
    return [as_text(payload, names) for payload in list_rules(control)]


def add_rule(payload: bytes, control: Control) -> None:
    """Adds a rule at the end of its list, or at its beginning when it says so. Raises KernelRefused."""
    control.tell(Kind.ADD_RULE, payload)


def delete_rule(payload: bytes, control: Control) -> None:
    """Deletes a rule. Raises KernelRefused (ENOENT) when there is none like it."""
    control.tell(Kind.DEL_RULE, payload)


def delete_all(control: Control, key: str | None = None) -> int:
    """Deletes all rules, or those that have the key; returns how many."""
    payloads = [payload for payload in list_rules(control) if key is None or key in keys(payload)]
    for payload in payloads:
        delete_rule(payload, control)
    return len(payloads)


def list_number(payload: bytes) -> int:
    """Which of the kernel's lists (tables.List) a payload belongs to."""
    return int(HEAD.unpack_from(payload.ljust(HEAD.size, b"\0"))[0]) & ~PREPEND


def identity(payload: bytes) -> Rule | bytes:
    """What is equal for equal rules: the kernel gives some bits of the mask back changed."""
    try:
        return replace(decode(payload), prepend=False)
    except UnknownRule:
        return _trimmed(payload)


def keys(payload: bytes) -> list[str]:
    """The keys of a rule; none for one that is newer than this program."""
    try:
        fields = decode(payload).fields
    except UnknownRule:
        return []
    return [key for found in fields if found.number == KEY for key in str(found.value).split(KEY_SEPARATOR)]


def name_any(payloads: Iterable[bytes], calls: Iterable[str], names: Names) -> bool:
    """Whether a rule makes events of one of these system calls by name, for this machine's own programs."""
    native, narrow = WIDTHS.get(names.machine, (None, None))
    arch = native or narrow or names.machine
    wanted = {names.syscall_number(arch, call) for call in calls}
    return any(_names_any(payload, arch, wanted) for payload in payloads)


def _names_any(payload: bytes, arch: str, wanted: set[int | None]) -> bool:
    try:
        rule = decode(payload)
    except UnknownRule:
        return False
    if (rule.list, rule.action) != (List.EXIT, Action.ALWAYS) or rule.syscalls is None:
        return False
    ours = all(
        (found.value == ARCHES.get(arch)) == (found.operator == EQUAL)
        for found in rule.fields
        if found.number == ARCH
    )
    return ours and not wanted.isdisjoint(rule.syscalls)


def may_exclude(payloads: Iterable[bytes], record_type: int) -> bool:
    """Whether a rule may leave out records of this type, be it those of some processes only.

    The list exclude does, whatever its rules' action, and no other for what the kernel itself says: `user` is asked of
    messages from programs alone, and the rest of whole events (audit_filter, kernel/auditfilter.c). A rule without a
    record type is about all of them. A rule that is newer than this program may.
    """
    return any(
        list_number(payload) == List.EXCLUDE and _may_exclude(payload, record_type) for payload in payloads
    )


def _may_exclude(payload: bytes, record_type: int) -> bool:
    try:
        rule = decode(payload)
    except UnknownRule:
        return True
    types = (found for found in rule.fields if found.number == MSGTYPE)
    return all(
        (compare := _COMPARISONS.get(found.operator)) is None or compare(record_type, found.value)
        for found in types
    )


def _trimmed(payload: bytes) -> bytes:
    if len(payload) < FIXED_SIZE:
        return payload
    (length,) = LENGTH.unpack_from(payload, FIXED_SIZE - LENGTH.size)
    return payload[: FIXED_SIZE + length]


def as_text(payload: bytes, names: Names) -> str:
    """A rule as auditctl -l prints it; one that is newer than this program as a comment."""
    try:
        return text(decode(payload), names)
    except UnknownRule as unknown:
        return f"# {unknown}"
