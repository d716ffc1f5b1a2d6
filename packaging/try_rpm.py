"""Tries the RPM package: installed with its scripts, verified, started, upgraded, removed.

Needs root, rpm, debootstrap and a Debian mirror, and holds the machine's audit lock while the daemon runs. The system
is a Debian of its own, so what the package asks for is there under other names: rpm is told not to look (--nodeps).
"""

import argparse
from pathlib import Path

from trial import System, check, new_system, starts, works

CONFIG = "etc/tsauditd/tsauditd.toml"


def main() -> None:
    """Runs all of it; ends with 1 and one line at the first thing that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package
    with new_system(package) as system:
        # In auditd's place, of which this package knows nothing.
        system.run("dpkg --purge auditd")
        installed(system, package.name)
        works(system)
        starts(system)
        upgraded(system, package.name)
        removed(system)
    print("rpm: good")


def rpm(system: System, words: str, *, wanted: int = 0) -> str:
    """Runs this machine's rpm on the system; its scripts run in there."""
    return system.outside(f"rpm --root {system.root} --force-debian {words}", wanted=wanted)


def installed(system: System, package: str) -> None:
    """Installed, and every file as the package says."""
    rpm(system, f"--install --nodeps {system.root}/{package}")
    check(rpm(system, "--verify --nodeps tsauditd") == "", "files are not as the package says")
    owner = system.run(f"stat -c '%U:%G %a' /{CONFIG} /var/log/tsauditd /etc/tsauditd").splitlines()
    check(owner == ["root:tsauditd 640", "tsauditd:tsauditd 750", "root:tsauditd 750"], f"modes: {owner}")
    check(not system.enabled("tsauditd.service"), "something is enabled without being asked for")


def upgraded(system: System, package: str) -> None:
    """What was changed by hand stays."""
    config = system.root / CONFIG
    config.write_text(config.read_text() + "# mine\n")
    rpm(system, f"--upgrade --force --nodeps {system.root}/{package}")
    check("# mine" in config.read_text(), "an upgrade changed the configuration")
    system.run("tsauditd config check")


def removed(system: System) -> None:
    """Nothing is left but what was changed by hand and what was written."""
    rpm(system, "--erase tsauditd")
    left = system.run("find / -xdev -path /proc -prune -o -path '/*.rpm' -prune -o -name '*tsauditd*' -print")
    kept = {"/etc/tsauditd", f"/{CONFIG}.rpmsave", "/var/log/tsauditd"}
    check(set(left.split()) <= kept, f"left behind: {left.split()}")
    check(system.has(f"{CONFIG}.rpmsave"), "the configuration that was changed is gone")


if __name__ == "__main__":
    main()
