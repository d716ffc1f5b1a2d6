"""How many connections show both their ends, client by client, each held against what client and server saw; and what
each way of learning the other end costs.

Takes the audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from borrowed import borrowed_audit, needs_root, workplace
from clients import Ends, Scene, Seen, missing, path_of, scenes
from lookups import lookups_report, measured
from readers import BACKLOG_LIMIT, tsauditd
from report import TSAUDITD, fail, finish, heading, machine, say, table, verdict, versions
from workload import HERE, add, compiled, end, wait_until_it_reads

from tsauditd.kernel import status as kernel
from tsauditd.kernel.netlink import ControlSocket

ACCEPTED_AIM = 99.5
CONNECTED_AIM = 95.0

LAST_S = 0.3
"""After the last scene, whose last events are on their way."""

Event = dict[str, Any]


@dataclass(slots=True)
class Reach:
    """What came of a scene's connects or accepts."""

    events: int
    known: int
    wrong: int
    """Ends that the peer did not see, or not that often."""
    by: dict[str, int]
    """By `tsauditd.endpoint`."""


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed or an end was wrong, 4 not root, 130 interrupted."""
    options = arguments()
    needs_root()
    if lack := missing():
        fail(lack)
    about = machine()
    tools = versions(
        {
            "tsauditd": [TSAUDITD, "--version"],
            "nginx": ["nginx", "-v"],
            "wrk": ["wrk", "-v"],
            "curl": ["curl", "-V"],
        }
    )
    with workplace(options.dir) as at:
        chosen = [
            scene
            for scene in scenes(at, compiled(HERE / "connects.c", at), options.count, options.seconds)
            if options.only in scene.name
        ]
        with borrowed_audit(BACKLOG_LIMIT) as control:
            seen, events = run(control, chosen, at)
        costs = measured(at, options.connections, options.rounds)
    found = {name: reaches(each, events) for name, each in seen.items()}
    result = {
        "machine": about,
        "versions": tools,
        "scenes": {name: [asdict(reach) for reach in both] for name, both in found.items()},
        "lookups": [
            {"call": way.call, "origin": way.origin, "runs": [asdict(cost) for cost in each]}
            for way, each in costs.items()
        ],
    }
    print(heading("both ends of connections", about, tools))
    print(report(found))
    print(lookups_report(costs, options.connections))
    finish("reach", result)
    if wrong := sum(reach.wrong for both in found.values() for reach in both):
        fail(f"{wrong} ends are wrong")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--count", type=int, default=200, help="runs of each client (default 200)")
    parser.add_argument("--seconds", type=int, default=3, help="how long wrk works (default 3)")
    parser.add_argument("--only", default="", help="only scenes with this word in their name")
    parser.add_argument(
        "--connections", type=int, default=4000, help="of each way of looking an end up (default 4000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default 3)")
    parser.add_argument("--dir", default="/var/tmp", help="where files go, on a disk (default /var/tmp)")
    options = parser.parse_args()
    if min(options.count, options.seconds, options.connections, options.rounds) < 1:
        parser.error("all numbers must be 1 or more")
    return options


def run(control: ControlSocket, chosen: list[Scene], at: Path) -> tuple[dict[str, Seen], list[Event]]:
    """Plays the scenes one after another before one daemon. What was seen of each, and all events."""
    accepts = "-a always,exit -F arch=b64 -S accept4 -F success=1"
    for program in sorted({scene.program for scene in chosen}):
        add(f"-a always,exit -F arch=b64 -S connect -F exe={program} -k tsauditd-bench", control)
    add(f"{accepts} -F pid={os.getpid()} -k tsauditd-bench", control)
    add(f"{accepts} -F exe={path_of('nginx')} -k tsauditd-bench", control)
    output = at / "events.json"
    with (at / "stderr").open("wb") as errors:
        daemon = subprocess.Popen(
            tsauditd(at, output), stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
    seen = {}
    try:
        wait_until_it_reads(control, daemon, at)
        kernel.set_enabled(1, control)
        for scene in chosen:
            say(scene.name)
            seen[scene.name] = scene.act()
        time.sleep(LAST_S)
    finally:
        kernel.set_enabled(0, control)
        end(daemon)
    say((at / "stderr").read_text(encoding="utf-8").strip())
    with output.open("rb") as lines:
        return seen, [json.loads(line) for line in lines]


def reaches(seen: Seen, events: list[Event]) -> list[Reach]:
    """Of the connects and of the accepts of a scene."""
    told = [event for event in events if "endpoint" in event.get("tsauditd", {})]
    connects = [
        event
        for event in told
        if event["event"]["action"] == "connected-to" and event["destination"]["port"] == seen.port
    ]
    accepts = [
        event
        for event in told
        if event["event"]["action"] == "accepted-connection-from" and of_server(event, seen)
    ]
    return [reach(connects, seen, seen.ordered), reach(accepts, seen, {})]


def of_server(event: Event, seen: Seen) -> bool:
    """Whether a scene's server accepted it."""
    pid, descriptor = seen.server
    if descriptor is None:
        return bool(event["process"].get("parent", {}).get("pid") == pid)
    return bool(event["process"]["pid"] == pid and int(event["auditd"]["data"]["a0"], 16) == descriptor)


def reach(events: list[Event], seen: Seen, ordered: dict[int, list[Ends]]) -> Reach:
    """Holds each event against what was seen: by its place in its process if that is known, else as often as seen."""
    known = [(event, both) for event in events if (both := ends(event))]
    by = Counter(event["tsauditd"]["endpoint"] for event in events)
    if ordered:
        left = {pid: iter(each) for pid, each in ordered.items()}
        wrong = 0
        for event in sorted(events, key=lambda event: event["event"]["sequence"]):
            truth = next(left.get(event["process"]["pid"], iter(())), None)
            if ends(event) not in (None, truth):
                wrong += 1
                by_what = event["tsauditd"]["endpoint"]
                say(f"wrong: event {event['event']['id']} by {by_what}: {ends(event)}, not {truth}")
    else:
        told = Counter(both for _, both in known)
        # A wrong end is one too many, and the right one is missing. Those that are not known are missing as well.
        missing, over = (seen.all - told).total(), (told - seen.all).total()
        wrong = max(over - seen.unlogged, min(over, missing - (len(events) - len(known))), 0)
    return Reach(len(events), len(known), wrong, dict(by))


def ends(event: Event) -> Ends | None:
    """Both ends, if both are whole."""
    source, destination = (event.get(member, {}) for member in ("source", "destination"))
    if not {"ip", "port"} <= source.keys() & destination.keys():
        return None
    return (source["ip"], source["port"]), (destination["ip"], destination["port"])


def report(found: dict[str, list[Reach]]) -> str:
    """The table, and how the shares stand to what is aimed at."""
    rows = []
    for name, both in found.items():
        for what, reach in zip(("connect", "accept"), both, strict=True):
            if reach.events:
                by = ", ".join(f"{count} {word}" for word, count in sorted(reach.by.items()))
                share = f"{share_of([reach]):.2f}"
                rows.append([f"{name}: {what}", f"{reach.events}", share, f"{reach.wrong}", by])
    text = table(["client", "events", "both ends %", "wrong", "the other end is from"], rows)
    for title, place, aim in (("connected", 0, CONNECTED_AIM), ("accepted", 1, ACCEPTED_AIM)):
        each = [both[place] for both in found.values() if both[place].events]
        if each:
            text += verdict(
                f"{title}, the least of all, %", min(share_of([one]) for one in each), aim, most=False
            )
            text += "\n" + verdict(f"{title}, all together, %", share_of(each), aim, most=False) + "\n"
    return text


def share_of(each: list[Reach]) -> float:
    """Percent of the events that have both ends."""
    return 100 * sum(one.known for one in each) / max(1, sum(one.events for one in each))


if __name__ == "__main__":
    raise SystemExit(main())
