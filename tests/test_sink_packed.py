"""Lines in parts and in compressed pieces: none is cut, none is lost."""

from hypothesis import given
from hypothesis import strategies as st
from made import storm_line

from tsauditd.sinks.packed import packed, parts

PART = 128 << 10


@given(st.lists(st.integers(1, 300_000), max_size=12), st.booleans())
def test_parts_are_whole_lines_and_nothing_else(sizes: list[int], ended: bool) -> None:
    lines = b"".join(bytes([97 + place]) * size + b"\n" for place, size in enumerate(sizes))
    lines = lines if ended else lines[:-1]
    found = list(parts(lines))
    assert b"".join(found) == lines
    assert all(part.endswith(b"\n") for part in found[:-1])
    assert all(len(part) <= PART or part.count(b"\n") <= 1 for part in found)


def test_what_is_short_is_not_copied() -> None:
    lines = storm_line(1) * 100
    assert next(parts(lines)) is lines


@given(st.lists(st.binary(max_size=1000), max_size=20))
def test_a_piece_has_what_was_put_into_it(every: list[bytes]) -> None:
    piece = packed(every)
    assert piece.lines() == b"".join(every)
    assert piece.size == len(b"".join(every))


def test_a_storm_is_a_fiftieth_of_its_bytes() -> None:
    piece = packed([storm_line(number) for number in range(256)])
    assert len(piece.data) < piece.size / 50
