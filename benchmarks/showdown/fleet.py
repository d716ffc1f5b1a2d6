"""`make fleet`: what a fleet costs with each contender, calculated from a run and a host's day. See docs/fleet.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from report import busy, fail, median

from showdown.figures import Told, bytes_an_event, compressed, cpu_us, each, idle, kauditd_us, text

RUN = Path(__file__).resolve().parents[1] / "RESULTS.json"
"""The run that is published."""

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
    kernel_cores: float
    dollars_a_year: float
    memory_gb: float
    terabytes_a_day: float | None
    compressed_terabytes_a_day: float | None
    most_events_a_second: float
    """What one host could take at most, with one processor for nothing else."""


def fleet(told: Told, hosts: int = HOSTS, rates: Mapping[str, float] = RATES) -> Fleet | None:
    """A contender's; None when it was not under all of the work, or nothing runs."""
    cost = {work: each(told, work, cpu_us) for work in rates}
    resident = idle(told, "resident_mb")
    if resident is None or not all(cost.values()):
        return None
    working = sum(rate * median(cost[work]) for work, rate in rates.items())
    seconds = working / 1e6 + told["idle"]["cpu_ms_a_second"] / 1e3
    sizes = {work: each(told, work, bytes_an_event) for work in rates}
    kept = all(sizes.values())
    stored = sum(rate * median(sizes[work]) for work, rate in rates.items()) if kept else None
    daily = stored * DAY_SECONDS * hosts / 1e12 if stored is not None else None
    share = compressed(told, "build")
    cores = seconds * hosts
    kernel = {work: each(told, work, kauditd_us) for work in rates}
    return Fleet(
        cores,
        hosts * sum(rate * median(kernel[work]) for work, rate in rates.items()) / 1e6,
        cores * HOURS_A_YEAR * PRICE_OF_A_CORE_HOUR,
        resident * hosts / 1024,
        daily,
        daily * share if daily is not None and share else None,
        1e6 * sum(rates.values()) / working if working else 0.0,
    )


def text_of(result: Told, hosts: int = HOSTS, rates: Mapping[str, float] = RATES) -> str:
    """The machine, and a table in Markdown, a contender a line."""
    about = result["machine"]
    said = "THE MACHINE WAS BUSY with other work: do not trust these figures.\n\n" if busy(about) else ""
    said += (
        f"{about['processors']} x {about['processor']}, kernel {about['kernel']}, {about['when'][:10]}:\n\n"
    )
    return said + "".join(f"{line}\n" for line in rows(result, hosts, rates))


def rows(result: Told, hosts: int = HOSTS, rates: Mapping[str, float] = RATES) -> list[str]:
    """The table's lines."""
    lines = [
        "| contender | processors | kauditd | dollars a year | memory, GB | TB a day | zstd | events/s a host |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, told in result["contenders"].items():
        if found := fleet(told, hosts, rates):
            cells = [
                text(found.cores, 0),
                text(found.kernel_cores, 0),
                text(found.dollars_a_year, 0),
                text(found.memory_gb, 0),
                text(found.terabytes_a_day, 1),
                text(found.compressed_terabytes_a_day, 2),
                text(found.most_events_a_second, 0),
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Prints the table; 0 done, 1 the run cannot be read, 2 usage."""
    parser = argparse.ArgumentParser(prog="fleet", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--run", type=Path, default=RUN, metavar="FILE", help="a run's JSON (the published one)"
    )
    parser.add_argument("--hosts", type=int, default=HOSTS, metavar="N", help=f"hosts (default {HOSTS:,})")
    parser.add_argument(
        "--rate", action="append", default=[], type=_rate, metavar="WORK=N",
        help="events a second of a host: " + ", ".join(f"{work}={rate:g}" for work, rate in RATES.items()),
    )  # fmt: skip
    options = parser.parse_args()
    try:
        result = json.loads(options.run.read_bytes())
    except (OSError, ValueError) as error:
        fail(f"{options.run}: {error}")
    print(text_of(result, options.hosts, {**RATES, **dict(options.rate)}), end="")
    return 0


def _rate(text: str) -> tuple[str, float]:
    work, _, number = text.partition("=")
    if work not in RATES:
        raise argparse.ArgumentTypeError(f"{work}: not one of {', '.join(RATES)}")
    try:
        rate = float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{number}: not a number") from None
    if rate < 0:
        raise argparse.ArgumentTypeError(f"{number}: less than nothing")
    return work, rate


if __name__ == "__main__":
    raise SystemExit(main())
