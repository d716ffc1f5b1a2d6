"""What a rule's text needs to know that is not in the grammar: numbers of system calls, record types and users."""

import grp
import os
import platform
import pwd
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from tsauditd.kernel.rules.tables import ARCH_ALIASES


def _user_id(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _group_id(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _families() -> dict[str, int]:
    return {
        name.removeprefix("AF_").lower(): int(getattr(socket, name))
        for name in dir(socket)
        if name.startswith("AF_")
    }


def _machine() -> str:
    machine = platform.machine()
    return ARCH_ALIASES.get(machine, machine)


def _no_name(_number: int) -> str | None:
    return None


def _no_syscall_name(_arch: str, _number: int) -> str | None:
    return None


def _no_number(_name: str) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Names:
    """Questions that parse and decode ask. Without an answer a name is refused and a number is printed.

    syscall_number: (arch, name) -> number. syscall_name: (arch, number) -> name. The arches are those of
    tables.ARCHES. machine: this machine's, for b64 and b32. is_directory: -w watches a directory as a tree.
    """

    syscall_number: Callable[[str, str], int | None]
    syscall_name: Callable[[str, int], str | None] = _no_syscall_name
    record_type_number: Callable[[str], int | None] = _no_number
    record_type_name: Callable[[int], str | None] = _no_name
    user_id: Callable[[str], int | None] = _user_id
    group_id: Callable[[str], int | None] = _group_id
    is_directory: Callable[[str], bool] = os.path.isdir
    machine: str = field(default_factory=_machine)
    families: dict[str, int] = field(default_factory=_families)


def core_names() -> Names:
    """What the compiled core knows of system calls and record types, and this machine's users and groups."""
    from tsauditd import event  # late: only texts of rules need the compiled core

    return Names(event.syscall_number, event.syscall_name, event.record_type_number, event.record_type_name)
