"""All rounds of a showdown: who takes part, their turns one after another, and what each gave."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from report import machine, say
from rulesets import nginx, people, sshd
from workload import HERE, compiled

from showdown import contenders, extras, figures, offline, profile, work
from showdown.arena import turn
from tsauditd.errors import TsauditdError

FAILURES = (TsauditdError, OSError, LookupError, ValueError, subprocess.SubprocessError)
"""What ends one turn and not the others: a program that does not start, work that fails, lines that nobody can read."""


def run(options: argparse.Namespace, sizes: work.Sizes) -> dict[str, Any]:
    """All rounds, and what they gave. A turn that fails is told, and the others go on.

    Raises TsauditdError when nobody has come through a turn.
    """
    began = time.monotonic()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="tsauditd-showdown-", dir=options.dir) as name:
        directory = Path(name)
        directory.chmod(0o755)
        floor = compiled(HERE / "floor.c", directory)
        storms = compiled(HERE / "showdown" / "storms.c", directory)
        leaf = compiled(HERE / "leaf.c", directory)
        everyone = contenders.contenders(floor)
        missing = {one.name: why for one in everyone if (why := one.missing())}
        chosen = [one for one in contenders.chosen(everyone, options.only) if one.name not in missing]
        with (
            people(directory) as key,
            sshd(directory, key),
            nginx(directory, work.nginx_configuration(directory), work.WEB_PORT),
        ):
            work.sources(directory)
            every = work.works(directory, storms, leaf, key, sizes)
            wanted = [one for one in every if not options.work or one.name in options.work]

            def take(contender: contenders.Contender, *, first: bool) -> dict[str, Any]:
                return _turn(contender, directory, storms, wanted, sizes, first=first)

            result, failed = in_turns(chosen, options.rounds, take)
        logs, count = {}, None
        if not options.only and not options.work:
            logs = offline.measure(directory, sizes.log_megabytes, options.rounds)
            count = offline.count_instructions(directory)
    return {
        "machine": about,
        "quick": options.quick,
        "rounds": options.rounds,
        "seconds": round(time.monotonic() - began),
        "load_average_after": list(os.getloadavg()),
        "sizes": asdict(sizes),
        "works": {one.name: one.what for one in wanted},
        "missing": missing,
        "failed": failed,
        "offline": logs,
        "instructions": count,
        "contenders": result,
    }


class Take(Protocol):
    """Has a contender take its turn; `first`: with what is measured once."""

    def __call__(self, contender: contenders.Contender, /, *, first: bool) -> dict[str, Any]: ...


def in_turns(
    chosen: Sequence[contenders.Contender], rounds: int, take: Take
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What each contender came to, and whose turns failed, with the reasons. Each round begins with another one.

    Raises TsauditdError when nobody has come through a turn.
    """
    began = time.monotonic()
    result: dict[str, Any] = {one.name: {"what": one.what, "rounds": []} for one in chosen}
    failed: dict[str, list[str]] = {}
    for number in range(rounds):
        first = number % max(1, len(chosen))
        for contender in [*chosen[first:], *chosen[:first]]:
            told = result[contender.name]
            before = f"{time.monotonic() - began:4.0f} s, round {number + 1}: {contender.name}"
            try:
                done = take(contender, first=not told["rounds"])
            except FAILURES as error:
                why = str(error) if isinstance(error, TsauditdError) else f"{type(error).__name__}: {error}"
                failed.setdefault(contender.name, []).append(why)
                say(f"{before}: FAILED: {why}")
                continue
            told["rounds"].append(done["works"])
            told.update(done["extras"])
            say(f"{before}, {done['seconds']:.0f} s: {figures.brief(done['works'])}")
    came_through = {name: told for name, told in result.items() if told["rounds"]}
    if not came_through:
        reasons = [why for each in failed.values() for why in each]
        raise TsauditdError(f"nobody came through a turn: {reasons[0] if reasons else 'nobody is there'}")
    return came_through, failed


def _turn(
    contender: contenders.Contender,
    directory: Path,
    storms: Path,
    works: list[work.Work],
    sizes: work.Sizes,
    *,
    first: bool,
) -> dict[str, Any]:
    """One contender's turn; `first`: with what is measured once."""
    at = directory / "turn"
    opens = next((one for one in works if one.name == "open"), None)
    measured, more, shares = {}, {}, {}
    try:
        with turn(contender, at) as arena:
            began = time.monotonic()
            if first:
                more = extras.before(arena, storms, directory, sizes)
            for one in works:
                measured[one.name] = arena.measured(one)
                if first:
                    shares[one.name] = extras.compressed_share(arena.files(), measured[one.name][1]["bytes"])
            if first and opens:
                more |= extras.after(arena, storms, directory, opens, sizes)
        if "burst" in more:
            more["burst"] = extras.burst_delivered(arena, more["burst"])
            more["profile"] = profile.read(at)
        told = {}
        for one in works:
            done, costs = measured[one.name]
            found = arena.delivered(one, done)
            told[one.name] = {**costs, "delivered": asdict(found) if found else None}
    finally:
        shutil.rmtree(at, ignore_errors=True)
    return {
        "works": told,
        "extras": {**more, "compressed": shares} if first else {},
        "seconds": time.monotonic() - began,
    }
