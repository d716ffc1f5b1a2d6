"""What happens inside of the machine that packaging/systemd/try.py boots: one scene a boot, told line by line.

Runs as root under that machine's systemd, with nothing but Debian's Python. The scene's name is in the kernel's
command line, results go to the second serial line: `good WHAT`, `bad WHAT: WHY`, `told WHAT`, and `end`.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RESULTS = Path("/dev/ttyS1")
PATIENCE = 120.0
EVENTS = Path("/var/log/tsauditd/events.json")
RAW = Path("/var/log/audit/audit.log")
CONFIG = Path("/etc/tsauditd/tsauditd.toml")
DROP_IN = Path("/etc/systemd/system/tsauditd.service.d/try.conf")
RULE = "-a always,exit -F arch=b64 -S execve -F exe=/usr/bin/true -k try-flow"
AS_ROOT = """\
[Service]
User=root
NoNewPrivileges=no
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER
"""
LOADED = RULE.replace("-k ", "-F key=")
CAPABILITIES = {2: "DAC_READ_SEARCH", 12: "NET_ADMIN", 19: "SYS_PTRACE", 30: "AUDIT_CONTROL"} | {
    37: "AUDIT_READ",
    38: "PERFMON",
}


def main() -> None:
    """Plays the scene, and switches the machine off."""
    words = dict(word.partition("=")[::2] for word in Path("/proc/cmdline").read_text().split())
    try:
        SCENES[words["try.scene"]]()
    except Exception as error:
        tell(f"bad {words['try.scene']}: {type(error).__name__}: {error}")
    tell("end")
    os.sync()
    subprocess.run(["systemctl", "poweroff", "--no-block"], check=False)


def instead() -> None:
    """Auditd runs, the package is installed, tsauditd takes its place and does what a service is to do."""
    check("auditd runs at first", active("auditd.service") and holder() == main_pid("auditd.service"))
    Path("/etc/audit/rules.d/50-try.rules").write_text(f"{RULE}\n")
    run("dpkg -i /try/*.deb")
    check("tsauditd runs instead", active("tsauditd.service") and not active("auditd.service"), journal())
    check("it has the audit pid", holder() == main_pid("tsauditd.service"))
    check("auditd's rules are loaded", LOADED in run("auditctl -l"))
    check("the rules' unit is well", active("tsauditd-rules.service"), journal("tsauditd-rules.service"))
    tell(f"told {run('systemctl show tsauditd -p Type,WatchdogUSec,StatusText').split()}")
    check("it says what it does", "StatusText=reading" in run("systemctl show tsauditd -p StatusText"))
    status = run("systemctl status tsauditd --no-pager")
    check("systemctl status is green", "active (running)" in status, status)
    check("systemctl status sees tsauditd", "tsauditd run" in status, status)
    hardened()
    flows("at first")
    check(
        "journald, which reads along, is told of",
        "systemd-journald-audit" in journal() or not active("systemd-journald-audit.socket"),
        journal(),
    )
    reloads()
    comes_back("SIGKILL", lambda pid: os.kill(pid, signal.SIGKILL))
    watched()
    conflict()
    run("systemctl stop tsauditd")
    check("it stops well", result("tsauditd.service") == "success", journal())
    check("the audit pid is free", holder() == 0)
    check("the rules stay", LOADED in run("auditctl -l"))
    run("systemctl start tsauditd")
    flows("after stop and start")


def hardened() -> None:
    """The unit's limits hold for the process that runs."""
    about = Path(f"/proc/{main_pid('tsauditd.service')}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in about.splitlines() if ":\t" in line)
    wanted = sum(1 << bit for bit in CAPABILITIES)
    for name in ("CapEff", "CapBnd", "CapAmb"):
        check(f"{name} is what it needs", int(fields[name], 16) == wanted, fields[name])
    check("no new privileges", fields["NoNewPrivs"] == "1")
    check("system calls are filtered", fields["Seccomp"] == "2")
    check("not root", fields["Uid"].split()[0] != "0")
    score = run("systemd-analyze security tsauditd.service --no-pager").splitlines()[-1]
    tell(f"told {score.encode('ascii', 'ignore').decode().strip()}")
    check("exposure is small", float(re.findall(r"\d+\.\d", score)[0]) < 3.5, score)
    lacking = [line for line in journal().splitlines() if "CAP_" in line or "not permitted" in line]
    check("nothing is missing to it", not lacking, "; ".join(lacking))


def reloads() -> None:
    """A reload is seen by systemd and recorded; one with a bad configuration changes nothing."""
    pid, text = main_pid("tsauditd.service"), CONFIG.read_text()
    run("systemctl reload tsauditd")
    wait("DAEMON_CONFIG is written", lambda: b"state=changed" in RAW.read_bytes())
    CONFIG.write_text(f"{text}\nno_such_key = 1\n")
    run("systemctl reload tsauditd")
    wait("a bad configuration is told", lambda: "not reloaded" in journal())
    CONFIG.write_text(text)
    check("it goes on after that", active("tsauditd.service") and main_pid("tsauditd.service") == pid)
    rules = Path("/etc/tsauditd/rules.d/60-try.rules")
    rules.write_text("-w /etc/try -p wa -k try-more\n")
    run("chgrp tsauditd /etc/tsauditd/rules.d/60-try.rules && systemctl reload tsauditd-rules")
    check("a reload of the rules' unit loads", "try-more" in run("auditctl -l"))
    flows("after reloads")


def comes_back(name: str, harm: Callable[[int], object]) -> None:
    """After harm systemd starts it again, and it has the audit pid."""
    before = main_pid("tsauditd.service")
    harm(before)
    wait(
        f"it comes back after {name}",
        lambda: main_pid("tsauditd.service") not in (0, before) and active("tsauditd.service"),
    )
    wait(f"it has the audit pid after {name}", lambda: holder() == main_pid("tsauditd.service"))
    flows(f"after {name}")


def watched() -> None:
    """One that hangs is found by the watchdog."""
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text("[Service]\nWatchdogSec=10\n")
    run("systemctl daemon-reload && systemctl restart tsauditd")
    comes_back("SIGSTOP", lambda pid: os.kill(pid, signal.SIGSTOP))
    check("it was the watchdog", "watchdog" in journal().lower(), journal())
    shutil.rmtree(DROP_IN.parent)
    run("systemctl daemon-reload && systemctl restart tsauditd")


def conflict() -> None:
    """Auditd and tsauditd change places as systemd asks."""
    run("systemctl start auditd || { journalctl -b -u auditd --no-pager -o cat; false; }")
    check("auditd pushes it out", active("auditd.service") and not active("tsauditd.service"))
    check("it ended well", result("tsauditd.service") == "success", journal())
    wait("auditd has the audit pid", lambda: holder() == main_pid("auditd.service"))
    run("systemctl start tsauditd")
    check("it pushes auditd out", active("tsauditd.service") and not active("auditd.service"))
    check("it has the audit pid again", holder() == main_pid("tsauditd.service"), journal())
    flows("after auditd")


def booted() -> None:
    """The machine has started with tsauditd; then rules that are locked, failure 2, and a disk that is full."""
    ends = [event for event in events() if event["auditd"]["message_type"] == "daemon_end"]
    check("it ended with the machine, well", bool(ends))
    check("it runs since the start", active("tsauditd.service"), journal())
    check("auditd does not", not active("auditd.service"))
    check("nothing failed", run("systemctl --failed --no-legend") == "", run("systemctl --failed"))
    cycles = [line for line in run("journalctl -b --no-pager").splitlines() if "ordering cycle" in line]
    check("no ordering cycle", not cycles, "; ".join(cycles))
    check(
        "before sysinit.target",
        moment("tsauditd.service") < moment("sysinit.target"),
        f"{moment('tsauditd.service')} {moment('sysinit.target')}",
    )
    tell(f"told ready {moment('tsauditd.service') / 1e6:.1f} s after the kernel's start")
    check("rules are loaded", LOADED in run("auditctl -l"), journal("tsauditd-rules.service"))
    check("the machine's start is in the stream", any(action(e) == "booted-system" for e in events()))
    flows("after the start")
    panics()
    locked()


def panics() -> None:
    """With failure 2 the kernel panics over a lost record: stopping and starting under load must lose none."""
    run("auditctl -f 2")
    load = subprocess.Popen(["sh", "-c", "while :; do /usr/bin/true; done"])
    try:
        for _ in range(3):
            run("systemctl restart tsauditd")
    finally:
        load.kill()
        load.wait()
    check("restarts under load with failure 2", active("tsauditd.service"))
    run("auditctl -f 1")


def locked() -> None:
    """Rules locked until reboot: told, and the daemon works with what is loaded."""
    more = Path("/etc/tsauditd/rules.d/90-locked.rules")
    more.write_text("-e 2\n")
    run("chgrp tsauditd /etc/tsauditd/rules.d/*.rules && systemctl reload tsauditd-rules")
    check("the rules are locked", "enabled 2" in run("auditctl -s"))
    more.write_text("-w /etc/other -p wa -k try-late\n-e 2\n")
    said = subprocess.run(
        ["tsauditd", "rules", "load", "/etc/tsauditd/rules.d"], capture_output=True, text=True, check=False
    )
    check("loading says that they are locked", said.returncode == 1 and "locked" in said.stderr, said.stderr)
    text = CONFIG.read_text()
    CONFIG.write_text(f'[kernel]\nrules = "/etc/tsauditd/rules.d"\n{text}')
    run("systemctl reload tsauditd")
    wait("a reload of the daemon tells it", lambda: "locked until reboot" in journal())
    check("it goes on", active("tsauditd.service"))
    run("systemctl restart tsauditd")
    check("it starts beside locked rules", active("tsauditd.service"), journal())
    check("and stops beside them", result("tsauditd.service") == "success", journal())
    CONFIG.write_text(text)
    run("systemctl restart tsauditd")
    flows("while rules are locked")
    more.unlink()


def halts() -> None:
    """Auditd's action halt, really: the machine goes down by it. What is told of that must be the last line outside."""
    text = re.sub(r"^(space_left|admin_space_left\w*) = .*\n", "", CONFIG.read_text(), flags=re.MULTILINE)
    keys = 'admin_space_left = "99%"\nadmin_space_left_action = "halt"\n'
    config = Path("/run/try.toml")
    config.write_text(text.replace('type = "raw"\n', f'type = "raw"\n{keys}'))
    drop_in = Path("/run/systemd/system/tsauditd.service.d/try.conf")  # gone with the machine
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(AS_ROOT + f"ExecStart=\nExecStart=/usr/sbin/tsauditd run --config {config}\n")
    run(f"tsauditd config check {config} && systemctl daemon-reload")
    tell("told the machine is to go down by itself")
    run("systemctl restart tsauditd")
    time.sleep(PATIENCE)
    check("the machine went down", False, journal())


def removed() -> None:
    """The package goes, auditd comes back, and nothing is left."""
    run("dpkg -r tsauditd")
    check("auditd is back", active("auditd.service") and not active("tsauditd.service"), journal())
    wait("auditd has its place", lambda: holder() == main_pid("auditd.service"))
    check("auditd starts with the machine", "enabled" in run("systemctl is-enabled auditd.service"))
    run("dpkg --purge tsauditd")
    left = run("find / -xdev -path /proc -prune -o -path /try -prune -o -name '*tsauditd*' -print").split()
    left = [place for place in left if not place.startswith("/var/log/journal")]
    check("nothing is left", not left, " ".join(left))
    check("the user is gone", subprocess.run(["getent", "passwd", "tsauditd"], check=False).returncode == 2)
    units = run("systemctl list-units --all --no-legend '*tsauditd*'")
    check("systemd has no unit of it", not units, units)


def beside() -> None:
    """Asked to leave auditd where it is."""
    run("echo tsauditd tsauditd/instead boolean false | debconf-set-selections && dpkg -i /try/*.deb")
    check("auditd has its place", active("auditd.service") and holder() == main_pid("auditd.service"))
    check("tsauditd reads beside it", active("tsauditd-observe.service"), journal("tsauditd-observe.service"))
    run(f"auditctl {RULE}")
    flows("beside auditd")
    pid = main_pid("tsauditd-observe.service")
    os.kill(pid, signal.SIGKILL)
    wait("it comes back", lambda: main_pid("tsauditd-observe.service") not in (0, pid))
    run("dpkg --purge tsauditd")
    check("auditd was never touched", active("auditd.service") and holder() == main_pid("auditd.service"))


SCENES: dict[str, Callable[[], None]] = {
    "instead": instead,
    "booted": booted,
    "halts": halts,
    "removed": removed,
    "beside": beside,
}


def flows(when: str) -> None:
    """A program that is run comes out as an event, and in audit.log where that is written."""
    before = seen()
    run("/usr/bin/true")
    wait(f"events flow {when}", lambda: seen() > before)
    if active("tsauditd.service"):
        wait(
            f"ausearch finds it {when}",
            lambda: "try-flow" in run("ausearch -k try-flow --start recent 2>&1 || :"),
        )


def seen() -> int:
    """How often the program of the rule is in the events."""
    return sum(event.get("tags") == ["try-flow"] for event in events())


def events() -> list[dict]:  # type: ignore[type-arg]
    """The whole lines of the daemon's file."""
    if not EVENTS.exists():
        return []
    return [json.loads(line) for line in EVENTS.read_bytes().split(b"\n")[:-1]]


def action(event: dict) -> str:  # type: ignore[type-arg]
    """What it says has happened."""
    return str(event["event"].get("action", ""))


def holder() -> int:
    """Who has the audit pid; 0 for nobody."""
    return int(re.findall(r"^pid (\d+)", run("auditctl -s"), re.MULTILINE)[0])


def active(unit: str) -> bool:
    """Whether a unit is active."""
    return subprocess.run(["systemctl", "--quiet", "is-active", unit], check=False).returncode == 0


def shown(unit: str, name: str) -> str:
    """A property of a unit."""
    return run(f"systemctl show --value -p {name} {unit}").strip()


def main_pid(unit: str) -> int:
    """The pid of a unit's main process; 0 for none."""
    return int(shown(unit, "MainPID"))


def result(unit: str) -> str:
    """How a unit's last run ended."""
    return shown(unit, "Result")


def moment(unit: str) -> int:
    """When a unit became active, in microseconds since the kernel's start."""
    return int(shown(unit, "ActiveEnterTimestampMonotonic"))


def journal(unit: str = "tsauditd.service") -> str:
    """What a unit has said since this start of the machine."""
    return run(f"journalctl -b -u {unit} --no-pager -o cat")


def run(command: str) -> str:
    """What a command prints; its failure is the scene's."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{command}: {done.returncode}: {(done.stderr or done.stdout).strip()}"
        raise RuntimeError(message)
    return done.stdout


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Waits until it holds, and tells."""
    until = time.monotonic() + PATIENCE
    while not (good := condition()) and time.monotonic() < until:
        time.sleep(0.2)
    check(what, good, journal())


def check(what: str, good: bool, why: str = "") -> None:
    """Tells how it is, in one line."""
    tell(f"good {what}" if good else f"bad {what}: {' | '.join(why.splitlines()[-8:])}")


def tell(line: str) -> None:
    """A line for those outside."""
    with RESULTS.open("w", encoding="utf-8") as results:
        results.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
