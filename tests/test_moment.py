"""Times as people write them."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsauditd.errors import UsageError
from tsauditd.moment import parse_moment

NOW = datetime(2024, 5, 2, 12, 30, tzinfo=UTC)
EPOCH = round(NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", EPOCH),
        ("-1h", EPOCH - 3_600_000),
        ("-90s", EPOCH - 90_000),
        ("-15m", EPOCH - 900_000),
        ("-2d", EPOCH - 2 * 86_400_000),
        ("-1w", EPOCH - 7 * 86_400_000),
        ("1714559400.123", 1714559400123),
        ("1714559400", 1714559400000),
        ("0", 0),
        ("2024-05-01T12:30:00Z", 1714566600000),
        ("2024-05-01T12:30:00.5+02:00", 1714559400500),
        (" 2024-05-01 12:30:00+00:00 ", 1714566600000),
    ],
)
def test_forms(text: str, expected: int) -> None:
    assert parse_moment(text, NOW) == expected


def test_days_are_local() -> None:
    local = NOW.astimezone()
    midnight = datetime(local.year, local.month, local.day).astimezone()
    assert parse_moment("today", NOW) == round(midnight.timestamp() * 1000)
    before = datetime.fromtimestamp(parse_moment("yesterday", NOW) / 1000).astimezone()
    assert (before.hour, before.minute) == (0, 0)
    assert before.date() == local.date() - timedelta(days=1)
    assert parse_moment(local.date().isoformat(), NOW) == parse_moment("today", NOW)


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow?", "1h", "-1y", "12:30", "2024-13-01", "-999999999w", "9" * 40, "1e9", "-5", "\uff11"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_moment(text, NOW)


@given(st.text(max_size=30))
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_moment(text, NOW) >= 0


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.integers(-14, 14))
def test_iso_8601_comes_back(moment: datetime, hours: int) -> None:
    aware = moment.replace(
        microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(hours=hours))
    )
    assert parse_moment(aware.isoformat(), NOW) == round(aware.timestamp() * 1000)
