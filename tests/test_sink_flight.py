"""What is kept and what is counted of what was sent: nothing in between is missed, and both are bounded."""

from hypothesis import given
from hypothesis import strategies as st

from tsauditd.sinks.flight import Flight


@given(
    st.lists(st.integers(1, 100_000), max_size=60),
    st.integers(0, 300_000),
    st.integers(0, 3_000_000),
)
def test_every_message_under_way_is_kept_or_counted(sizes: list[int], limit: int, under_way: int) -> None:
    flight = Flight(limit)
    for size in sizes:
        flight.sent(b"x" * size, size, 1, under_way)
    kept = flight.kept
    assert sum(map(len, kept[1:])) < max(limit, 1)
    assert [len(lines) for lines in kept] == sizes[len(sizes) - len(kept) :]
    lost, sum_behind = 0, 0
    for place, size in enumerate(reversed(sizes)):
        if place >= len(kept) and sum_behind < under_way:
            lost += 1
        sum_behind += size
    counted = flight.broken(under_way)
    assert lost <= counted <= len(sizes) - len(kept)
    if under_way == 0:
        assert counted == 0
    assert flight.broken(under_way) == 0, "told once"
