"""Writes the tables below `rust/core/data` anew from their sources.

    python3 rust/core/data/generate --raw-sys ~/.cargo/registry/src/*/linux-raw-sys-0.12.1 \
        --include /usr/include --s390 /usr/s390x-linux-gnu/include --dictionary message-dictionary.csv

Needs gcc, Debian's linux-libc-dev, libc6-dev, libaudit-dev, netbase and linux-libc-dev-s390x-cross, and the audit
project's message dictionary (github.com/linux-audit/audit-documentation, specs/messages).
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sources import Constants, RawSys, header_constants
from tables import Table, read

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).resolve().parent.parent

# Our name of an architecture's call table: the linux-raw-sys directory that holds its numbers.
SYSCALL_TABLES = {
    "x86_64": "x86_64",
    "i386": "x86",
    "x32": "x32",
    "aarch64": "aarch64",
    "arm": "arm",
    "ppc": "powerpc",
    "ppc64": "powerpc64",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "riscv32": "riscv32",
    "loongarch64": "loongarch64",
}

# AUDIT_ARCH_<name>: (name that ausearch prints, call table)
ARCHES = {
    "X86_64": ("x86_64", "x86_64"),
    "I386": ("i386", "i386"),
    "AARCH64": ("aarch64", "aarch64"),
    "ARM": ("arm", "arm"),
    "ARMEB": ("armeb", "arm"),
    "PPC": ("ppc", "ppc"),
    "PPC64": ("ppc64", "ppc64"),
    "PPC64LE": ("ppc64le", "ppc64"),
    "S390": ("s390", "s390"),
    "S390X": ("s390x", "s390x"),
    "RISCV64": ("riscv64", "riscv64"),
    "RISCV32": ("riscv32", "riscv32"),
    "LOONGARCH64": ("loongarch64", "loongarch64"),
}

# Calls from this number on have one number on every architecture (kernel: Documentation/process/adding-syscalls.rst).
UNIFIED = 424

# Record types that no source below has: of Linux 6.18 (include/uapi/linux/audit.h), and the bare name that
# `ausearch -m` gives to the first of AppArmor's.
OTHER_RECORD_TYPES = {1425: "MAC_TASK_CONTEXTS", 1426: "MAC_OBJ_CONTEXTS", 1500: "APPARMOR"}

X32_BIT = 0x40000000


class Sources:
    """Where constants come from, and how each source is named at the head of a file."""

    def __init__(self, raw: RawSys, include: Path, s390: Path, dictionary: Path) -> None:
        self.raw, self.include, self.s390, self.dictionary = raw, include, s390, dictionary
        self.raw_title = f"linux-raw-sys {raw.version} (Apache-2.0 OR MIT)"

    def package(self, path: Path, licence: str) -> str:
        """`name version (licence)` of the Debian package that owns a file."""
        owner = subprocess.run(
            ["dpkg-query", "-S", str(path.resolve())], check=False, capture_output=True, text=True
        ).stdout
        name = owner.split(":", 1)[0].strip()
        if not name:
            return f"{path} ({licence})"
        version = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", name], check=False, capture_output=True, text=True
        ).stdout.split("\n")[0]
        return f"Debian {name} {version} ({licence})"

    def header_title(self, header: str) -> str:
        """The licence line for one C header."""
        for path in (self.include / header, self.include / "x86_64-linux-gnu" / header):
            if path.exists():
                kernel = header.split("/")[0] in ("linux", "asm", "asm-generic")
                return self.package(
                    path, "GPL-2.0 WITH Linux-syscall-note" if kernel else "LGPL-2.1-or-later"
                )
        raise SystemExit(
            f"generate: {header} is not below {self.include}: install linux-libc-dev and libc6-dev"
        )


def write(name: str, titles: list[str], what: str, rows: Sequence[tuple[str, ...]]) -> None:
    """One tab-separated file below `data`, headed by what it holds and where that comes from."""
    path = DATA / name
    path.parent.mkdir(parents=True, exist_ok=True)
    head = [f"# {what}", f"# Source: {'; '.join(dict.fromkeys(titles))}", "# Written by data/generate."]
    path.write_text("\n".join([*head, *("\t".join(row) for row in rows)]) + "\n")


def values(table: Table, sources: Sources) -> bool:
    """Writes one file of `values/`; false when no constant matched."""
    found: dict[str, int] = {}
    titles: list[str] = []
    for source in table.sources:
        kind, _, rest = source.partition(":")
        if kind == "raw":
            arch, _, modules = rest.partition("/")
            constants = [c for module in modules.split(",") for c in sources.raw.constants(arch, module)]
            titles.append(sources.raw_title)
        else:
            headers = rest.split(",")
            constants = compiled(sources, headers, table.include)
            titles += [sources.header_title(header) for header in headers]
        for name, value in constants:
            if table.takes(name):
                found.setdefault(name, value)
    names: dict[int, str] = {}
    for name, value in found.items():
        # Negative numbers are those of an int: the kernel and we look at its 32 bits.
        names.setdefault(value & 0xFFFFFFFF if value < 0 or value >> 63 else value, table.word(name))
    rows = [(hex(value) if value > 4096 else str(value), names[value]) for value in sorted(names)]
    write(f"values/{table.name}.tsv", titles, table.title[0].upper() + table.title[1:], rows)
    return bool(rows)


def located(sources: Sources, headers: list[str]) -> list[str]:
    """Headers with the architecture's directory in front where that is where they live."""
    return [h if (sources.include / h).exists() else f"x86_64-linux-gnu/{h}" for h in headers]


def compiled(sources: Sources, headers: list[str], pattern: str) -> Constants:
    """Constants of C headers. The C library's inner `bits` headers are reached through their public ones."""
    public = {
        "bits/socket_type.h": "sys/socket.h",
        "bits/socket.h": "sys/socket.h",
        "bits/eventfd.h": "sys/eventfd.h",
    }
    before = "\n".join(["#define _GNU_SOURCE", *(f"#include <{public[h]}>" for h in headers if h in public)])
    return header_constants(sources.include, located(sources, headers), pattern, before, frozenset(public))


def syscalls(sources: Sources) -> None:
    """Writes `syscalls/<table>.tsv` for every call table."""
    unified: dict[int, str] = {}
    for table, arch in SYSCALL_TABLES.items():
        numbers = {
            v: n.removeprefix("__NR_")
            for n, v in sources.raw.constants(arch, "general")
            if n.startswith("__NR_")
        }
        if table == "x32":
            numbers = {number & ~X32_BIT: name for number, name in numbers.items()}
        if table == "x86_64":
            unified = {number: name for number, name in numbers.items() if number >= UNIFIED}
        save_syscalls(table, [sources.raw_title], numbers)
    text = (sources.s390 / "asm" / "unistd_32.h").read_text()
    numbers = {int(v): n for n, v in re.findall(r"#define __NR_(\w+) (\d+)", text)}
    numbers |= {number: name for number, name in unified.items() if number > max(numbers)}
    title = "Debian linux-libc-dev-s390x-cross (GPL-2.0 WITH Linux-syscall-note)"
    save_syscalls("s390", [title, sources.raw_title], numbers)


def save_syscalls(table: str, titles: list[str], numbers: dict[int, str]) -> None:
    """One call table."""
    rows = [(str(number), name) for number, name in sorted(numbers.items())]
    write(f"syscalls/{table}.tsv", titles, f"System calls of {table}", rows)


def arches(sources: Sources) -> None:
    """Writes `arches.tsv`: audit's number, the name ausearch prints, the call table."""
    numbers = dict(sources.raw.constants("x86_64", "ptrace"))
    numbers |= dict(header_constants(sources.include, ["linux/audit.h"], r"AUDIT_ARCH_\w+"))
    rows = [(hex(numbers[f"AUDIT_ARCH_{key}"]), name, table) for key, (name, table) in ARCHES.items()]
    titles = [sources.raw_title, sources.header_title("linux/audit.h")]
    write("arches.tsv", titles, "Architectures: AUDIT_ARCH number, name, call table", rows)


def record_types(sources: Sources) -> None:
    """Writes `record_types.tsv`: kernel constants first, then the message dictionary."""
    skip = r"AUDIT_((FIRST|LAST|INTEGRITY_(FIRST|LAST))_.*|AA)"
    found: dict[int, str] = {}
    kernel = sources.raw.constants("x86_64", "ptrace")
    with sources.dictionary.open(newline="") as file:
        rows = [(row["MACRO NAME"].strip(), row["VALUE"].strip()) for row in csv.DictReader(file)]
    named = [(name, int(value)) for name, value in rows if value.isdigit()]
    for name, value in [
        *named,
        *kernel,
        *header_constants(sources.include, ["libaudit.h"], r"AUDIT_[A-Z_]+[A-Z]"),
    ]:
        if (
            re.fullmatch(r"AUDIT_[A-Z][A-Z0-9_]*", name)
            and 1000 <= value < 3000
            and not re.fullmatch(skip, name)
        ):
            found.setdefault(value, name.removeprefix("AUDIT_"))
    found = OTHER_RECORD_TYPES | found
    titles = [
        "Linux 6.18 uapi/linux/audit.h",
        "audit-documentation, message-dictionary.csv (github.com/linux-audit, CC-BY-4.0)",
        sources.raw_title,
    ]
    titles.append(sources.header_title("libaudit.h"))
    write("record_types.tsv", titles, "Record types", [(str(v), n) for v, n in sorted(found.items())])


def errnos(sources: Sources) -> None:
    """Writes `errno.tsv`: number, name, and the C library's English text."""
    chosen: dict[int, str] = {}
    for name, value in sources.raw.constants("x86_64", "errno"):
        chosen.setdefault(value, name)
    rows = []
    for value, name in sorted(chosen.items()):
        text = os.strerror(value)
        rows.append((str(value), name, "" if text.startswith("Unknown error") else text))
    write("errno.tsv", [sources.raw_title, "texts: strerror(3)"], "Error numbers", rows)


def protocols(sources: Sources) -> None:
    """Writes `values/ip_protocols.tsv` from /etc/protocols."""
    chosen: dict[int, str] = {}
    for line in Path("/etc/protocols").read_text().splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) >= 2:
            chosen.setdefault(int(words[1]), words[0])
    title = sources.package(Path("/etc/protocols"), "IANA's registry, public")
    write(
        "values/ip_protocols.tsv", [title], "IP protocols", [(str(v), n) for v, n in sorted(chosen.items())]
    )


def main() -> None:
    """Reads the command line and writes every table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw-sys", type=Path, required=True, help="source of the crate linux-raw-sys")
    parser.add_argument("--include", type=Path, default=Path("/usr/include"), help="C headers")
    parser.add_argument("--s390", type=Path, required=True, help="C headers of s390")
    parser.add_argument(
        "--dictionary", type=Path, required=True, help="the audit project's message-dictionary.csv"
    )
    options = parser.parse_args()
    sources = Sources(RawSys(options.raw_sys), options.include, options.s390, options.dictionary)
    syscalls(sources)
    arches(sources)
    record_types(sources)
    errnos(sources)
    protocols(sources)
    empty = [
        table.name for table in read(Path(__file__).with_name("tables.tsv")) if not values(table, sources)
    ]
    if empty:
        raise SystemExit(
            f"generate: no constant matches the patterns of {', '.join(empty)}: correct tables.tsv"
        )


if __name__ == "__main__":
    main()
