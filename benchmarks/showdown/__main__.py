"""`make showdown`: every contender under the same rules and work, interleaved, several rounds. See docs/benchmarks.md.

Takes the audit pid, makes a user and a file in /etc/sudoers.d and removes them: needs root, and audit nobody uses.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from report import TSAUDITD, fail, machine, say, versions, write
from rulesets import nginx, people, sshd
from workload import HERE, compiled

from showdown import contenders, extras, figures, offline, page, publish, tables, work
from showdown.arena import turn
from tsauditd.errors import TsauditdError

TOOLS = {
    "cc": "gcc libc6-dev",
    "nginx": "nginx-light",
    "wrk": "wrk",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "make": "make",
}
FULL = work.Sizes(
    opens=30_000,
    execs=2_500,
    connects=10_000,
    web_seconds=3,
    burst_records=200_000,
    idle_seconds=5,
    probes=75,
    log_megabytes=40,
)
QUICK = work.Sizes(
    opens=5_000,
    execs=300,
    connects=2_000,
    web_seconds=1,
    burst_records=20_000,
    idle_seconds=2,
    probes=25,
    log_megabytes=5,
)


def main() -> int:
    """Runs it; 0 done, 1 something failed, 4 not root, 130 interrupted."""
    options = arguments()
    if os.geteuid() != 0:
        fail("root is needed to take the audit pid", 4)
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            fail(f"{tool} is missing: apt-get install {package}")
    try:
        result = run(options, QUICK if options.quick else FULL)
    except TsauditdError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the kernel's audit is as it was", 130)
    print(tables.report(result))
    written = write("showdown", result)
    if options.publish:
        publish.publish(result)
    print(f"written: {written}, {page.write(result, written.with_suffix('.html'))}")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="showdown", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: to see that it runs")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="contenders with this word"
    )
    parser.add_argument("--work", action="append", default=[], metavar="NAME", help="only this piece of work")
    parser.add_argument("--dir", default="/var/tmp", help="where logs go, on a disk (default /var/tmp)")
    parser.add_argument(
        "--publish", action="store_true", help="also write benchmarks/RESULTS.* and docs/fleet.md"
    )
    options = parser.parse_args()
    if options.publish and (options.quick or options.only or options.work):
        parser.error("--publish is for whole runs")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def run(options: argparse.Namespace, sizes: work.Sizes) -> dict[str, Any]:
    """All rounds, and what they gave."""
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
            rounds = [
                (number, one)
                for number in range(options.rounds)
                for one in [*chosen[number % len(chosen) :], *chosen[: number % len(chosen)]]
            ]
            result: dict[str, Any] = {one.name: {"what": one.what, "rounds": []} for one in chosen}
            for number, contender in rounds:
                told = one_turn(contender, directory, storms, wanted, sizes, first=number == 0)
                result[contender.name]["rounds"].append(told["works"])
                result[contender.name].update(told["extras"])
                say(f"round {number + 1}: {contender.name}: {figures.brief(told['works'])}")
        logs, count = {}, None
        if not options.only and not options.work:
            logs = offline.measure(directory, sizes.log_megabytes, options.rounds)
            count = offline.count_instructions(directory)
    return {
        "machine": about,
        "quick": options.quick,
        "rounds": options.rounds,
        "versions": installed(),
        "load_average_after": list(os.getloadavg()),
        "sizes": asdict(sizes),
        "works": {one.name: one.what for one in wanted},
        "missing": missing,
        "offline": logs,
        "instructions": count,
        "contenders": result,
    }


def one_turn(
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
    measured, more = {}, {}
    try:
        with turn(contender, at) as arena:
            if first:
                more = extras.before(arena, storms, directory, sizes)
            for one in works:
                measured[one.name] = arena.measured(one)
            if first:
                last = measured[works[-1].name][1]["bytes"]
                more["compressed"] = extras.compressed_share(arena.files(), last)
            if first and opens:
                more |= extras.after(arena, storms, directory, opens, sizes)
        if "burst" in more:
            more["burst"] = extras.burst_delivered(arena, more["burst"])
        told = {}
        for one in works:
            done, costs = measured[one.name]
            found = arena.delivered(one, done)
            told[one.name] = {**costs, "delivered": asdict(found) if found else None}
    finally:
        shutil.rmtree(at, ignore_errors=True)
    return {"works": told, "extras": more}


def installed() -> dict[str, str]:
    """Versions of all that took part, where they are installed."""
    commands = {
        "tsauditd": [str(TSAUDITD), "--version"],
        "auditd": ["auditctl", "-v"],
        "laurel": ["laurel", "--version"],
        "rsyslogd": ["rsyslogd", "-v"],
        "nginx": ["nginx", "-v"],
        "wrk": ["wrk", "-v"],
        "cc": ["cc", "--version"],
        "go-audit": ["go-audit", "-version"],
        "auditbeat": ["auditbeat", "version"],
    }
    return versions({name: command for name, command in commands.items() if shutil.which(command[0])})


if __name__ == "__main__":
    raise SystemExit(main())
