"""One daemon's borrowing from beginning to end, with what it takes over from daemons that were killed."""

from collections.abc import Callable

from tsauditd.kernel.borrowed import DIRECTORY, Borrowed, Entry, enter, left_behind
from tsauditd.kernel.state import Snapshot


class Loan:
    """What this daemon has borrowed of the kernel's state, and what it took over from daemons that were killed."""

    def __init__(self, present: Snapshot, say: Callable[[str], None]) -> None:
        """`present` is the state that the daemon found; `say` tells a line on standard error."""
        self._say = say
        self._inherited = left_behind()
        before = present
        for entry in self._inherited:
            before = entry.borrowed.given_back(before)
        if before != present:
            say(
                "a daemon that was killed has left audit rules or settings: they are put back when this one ends"
            )
        self._borrowed = Borrowed(before, None)
        self._entry: Entry | None = None

    @property
    def before(self) -> Snapshot:
        """The state before any daemon of ours changed it."""
        return self._borrowed.before

    def begin(self) -> None:
        """Writes the state down before it is changed. Without that only a kill leaves something behind."""
        try:
            self._entry = enter(self._borrowed)
        except OSError as error:
            self._warn(error)
            return
        for entry in self._inherited:
            entry.remove()
        self._inherited = []

    def taken(self, after: Snapshot) -> None:
        """The daemon's own changes are made: what changes from here on is somebody else's."""
        self._borrowed = Borrowed(self._borrowed.before, after)
        if self._entry is not None:
            try:
                self._entry.change(self._borrowed)
            except OSError as error:
                self._warn(error)

    def given_back(self, now: Snapshot) -> Snapshot:
        """What `now` becomes when everything borrowed is given back."""
        return self._borrowed.given_back(now)

    def settle(self) -> None:
        """Everything has been given back."""
        for entry in (*self._inherited, *([self._entry] if self._entry else [])):
            entry.remove()

    def leave(self) -> None:
        """Not everything could be given back: the next daemon is to try."""
        for entry in (*self._inherited, *([self._entry] if self._entry else [])):
            entry.close()

    def _warn(self, error: OSError) -> None:
        self._say(
            f"{DIRECTORY}: {error.strerror}: should this daemon be killed, its audit rules stay in the kernel"
        )
