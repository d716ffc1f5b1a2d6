"""Puts all that a package installs under a directory, as it will stand under /: what deb and rpm are made of.

The program comes with the libraries of requirements/run.lock in /usr/lib/tsauditd, and takes the distribution's python3
of the same minor version as the one that runs this.
"""

import argparse
import compileall
import gzip
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from click.shell_completion import get_completion_class
from manpages import pages

from tsauditd.cli import COMPLETE, commands

PROJECT = Path(__file__).resolve().parent.parent
PACKAGING = PROJECT / "packaging"
DOCUMENTS = ("README.md", "CHANGELOG.md", "LICENSE", "docs")
BUILD_ONLY = ("maturin", "bin")
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/tsauditd",
    "zsh": "usr/share/zsh/vendor-completions/_tsauditd",
    "fish": "usr/share/fish/vendor_completions.d/tsauditd.fish",
}


def main() -> None:
    """Fills the directory; the wheel of tsauditd is to be made before (`make wheel`)."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    root: Path = options.directory
    os.umask(0o022)
    libraries(root / "usr/lib/tsauditd", options.wheel)
    program(root)
    documents(root)


def libraries(place: Path, wheel: Path) -> None:
    """The wheel and what it needs, pinned by hash."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
    ]
    target = ["--target", str(place), "--root-user-action", "ignore"]
    lock = str(PROJECT / "requirements/run.lock")
    subprocess.run([*pip, *target, "--only-binary", ":all:", "--require-hashes", "-r", lock], check=True)
    subprocess.run([*pip, *target, "--upgrade", str(wheel)], check=True)
    for name in BUILD_ONLY:
        for found in place.glob(f"{name}*"):
            shutil.rmtree(found)
    for found in place.glob("*.dist-info/direct_url.json"):
        found.unlink()  # where the wheel lay when it was installed is nobody's business
    compileall.compile_dir(
        place,
        quiet=1,
        stripdir=str(place),
        prependdir="/usr/lib/tsauditd",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    ) or sys.exit("stage.py: not everything could be compiled")


def program(root: Path) -> None:
    """The command, the units, the user, rules and configuration as they begin, completions."""
    put(PACKAGING / "launcher", root / "usr/sbin/tsauditd", 0o755)
    for unit in sorted((PACKAGING / "systemd").glob("*.service")):
        put(unit, root / "lib/systemd/system" / unit.name)
    put(
        PACKAGING / "systemd/auditd.service.d.conf",
        root / "lib/systemd/system/auditd.service.d/tsauditd.conf",
    )
    put(PACKAGING / "systemd/tsauditd.sysusers", root / "usr/lib/sysusers.d/tsauditd.conf")
    put(PACKAGING / "tsauditd.toml", root / "usr/share/tsauditd/tsauditd.toml")
    shutil.copytree(PROJECT / "rules", root / "usr/share/tsauditd/rules", symlinks=True)
    for shell, place in COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind is not None
        write(root / place, kind(commands, {}, "tsauditd", COMPLETE).source())


def documents(root: Path) -> None:
    """Man pages, compressed, and the documentation."""
    for name, page in pages():
        file = root / f"usr/share/man/man1/{name}.1.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(page.encode(), mtime=0))
    for name in DOCUMENTS:
        source, place = PROJECT / name, root / "usr/share/doc/tsauditd" / name
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            put(source, place)


def put(source: Path, place: Path, mode: int = 0o644) -> None:
    """Copies a file."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
    place.chmod(mode)


def write(place: Path, text: str) -> None:
    """Writes a file."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
