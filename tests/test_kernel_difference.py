"""The difference between two states of the kernel's rules."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tsauditd.kernel.rules import tables
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.load import difference
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse

NAMES = Names(syscall_number=lambda arch, name: None)


def numbered(numbers: Sequence[int], line: str = "-a always,exit -F pid={}") -> list[bytes]:
    return [
        encode(command.rule)
        for number in numbers
        for command in parse([line.format(number)], "x", NAMES)
        if command.rule
    ]


def carried_out(current: list[bytes], delete: Sequence[bytes], add: Sequence[bytes]) -> list[bytes]:
    """What the kernel's lists hold after the changes: each list in its own order, as audit_add_rule keeps it."""
    lists: dict[int, list[bytes]] = {}
    for payload in current:
        lists.setdefault(payload[0], []).append(payload)
    for payload in delete:
        lists[payload[0]].remove(payload)
    for payload in add:
        if payload[0] & tables.PREPEND:
            plain = bytes([payload[0] & ~tables.PREPEND]) + payload[1:]
            lists.setdefault(plain[0], []).insert(0, plain)
        else:
            lists.setdefault(payload[0], []).append(payload)
    return [payload for number in sorted(lists) for payload in lists[number]]


ORDERS = st.lists(st.integers(0, 8), unique=True)


@given(ORDERS, ORDERS, ORDERS, ORDERS)
def test_the_difference_leads_to_the_wanted_rules_in_order(
    have: list[int], want: list[int], have_user: list[int], want_user: list[int]
) -> None:
    user = "-a always,user -F pid={}"
    current = numbered(have_user, user) + numbered(have)
    wanted = numbered(want_user, user) + numbered(want)
    change = difference(current, wanted)
    assert carried_out(current, change.delete, change.add) == wanted


def test_the_difference_leaves_alone_what_is_right() -> None:
    one, two, three, four = numbered([1, 2, 3, 4])
    assert difference([one, two], [one, two]) == difference([], [])
    assert difference([one, two, three], [one, three]).delete == (two,)
    assert difference([one, two, three], [one, three]).add == ()
    added = difference([two, three], [one, two, three, four])
    assert added.delete == ()
    assert len(added.add) == 2
