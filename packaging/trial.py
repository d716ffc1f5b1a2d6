"""What trying a package needs: a Debian in a directory, commands in it, and the daemon started as its unit would."""

import contextlib
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

from audit_lock import audit_at_rest

from tsauditd.errors import TsauditdError
from tsauditd.kernel.status import status

BASE = Path("/var/tmp/tsauditd-try-bookworm")
LOCK_SECONDS = 600.0
PACKAGES = "python3,systemd,debconf,auditd,procps"
UNIT = Path("lib/systemd/system/tsauditd.service")
PATIENCE = 30.0


class System:
    """An installed system in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, command: str, *, wanted: int = 0) -> str:
        """What a command prints in the system; fails when its exit code is another."""
        done = subprocess.run(self.words(command), capture_output=True, text=True, check=False)
        check(done.returncode == wanted, f"{command}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def outside(self, command: str, *, wanted: int = 0) -> str:
        """The same for a command of this machine, of words without blanks, that works on the system."""
        mounted = f'mount --bind /proc {self.root}/proc && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", mounted, "sh", *command.split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
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


@contextlib.contextmanager
def new_system(package: Path) -> Iterator[System]:
    """A Debian of its own with the package in its root directory; debootstrap makes what it is a copy of, once."""
    if not BASE.exists():
        making = BASE.with_suffix(f".{os.getpid()}")
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(making)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        making.rename(BASE)
    with tempfile.TemporaryDirectory(prefix="tsauditd-try-", dir="/var/tmp") as directory:
        root = Path(directory) / "debian"
        subprocess.run(["cp", "-a", str(BASE), str(root)], check=True)
        shutil.copy(package, root)
        yield System(root)


def works(system: System) -> None:
    """The program runs with the libraries it brought, and everything is in its place."""
    check(system.run("tsauditd --version").startswith("tsauditd "), "no version")
    system.run(
        "tsauditd config check && tsauditd rules check /etc/tsauditd/rules.d /usr/share/tsauditd/rules/servers"
    )
    system.run("getent passwd tsauditd && su -s /bin/sh tsauditd -c 'test -r /etc/tsauditd/tsauditd.toml'")
    for place in ("usr/share/man/man1/tsauditd.1.gz", "usr/share/bash-completion/completions/tsauditd"):
        check(system.has(place), f"{place} is missing")
    said = system.run("COMP_WORDS='tsauditd rules ' COMP_CWORD=2 _TSAUDITD_COMPLETE=bash_complete tsauditd")
    check("plain,suggest" in said, "no completion")
    units = "tsauditd.service tsauditd-observe.service tsauditd-rules.service"
    system.run(f"cd /lib/systemd/system && systemd-analyze verify --man=no {units}")


def starts(system: System) -> None:
    """The unit's command works as the unit's user with no more than the unit's capabilities."""
    settings = dict(
        line.split("=", 1) for line in (system.root / UNIT).read_text().splitlines() if "=" in line
    )
    wanted = "".join(
        f",+{name.lower().removeprefix('cap_')}" for name in settings["AmbientCapabilities"].split()
    )
    lesser = (
        "setpriv --reuid tsauditd --regid tsauditd --init-groups --no-new-privs"
        f" --bounding-set=-all{wanted} --inh-caps=-all{wanted} --ambient-caps=-all{wanted}"
    )
    prepare = "mkdir -m 750 /run/tsauditd && chown tsauditd: /run/tsauditd"
    with audit(), tempfile.TemporaryFile() as errors:
        command = f"{prepare} && exec {lesser} {settings['ExecStart']} --rules none"
        daemon = subprocess.Popen(system.words(command), stderr=errors, stdin=subprocess.DEVNULL)
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
    check(daemon.returncode == 0, f"the daemon ended with {daemon.returncode}")
    events = system.root / "var/log/tsauditd/events.json"
    check(events.exists() and events.stat().st_uid != 0, "no events, or as root")
    for line in events.read_text().splitlines():
        json.loads(line)


@contextlib.contextmanager
def audit() -> Iterator[None]:
    """The machine's auditing, at rest and put back; ends with one line when it cannot be had."""
    try:
        with audit_at_rest(LOCK_SECONDS):
            yield
    except TsauditdError as error:
        check(False, str(error))


def check(good: bool, problem: str) -> None:
    """Ends with one line when something is not good."""
    if not good:
        sys.exit(f"{shlex.quote(Path(sys.argv[0]).name)}: {problem}")
