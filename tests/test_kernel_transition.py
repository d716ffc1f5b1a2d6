"""From one state of the kernel's rules to another: the right end, the least change, nothing missed on the way."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tsauditd.kernel.rules import tables
from tsauditd.kernel.rules.decode import decode
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse
from tsauditd.kernel.rules.rule import Rule
from tsauditd.kernel.rules.transition import Step, steps

NAMES = Names(syscall_number=lambda arch, name: None)
PID, A0 = tables.FIELDS["pid"].number, tables.FIELDS["a0"].number


def payloads(lines: Sequence[str]) -> list[bytes]:
    return [encode(command.rule) for command in parse(lines, "x", NAMES) if command.rule]


def numbered(numbers: Sequence[int], line: str = "-a always,exit -F pid={}") -> list[bytes]:
    return payloads([line.format(number) for number in numbers])


class Lists:
    """The kernel's lists: each in its own order, as audit_add_rule and audit_del_rule keep it."""

    def __init__(self, rules: Sequence[bytes]) -> None:
        self.lists: dict[int, list[bytes]] = {}
        for rule in rules:
            self.lists.setdefault(rule[0], []).append(rule)

    def take(self, step: Step) -> None:
        number = step.payload[0] & ~tables.PREPEND
        plain = bytes([number]) + step.payload[1:]
        rules = self.lists.setdefault(number, [])
        if step.wanted is None:
            rules.remove(plain)
            return
        assert plain not in rules, "the kernel refuses a rule that is there (EEXIST)"
        rules.insert(0 if step.payload[0] & tables.PREPEND else len(rules), plain)

    def all(self) -> list[bytes]:
        return [rule for number in sorted(self.lists) for rule in self.lists[number]]


ORDERS = st.lists(st.integers(0, 8), unique=True)


@given(ORDERS, ORDERS, ORDERS, ORDERS)
def test_the_steps_lead_to_the_wanted_rules_in_order(
    have: list[int], want: list[int], have_files: list[int], want_files: list[int]
) -> None:
    files = "-a never,filesystem -F fstype={}"
    kernel = Lists(numbered(have_files, files) + numbered(have))
    wanted = numbered(want) + numbered(want_files, files)
    for step in steps(kernel.all(), wanted):
        kernel.take(step)
    assert kernel.all() == wanted
    assert steps(kernel.all(), wanted) == []


def recorded(rules: Sequence[bytes], event: int) -> bool:
    """Whether the first rule that matches says always. The tests' rules match by the bits of a0."""
    for rule in rules:
        bits = next(field.value for field in decode(rule).fields if field.number == A0)
        assert isinstance(bits, int)
        if bits >> event & 1:
            return decode(rule).action is tables.Action.ALWAYS
    return False


RULES = st.lists(
    st.tuples(st.sampled_from(["always", "never"]), st.integers(1, 15)), unique=True, max_size=7
).map(lambda pairs: payloads([f"-a {action},exit -F a0={bits}" for action, bits in pairs]))


@given(RULES, RULES)
def test_nothing_that_both_states_record_is_missed_on_the_way(have: list[bytes], want: list[bytes]) -> None:
    both = [event for event in range(4) if recorded(have, event) and recorded(want, event)]
    kernel = Lists(have)
    for step in steps(have, want):
        kernel.take(step)
        assert all(recorded(kernel.all(), event) for event in both)
    assert kernel.all() == want


def test_what_is_right_is_left_alone() -> None:
    one, two, three, four = numbered([1, 2, 3, 4])
    assert steps([one, two], [one, two]) == []
    assert steps([one, two, three], [one, three]) == [Step(two)]
    assert steps([one, two], [one, two, three]) == [Step(three, three)]
    front = steps([two, three], [one, two, three, four])
    assert [step.wanted for step in front] == [one, four]
    assert steps([], [one, two]) == [Step(one, one), Step(two, two)]


def test_a_stand_in_is_the_same_rule_with_a_condition_that_always_holds() -> None:
    one, two = numbered([1, 2])
    stand_ins = [
        step.payload for step in steps([one, two], [two, one]) if step.wanted not in (None, step.payload)
    ]
    (rule,) = [decode(payload) for payload in stand_ins]
    assert isinstance(rule, Rule)
    assert (rule.fields[-1].number, rule.fields[-1].operator, rule.fields[-1].value) == (
        PID,
        tables.NOT_EQUAL,
        tables.UNSET,
    )


def test_a_stand_in_that_was_left_behind_is_cleared_away() -> None:
    one, two = numbered([1, 2])
    left = next(
        step.payload for step in steps([one, two], [two, one]) if step.wanted not in (None, step.payload)
    )
    kernel = Lists([one, two, left])
    for step in steps(kernel.all(), [two, one]):
        kernel.take(step)
    assert kernel.all() == [two, one]
