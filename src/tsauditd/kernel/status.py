"""The kernel's audit status and switches: struct audit_status and struct audit_features of linux/audit.h."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from tsauditd.errors import TsauditdError
from tsauditd.kernel.netlink import Control, using
from tsauditd.kernel.numbers import (
    ENABLED_LOCKED,
    FEATURE_BITMAP,
    FEATURE_VERSION,
    FEATURES,
    STATUS_MEMBERS,
    Kind,
    StatusMask,
)

_STATUS = struct.Struct(f"={len(STATUS_MEMBERS)}I")
_FEATURES = struct.Struct("=4I")


@dataclass(frozen=True, slots=True)
class Features:
    """The switches of AUDIT_GET_FEATURE. A locked one cannot be changed until reboot."""

    loginuid_immutable: bool
    only_unset_loginuid: bool
    locked: frozenset[str]


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """What AUDIT_GET and AUDIT_GET_FEATURE answer.

    enabled: 0 off, 1 on, 2 on and locked until reboot. failure: 0 silent, 1 printk, 2 panic. pid: the process that
    receives the records, 0 for none. rate_limit: messages a second, 0 for no limit. backlog, backlog_limit:
    messages. lost: messages since boot or the last reset. backlog_wait_time, backlog_wait_time_actual: jiffies.
    """

    enabled: int
    failure: int
    pid: int
    rate_limit: int
    backlog_limit: int
    lost: int
    backlog: int
    feature_bitmap: int
    backlog_wait_time: int
    backlog_wait_time_actual: int
    features: Features

    @property
    def locked(self) -> bool:
        """Whether nothing can be changed until reboot (enabled is 2)."""
        return self.enabled == ENABLED_LOCKED

    @property
    def abilities(self) -> tuple[str, ...]:
        """The names of the bits set in feature_bitmap."""
        return tuple(name for name, bit in FEATURE_BITMAP.items() if self.feature_bitmap & bit)


def status(control: Control | None = None) -> AuditStatus:
    """The kernel's audit status now. Raises NotPrivileged, NoAudit or KernelRefused."""
    with using(control) as link:
        members = _members(link)
        members.pop("mask")
        return AuditStatus(**members, features=features(link))


class Glance(NamedTuple):
    """What of the status is looked at all the while, for one answer of the kernel. See AuditStatus."""

    enabled: int
    pid: int
    lost: int


def glance(control: Control) -> Glance:
    """The status in short. Raises NotPrivileged, NoAudit or KernelRefused."""
    members = _members(control)
    return Glance(members["enabled"], members["pid"], members["lost"])


def _members(link: Control) -> dict[str, int]:
    reply = _only(link.ask(Kind.GET), Kind.GET)
    # Kernels before 5.9 send a shorter structure; what they do not have reads as 0.
    numbers = _STATUS.unpack(reply[: _STATUS.size].ljust(_STATUS.size, b"\0"))
    return dict(zip(STATUS_MEMBERS, numbers, strict=True))


def features(control: Control | None = None) -> Features:
    """The audit features of the kernel. Raises NotPrivileged, NoAudit or KernelRefused."""
    with using(control) as link:
        reply = _only(link.ask(Kind.GET_FEATURE), Kind.GET_FEATURE)
    _version, _mask, on, lock = _FEATURES.unpack(reply[: _FEATURES.size].ljust(_FEATURES.size, b"\0"))
    return Features(
        loginuid_immutable=bool(on & 1 << FEATURES["loginuid_immutable"]),
        only_unset_loginuid=bool(on & 1 << FEATURES["only_unset_loginuid"]),
        locked=frozenset(name for name, bit in FEATURES.items() if lock & 1 << bit),
    )


def set_feature(name: str, on: bool, *, lock: bool = False, control: Control | None = None) -> None:
    """Switches a feature of numbers.FEATURES. lock: until reboot. Raises KernelRefused when it is locked."""
    bit = 1 << FEATURES[name]
    payload = _FEATURES.pack(FEATURE_VERSION, bit, bit if on else 0, bit if lock else 0)
    with using(control) as link:
        link.tell(Kind.SET_FEATURE, payload)


def set_enabled(value: int, control: Control | None = None) -> None:
    """0 turns auditing off, 1 on, 2 on and locked until reboot. Raises NotPrivileged also when it is locked."""
    _set(StatusMask.ENABLED, value, control)


def set_failure(value: int, control: Control | None = None) -> None:
    """What the kernel does when it loses a record: 0 nothing, 1 printk, 2 panic."""
    _set(StatusMask.FAILURE, value, control)


def set_rate_limit(value: int, control: Control | None = None) -> None:
    """The messages a second that the kernel lets through; 0 for all."""
    _set(StatusMask.RATE_LIMIT, value, control)


def set_backlog_limit(value: int, control: Control | None = None) -> None:
    """The messages that may wait for the daemon; 0 for any number."""
    _set(StatusMask.BACKLOG_LIMIT, value, control)


def set_backlog_wait_time(value: int, control: Control | None = None) -> None:
    """The jiffies that a process waits for a full backlog; at most ten minutes of them."""
    _set(StatusMask.BACKLOG_WAIT_TIME, value, control)


def reset_lost(control: Control | None = None) -> int:
    """Sets the lost counter to 0 and returns what it was."""
    return _set(StatusMask.LOST, 0, control)


def reset_backlog_wait_time_actual(control: Control | None = None) -> int:
    """Sets the time that processes waited for the backlog to 0 and returns what it was, in jiffies."""
    return _set(StatusMask.BACKLOG_WAIT_TIME_ACTUAL, 0, control)


def status_payload(mask: StatusMask, value: int) -> bytes:
    """A struct audit_status with one member set, as AUDIT_SET takes it."""
    members = dict.fromkeys(STATUS_MEMBERS, 0)
    members["mask"] = mask
    assert mask.name is not None
    members[mask.name.lower()] = value
    return _STATUS.pack(*members.values())


def _set(mask: StatusMask, value: int, control: Control | None) -> int:
    with using(control) as link:
        return link.tell(Kind.SET, status_payload(mask, value))


def _only(replies: list[bytes], kind: Kind) -> bytes:
    if not replies:
        raise TsauditdError(f"the kernel gave an empty answer to audit message {kind.value}")
    return replies[0]
