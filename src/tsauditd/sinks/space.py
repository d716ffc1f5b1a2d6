"""Free space against the two limits of a file, each with its action, taken once when it is crossed."""

from collections.abc import Callable
from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(slots=True)
class Limit:
    """Space that is to stay free: MiB, or a share of the file system as in `5%`; 0 is no limit."""

    name: str
    least: str
    action: str
    crossed: bool = False

    @property
    def is_set(self) -> bool:
        """Whether there is a limit."""
        return self.least not in ("0", "0%")

    def look(
        self, free: int, total: int, act: Callable[[str, str], None], well: Callable[[str], None]
    ) -> None:
        """Compares bytes; calls `act(action, why)` when the limit is crossed, `well(why)` when space is back."""
        share = self.least.endswith("%")
        least = total * int(self.least[:-1]) // 100 if share else int(self.least) * _MIB
        short = free < least
        wanted = self.least if share else f"{self.least} MiB"
        why = f"{self.name}: {free // _MIB} MiB are free, fewer than {wanted}"
        if short and not self.crossed:
            self.crossed = True
            act(self.action, why)
        elif short and self.action == "rotate":
            act(self.action, why)
        elif not short and self.crossed:
            self.crossed = False
            well(self.name)
