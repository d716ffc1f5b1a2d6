"""What the daemon can see with the capabilities that it has, and what is lost without one (docs/privileges.md)."""

from collections.abc import Callable, Iterator
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

    root_needs: bool = True
    """Whether user 0 needs it, too."""


PRIVILEGES = (
    Privilege(
        "CAP_SYS_PTRACE",
        (19,),
        "the executable and working directory of processes that were not seen to start, and what only their sockets "
        "can tell of their connections, are unknown",
    ),
    Privilege(
        "CAP_PERFMON",
        (38, 21),  # CAP_SYS_ADMIN was the only one before Linux 5.8, and still serves
        "both ends of connections that are closed at once are known less often",
    ),
    Privilege(
        "CAP_DAC_READ_SEARCH",
        (2, 1),  # CAP_DAC_OVERRIDE is more of the same
        "containers have an id, but no name, image or labels, and those that runc or crun started by hand, unseen, "
        "are not told, where the runtime keeps its state from other users",
        root_needs=False,
    ),
)


_SOCKETS = (
    "the kernel refuses pidfd_getfd(2), so what only the sockets of processes can tell of connections is unknown: it "
    "takes Linux 5.6, no seccomp filter that forbids it, and kernel.yama.ptrace_scope below 3 (docs/privileges.md)"
)

_STATUS = Path("/proc/self/status")


class SocketsWatch:
    """Tells once, in one line, that sockets cannot be looked at although the capability for it is there."""

    def __init__(self, say: Callable[[str], None], status: Path = _STATUS) -> None:
        """`say` tells a line; `status` as for `lost`, which has told already when the capability is what is missing."""
        self._say = say
        self._over = any(line.startswith("without CAP_SYS_PTRACE ") for line in lost(status))

    def look(self, looks_off: int) -> None:
        """Call it now and then with the listener's counter of that name."""
        if looks_off and not self._over:
            self._over = True
            self._say(_SOCKETS)


def lost(status: Path = _STATUS) -> Iterator[str]:
    """A line for each part that is off for want of a capability: what, why, and what to do.

    `status` is proc_pid_status(5) of the process in question.
    """
    text = status.read_text(encoding="ascii", errors="replace")
    effective, is_root = int(_field(text, "CapEff")[0], 16), _field(text, "Uid")[1] == "0"
    for privilege in PRIVILEGES:
        if (privilege.root_needs or not is_root) and not any(
            effective >> number & 1 for number in privilege.numbers
        ):
            yield f"without {privilege.name} {privilege.lost}: start tsauditd with it (docs/privileges.md)"


def _field(status: str, name: str) -> list[str]:
    return next(line.split()[1:] for line in status.splitlines() if line.startswith(f"{name}:"))
