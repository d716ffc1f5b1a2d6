"""Every field of every record of the captures agrees with Debian's ausearch -i, or stands in oracle/differences.py."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from pathlib import Path

import pytest
from oracle.compare import Verdict, compare
from oracle.differences import DIFFERENCES
from oracle.reader import EventId, keys, read, unescaped

from tsauditd import _core

CAPTURES = Path(__file__).parent / "captures"
LOGS = sorted([*CAPTURES.glob("*.log"), *CAPTURES.glob("*.log.gz")])

needs_ausearch = pytest.mark.skipif(
    shutil.which("ausearch") is None, reason="needs ausearch (Debian: auditd)"
)


def our_lines(path: Path) -> list[bytes]:
    """The JSON lines that our core makes of a log."""
    decoder = _core.Decoder()
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return (decoder.feed(data) + decoder.end_file() + decoder.finish()).splitlines()


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """Each log judged once."""
    return {path.name: compare(read(path), our_lines(path)) for path in LOGS}


def test_there_are_captures() -> None:
    assert len(LOGS) > 30


@needs_ausearch
@pytest.mark.parametrize("name", [path.name for path in LOGS])
def test_every_field_agrees_with_ausearch(name: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[name]
    assert verdict.missing == []
    assert [str(found) for found in verdict.disagreements] == []
    assert verdict.agreed


@needs_ausearch
def test_every_difference_still_occurs(verdicts: dict[str, Verdict]) -> None:
    used: Counter[str] = sum((verdict.used for verdict in verdicts.values()), Counter())
    assert [row.name for row in DIFFERENCES if row.name not in used] == []


@needs_ausearch
def test_hostile_values_are_cut_where_the_record_has_them(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    name = b"new\nline inode=9 mode=1".hex().upper()
    log.write_text(f"node=h type=PATH msg=audit(1700000000.123:7): item=0 name={name} inode=5 mode=0100644\n")
    (record,) = read(log)[EventId("h", 1700000000, 123, 7)]
    fields = {field.name: unescaped(field.reading) for field in record.fields}
    assert fields == {"item": b"0", "name": b"new\nline inode=9 mode=1", "inode": b"5", "mode": b"file,644"}
    assert record.sure


def test_escapes_and_keys_are_undone() -> None:
    assert unescaped(rb"a\012b\\c") == b"a\nb\\\\c"
    assert keys(b"one key=two words") == [b"one", b"two words"]
    assert keys(b"(null)") == []
