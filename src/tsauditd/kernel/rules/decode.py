"""struct audit_rule_data to Rule, and Rule to the text that auditctl -l prints.

Where auditctl's own output would not load again as the same rule, the text here does: a rule of perm alone or of
action never is not shortened to -w or -p, `!=` of a key or an exe is kept, and file types have their names.
"""

from itertools import accumulate

from tsauditd.errors import TsauditdError
from tsauditd.kernel.rules.encode import FIXED_SIZE, HEAD, LENGTH, WORDS
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.rule import Field, Rule
from tsauditd.kernel.rules.tables import (
    ARCH,
    ARCHES,
    COMPARE,
    COMPARISONS,
    DIR,
    EQUAL,
    FIELD_BY_NUMBER,
    KEY,
    KEY_SEPARATOR,
    MASK_WORDS,
    MAX_FIELDS,
    OPERATORS,
    PATH,
    PERM,
    PREPEND,
    TEXT_VALUES,
    UNSET,
    WIDTHS,
    Action,
    List,
)
from tsauditd.kernel.rules.uring import OPERATIONS
from tsauditd.kernel.rules.values import permission_text, write

_OPERATOR_TEXT = {number: text for text, number in OPERATORS.items()}


class UnknownRule(TsauditdError):
    """Bytes that are no rule, or a rule with lists, actions or fields newer than this program."""


def decode(payload: bytes) -> Rule:
    """The rule in the payload of AUDIT_LIST_RULES. Raises UnknownRule."""
    if len(payload) < FIXED_SIZE:
        raise UnknownRule(f"a rule of {len(payload)} bytes is too short")
    flags, action, count = HEAD.unpack_from(payload)
    mask, numbers, values, operators = (
        WORDS.unpack_from(payload, HEAD.size + index * WORDS.size) for index in range(4)
    )
    (length,) = LENGTH.unpack_from(payload, FIXED_SIZE - LENGTH.size)
    buffer = payload[FIXED_SIZE : FIXED_SIZE + length]
    if count > MAX_FIELDS or len(buffer) != length:
        raise UnknownRule("a rule's lengths do not fit its bytes")
    try:
        kind, verb = List(flags & ~PREPEND), Action(action)
    except ValueError:
        raise UnknownRule(f"a rule of list {flags} and action {action} is newer than this program") from None
    sizes = [
        value if _is_text(number) else 0
        for number, value in zip(numbers[:count], values[:count], strict=True)
    ]
    starts = [0, *accumulate(sizes)]
    if starts[-1] > length:
        raise UnknownRule("a rule's strings do not fit its bytes")
    fields = tuple(
        Field(
            numbers[index],
            operators[index],
            buffer[starts[index] : starts[index + 1]].decode("utf-8", "surrogateescape")
            if _is_text(numbers[index])
            else values[index],
        )
        for index in range(count)
    )
    return Rule(kind, verb, fields, _syscalls(mask), bool(flags & PREPEND))


def text(rule: Rule, names: Names) -> str:
    """The rule as auditctl -l prints it: one line that loads again as the same rule."""
    return _watch(rule) or _full(rule, names)


def _is_text(number: int) -> bool:
    field = FIELD_BY_NUMBER.get(number)
    return field is not None and field.value in TEXT_VALUES


def _syscalls(mask: tuple[int, ...]) -> frozenset[int] | None:
    # The kernel takes the last sixteen bits for classes of system calls and clears them (audit_to_entry_common).
    if all(word == UNSET for word in mask[: MASK_WORDS - 1]):
        return None
    return frozenset(
        index * 32 + bit for index, word in enumerate(mask) if word for bit in range(32) if word >> bit & 1
    )


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _keys(field: Field) -> list[str]:
    return [_escape(key) for key in str(field.value).split(KEY_SEPARATOR)]


def _watch(rule: Rule) -> str:
    """The -w form, or nothing when the rule is not exactly what -w makes."""
    numbers = [field.number for field in rule.fields]
    if rule.list is not List.EXIT or rule.action is not Action.ALWAYS or rule.syscalls is not None:
        return ""
    if numbers[:2] not in ([PATH, PERM], [DIR, PERM]) or numbers[2:] not in ([], [KEY]):
        return ""
    path, perm = rule.fields[0].value, rule.fields[1].value
    if any(field.operator != EQUAL for field in rule.fields) or (path != "/" and str(path).endswith("/")):
        return ""
    assert isinstance(perm, int)
    words = ["-w", _escape(str(path)), "-p", permission_text(perm)]
    for field in rule.fields[2:]:
        words += [word for key in _keys(field) for word in ("-k", key)]
    return " ".join(words)


def _full(rule: Rule, names: Names) -> str:
    words = ["-A" if rule.prepend else "-a", f"{rule.action.name.lower()},{rule.list.name.lower()}"]
    arch = ""
    for field in rule.fields:
        if field.number == ARCH:
            words += _condition(field, names)
            arch = next((name for name, elf in ARCHES.items() if elf == field.value), "")
    if rule.list in (List.EXIT, List.IO_URING):
        words += ["-S", _syscall_text(rule, arch, names)]
    for field in rule.fields:
        if field.number != ARCH:
            words += _condition(field, names)
    return " ".join(words)


def _syscall_text(rule: Rule, arch: str, names: Names) -> str:
    if rule.syscalls is None:
        return "all"
    if rule.list is List.IO_URING:
        known = dict(enumerate(OPERATIONS))
        return ",".join(known.get(number, str(number)) for number in sorted(rule.syscalls))
    native, narrow = WIDTHS.get(names.machine, (None, None))
    whose = arch or native or narrow or names.machine
    return ",".join(names.syscall_name(whose, number) or str(number) for number in sorted(rule.syscalls))


def _condition(field: Field, names: Names) -> list[str]:
    operator = _OPERATOR_TEXT.get(field.operator, "?")
    if field.number == COMPARE and field.value in COMPARISONS:
        left, right = COMPARISONS[int(field.value)]
        return ["-C", f"{left}{operator}{right}"]
    known = FIELD_BY_NUMBER.get(field.number)
    name = known.name if known else f"f{field.number}"
    if field.number == KEY:
        return [word for key in _keys(field) for word in ("-F", f"{name}{operator}{key}")]
    if isinstance(field.value, str):
        return ["-F", f"{name}{operator}{_escape(field.value)}"]
    return ["-F", f"{name}{operator}{write(known, field.value, names) if known else field.value}"]
