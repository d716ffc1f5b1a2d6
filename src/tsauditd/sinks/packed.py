"""Lines that have to wait, compressed: those of a storm are so alike that a fiftieth or less of them is left.

Level 1 in pieces that stay in the processor's cache: an open() storm's lines at 5 GB/s, 114 to 1 (benchmarks/NOTES.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tsauditd.zstd import zstd

PIECE_BYTES = 256 << 10
"""From so many on lines are packed together."""

_PART_BYTES = 128 << 10

_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """Whole lines, compressed."""

    data: bytes
    size: int
    """Bytes of the lines."""

    def lines(self) -> bytes:
        """The lines as they were."""
        return zstd.decompress(self.data)


def packed(parts: Sequence[bytes]) -> Packed:
    """Lines in one piece."""
    lines = b"".join(parts)
    return Packed(zstd.compress(lines, level=_LEVEL), len(lines))


def parts(lines: bytes) -> Iterator[bytes]:
    """Whole lines in parts, of which few make a piece: 128 KiB, or one line. What is no longer is not copied."""
    start = 0
    while len(lines) - start > _PART_BYTES:
        end = lines.rfind(b"\n", start, start + _PART_BYTES) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end
    if start < len(lines):
        yield lines[start:] if start else lines
