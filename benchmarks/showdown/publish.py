"""Puts a run of `make showdown` where people read it: benchmarks/RESULTS.* and the table of docs/fleet.md."""

from __future__ import annotations

import json
from pathlib import Path

from showdown import fleet, page, tables
from showdown.figures import Told

HERE = Path(__file__).resolve().parents[1]
TEXT = HERE / "RESULTS.md"
PAGE = HERE / "RESULTS.html"
FLEET = HERE.parent / "docs" / "fleet.md"
BEGIN, END = "<!-- begin: written by benchmarks/showdown/publish.py -->\n", "<!-- end -->\n"


def publish(result: Told) -> None:
    """Writes all four."""
    fleet.RUN.write_text(
        json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    put(TEXT, results(result))
    put(FLEET, fleet.text_of(result))
    page.write(result, PAGE)


def results(result: Told) -> str:
    """The part of RESULTS.md that is a run's."""
    return f"```\n{tables.report(result).strip()}\n```\n"


def put(file: Path, text: str) -> None:
    """Replaces what stands between the marks. Raises ValueError when they are not there."""
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        message = f"{file}: the marks are missing"
        raise ValueError(message)
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
