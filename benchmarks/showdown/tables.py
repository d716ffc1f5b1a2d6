"""The figures of a run as tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from report import heading, spread, table, verdict

from showdown import profile
from showdown.figures import (
    FLOOR,
    Told,
    busy_percent,
    bytes_an_event,
    compressed,
    counted,
    cpu_us,
    cpu_us_a_request,
    each,
    idle,
    kauditd_us,
    latency,
    middle,
    others_peak_mb,
    peak_mb,
    requests_a_second,
    share_right,
    text,
    took_ms,
    verdicts,
    wakeups,
    wall_s,
)


def report(result: Told) -> str:
    """All tables."""
    them = result["contenders"]
    parts = [heading("showdown", result["machine"], result["versions"])]
    parts.append(f"medians [least, most] of rounds: {result['rounds']}\n")
    if result["quick"]:
        parts.append("QUICK: a tenth of the work, these figures mean nothing\n")
    parts += [f"{name}: {one['what']}\n" for name, one in them.items()]
    parts += [f"{name}: LEFT OUT: {why}\n" for name, why in result["missing"].items()]
    parts += [f"{name}: A ROUND FAILED: {why}\n" for name, each in failures(result) for why in each]
    parts += [f"{line}\n" for line in not_whole(result)]
    parts += ["\n", *(f"{part}\n" for part in _tables(result))]
    if count := result.get("instructions"):
        parts.append(f"instructions of convert for an event of the sparse log (callgrind): {count:,.0f}\n")
    for name, one in result.get("offline", {}).items():
        if why := one.get("left_out"):
            parts.append(f"offline, {name}: LEFT OUT: {why}\n")
    for aim, value in verdicts(result):
        line = "not measured" if value is None else verdict("", value, aim.aim, most=aim.most)[2:]
        bound = aim.bound(result)
        parts.append(f"{aim.what}: {line}{f' ({bound})' if bound else ''}\n")
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
        shown += [_once(them), _bytes(them, list(works)), _burst(them)]
    if any(told.get("profile") for told in them.values()):
        shown.append(_profile(them))
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
            text(middle(told, work, busy_percent) if cost else None, 0),
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
        work, "CPU us/event", "/floor", "CPU %", "kauditd", "wall s", "p50 ms", "p99 ms", "right", "lost", "backlog",
        "waits", "wake-ups",
    ]  # fmt: skip
    return f"{what}\n{table(head, rows)}"


def _build(them: dict[str, Told], what: str) -> str:
    rows = [
        [
            name,
            spread(each(told, "build", wall_s)),
            text(middle(told, "build", lambda one: one["cpu_ns"] / 1e6) or None, 0),
            text(middle(told, "build", lambda one: counted(one) if one["delivered"] else None), 0),
            right(told, "build"),
            total(told, "build", "lost"),
        ]
        for name, told in them.items()
    ]
    return f"{what}\n{table(['build', 'wall s', 'CPU ms', 'events', 'right', 'lost'], rows)}"


def _once(them: dict[str, Told]) -> str:
    rows = []
    for name, told in them.items():
        if "idle" not in told:
            continue
        rows.append([
            name,
            text(idle(told, "wakeups_a_second"), 1),
            text(idle(told, "cpu_ms_a_second")),
            text(idle(told, "resident_mb"), 1),
            text(told["idle"].get("others_resident_mb") or None, 1),
            text(peak_mb(told), 1),
            text(others_peak_mb(told), 1),
            *(_late(told, when, at) for when in ("rest", "storm") for at in (0.5, 0.99)),
            text(told.get("calls_per_event")),
        ])  # fmt: skip
    head = [
        "once", "wake-ups/s", "CPU ms/s", "rest MB", "of others", "peak MB", "of others", "rest p50 ms", "p99",
        "storm p50 ms", "p99", "calls/event",
    ]  # fmt: skip
    return table(head, rows)


def _late(told: Told, when: str, share: float) -> str:
    missing = told.get(f"latency_{when}", {}).get("missing")
    return f"{missing} lost" if missing else text(latency(told, when, share), 1)


def _bytes(them: dict[str, Told], works: Sequence[str]) -> str:
    rows = []
    for name, told in them.items():
        cells = []
        for work in works:
            size, share = middle(told, work, bytes_an_event), compressed(told, work)
            cells += [text(size, 0), text(size * share if size and share else None, 0)]
        if any(cell != "-" for cell in cells):
            rows.append([name, *cells])
    return table(["bytes an event", *(word for work in works for word in (work, "zstd"))], rows)


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
    head = ["reader stopped, burst", "events", "lost", "events kept", "s to rest"]
    return table(head, rows)


def _profile(them: dict[str, Told]) -> str:
    head = ["where the CPU goes, us/event", *(short for _, short in _KINDS)]
    rows = []
    for name, told in them.items():
        cost = middle(told, "open", cpu_us)
        if cost and (shares := told.get("profile")):
            rows.append([name, *(text(cost * shares.get(kind, 0)) for kind, _ in _KINDS)])
    return f"open() storm by perf's samples\n{table(head, rows)}"


_KINDS = (
    (profile.RECEIVE, "receive"),
    (profile.COPY, "copy"),
    (profile.FREE, "free"),
    (profile.SWITCH, "switch"),
    (profile.FAULT, "faults"),
    (profile.WRITE, "write"),
    (profile.SEND, "send"),
    (profile.KERNEL, "kernel"),
    (profile.CORE, "Rust core"),
    (profile.PYTHON, "Python"),
    (profile.OWN, "own"),
)


def right(told: Told, work: str) -> str:
    """The share of the worst round, in percent."""
    shares = each(told, work, share_right)
    if not shares:
        return "-"
    # Rounded down: 100 % that are not all would say something else.
    return "all" if min(shares) == 1 else f"{math.floor(10_000 * min(shares)) / 100:.2f} %"


def failures(result: Told) -> list[tuple[str, list[str]]]:
    """Whose turns failed, and why."""
    return list(result.get("failed", {}).items())


def not_whole(result: Told) -> list[str]:
    """Of each contender and work one event that came out without all that it should say."""
    return [
        f"{name}, {work}: not whole, for example {one['delivered']['example']}"
        for name, told in result["contenders"].items()
        for work in result["works"]
        for one in [one[work] for one in told["rounds"] if work in one and one[work]["delivered"]]
        if one["delivered"].get("example")
    ]


def total(told: Told, work: str, name: str) -> str:
    """A counter over all rounds."""
    return f"{sum(one[work][name] for one in told['rounds']):,}"


def most(told: Told, work: str, name: str) -> str:
    """The most of all rounds."""
    return f"{max(one[work][name] for one in told['rounds']):,}"
