"""Tries the Debian package in a Debian of its own: beside auditd, instead of it, started, removed, purged.

Needs root, debootstrap and a Debian mirror, and holds the machine's audit lock while the daemon runs. The system that
debootstrap makes is kept in /var/tmp for the next time.
"""

import argparse
from pathlib import Path

from trial import System, check, new_system, starts, works


def main() -> None:
    """Runs all of it; ends with 1 and one line at the first thing that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package
    for name, act in (("beside auditd", beside), ("instead of auditd", instead), ("without auditd", alone)):
        with new_system(package) as debian:
            act(debian)
        print(f"{name}: good")


def beside(debian: System) -> None:
    """Asked to leave auditd where it is."""
    debian.run("echo tsauditd tsauditd/instead boolean false | debconf-set-selections")
    debian.run("dpkg -i /tsauditd_*.deb")
    check(debian.enabled("tsauditd-observe.service"), "tsauditd-observe.service is not enabled")
    check(not debian.enabled("tsauditd.service"), "tsauditd.service is enabled beside auditd")
    check(debian.enabled("auditd.service"), "auditd was disabled")
    works(debian)
    purged(debian)
    check(debian.enabled("auditd.service"), "auditd is not enabled after the purge")


def instead(debian: System) -> None:
    """Auditd's configuration and rules are taken over, the daemon starts, and auditd comes back when it is removed."""
    rule = "-a always,exit -F arch=b64 -S execve -F exe=/no/such/program -k taken-over"
    (debian.root / "etc/audit/rules.d/50-own.rules").write_text(f"{rule}\n")
    owner = (debian.root / "var/log/audit").stat().st_uid
    debian.run("dpkg -i /tsauditd_*.deb")
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
    debian.run("dpkg -i /tsauditd_*.deb")
    check("# mine" in configuration.read_text(), "a second installation changed the configuration")
    debian.run("dpkg -r tsauditd")
    check(debian.enabled("auditd.service"), "auditd is not enabled again")
    check((debian.root / "var/log/audit").stat().st_uid == owner, "/var/log/audit has not its owner again")
    check(configuration.exists(), "removing took the configuration, which purging is for")
    purged(debian)


def alone(debian: System) -> None:
    """Where there is no auditd the package begins with its own."""
    debian.run("dpkg --purge auditd")
    debian.run("dpkg -i /tsauditd_*.deb")
    check(debian.has("etc/tsauditd/rules.d/30-sessions.rules"), "no rules of its own")
    check(
        "events.json" in (debian.root / "etc/tsauditd/tsauditd.toml").read_text(),
        "no configuration of its own",
    )
    works(debian)
    starts(debian)
    purged(debian)


def purged(debian: System) -> None:
    """Purging leaves nothing behind."""
    debian.run("dpkg --purge tsauditd")
    debian.run("rm /tsauditd_*.deb")
    left = debian.run("find / -xdev -path /proc -prune -o -name '*tsauditd*' -print").split()
    check(left == [], f"left behind: {' '.join(left)}")
    debian.run("getent passwd tsauditd", wanted=2)
    debian.run("getent group tsauditd", wanted=2)


if __name__ == "__main__":
    main()
