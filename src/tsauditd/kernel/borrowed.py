"""What daemons have borrowed of the kernel's audit state, written down.

It is given back by the one who took it, or, if that one was killed, by the next. Each daemon has an entry in a
directory under /run, which it locks (flock(2)) for its life: an entry that can be locked belongs to a daemon that is
gone.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsauditd.kernel.state import SETTINGS, Snapshot
from tsauditd.kernel.status import AuditStatus, Features

DIRECTORY = Path("/run/tsauditd")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Borrowed:
    """The state before a daemon changed it, and after; None: it was still at it."""

    before: Snapshot
    after: Snapshot | None

    def given_back(self, now: Snapshot) -> Snapshot:
        """What `now` becomes when the daemon's changes are undone.

        What somebody else has changed since stays as they made it: a setting with another value, a rule that was
        added, and the enabled flag when another process has come to receive the records.
        """
        before, after = self.before, self.after
        if after is None:
            return Snapshot(_with(now.status, before.status, SETTINGS), before.rules, before.sender)
        ours = [name for name in SETTINGS if getattr(now.status, name) == getattr(after.status, name)]
        if now.status.pid not in (0, before.status.pid, after.status.pid) and "enabled" in ours:
            ours.remove("enabled")
        sender = before.sender if now.sender == after.sender else now.sender
        return Snapshot(_with(now.status, before.status, ours), self._rules(now.rules), sender)

    def _rules(self, now: tuple[bytes, ...]) -> tuple[bytes, ...]:
        before, after = self.before.rules, self.after.rules if self.after else ()
        if now == after:
            return before
        missing = [rule for rule in before if rule not in after and rule not in now]
        return (*missing, *(rule for rule in now if rule in before or rule not in after))


def _with(status: AuditStatus, other: AuditStatus, names: "list[str] | tuple[str, ...]") -> AuditStatus:
    return dataclasses.replace(status, pid=other.pid, **{name: getattr(other, name) for name in names})


class Entry:
    """What one daemon has borrowed, written down and locked."""

    def __init__(self, path: Path, descriptor: int, borrowed: Borrowed) -> None:
        """See `enter` and `left_behind`. `descriptor` holds the lock and becomes this entry's own."""
        self._path = path
        self._descriptor = descriptor
        self.borrowed = borrowed

    def change(self, borrowed: Borrowed) -> None:
        """Writes it anew: there is always one whole entry, the old or the new. Raises OSError."""
        descriptor = _write(self._path, borrowed)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self.borrowed = borrowed

    def remove(self) -> None:
        """Everything is given back."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leaves the entry to the next daemon."""
        os.close(self._descriptor)


def enter(borrowed: Borrowed, directory: Path = DIRECTORY) -> Entry:
    """A new entry, readable by root alone. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"borrowed-{os.getpid()}-{os.urandom(4).hex()}.json"
    return Entry(path, _write(path, borrowed), borrowed)


def left_behind(directory: Path = DIRECTORY) -> list[Entry]:
    """The entries of daemons that are gone, newest first, locked. One of another boot, or unreadable, is removed."""
    found: list[tuple[int, Entry]] = []
    for path in directory.glob("borrowed-*.json"):
        descriptor = None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written = os.fstat(descriptor)
            # Replaced or removed before it was locked: its daemon was alive a moment ago.
            if stat.S_ISREG(written.st_mode) and written.st_nlink:
                if known := _read(descriptor, written.st_size):
                    found.append((written.st_mtime_ns, Entry(path, descriptor, known)))
                    descriptor = None
                else:
                    path.unlink()
        except OSError:
            pass  # locked by its daemon, which is alive, or has just been removed by it
        finally:
            if descriptor is not None:
                os.close(descriptor)
    return [entry for _, entry in sorted(found, key=lambda item: item[0], reverse=True)]


def _write(path: Path, borrowed: Borrowed) -> int:
    """Puts a locked file in the place of `path` in one step; returns its descriptor."""
    document = {
        "boot_id": _boot_id(),
        "before": _tree(borrowed.before),
        "after": borrowed.after and _tree(borrowed.after),
    }
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # mode 0600, close-on-exec
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with os.fdopen(descriptor, "w", encoding="ascii", closefd=False) as file:
            json.dump(document, file)
        os.rename(name, path)
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return descriptor


def _read(descriptor: int, size: int) -> Borrowed | None:
    try:
        document = json.loads(os.pread(descriptor, size, 0))
        if document["boot_id"] != _boot_id():
            return None
        return Borrowed(_snapshot(document["before"]), document["after"] and _snapshot(document["after"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _tree(snapshot: Snapshot) -> dict[str, Any]:
    status = dataclasses.asdict(snapshot.status)
    status["features"]["locked"] = sorted(snapshot.status.features.locked)
    return {
        "status": status,
        "rules": [rule.hex() for rule in snapshot.rules],
        "sender": snapshot.sender,
    }


def _snapshot(tree: dict[str, Any]) -> Snapshot:
    features = tree["status"].pop("features")
    known = Features(**{**features, "locked": frozenset(features["locked"])})
    rules = tuple(bytes.fromhex(rule) for rule in tree["rules"])
    return Snapshot(AuditStatus(**tree["status"], features=known), rules, tree.get("sender"))


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
