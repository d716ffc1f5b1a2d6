"""From what was measured to figures: medians, tables, and how they stand to what is aimed at. Nothing is done here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from report import heading, median, spread, table, verdict

FLOOR, BATCHED_FLOOR = "floor", "floor, recvmmsg"
OURS, LEAN = "tsauditd", "tsauditd, lean rules"
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


def right(told: Told, work: str) -> str:
    """Events that came out and say what happened, in percent of those that were made: of the worst round."""
    shares = each(
        told,
        work,
        lambda one: (
            one["delivered"]["correct"] / one["events"] if one["delivered"] and one["events"] else None
        ),
    )
    if not shares:
        return "-"
    return "all" if min(shares) == 1 else f"{100 * min(shares):.2f} %"


def total(told: Told, work: str, name: str) -> str:
    """A counter over all rounds."""
    return f"{sum(one[work][name] for one in told['rounds']):,}"


def most(told: Told, work: str, name: str) -> str:
    """The most of all rounds."""
    return f"{max(one[work][name] for one in told['rounds']):,}"


def peak_mb(told: Told) -> Value:
    """The most memory in any piece of work, all processes of the pipeline together."""
    peaks = [one["peak_mb"] for works in told["rounds"] for one in works.values()]
    if told.get("burst"):
        peaks.append(told["burst"]["peak_mb"])
    return max(peaks, default=0.0) or None


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


def _ratio(above: str, below: str, work: str, figure: Callable[[Told], Value]) -> Callable[[Told], Value]:
    def value(result: Told) -> Value:
        them = result["contenders"]
        if above not in them or below not in them:
            return None
        one, other = middle(them[above], work, figure), middle(them[below], work, figure)
        return one / other if one and other else None

    return value


def _of(name: str, figure: Callable[[Told], Value]) -> Callable[[Told], Value]:
    return lambda result: figure(result["contenders"][name]) if name in result["contenders"] else None


def _offline(log: str, name: str) -> Callable[[Told], Value]:
    return lambda result: result.get("offline", {}).get(log, {}).get(name)


AIMS = (
    Aim(f"open() storm, CPU an event: {OURS} / {FLOOR}", _ratio(OURS, FLOOR, "open", cpu_us), 1.35, most=True),
    Aim(f"open() storm, CPU an event: {AUDITD} / {OURS}", _ratio(AUDITD, OURS, "open", cpu_us), 7, most=False),
    Aim(f"open() storm, CPU an event: {LAUREL} / {OURS}", _ratio(LAUREL, OURS, "open", cpu_us), 14, most=False),
    Aim(f"web server, requests a second: {OURS} / {FLOOR}", _ratio(OURS, FLOOR, "web", requests_a_second), 0.95,
        most=False),
    Aim(f"web server, CPU a request: {AUDITD} / {LEAN}", _ratio(AUDITD, LEAN, "web", cpu_us_a_request), 12,
        most=False),
    Aim("offline, CPU: ausearch -i / convert, web server's log", _offline("web", "cpu_ratio"), 12, most=False),
    Aim("offline, CPU: ausearch -i / convert, storm", _offline("storm", "cpu_ratio"), 12, most=False),
    Aim("offline, CPU: ausearch -i / convert, sparse", _offline("raw", "cpu_ratio"), 12, most=False),
    Aim("offline, MB for a second of CPU, web server's log", _offline("web", "mb_a_second"), 250, most=False),
    Aim("offline, MB for a second of CPU, storm", _offline("storm", "mb_a_second"), 250, most=False),
    Aim("offline, MB for a second of CPU, sparse", _offline("raw", "mb_a_second"), 250, most=False),
    Aim("call to line, ms, p99 at rest", _of(OURS, lambda told: latency(told, "rest", 0.99)), 20, most=True),
    Aim("call to line, ms, p99 in the storm", _of(OURS, lambda told: latency(told, "storm", 0.99)), 100, most=True),
    Aim("resident memory at rest, MB", _of(OURS, lambda told: idle(told, "resident_mb")), 40, most=True),
    Aim("resident memory, most of all storms, MB", _of(OURS, peak_mb), 100, most=True),
    Aim("wake-ups a second at rest", _of(OURS, lambda told: idle(told, "wakeups_a_second")), 2, most=True),
)  # fmt: skip


def verdicts(result: Told) -> list[tuple[Aim, Value]]:
    """What is aimed at, and what came of it (None: not measured in this run)."""
    return [(aim, aim.value(result)) for aim in AIMS]


def report(result: Told) -> str:
    """All tables."""
    them = result["contenders"]
    parts = [heading("showdown", result["machine"], result["versions"])]
    parts.append(f"medians [least, most] of rounds: {result['rounds']}\n")
    if result["quick"]:
        parts.append("QUICK: a tenth of the work, these figures mean nothing\n")
    parts += [f"{name}: {one['what']}\n" for name, one in them.items()]
    parts += [f"{name}: LEFT OUT: {why}\n" for name, why in result["missing"].items()]
    parts += ["\n", *(f"{part}\n" for part in _tables(result))]
    if count := result.get("instructions"):
        parts.append(f"instructions of convert for an event of the sparse log (callgrind): {count:,.0f}\n")
    for name, one in result.get("offline", {}).items():
        if why := one.get("left_out"):
            parts.append(f"offline, {name}: LEFT OUT: {why}\n")
    for aim, value in verdicts(result):
        line = "not measured" if value is None else verdict("", value, aim.aim, most=aim.most)[2:]
        parts.append(f"{aim.what}: {line}\n")
    load = ", ".join(f"{value:.2f}" for value in result["load_average_after"])
    parts.append(f"load average after: {load}\n")
    return "".join(parts)


def _tables(result: Told) -> list[str]:
    them, works = result["contenders"], result["works"]
    shown = [_web(them, works["web"])] if "web" in works else []
    shown += [_storm(them, name, works[name]) for name in ("open", "exec", "connect") if name in works]
    if "build" in works:
        shown.append(_build(them, works["build"]))
    if any("idle" in told for told in them.values()):
        shown += [_once(them), _burst(them)]
    return shown


def _web(them: dict[str, Told], what: str) -> str:
    rows = [
        [
            name,
            spread(each(told, "web", requests_a_second), 0),
            text(middle(told, "web", took_ms("p50"))),
            text(middle(told, "web", took_ms("p99"))),
            text(middle(told, "web", cpu_us_a_request)),
            text(middle(told, "web", busy_percent), 0),
            right(told, "web"),
            total(told, "web", "lost"),
            most(told, "web", "backlog_most"),
            total(told, "web", "backlog_waits"),
        ]
        for name, told in them.items()
    ]
    head = [
        "web server",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU us/req",
        "CPU %",
        "right",
        "lost",
        "backlog",
        "waits",
    ]
    return f"{what}\n{table(head, rows)}"


def _storm(them: dict[str, Told], work: str, what: str) -> str:
    floor = middle(them[FLOOR], work, cpu_us) if FLOOR in them else None
    rows = []
    for name, told in them.items():
        cost = middle(told, work, cpu_us)
        rows.append([
            name,
            spread(each(told, work, cpu_us)) if cost else "-",
            text(cost / floor if cost and floor else None),
            text(middle(told, work, kauditd_us)),
            text(middle(told, work, wall_s)),
            text(middle(told, work, took_ms("p50")), 3),
            text(middle(told, work, took_ms("p99")), 3),
            right(told, work),
            total(told, work, "lost"),
            most(told, work, "backlog_most"),
            total(told, work, "backlog_waits"),
            text(middle(told, work, wakeups) if cost else None),
        ])  # fmt: skip
    head = [
        work, "CPU us/event", "/floor", "kauditd", "wall s", "p50 ms", "p99 ms", "right", "lost", "backlog", "waits",
        "wake-ups",
    ]  # fmt: skip
    return f"{what}\n{table(head, rows)}"


def _build(them: dict[str, Told], what: str) -> str:
    rows = [
        [
            name,
            spread(each(told, "build", wall_s)),
            text(middle(told, "build", lambda one: one["cpu_ns"] / 1e6) or None, 0),
            text(middle(told, "build", lambda one: counted(one) if one["delivered"] else None), 0),
            total(told, "build", "lost"),
        ]
        for name, told in them.items()
    ]
    return f"{what}\n{table(['build', 'wall s', 'CPU ms', 'events', 'lost'], rows)}"


def _once(them: dict[str, Told]) -> str:
    rows = []
    for name, told in them.items():
        if "idle" not in told:
            continue
        size = middle(told, "open", bytes_an_event)
        share = told.get("compressed")
        rows.append([
            name,
            text(idle(told, "wakeups_a_second"), 1),
            text(idle(told, "cpu_ms_a_second")),
            text(idle(told, "resident_mb"), 1),
            text(peak_mb(told), 1),
            *(text(latency(told, when, at), 1) for when in ("rest", "storm") for at in (0.5, 0.99)),
            text(told.get("calls_per_event")),
            text(size, 0),
            text(size * share if size and share else None, 0),
        ])  # fmt: skip
    head = [
        "once", "wake-ups/s", "CPU ms/s", "rest MB", "peak MB", "rest p50 ms", "p99", "storm p50 ms", "p99",
        "calls/event", "bytes/event", "zstd",
    ]  # fmt: skip
    return table(head, rows)


def _burst(them: dict[str, Told]) -> str:
    rows = []
    for name, told in them.items():
        if not (one := told.get("burst")):
            continue
        kept = one.get("delivered")
        rows.append([
            name,
            f"{one['events']:,}",
            f"{one['lost_records']:,}",
            f"{kept['events']:,}" if kept else "-",
            "never" if one["recovered_s"] is None else f"{one['recovered_s']:.1f}",
        ])  # fmt: skip
    head = ["reader stopped, burst", "events", "records lost", "events kept", "s to rest"]
    return table(head, rows)


def brief(works: Told) -> str:
    """A turn in a line, for who waits."""
    parts = []
    for name, one in works.items():
        cost = cpu_us(one)
        parts.append(f"{name} {text(wall_s(one), 1)} s" + (f", {cost:.1f} us/event" if cost else ""))
    return "; ".join(parts)
