"""Tries the Debian package under a real systemd: in a machine of its own, with Debian's kernel, switched on and off.

Needs root, debootstrap, mkfs.ext4, qemu-system-x86_64 and a Debian mirror; the processor is emulated, so it runs
anywhere, and touches this machine's audit nowhere. What debootstrap makes is kept in /var/tmp for the next time.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BASE = Path("/var/tmp/tsauditd-try-systemd")
PACKAGES = "systemd,systemd-sysv,dbus,udev,kmod,linux-image-cloud-amd64,python3,debconf,auditd,procps,rsyslog"
SCENES = Path(__file__).with_name("scenes.py")
DISK = "1500M"
PATIENCE = 900.0
"""Seconds that a boot may take, on a slow machine."""

UNIT = """\
[Unit]
Description=The scene
DefaultDependencies=no
Conflicts=shutdown.target
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=journal
ExecStart=/usr/bin/python3 /try/scenes.py
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
"""

PLAYS = (("instead", "booted", "halts", "removed"), ("beside",))
"""Each play has a disk of its own; its scenes are one boot each."""

GOES_DOWN = "halts"
"""The scene at whose end the daemon itself is to bring the machine down."""


def main() -> None:
    """Plays all; ends with 1 when anything was bad."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("package", type=Path)
    parser.add_argument("--keep", type=Path, help="a directory for what the machines' consoles said")
    options = parser.parse_args()
    for tool, package in (("qemu-system-x86_64", "qemu-system-x86"), ("debootstrap", "debootstrap")):
        shutil.which(tool) or sys.exit(f"try.py: {tool} is missing: apt-get install {package}")
    if not BASE.exists():
        making = BASE.with_suffix(".new")
        shutil.rmtree(making, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(making)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        making.rename(BASE)
    good = True
    with tempfile.TemporaryDirectory(prefix="tsauditd-try-", dir="/var/tmp") as name:
        directory = Path(name)
        system = directory / "system"
        subprocess.run(["cp", "-a", BASE, system], check=True)
        furnish(system, options.package)
        for play in PLAYS:
            disk = directory / "disk"
            disk.unlink(missing_ok=True)
            command = ["mkfs.ext4", "-q", "-d", str(system), str(disk), DISK]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            for scene in play:
                good &= boot(scene, disk, options.keep or directory)
    sys.exit(0 if good else 1)


def furnish(system: Path, package: Path) -> None:
    """Puts the package and the scenes in."""
    place = system / "try"
    place.mkdir()
    shutil.copy(package, place)
    shutil.copy(SCENES, place)
    unit = system / "etc/systemd/system/try.service"
    unit.write_text(UNIT)
    wants = system / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / unit.name).symlink_to(f"/etc/systemd/system/{unit.name}")
    (system / "etc/hostname").write_text("try\n")
    (system / "var/log/journal").mkdir(exist_ok=True)


def boot(scene: str, disk: Path, consoles: Path) -> bool:
    """Switches the machine on for one scene and prints what it tells; true when all of it was good."""
    kernel = next(BASE.glob("boot/vmlinuz-*"))
    initrd = next(BASE.glob("boot/initrd.img-*"))
    results = consoles / f"{scene}.results"
    command = [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"),
        *("-display", "none", "-no-reboot", "-nodefaults", "-kernel", kernel, "-initrd", initrd),
        *("-append", f"console=ttyS0 root=/dev/vda rw panic=-1 try.scene={scene}"),
        *("-serial", f"file:{consoles / f'{scene}.console'}", "-serial", f"file:{results}"),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
    ]
    problem = ""
    try:
        subprocess.run(command, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        problem = f"not over after {PATIENCE:.0f} s"
    told = results.read_text(encoding="utf-8", errors="replace").splitlines() if results.exists() else []
    for line in told:
        print(f"{scene}: {line}", flush=True)
    if not problem and not told:
        problem = "nothing was told"
    if not problem and (told[-1] == "end") == (scene == GOES_DOWN):
        problem = "the machine went down too early" if scene != GOES_DOWN else "it did not go down"
    if not problem and scene == GOES_DOWN and "by itself" not in told[-1]:
        problem = "the machine went down too early"
    if problem:
        print(f"{scene}: bad {problem}", flush=True)
    return not problem and not any(line.startswith("bad ") for line in told)


if __name__ == "__main__":
    main()
