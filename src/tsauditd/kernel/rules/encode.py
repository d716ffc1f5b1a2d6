"""Rule to struct audit_rule_data (linux/audit.h), the bytes that auditctl sends."""

import struct

from tsauditd.errors import BadConfiguration
from tsauditd.kernel.rules.rule import Rule
from tsauditd.kernel.rules.tables import MASK_WORDS, MAX_FIELDS, PREPEND

HEAD = struct.Struct("=3I")
WORDS = struct.Struct(f"={MASK_WORDS}I")
LENGTH = struct.Struct("=I")
FIXED_SIZE = HEAD.size + 4 * WORDS.size + LENGTH.size
"""Of the structure without its strings: 1,040 bytes."""

ALL_SYSCALLS = (0xFFFFFFFF,) * MASK_WORDS


def encode(rule: Rule) -> bytes:
    """The payload of AUDIT_ADD_RULE and AUDIT_DEL_RULE, padded with NULs to four bytes as auditctl does.

    A field with text holds its length in bytes; the texts follow each other without a NUL in the buffer. Raises
    BadConfiguration when a rule has more fields than the structure.
    """
    if len(rule.fields) > MAX_FIELDS:
        raise BadConfiguration(f"a rule has at most {MAX_FIELDS} fields")
    buffer = bytearray()
    numbers = [0] * MAX_FIELDS
    values = [0] * MAX_FIELDS
    operators = [0] * MAX_FIELDS
    for index, field in enumerate(rule.fields):
        numbers[index] = field.number
        operators[index] = field.operator
        if isinstance(field.value, str):
            text = field.value.encode("utf-8", "surrogateescape")
            values[index] = len(text)
            buffer += text
        else:
            values[index] = field.value
    flags = rule.list | (PREPEND if rule.prepend else 0)
    packed = b"".join(
        (
            HEAD.pack(flags, rule.action, len(rule.fields)),
            WORDS.pack(*_mask(rule.syscalls)),
            WORDS.pack(*numbers),
            WORDS.pack(*values),
            WORDS.pack(*operators),
            LENGTH.pack(len(buffer)),
            buffer,
        )
    )
    return packed + bytes(-len(packed) % 4)


def _mask(syscalls: frozenset[int] | None) -> tuple[int, ...]:
    if syscalls is None:
        return ALL_SYSCALLS
    words = [0] * MASK_WORDS
    for number in syscalls:
        words[number // 32] |= 1 << number % 32
    return tuple(words)
