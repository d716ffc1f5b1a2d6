"""Whether the kernel's rules are still those that were loaded."""

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tsauditd.kernel.borrowed import DIRECTORY
from tsauditd.kernel.rules.lists import as_text, identity
from tsauditd.kernel.rules.names import Names

LOADED = DIRECTORY / "loaded-rules"
"""What `tsauditd rules load` or `delete` left last: a payload in hexadecimal digits a line."""

_MAX_BYTES = 64 << 20
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Drift:
    """How the kernel's rules differ from the loaded ones; both empty: they are the same, in another order if moved.

    missing, added: as auditctl -l prints them. moved: nothing is missing or added, but the order is another.
    """

    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    moved: bool = False

    def __bool__(self) -> bool:
        return bool(self.missing or self.added or self.moved)

    @property
    def sentence(self) -> str:
        """The same in words."""
        if not self:
            return "the audit rules are again those that were loaded"
        if self.moved:
            return "the audit rules are in another order than they were loaded in"
        return f"of the audit rules that were loaded {len(self.missing)} are missing, {len(self.added)} were added"


def drift_document(drift: Drift) -> dict[str, object]:
    """What stands under tsauditd.rules in the event that tells of it: counts, and the first 20 rules of each."""
    return {
        "missing_count": len(drift.missing),
        "added_count": len(drift.added),
        "moved": drift.moved,
        "missing": list(drift.missing[:SHOWN]) or None,
        "added": list(drift.added[:SHOWN]) or None,
    }


def remember(rules: Sequence[bytes], file: Path = LOADED) -> None:
    """Writes down what was loaded, for the daemon to hold the kernel's rules against. Nowhere to write: no harm."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=file.parent)
        with os.fdopen(descriptor, "w", encoding="ascii") as new:
            new.writelines(f"{rule.hex()}\n" for rule in rules)
        os.rename(name, file)


class DriftWatch:
    """Holds the kernel's rules against those that were loaded, by the daemon at its start or by `rules load` later."""

    def __init__(self, rules: Sequence[bytes], names: Names, *, own: bool, file: Path = LOADED) -> None:
        """`rules` are those at the daemon's start. `own`: it has loaded them itself, whatever was loaded before."""
        self._file = file
        self._names = names
        self._expected = list(rules)
        self._stamp = self._file_stamp() if own else 0
        self._seen: list[bytes] = list(rules) if own else []
        self._told = Drift()

    @property
    def told(self) -> Drift:
        """How they differ, as it was told last."""
        return self._told

    def look(self, now: Sequence[bytes]) -> Drift | None:
        """How `now` differs, if that is another thing than was told last; None when there is nothing new to tell."""
        stamp = self._file_stamp()
        if list(now) == self._seen and stamp == self._stamp:
            return None
        if stamp != self._stamp:
            self._stamp = stamp
            self._expected = self._read() or self._expected
        self._seen = list(now)
        drift = self._compare(now)
        if drift == self._told:
            return None
        self._told = drift
        return drift

    def _compare(self, now: Sequence[bytes]) -> Drift:
        expected = [identity(rule) for rule in self._expected]
        present = [identity(rule) for rule in now]
        if expected == present:
            return Drift()
        missing, added = Counter(expected) - Counter(present), Counter(present) - Counter(expected)
        return Drift(
            tuple(as_text(rule, self._names) for rule in self._expected if identity(rule) in missing),
            tuple(as_text(rule, self._names) for rule in now if identity(rule) in added),
            moved=not missing and not added,
        )

    def _file_stamp(self) -> int:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return 0

    def _read(self) -> list[bytes]:
        try:
            if self._file.stat().st_size > _MAX_BYTES:
                return []
            return [bytes.fromhex(line) for line in self._file.read_text(encoding="ascii").splitlines()]
        except (OSError, ValueError):
            return []
