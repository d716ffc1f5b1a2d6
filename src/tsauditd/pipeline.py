"""Batches from the core to every sink, and losses told in the stream itself the moment they are known."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime

from tsauditd.errors import visible
from tsauditd.event import Decoder, Lines, Sink, SinkHealth
from tsauditd.own import OwnRecord, OwnRecords

ECS_VERSION = "8.17.0"

_SHOWN = 10
"""Records that cannot be read whose text is told each second."""

_SHOWN_TEXT = 200
"""Characters of it on standard error."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What never arrived, since the daemon's start. Records, but `overrun` counts times, `dropped` and on events."""

    kernel: int = 0
    """Records that the kernel lost, its backlog being full (AUDIT_GET, lost)."""

    overrun: int = 0
    """Times that the socket's buffer overran (recvmsg(2), ENOBUFS)."""

    gap: int = 0
    """Serials never seen: events lost on the way, whoever lost them."""

    dropped: int = 0
    """Events dropped by this sink's full queue."""

    cut: int = 0
    """Lines that were shortened, too long for this sink: a collector's message, a line of audit.log."""

    unreadable: int = 0
    """Packets or lines that could not be read: what is known of them is told with them."""

    uncertain: int = 0
    """Messages that went down with a connection and were not sent again: at most so many never arrived."""

    def __sub__(self, other: "Losses") -> "Losses":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Losses(*(max(mine - theirs, 0) for mine, theirs in pairs))

    def __bool__(self) -> bool:
        return any(astuple(self))

    @property
    def sentence(self) -> str:
        """What there is, in words."""
        what = {
            "kernel": f"{self.kernel} records lost in the kernel",
            "overrun": f"{self.overrun} overruns of the socket",
            "gap": f"{self.gap} serials never seen",
            "dropped": f"{self.dropped} events dropped by a full queue",
            "cut": f"{self.cut} lines shortened that were too long",
            "unreadable": f"{self.unreadable} records that cannot be read",
            "uncertain": f"at most {self.uncertain} events lost with a broken connection",
        }
        return ", ".join(text for name, text in what.items() if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Origin:
    """The host that events of the daemon's own come from; None is left out."""

    host_name: str | None = None
    host_id: str | None = None
    boot_id: str | None = None


def loss_event(
    new: Losses, total: Losses, origin: Origin, when: float, unreadable: Sequence[str] = ()
) -> bytes:
    """The event, one JSON line, that tells what was lost since the one before. `when` is seconds since the epoch.

    unreadable: the beginnings of the first records that could not be read.
    ECS has no kind of its own for it: `pipeline_error` would mark this event as damaged, which it is not.
    """
    lost = {f.name: getattr(new, f.name) for f in fields(new) if getattr(new, f.name)}
    totals = {f.name: getattr(total, f.name) for f in fields(total)}
    meaning = ("process", "info", "audit-records-lost", "failure")
    ours = {"lost": {**lost, "total": totals}}
    return _own_event(meaning, new.sentence, ours, origin, when, original="\n".join(unreadable))


def rules_event(reason: str, rules: Mapping[str, object], origin: Origin, when: float) -> bytes:
    """The event that tells that the kernel's rules are no longer, or again, those that were loaded."""
    meaning = ("configuration", "change", "audit-rules-changed", "success")
    return _own_event(meaning, reason, {"rules": rules}, origin, when)


def notice_event(
    reason: str, kernel: Mapping[str, object], action: str, origin: Origin, when: float, *, good: bool
) -> bytes:
    """The event that tells that the daemon has lost its place at the kernel, or has it again."""
    meaning = ("configuration", "change", action, "success" if good else "failure")
    return _own_event(meaning, reason, {"kernel": kernel}, origin, when)


def _own_event(
    meaning: tuple[str, str, str, str],
    reason: str,
    ours: Mapping[str, object],
    origin: Origin,
    when: float,
    *,
    original: str = "",
) -> bytes:
    """One JSON line. meaning: category, type, action, outcome. ours: what stands under tsauditd."""
    category, kind, action, outcome = meaning
    host = {"name": origin.host_name, "id": origin.host_id, "boot": {"id": origin.boot_id}}
    document = {
        "@timestamp": datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "ecs": {"version": ECS_VERSION},
        "event": {
            "kind": "event",
            "module": "auditd",
            "dataset": "auditd.event",
            "category": [category],
            "type": [kind],
            "action": action,
            "outcome": outcome,
            "reason": reason,
            "original": original or None,
        },
        "host": _present(host),
        "service": {"type": "auditd"},
        "tsauditd": ours,
    }
    return json.dumps(_present(document), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _present(tree: Mapping[str, object]) -> dict[str, object]:
    """The tree without what is None or empty."""
    kept: dict[str, object] = {}
    for key, value in tree.items():
        inner = _present(value) if isinstance(value, Mapping) else value
        if inner is not None and inner != {}:
            kept[key] = inner
    return kept


class Pipeline:
    """Gives each sink every batch, and its losses in its own stream."""

    def __init__(
        self, sinks: Sequence[Sink], origin: Origin, *, say: Callable[[str], None], wall: Callable[[], float]
    ) -> None:
        """`say` tells a line on standard error; `wall` gives seconds since the epoch."""
        self._outlets = [_Outlet(sink) for sink in sinks]
        self._origin = origin
        self._say = say
        self._wall = wall
        self._own = OwnRecords(wall)
        self._losses = Losses()
        self._raw_cut = 0
        self._unreadable: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether every sink's reader has gone."""
        return all(outlet.sink.closed for outlet in self._outlets)

    @property
    def holding(self) -> bool:
        """Whether nothing more is to be taken for now: a sink that drops nothing has no room."""
        return any(outlet.sink.holding for outlet in self._outlets)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not any(outlet.sink.health().waiting for outlet in self._outlets)

    @property
    def losses(self) -> Losses:
        """All losses so far; what sinks count is their sum."""
        each = [self._total(outlet.sink, outlet.sink.health()) for outlet in self._outlets]
        return replace(
            self._losses,
            dropped=sum(total.dropped for total in each),
            cut=sum(total.cut for total in each),
            uncertain=sum(total.uncertain for total in each),
        )

    def deliver(self, lines: Lines) -> None:
        """Gives whole JSON lines to every sink that takes events; they share the bytes."""
        for outlet in self._outlets:
            if outlet.sink.takes in ("events", "all"):
                outlet.sink.write(lines)

    def deliver_sessions(self, lines: bytes) -> None:
        """Gives sessions' objects to every sink that takes those."""
        for outlet in self._outlets:
            if outlet.sink.takes in ("sessions", "all"):
                outlet.sink.write(lines)

    def deliver_raw(self, lines: Lines) -> None:
        """Gives records as auditd writes them to every sink that takes those."""
        for outlet in self._outlets:
            if outlet.sink.takes == "records":
                outlet.sink.write(lines)

    def deliver_own(self, record: OwnRecord) -> None:
        """Gives a record of the daemon's own to every sink where there is no listener that it could go through."""
        decoder = Decoder(resolve=True)
        events = decoder.feed(record.line) + decoder.finish()
        self.deliver(events)
        self.deliver_raw(record.line)

    def note_unreadable(self, found: Sequence[tuple[int, str, str]]) -> None:
        """Takes what could not be read: its number, why, and the text. The first of it is told with the next losses."""
        for number, why, text in found[: _SHOWN - len(self._unreadable)]:
            self._say(f"record {number} cannot be read: {why}: {visible(text, _SHOWN_TEXT)}")
            self._unreadable.append(text)

    def tell(self, kernel: int, overrun: int, gap: int, raw_cut: int = 0, unreadable: int = 0) -> None:
        """Takes the totals since the start, and tells each sink's stream what it has not been told.

        raw_cut: lines of audit.log that were shortened, which concerns those who take them.
        What a full sink has no room for now is told later, as one. A sink's error is told on standard error once.
        """
        self._losses = Losses(kernel, overrun, gap, unreadable=unreadable)
        self._raw_cut = raw_cut
        for outlet in self._outlets:
            health = outlet.sink.health()
            if health.held != outlet.held:
                outlet.held = health.held
                self._say(
                    f"{outlet.sink.name}: lines come faster than they are written, so the kernel holds them back, and"
                    " who makes events may have to wait (when_full, docs/configuration.md)"
                )
            if health.error != outlet.error:
                outlet.error = health.error
                self._say(f"{outlet.sink.name}: {health.error or 'writing again'}")
            total = self._total(outlet.sink, health)
            new = total - outlet.told
            if new == Losses(cut=1) and outlet.just_told:
                # It was this very line that was cut. To tell of that would never end.
                outlet.told, outlet.just_told = total, False
            elif new:
                line = self._loss(outlet.sink, new, total)
                if outlet.sink.room >= len(line):
                    outlet.sink.write(line)
                    outlet.told, outlet.just_told = total, True
        self._unreadable.clear()

    def change(self, sinks: Sequence[Sink]) -> None:
        """Goes on with these sinks. One that was there before knows what it was told."""
        known = {id(outlet.sink): outlet for outlet in self._outlets}
        self._outlets = [
            known.get(id(sink)) or _Outlet(sink, self._total(sink, sink.health())) for sink in sinks
        ]

    def _total(self, sink: Sink, health: SinkHealth) -> Losses:
        """What this sink's readers never got."""
        cut = self._raw_cut if sink.takes == "records" else health.cut
        return replace(self._losses, dropped=health.dropped, cut=cut, uncertain=health.uncertain)

    def _loss(self, sink: Sink, new: Losses, total: Losses) -> bytes:
        """The line that tells a sink's own stream of a loss."""
        if sink.takes == "records":
            counts = {f.name: getattr(new, f.name) for f in fields(new) if getattr(new, f.name)}
            return self._own.lost(counts).line
        shown = self._unreadable if new.unreadable else []
        return loss_event(new, total, self._origin, self._wall(), shown)

    def tell_rules(self, reason: str, rules: Mapping[str, object]) -> None:
        """Tells each stream of events, and standard error, that the kernel's rules have changed, and how."""
        self._say(reason)
        self.deliver(rules_event(reason, rules, self._origin, self._wall()))

    def tell_notice(self, reason: str, kernel: Mapping[str, object], action: str, *, good: bool) -> None:
        """Tells each stream of events, and standard error, how the daemon now stands at the kernel."""
        self._say(reason)
        self.deliver(notice_event(reason, kernel, action, self._origin, self._wall(), good=good))

    def close(self, patience: float) -> None:
        """Closes every sink, giving each at most `patience` seconds to write out what waits."""
        for outlet in self._outlets:
            outlet.sink.close(patience)


@dataclass(slots=True)
class _Outlet:
    """A sink, and what its stream and standard error have been told."""

    sink: Sink
    told: Losses = Losses()
    error: str | None = None
    held: int = 0
    just_told: bool = False
