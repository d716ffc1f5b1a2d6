"""`make showdown`: every contender under the same rules and work, interleaved, several rounds. See docs/benchmarks.md.

Takes the audit pid, makes a user and a file in /etc/sudoers.d and removes them: needs root, and audit nobody uses.
"""

from __future__ import annotations

import argparse
import shutil

from borrowed import interruptible, needs_root
from report import TSAUDITD, fail, versions, write

from showdown import page, publish, rounds, tables, work
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
    execs=2_000,
    connects=10_000,
    web_seconds=3,
    burst_records=200_000,
    idle_seconds=8,
    probes=200,
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
    interruptible()
    needs_root()
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            fail(f"{tool} is missing: apt-get install {package}")
    try:
        result = {**rounds.run(options, QUICK if options.quick else FULL), "versions": installed()}
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
