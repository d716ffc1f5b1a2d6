"""Tries the Debian package in a Debian of its own: beside auditd, instead of it, started, removed, purged.

Needs root, debootstrap and a Debian mirror, and holds the machine's audit lock while the daemon runs. The system that
debootstrap makes is kept in /var/tmp for the next time.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tsauditd.kernel.state import KernelState
from tsauditd.kernel.status import status

BASE = Path("/var/tmp/tsauditd-try-bookworm")
LOCK = Path("/run/tsauditd-audit.lock")
PACKAGES = "python3,systemd,debconf,auditd,procps"
UNIT = Path("lib/systemd/system/tsauditd.service")
PATIENCE = 30.0


class Debian:
    """An installed system in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, command: str, *, wanted: int = 0) -> str:
        """What a command prints in the system; fails when its exit code is another."""
        done = subprocess.run(self.words(command), capture_output=True, text=True, check=False)
        check(done.returncode == wanted, f"{command}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def words(self, command: str) -> list[str]:
        """The command line that runs a command in the system, with a /proc, in no other namespace but of mounts."""
        inside = (
            f"mount --bind /proc {self.root}/proc && mount -t tmpfs none {self.root}/run"
            f' && exec chroot {self.root} /bin/sh -c "$0"'
        )
        return ["unshare", "--mount", "sh", "-c", inside, f"export DEBIAN_FRONTEND=noninteractive; {command}"]

    def has(self, place: str) -> bool:
        """Whether there is something at a place, be it a link to nowhere."""
        return os.path.lexists(self.root / place)

    def enabled(self, unit: str) -> bool:
        """Whether the unit starts with the system."""
        return self.has(f"etc/systemd/system/multi-user.target.wants/{unit}")


def main() -> None:
    """Runs all of it; ends with 1 and one line at the first thing that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package
    if not BASE.exists():
        making = BASE.with_suffix(f".{os.getpid()}")
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(making)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        making.rename(BASE)
    for name, act in (("beside auditd", beside), ("instead of auditd", instead), ("without auditd", alone)):
        with tempfile.TemporaryDirectory(prefix="tsauditd-try-", dir="/var/tmp") as directory:
            root = Path(directory) / "debian"
            subprocess.run(["cp", "-a", str(BASE), str(root)], check=True)
            shutil.copy(package, root / "tsauditd.deb")
            act(Debian(root))
        print(f"{name}: good")


def beside(debian: Debian) -> None:
    """Asked to leave auditd where it is."""
    debian.run("echo tsauditd tsauditd/instead boolean false | debconf-set-selections")
    debian.run("dpkg -i /tsauditd.deb")
    check(debian.enabled("tsauditd-observe.service"), "tsauditd-observe.service is not enabled")
    check(not debian.enabled("tsauditd.service"), "tsauditd.service is enabled beside auditd")
    check(debian.enabled("auditd.service"), "auditd was disabled")
    works(debian)
    purged(debian)
    check(debian.enabled("auditd.service"), "auditd is not enabled after the purge")


def instead(debian: Debian) -> None:
    """Auditd's configuration and rules are taken over, the daemon starts, and auditd comes back when it is removed."""
    rule = "-a always,exit -F arch=b64 -S execve -F exe=/no/such/program -k taken-over"
    (debian.root / "etc/audit/rules.d/50-own.rules").write_text(f"{rule}\n")
    owner = (debian.root / "var/log/audit").stat().st_uid
    debian.run("dpkg -i /tsauditd.deb")
    check(debian.enabled("tsauditd.service"), "tsauditd.service is not enabled")
    check(debian.enabled("tsauditd-rules.service"), "tsauditd-rules.service is not enabled")
    check(not debian.enabled("auditd.service"), "auditd is still enabled")
    check(
        rule in (debian.root / "etc/tsauditd/rules.d/50-own.rules").read_text(), "rules were not taken over"
    )
    configuration = debian.root / "etc/tsauditd/tsauditd.toml"
    check('type = "raw"' in configuration.read_text(), "auditd.conf was not taken over")
    works(debian)
    starts(debian)
    log = (debian.root / "var/log/audit/audit.log").stat()
    check(log.st_uid != 0 and log.st_mode & 0o777 == 0o640, "audit.log is not the daemon's own")
    configuration.write_text(configuration.read_text() + "# mine\n")
    debian.run("dpkg -i /tsauditd.deb")
    check("# mine" in configuration.read_text(), "a second installation changed the configuration")
    debian.run("dpkg -r tsauditd")
    check(debian.enabled("auditd.service"), "auditd is not enabled again")
    check((debian.root / "var/log/audit").stat().st_uid == owner, "/var/log/audit has not its owner again")
    check(configuration.exists(), "removing took the configuration, which purging is for")
    purged(debian)


def alone(debian: Debian) -> None:
    """Where there is no auditd the package begins with its own."""
    debian.run("dpkg --purge auditd")
    debian.run("dpkg -i /tsauditd.deb")
    check(debian.has("etc/tsauditd/rules.d/30-sessions.rules"), "no rules of its own")
    check(
        "events.json" in (debian.root / "etc/tsauditd/tsauditd.toml").read_text(),
        "no configuration of its own",
    )
    works(debian)
    starts(debian)
    purged(debian)


def works(debian: Debian) -> None:
    """The program runs with the libraries it brought, and everything is in its place."""
    check(debian.run("tsauditd --version").startswith("tsauditd "), "no version")
    debian.run(
        "tsauditd config check && tsauditd rules check /etc/tsauditd/rules.d /usr/share/tsauditd/rules/servers"
    )
    debian.run("getent passwd tsauditd && su -s /bin/sh tsauditd -c 'test -r /etc/tsauditd/tsauditd.toml'")
    for place in ("usr/share/man/man1/tsauditd.1.gz", "usr/share/bash-completion/completions/tsauditd"):
        check(debian.has(place), f"{place} is missing")
    said = debian.run("COMP_WORDS='tsauditd rules ' COMP_CWORD=2 _TSAUDITD_COMPLETE=bash_complete tsauditd")
    check("plain,suggest" in said, "no completion")
    units = "tsauditd.service tsauditd-observe.service tsauditd-rules.service"
    debian.run(f"cd /lib/systemd/system && systemd-analyze verify --man=no {units}")


def starts(debian: Debian) -> None:
    """The unit's command works as the unit's user with no more than the unit's capabilities."""
    settings = dict(
        line.split("=", 1) for line in (debian.root / UNIT).read_text().splitlines() if "=" in line
    )
    wanted = "".join(
        f",+{name.lower().removeprefix('cap_')}" for name in settings["AmbientCapabilities"].split()
    )
    lesser = (
        "setpriv --reuid tsauditd --regid tsauditd --init-groups --no-new-privs"
        f" --bounding-set=-all{wanted} --inh-caps=-all{wanted} --ambient-caps=-all{wanted}"
    )
    prepare = "mkdir -m 750 /run/tsauditd && chown tsauditd: /run/tsauditd"
    with audit_lock(), tempfile.TemporaryFile() as errors:
        before = KernelState().snapshot()
        check(before.status.pid == 0, "another daemon has the audit pid")
        command = f"{prepare} && exec {lesser} {settings['ExecStart']} --rules none"
        daemon = subprocess.Popen(debian.words(command), stderr=errors, stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + PATIENCE
            while status().pid != daemon.pid and daemon.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            errors.seek(0)
            check(status().pid == daemon.pid, f"the daemon has not started: {errors.read().decode().strip()}")
            about = Path(f"/proc/{daemon.pid}/status").read_text()
            check("\nUid:\t0" not in about, "the daemon runs as root")
            check("\nNoNewPrivs:\t1" in about, "the daemon may get new privileges")
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(PATIENCE)
            KernelState().restore(before)
    check(daemon.returncode == 0, f"the daemon ended with {daemon.returncode}")
    events = debian.root / "var/log/tsauditd/events.json"
    check(events.exists() and events.stat().st_uid != 0, "no events, or as root")
    for line in events.read_text().splitlines():
        json.loads(line)


def purged(debian: Debian) -> None:
    """Purging leaves nothing behind."""
    debian.run("dpkg --purge tsauditd")
    (debian.root / "tsauditd.deb").unlink()
    left = debian.run("find / -xdev -path /proc -prune -o -name '*tsauditd*' -print").split()
    check(left == [], f"left behind: {' '.join(left)}")
    debian.run("getent passwd tsauditd", wanted=2)
    debian.run("getent group tsauditd", wanted=2)


@contextlib.contextmanager
def audit_lock() -> Iterator[None]:
    """Whoever changes this machine's audit state holds this lock meanwhile."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check(good: bool, problem: str) -> None:
    """Ends with one line when something is not good."""
    if not good:
        sys.exit(f"{shlex.quote(Path(sys.argv[0]).name)}: {problem}")


if __name__ == "__main__":
    main()
