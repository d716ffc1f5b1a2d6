"""What the daemon's sessions cost in an exec storm inside a login session: with that output and without, in pairs.

What an event costs alone differs from run to run by more than what sessions add, so many short runs take turns, and the
figure is the median of the differences between the two of each pair, of the CPU of all threads. The main thread's part,
which no reading thread's luck is in, stands beside it.

Takes the audit pid, so it needs root, and auditing that nobody else uses. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

from borrowed import borrowed_audit, needs_root, workplace
from readers import BACKLOG_LIMIT, RECEIVE_BUFFER, Delivered, Reader, tsauditd_counted
from report import TSAUDITD, fail, finish, heading, machine, median, quartiles, surely, table, verdict
from workload import EXECS, Bench, Run, whole

AIM_US = 15.0
"""At most so much for a command beyond its event."""

PERSON = 47_114_713
"""A login id that nobody else on this machine has."""

_SCRIPT = 'exec "$@"'
_TYPED = 'seq "$3" | sed "s|^|$2 |" | sh && echo \'{"wall_ns": 0, "cpu_ns": 0}\''

_LOG_IN = f"""chmod 755 "$(dirname "$2")"
echo {PERSON} >/proc/self/loginuid
exec setpriv --reuid {PERSON} --regid {PERSON} --clear-groups sh -c """
"""What root runs gives a record of capabilities more, which a person's commands do not have."""

STORMS = {
    "folds": ("one program runs them, repeats fold", _SCRIPT),
    "rows": ("a shell reads them, a row each", _TYPED),
}

_LOOKS = 3
"""Sessions work on events once a second: three looks at rest see that it was done."""

WITHOUT, WITH = "events", "events and sessions"


def reader(name: str, *, sessions: bool) -> Reader:
    """The daemon, with the output or without."""

    def command(at: Path) -> list[str]:
        text = f"[kernel]\nbacklog_limit = {BACKLOG_LIMIT}\nreceive_buffer = {RECEIVE_BUFFER}\n"
        for lines in ("events", "sessions") if sessions else ("events",):
            text += f'[[output]]\ntype = "file"\nlines = "{lines}"\npath = "{at}/{lines}.json"\n'
        (at / "tsauditd.toml").write_text(text, encoding="ascii")
        return [str(TSAUDITD), "run", "-c", str(at / "tsauditd.toml"), "--rules", "none"]

    def delivered(at: Path, path: str) -> Delivered:
        own = tsauditd_counted(at, path).own
        if not sessions:
            return Delivered(None, None, own)
        with (at / "sessions.json").open("rb") as lines:
            objects = [json.loads(line)["tsauditd"] for line in lines]
        latest = {
            one["session"]["id"]: one["session"]["summary"]["commands"] for one in objects if "session" in one
        }
        return Delivered(None, None, min(own or 0, max(latest.values())))

    return Reader(name, command, delivered)


def main() -> int:
    """Runs the benchmark; 0 done, 1 something failed or was not delivered, 4 not root, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--commands", type=int, default=8_000, help="commands in a run (default 8000)")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of runs of each storm (default 10)")
    parser.add_argument("--storm", choices=STORMS, help="this one alone")
    parser.add_argument(
        "--dir", default="/var/tmp", help="where the output goes, on a disk (default /var/tmp)"
    )
    options = parser.parse_args()
    if options.commands < 1 or options.rounds < 1:
        parser.error("--commands and --rounds must be 1 or more")
    needs_root()
    readers = [reader(WITHOUT, sessions=False), reader(WITH, sessions=True)]
    found: dict[str, dict[str, list[Run]]] = {}
    for storm in [options.storm] if options.storm else STORMS:
        told, script = STORMS[storm]
        with workplace(options.dir) as directory:
            load = replace(
                EXECS,
                rule=f"-a always,exit -F arch=b64 -S execve -F auid={PERSON}",
                through=("sh", "-c", f'{_LOG_IN}{shlex.quote(script)} sh "$@"', "sh"),
            )
            bench = Bench(directory, options.commands, load, looks=_LOOKS)
            with borrowed_audit(BACKLOG_LIMIT) as control:
                found[told] = bench.rounds(control, readers, options.rounds)
    about = machine()
    print(heading(f"{options.commands:,} commands in one login session", about, {}))
    print(report(found, options.commands))
    result = {
        "machine": about,
        "commands": options.commands,
        "rounds": options.rounds,
        "storms": {
            storm: {name: [asdict(run) for run in each] for name, each in runs.items()}
            for storm, runs in found.items()
        },
    }
    finish("sessions-live", result)
    every = [run for runs in found.values() for each in runs.values() for run in each]
    if not all(whole(run, options.commands) for run in every):
        fail("commands are missing")
    return 0


def report(found: dict[str, dict[str, list[Run]]], commands: int) -> str:
    """The table and what it comes to. In brackets stand quartiles, but of memory and losses."""
    rows = []
    verdicts = []
    for storm, runs in found.items():
        each = {name: [run.reader_ns / 1000 / commands for run in done] for name, done in runs.items()}
        main = {name: [run.main_ns / 1000 / commands for run in done] for name, done in runs.items()}
        for name, done in runs.items():
            lost = str(sum(run.lost for run in done))
            peak = f"{max(run.peak_mb for run in done):.1f}"
            rows.append([storm, name, quartiles(each[name]), quartiles(main[name]), lost, peak])
        more, main_more = _more(each), _more(main)
        rows.append([storm, "difference", quartiles(more), quartiles(main_more), "", ""])
        verdicts.append(verdict(f"{storm}: µs more", median(more), AIM_US, most=True))
        least, most = surely(more)
        verdicts.append(
            f"  the median of {len(more)} pairs; 19 times of 20 between {least:.2f} and {most:.2f}"
        )
    head = ["storm", "the daemon writes", "CPU µs/command", "of that the main thread", "lost", "peak MB"]
    return table(head, rows) + "\n".join(verdicts)


def _more(each: dict[str, list[float]]) -> list[float]:
    return [with_ - without for with_, without in zip(each[WITH], each[WITHOUT], strict=True)]


if __name__ == "__main__":
    raise SystemExit(main())
