"""tests/golden/rules.tsv: rules as text, and the bytes that Debian's auditctl sends for each."""

import re
from collections.abc import Iterable
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden" / "rules.tsv"


def read_pairs() -> list[tuple[str, bytes]]:
    """Each text with its bytes. The file has long runs as their number: [zeros] and {bytes of 0xff}."""
    pairs = []
    for row in GOLDEN.read_text().splitlines():
        line, sent = row.split("\t")
        sent = re.sub(r"\[(\d+)\]", lambda run: "00" * int(run[1]), sent)
        sent = re.sub(r"\{(\d+)\}", lambda run: "ff" * int(run[1]), sent)
        pairs.append((line, bytes.fromhex(sent)))
    return pairs


def write_pairs(pairs: Iterable[tuple[str, bytes]]) -> None:
    """Writes the file anew."""
    GOLDEN.write_text("".join(f"{line}\t{_short(sent)}\n" for line, sent in pairs))


def _short(sent: bytes) -> str:
    spaced = "".join(f"{byte:02x} " for byte in sent)
    spaced = re.sub(r"(?:00 ){8,}", lambda run: f"[{len(run[0]) // 3}]", spaced)
    spaced = re.sub(r"(?:ff ){8,}", lambda run: f"{{{len(run[0]) // 3}}}", spaced)
    return spaced.replace(" ", "")
