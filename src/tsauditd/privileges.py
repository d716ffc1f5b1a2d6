"""What the daemon can see with the capabilities that it has, and what is lost without one (docs/privileges.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Privilege:
    """A capability (capabilities(7)) that a part of the daemon needs; the rest works without."""

    name: str
    numbers: tuple[int, ...]
    """Those of include/uapi/linux/capability.h, any of which serves."""

    lost: str
    """What events lack without it."""


PRIVILEGES = (
    Privilege(
        "CAP_SYS_PTRACE",
        (19,),
        "the executable and working directory of processes that were not seen to start, and what only their sockets "
        "can tell of their connections, are unknown",
    ),
    Privilege(
        "CAP_DAC_READ_SEARCH",
        (2, 1),  # CAP_DAC_OVERRIDE is more of the same
        "containers whose runtime keeps its state in other users' directories have an id, but no name, image or labels",
    ),
)


def lost(status: Path = Path("/proc/self/status")) -> Iterator[str]:
    """A line for each part that is off for want of a capability: what, why, and what to do.

    `status` is proc_pid_status(5) of the process in question.
    """
    effective = _effective(status.read_text(encoding="ascii", errors="replace"))
    for privilege in PRIVILEGES:
        if not any(effective >> number & 1 for number in privilege.numbers):
            yield f"without {privilege.name} {privilege.lost}: start tsauditd with it (docs/privileges.md)"


def _effective(status: str) -> int:
    masks = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return int(next(masks), 16)
