"""Values of fields: text to the kernel's number, and back."""

import errno
import re
from collections.abc import Callable

from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.tables import (
    ARCH_ALIASES,
    ARCHES,
    COMPARISONS,
    FILE_TYPES,
    FILESYSTEMS,
    PERMISSIONS,
    UNSET,
    WIDTHS,
    FieldType,
    Value,
)

_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)")
_UNKNOWN_TYPE = re.compile(r"UNKNOWN\[(\d+)\]")
_MAX_FAMILY = 45
"""AF_MAX - 1 of Linux 6.17; the kernel refuses more (audit_field_valid)."""


class ValueProblem(ValueError):
    """A value that its field cannot have; the text says why."""


def number(text: str, low: int, high: int) -> int:
    """A decimal, hexadecimal (0x) or octal (0) number within bounds. Raises ValueProblem."""
    if not _NUMBER.fullmatch(text):
        raise ValueProblem("is not a number")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xX"
    try:
        found = sign * int(digits, 8 if octal else 0)
    except ValueError:
        raise ValueProblem("is not a number (a leading 0 means octal)") from None
    if not low <= found <= high:
        raise ValueProblem(f"is out of range ({low} to {high})")
    return found


def _plain(text: str, _names: Names) -> int:
    return number(text, 0, UNSET)


def _argument(text: str, _names: Names) -> int:
    return number(text, -(1 << 31), UNSET) & UNSET


def _unset_or(text: str) -> int | None:
    return UNSET if text in ("unset", "-1") else None


def _user(text: str, names: Names) -> int:
    return _id(text, "user", names.user_id)


def _group(text: str, names: Names) -> int:
    return _id(text, "group", names.group_id)


def _id(text: str, what: str, look_up: Callable[[str], int | None]) -> int:
    unset = _unset_or(text)
    if unset is not None:
        return unset
    if _NUMBER.fullmatch(text):
        return number(text, 0, UNSET)
    found = look_up(text)
    if found is None:
        raise ValueProblem(f"is not a {what} of this machine")
    return found


def _session(text: str, _names: Names) -> int:
    unset = _unset_or(text)
    return number(text, 0, UNSET) if unset is None else unset


def _arch(text: str, names: Names) -> int:
    return ARCHES[arch_name(text, names)]


def arch_name(text: str, names: Names) -> str:
    """The name in tables.ARCHES that b64, b32, an alias, or an ELF number means. Raises ValueProblem."""
    lower = text.lower()
    if lower in ("b64", "b32"):
        found = WIDTHS.get(names.machine, (None, None))[0 if lower == "b64" else 1]
        if found is None:
            raise ValueProblem(f"is not known on this machine ({names.machine})")
        return found
    lower = ARCH_ALIASES.get(lower, lower)
    if lower in ARCHES:
        return lower
    try:
        elf = int(lower, 16)
    except ValueError:
        elf = -1
    for name, value in ARCHES.items():
        if value == elf:
            return name
    raise ValueProblem(f"is no architecture: use b64, b32 or one of {', '.join(ARCHES)}")


def _record_type(text: str, names: Names) -> int:
    if _NUMBER.fullmatch(text):
        return number(text, 0, UNSET)
    unknown = _UNKNOWN_TYPE.fullmatch(text)
    found = int(unknown[1]) if unknown else names.record_type_number(text)
    if found is None:
        raise ValueProblem("is no record type known here: use its number")
    return found


def _exit(text: str, _names: Names) -> int:
    name = text.removeprefix("-")
    if name[:1].isalpha():
        code = getattr(errno, name, None)
        if not isinstance(code, int):
            raise ValueProblem("is no errno name")
        return (-code if text.startswith("-") else code) & UNSET
    return number(text, -(1 << 31), (1 << 31) - 1) & UNSET


def _success(text: str, _names: Names) -> int:
    words = {"yes": 1, "no": 0}
    return words[text] if text in words else number(text, 0, UNSET)


def permission(text: str) -> int:
    """The bits of AUDIT_PERM_* that letters of rwxa mean. Raises ValueProblem."""
    bits = 0
    for letter in text.lower():
        if letter not in PERMISSIONS:
            raise ValueProblem("may hold only the letters r, w, x and a")
        bits |= PERMISSIONS[letter]
    return bits


def permission_text(bits: int) -> str:
    """The letters of rwxa that bits mean."""
    return "".join(letter for letter, bit in PERMISSIONS.items() if bits & bit)


def _permission(text: str, _names: Names) -> int:
    return permission(text)


def _file_type(text: str, _names: Names) -> int:
    if text in FILE_TYPES:
        return FILE_TYPES[text]
    if _NUMBER.fullmatch(text) and number(text, 0, UNSET) in FILE_TYPES.values():
        return number(text, 0, UNSET)
    raise ValueProblem(f"is no file type: use one of {', '.join(FILE_TYPES)}")


def _filesystem(text: str, _names: Names) -> int:
    if text in FILESYSTEMS:
        return FILESYSTEMS[text]
    if _NUMBER.fullmatch(text):
        return number(text, 0, UNSET)
    raise ValueProblem(f"is no file system known here: use {', '.join(FILESYSTEMS)} or its magic number")


def _family(text: str, names: Names) -> int:
    found = names.families.get(text.lower())
    return number(text, 0, _MAX_FAMILY) if found is None else found


def _comparison(text: str, _names: Names) -> int:
    return number(text, 1, max(COMPARISONS))


_READERS: dict[Value, Callable[[str, Names], int]] = {
    Value.NUMBER: _plain,
    Value.ARGUMENT: _argument,
    Value.UID: _user,
    Value.GID: _group,
    Value.SESSION: _session,
    Value.ARCH: _arch,
    Value.RECORD_TYPE: _record_type,
    Value.EXIT: _exit,
    Value.SUCCESS: _success,
    Value.PERMISSION: _permission,
    Value.FILE_TYPE: _file_type,
    Value.FILESYSTEM: _filesystem,
    Value.FAMILY: _family,
    Value.COMPARISON: _comparison,
}


def read(field: FieldType, text: str, names: Names) -> int:
    """The number that `text` means for a field whose value is no text. Raises ValueProblem."""
    value = _READERS[field.value](text, names)
    # Of all the ids only the login user's may be none; the kernel answers the others with a bare EINVAL.
    if value == UNSET and field.value in (Value.UID, Value.GID) and field.name != "auid":
        raise ValueProblem("cannot be unset: only auid and sessionid can")
    return value


def write(field: FieldType, value: int, names: Names) -> str:
    """The text that `read` makes `value` of, as auditctl -l prints it."""
    if value == UNSET and field.value in (Value.UID, Value.GID, Value.SESSION):
        return "-1"
    match field.value:
        case Value.ARCH:
            return arch_text(value, names)
        case Value.RECORD_TYPE:
            return names.record_type_name(value) or str(value)
        case Value.EXIT:
            signed = value - (1 << 32) if value >> 31 else value
            name = errno.errorcode.get(-signed)
            return f"-{name}" if name else str(signed)
        case Value.PERMISSION:
            return permission_text(value)
        case Value.FILE_TYPE:
            return next((name for name, bits in FILE_TYPES.items() if bits == value), str(value))
        case Value.FILESYSTEM:
            return next((name for name, magic in FILESYSTEMS.items() if magic == value), f"0x{value:x}")
        case Value.ARGUMENT:
            return f"0x{value:X}"
        case _:
            return str(value)


def arch_text(elf: int, names: Names) -> str:
    """b64 or b32 where this machine means them so, else the architecture's name or ELF number."""
    for width, name in zip(("b64", "b32"), WIDTHS.get(names.machine, (None, None)), strict=True):
        if name is not None and ARCHES[name] == elf:
            return width
    return next((name for name, value in ARCHES.items() if value == elf), f"0x{elf:x}")
