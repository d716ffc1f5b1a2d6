"""Sessions as timelines: events in, objects out (docs/sessions.md). No I/O, no clock."""

from tsauditd.timelines.tracker import Timelines

__all__ = ["Timelines"]
