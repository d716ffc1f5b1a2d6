"""Arguments that several commands take."""

from datetime import UTC, datetime

import click


def moment(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """A time as a person writes it, as milliseconds since the epoch. Raises UsageError."""
    if text is None:
        return None
    from tsauditd.moment import parse_moment

    return parse_moment(text, datetime.now(UTC))
