"""From what was measured to figures: medians, and how they stand to what is aimed at. Nothing is done here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from report import median

FLOOR, BATCHED_FLOOR, LEAN_FLOOR = "floor", "floor, recvmmsg", "floor, recvmmsg, lean rules"
OURS, LEAN, OURS_SYSLOG = "tsauditd", "tsauditd, lean rules", "tsauditd + rsyslog"
AUDITD, LAUREL = "auditd", "auditd + laurel"

Value = float | None
Told = dict[str, Any]
"""What one contender came to: `what`, `rounds` (each the pieces of work by name), and what was measured once."""


def each(told: Told, work: str, figure: Callable[[Told], Value]) -> list[float]:
    """A figure of each round, without those that do not have it."""
    values = [figure(one[work]) for one in told["rounds"] if work in one]
    return [value for value in values if value is not None]


def middle(told: Told, work: str, figure: Callable[[Told], Value]) -> Value:
    """The median of the rounds."""
    values = each(told, work, figure)
    return median(values) if values else None


def counted(one: Told) -> Value:
    """The events of a piece of work: those that came out whole, or where nothing is kept those that were made."""
    delivered = one["delivered"]
    events: int | None = delivered["complete"] if delivered else one["events"]
    return events or None


def cpu_us(one: Told) -> Value:
    """CPU of the whole pipeline for an event, in microseconds."""
    events = counted(one)
    return float(one["cpu_ns"]) / 1000 / events if events else None


def kauditd_us(one: Told) -> Value:
    """The same of the kernel's thread, for an event that was made."""
    return float(one["kauditd_ns"]) / 1000 / one["events"] if one["events"] else None


def wakeups(one: Told) -> Value:
    """Wake-ups for an event."""
    events = counted(one)
    return float(one["wakeups"]) / events if events else None


def wall_s(one: Told) -> Value:
    """How long the work took."""
    return float(one["work"]["wall_ns"]) / 1e9


def requests_a_second(one: Told) -> Value:
    """Of the web server."""
    requests: int = one["work"]["requests"]
    nanoseconds: int = one["work"]["wall_ns"]
    return requests / (nanoseconds / 1e9)


def cpu_us_a_request(one: Told) -> Value:
    """CPU of the whole pipeline for a request, in microseconds."""
    cost: int = one["cpu_ns"]
    requests: int = one["work"]["requests"]
    return cost / 1000 / requests


def busy_percent(one: Told) -> Value:
    """CPU of the whole pipeline while the work went on, in percent of one processor."""
    return 100 * float(one["busy_share"])


def took_ms(which: str) -> Callable[[Told], Value]:
    """A percentile of the work's own round, in milliseconds."""
    return lambda one: one["work"][f"{which}_ns"] / 1e6


def bytes_an_event(one: Told) -> Value:
    """Bytes on disk for an event, in all files that the pipeline writes."""
    events = counted(one)
    return float(one["bytes"]) / events if events and one["delivered"] else None


def share_right(one: Told) -> Value:
    """Events that came out and say what happened, of those that are known to have been made."""
    known = one.get("known")
    return one["delivered"]["correct"] / known if one["delivered"] and known else None


def compressed(told: Told, work: str) -> Value:
    """What zstd makes of a byte of a piece of work's lines."""
    shares: dict[str, float | None] = told.get("compressed") or {}
    return shares.get(work)


def peak_mb(told: Told) -> Value:
    """The most memory in any piece of work, all processes of the pipeline together."""
    return max((one["peak_mb"] for one in _pieces(told)), default=0.0) or None


def others_peak_mb(told: Told) -> Value:
    """The same of those beside the reader, as a syslog daemon; None without any, or where it was not told."""
    return max((one.get("others_peak_mb", 0.0) for one in _pieces(told)), default=0.0) or None


def own_peak_mb(told: Told) -> Value:
    """Of the reader alone (with its plugins); None where it was not told apart from others."""
    pieces = _pieces(told)
    if not all("others_peak_mb" in one for one in pieces):
        return None
    return max((one["peak_mb"] - one["others_peak_mb"] for one in pieces), default=0.0) or None


def own_rest_mb(told: Told) -> Value:
    """The reader's memory at rest; None where it was not told apart from others."""
    if idle(told, "resident_mb") is None or "others_resident_mb" not in told["idle"]:
        return None
    return float(told["idle"]["resident_mb"] - told["idle"]["others_resident_mb"])


def _pieces(told: Told) -> list[Told]:
    """All that its memory was watched in: the works of each round, and the burst."""
    pieces = [one for works in told["rounds"] for one in works.values()]
    return [*pieces, told["burst"]] if told.get("burst") else pieces


def text(value: Value, digits: int = 2) -> str:
    """A figure, or a dash for what there is not."""
    return "-" if value is None else f"{value:,.{digits}f}"


def percentile(ascending: Sequence[float], share: float) -> Value:
    """The value that this share of them does not exceed (nearest rank); None without any."""
    return ascending[max(0, -(-len(ascending) * round(1000 * share) // 1000) - 1)] if ascending else None


def latency(told: Told, when: str, share: float) -> Value:
    """Milliseconds from the system call to the line; None where nothing is kept or a line never came."""
    measured = told.get(f"latency_{when}")
    return percentile(measured["ms"], share) if measured and not measured["missing"] else None


def idle(told: Told, name: str) -> Value:
    """A figure of the rest; None where nothing runs."""
    return told["idle"][name] if told.get("idle") and told["idle"]["resident_mb"] else None


@dataclass(frozen=True, slots=True)
class Aim:
    """A row of what is to be reached."""

    what: str
    value: Callable[[Told], Value]
    """Takes the whole result."""
    aim: float
    most: bool
    bounds: tuple[tuple[str, Callable[[Told], Value]], ...] = ()
    """What the same figure would be of a program that does nothing but receive."""

    def bound(self, result: Told) -> str:
        """Those, for people; empty when there are none."""
        known = [(name, value(result)) for name, value in self.bounds]
        told = "; ".join(f"{name}: {value:.2f}" for name, value in known if value is not None)
        return f"of one that only receives: {told}" if told else ""


def _ratio(above: str, below: str, work: str, figure: Callable[[Told], Value]) -> Callable[[Told], Value]:
    def value(result: Told) -> Value:
        them = result["contenders"]
        if above not in them or below not in them:
            return None
        one, other = middle(them[above], work, figure), middle(them[below], work, figure)
        return one / other if one and other else None

    return value


def _less(
    above: str, below: str, work: str, figure: Callable[[Told], Value], aim: float, *floors: str
) -> Aim:
    """So many times less than another one's, and what the floors' would be."""
    words = {"open": "open() storm, CPU an event", "web": "web server, CPU a request"}
    return Aim(
        f"{words[work]}: {above} / {below}",
        _ratio(above, below, work, figure),
        aim,
        most=False,
        bounds=tuple((floor, _ratio(above, floor, work, figure)) for floor in floors),
    )


def _of(name: str, figure: Callable[[Told], Value]) -> Callable[[Told], Value]:
    return lambda result: figure(result["contenders"][name]) if name in result["contenders"] else None


def _offline(log: str, name: str) -> Callable[[Told], Value]:
    return lambda result: result.get("offline", {}).get(log, {}).get(name)


AIMS = (
    Aim(f"open() storm, CPU an event: {OURS} / {FLOOR}", _ratio(OURS, FLOOR, "open", cpu_us), 1.35, most=True),
    _less(AUDITD, OURS, "open", cpu_us, 7, FLOOR, BATCHED_FLOOR),
    _less(LAUREL, OURS, "open", cpu_us, 14, FLOOR, BATCHED_FLOOR),
    Aim(f"web server, requests a second: {OURS} / {FLOOR}", _ratio(OURS, FLOOR, "web", requests_a_second), 0.95,
        most=False),
    _less(AUDITD, LEAN, "web", cpu_us_a_request, 12, FLOOR, BATCHED_FLOOR, LEAN_FLOOR),
    Aim("offline, CPU: ausearch -i / convert, web server's log", _offline("web", "cpu_ratio"), 12, most=False),
    Aim("offline, CPU: ausearch -i / convert, storm", _offline("storm", "cpu_ratio"), 12, most=False),
    Aim("offline, CPU: ausearch -i / convert, sparse", _offline("raw", "cpu_ratio"), 12, most=False),
    Aim("offline, MB for a second of CPU, web server's log", _offline("web", "mb_a_second"), 250, most=False),
    Aim("offline, MB for a second of CPU, storm", _offline("storm", "mb_a_second"), 250, most=False),
    Aim("offline, MB for a second of CPU, sparse", _offline("raw", "mb_a_second"), 250, most=False),
    Aim("call to line, ms, p99 at rest", _of(OURS, lambda told: latency(told, "rest", 0.99)), 20, most=True),
    Aim("call to line, ms, p99 in the storm", _of(OURS, lambda told: latency(told, "storm", 0.99)), 100, most=True),
    *(Aim(f"resident memory at rest, MB: {name}", _of(name, lambda told: idle(told, "resident_mb")), 40, most=True)
      for name in (OURS, LEAN)),
    Aim(f"resident memory at rest, MB: {OURS_SYSLOG}, tsauditd alone", _of(OURS_SYSLOG, own_rest_mb), 40, most=True),
    *(Aim(f"resident memory, most of all storms, MB: {name}", _of(name, peak_mb), 100, most=True)
      for name in (OURS, LEAN)),
    Aim(f"resident memory, most of all storms, MB: {OURS_SYSLOG}, tsauditd alone", _of(OURS_SYSLOG, own_peak_mb), 100,
        most=True),
    Aim("wake-ups a second at rest", _of(OURS, lambda told: idle(told, "wakeups_a_second")), 2, most=True),
)  # fmt: skip


def verdicts(result: Told) -> list[tuple[Aim, Value]]:
    """What is aimed at, and what came of it (None: not measured in this run)."""
    return [(aim, aim.value(result)) for aim in AIMS]


def brief(works: Told) -> str:
    """A turn in a line, for who waits."""
    parts = []
    for name, one in works.items():
        cost = cpu_us(one)
        parts.append(f"{name} {text(wall_s(one), 1)} s" + (f", {cost:.1f} us/event" if cost else ""))
    return "; ".join(parts)
