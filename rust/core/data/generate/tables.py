"""Which constants make up which table of `values/`: the rows of `tables.tsv`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Table:
    """One file of `values/`: its name, what it is, the sources and patterns of its names, and their other words."""

    name: str
    title: str
    sources: tuple[str, ...]
    include: str
    exclude: str
    words: tuple[str, ...]

    def takes(self, name: str) -> bool:
        """Whether a constant of that name belongs into the table."""
        return bool(re.fullmatch(self.include, name)) and not re.fullmatch(self.exclude, name)

    def word(self, name: str) -> str:
        """What the table calls a constant."""
        for word in self.words:
            old, renames, new = word.partition("=")
            if renames and old == name:
                name = new
            elif word.startswith("lower:"):
                name = name.removeprefix(word.removeprefix("lower:")).lower()
        return name


def read(path: Path) -> list[Table]:
    """The tables that `tables.tsv` describes."""
    tables = []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            continue
        name, title, sources, include, exclude, words = line.split("\t")
        others = () if words == "-" else tuple(words.split(" "))
        tables.append(Table(name, title, tuple(sources.split(" ")), include, exclude, others))
    return tables
