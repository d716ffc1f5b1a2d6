"""A point in time as a person writes it."""

import math
import re
from datetime import datetime, timedelta

from tsauditd.errors import UsageError

_AGO = re.compile(r"-([0-9]+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EPOCH = re.compile(r"[0-9]+(\.[0-9]+)?")
_LIMIT = 253_402_300_799  # the end of the year 9999


def parse_moment(text: str, now: datetime) -> int:
    """Milliseconds since the epoch of what `text` names.

    Taken are ISO 8601 (`2024-05-01`, `2024-05-01T12:30:00+02:00`; without an offset it is local time), seconds
    since the epoch (`1714559400.123`), `now`, `today` and `yesterday` (midnight, local time), and a time before
    `now`: `-90s`, `-15m`, `-1h`, `-2d`, `-1w`. `now` must know its time zone. Raises UsageError.
    """
    word = text.strip()
    try:
        if _EPOCH.fullmatch(word):
            seconds = float(word)
            if seconds > _LIMIT:
                raise OverflowError
            return math.floor(seconds * 1000 + 0.5)
        if word == "now":
            return _milliseconds(now)
        if word in ("today", "yesterday"):
            day = now.astimezone().date() - timedelta(days=1 if word == "yesterday" else 0)
            # A naive time is local, with the offset that holds on that day.
            return _milliseconds(datetime(day.year, day.month, day.day).astimezone())
        if ago := _AGO.fullmatch(word):
            return _milliseconds(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        return _milliseconds(datetime.fromisoformat(word).astimezone())
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is not a time: write 2024-05-01T12:30, seconds since the epoch, today, yesterday or -1h"
        raise UsageError(message) from error


def _milliseconds(moment: datetime) -> int:
    value = math.floor(moment.timestamp() * 1000 + 0.5)
    if value < 0:
        raise OverflowError
    return value
