"""What a fleet costs with each contender, calculated from a run's JSON and a host's day. See docs/fleet.md."""

from __future__ import annotations

from dataclasses import dataclass

from report import median

from showdown.figures import Told, bytes_an_event, cpu_us, each, idle, text

HOSTS = 10_000
DAY_SECONDS = 86_400
HOURS_A_YEAR = 8_766
PRICE_OF_A_CORE_HOUR = 0.04
"""Dollars for an hour of one virtual processor: what clouds ask for their general machines, without a contract."""

RATES = {"web": 200.0, "open": 20.0, "exec": 5.0, "connect": 25.0}
"""Events a second of a host, averaged over its day, by the work whose cost an event has: a web server with a hundred
requests a second, and what services and people do beside it."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all hosts take together. Memory and disk of the daemon and all that it needs."""

    cores: float
    dollars_a_year: float
    memory_gb: float
    terabytes_a_day: float | None
    compressed_terabytes_a_day: float | None
    most_events_a_second: float
    """What one host could take at most, with one processor for nothing else."""


def fleet(told: Told, hosts: int = HOSTS) -> Fleet | None:
    """A contender's; None when it was not under all of the work, or nothing runs."""
    cost = {work: each(told, work, cpu_us) for work in RATES}
    resident = idle(told, "resident_mb")
    if resident is None or not all(cost.values()):
        return None
    busy = sum(rate * median(cost[work]) for work, rate in RATES.items())
    seconds = busy / 1e6 + told["idle"]["cpu_ms_a_second"] / 1e3
    sizes = {work: each(told, work, bytes_an_event) for work in RATES}
    kept = all(sizes.values())
    stored = sum(rate * median(sizes[work]) for work, rate in RATES.items()) if kept else None
    daily = stored * DAY_SECONDS * hosts / 1e12 if stored is not None else None
    share = told.get("compressed")
    cores = seconds * hosts
    return Fleet(
        cores,
        cores * HOURS_A_YEAR * PRICE_OF_A_CORE_HOUR,
        resident * hosts / 1024,
        daily,
        daily * share if daily is not None and share else None,
        1e6 * sum(RATES.values()) / busy,
    )


def rows(result: Told, hosts: int = HOSTS) -> list[str]:
    """A table in Markdown, a contender a line."""
    lines = [
        "| contender | processors | dollars a year | memory, GB | TB a day | zstd | events/s a host at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, told in result["contenders"].items():
        if found := fleet(told, hosts):
            cells = [
                text(found.cores, 0),
                text(found.dollars_a_year, 0),
                text(found.memory_gb, 0),
                text(found.terabytes_a_day, 1),
                text(found.compressed_terabytes_a_day, 2),
                text(found.most_events_a_second, 0),
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
