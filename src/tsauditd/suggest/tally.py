"""How often each candidate came, when, and how varied: in memory that does not grow with the log."""

from dataclasses import dataclass, field

from tsauditd.suggest.candidates import Candidate, Kept, Seen

MAX_CANDIDATES = 20_000
"""More at once are not counted; then the rarer half is let go, as it would not be proposed."""

MAX_DETAILS = 16
MAX_DETAIL_CHARACTERS = 200
MAX_KEYS = 8


@dataclass(slots=True)
class Count:
    """What came of one candidate. details, keys: the first few different ones. hours: of the epoch."""

    events: int = 0
    bytes: int = 0
    details: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    hours: set[int] = field(default_factory=set)


class Tally:
    """Counts of all events, of what must stay and why, and of each candidate."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.unreadable = 0
        self.kept: dict[Kept, Count] = {reason: Count() for reason in Kept}
        self.counts: dict[Candidate, Count] = {}
        self.hours: set[int] = set()
        self.failed_types: set[str] = set()
        """Failures were seen of these record types, which no exclusion may hide then."""

    def add(self, seen: Seen | Kept, size: int, hour: int, keys: list[str]) -> None:
        """Counts one event of `size` bytes in the hour since the epoch; `keys` are those of its rule."""
        self.events += 1
        self.bytes += size
        self.hours.add(hour)
        if isinstance(seen, Kept):
            count = self.kept[seen]
        else:
            found = self.counts.get(seen.candidate)
            if found is None:
                if len(self.counts) >= MAX_CANDIDATES:
                    self._let_go()
                found = self.counts[seen.candidate] = Count()
            count = found
            count.hours.add(hour)
            if len(count.details) < MAX_DETAILS:
                count.details.add(seen.detail[:MAX_DETAIL_CHARACTERS])
            if len(count.keys) < MAX_KEYS:
                count.keys.update(keys[:MAX_KEYS])
        count.events += 1
        count.bytes += size

    def _let_go(self) -> None:
        ranked = sorted(self.counts.items(), key=lambda item: item[1].events, reverse=True)
        self.counts = dict(ranked[: MAX_CANDIDATES // 2])
