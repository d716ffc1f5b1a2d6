"""Reads constants out of their sources: the bindings of linux-raw-sys and C headers."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

Constants = list[tuple[str, int]]

_CONST = re.compile(r"^pub const (\w+): [\w:]+ = ([^;]+);$", re.MULTILINE)
_ENUM = re.compile(r"^pub enum \w+ \{\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_VARIANT = re.compile(r"^(\w+) = (-?\d+),$", re.MULTILINE)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)[ \t]+\S", re.MULTILINE)
_ENUMERATOR = re.compile(r"^[ \t]*([A-Z_][A-Z0-9_]*)[ \t]*(?:=[^,]*)?(?:,|/\*|$)", re.MULTILINE)


class RawSys:
    """The source tree of the crate linux-raw-sys, one directory of modules per architecture."""

    def __init__(self, root: Path) -> None:
        self.root = root
        manifest = (root / "Cargo.toml").read_text()
        found = re.search(r'^version = "([^"]+)"', manifest, re.MULTILINE)
        self.version = found.group(1) if found else "unknown"
        self._read: dict[tuple[str, str], Constants] = {}

    def constants(self, arch: str, module: str) -> Constants:
        """Every integer constant and enumerator of one module, in the order of its text."""
        key = (arch, module)
        if key not in self._read:
            self._read[key] = self._parse((self.root / "src" / arch / f"{module}.rs").read_text())
        return self._read[key]

    @staticmethod
    def _parse(text: str) -> Constants:
        found: list[tuple[int, str, str]] = [
            (m.start(), m.group(1), m.group(2)) for m in _CONST.finditer(text)
        ]
        for block in _ENUM.finditer(text):
            variants = _VARIANT.finditer(block.group(1))
            found += [(block.start() + m.start(), m.group(1), m.group(2)) for m in variants]
        values: dict[str, int] = {}
        for _, name, value in sorted(found):
            if re.fullmatch(r"-?\d+", value):
                values.setdefault(name, int(value))
            elif (target := value.rsplit("::", 1)[-1]) in values:
                values.setdefault(name, values[target])
        return list(values.items())


def header_constants(
    include: Path, headers: list[str], pattern: str, before: str = "", inner: frozenset[str] = frozenset()
) -> Constants:
    """Values of the names in `headers` (below `include`) that match `pattern` wholly, as the C compiler sees them.

    `before` is C text to put in front; headers in `inner` are read for names but not included by themselves.
    """
    names: list[str] = []
    for header in headers:
        text = (include / header).read_text(errors="replace")
        for m in sorted([*_DEFINE.finditer(text), *_ENUMERATOR.finditer(text)], key=lambda m: m.start()):
            if re.fullmatch(pattern, m.group(1)) and m.group(1) not in names:
                names.append(m.group(1))
    lines = [f"#include <{h}>" for h in headers if h.removeprefix("x86_64-linux-gnu/") not in inner]
    prints = [f'  printf("%s\\t%llu\\n", "{n}", (unsigned long long)({n}));' for n in names]
    program = "\n".join(
        [before, "#include <stdio.h>", *lines, "int main(void) {", *prints, "  return 0;", "}"]
    )
    with tempfile.TemporaryDirectory() as scratch:
        source, binary = Path(scratch) / "c.c", Path(scratch) / "c"
        source.write_text(program)
        subprocess.run(["gcc", "-w", f"-I{include}", "-o", str(binary), str(source)], check=True)
        output = subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout
    return [(name, int(value)) for name, value in (line.split("\t") for line in output.splitlines())]
