"""Rules that are no longer those that were loaded."""

import json
from pathlib import Path

from tsauditd.kernel.rules.drift import SHOWN, Drift, DriftWatch, drift_document, remember
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse
from tsauditd.pipeline import Origin, rules_event

NAMES = Names(syscall_number=lambda arch, name: None)


def rules(*numbers: int) -> list[bytes]:
    lines = [f"-a always,exit -S all -F pid={number}" for number in numbers]
    return [encode(command.rule) for command in parse(lines, "x", NAMES) if command.rule]


def test_what_is_new_is_told_once(tmp_path: Path) -> None:
    watch = DriftWatch(rules(1, 2, 3), NAMES, own=True, file=tmp_path / "loaded")
    assert watch.look(rules(1, 2, 3)) is None
    gone = Drift(missing=("-a always,exit -S all -F pid=2",))
    assert watch.look(rules(1, 3)) == gone
    assert watch.look(rules(1, 3)) is None
    both = watch.look(rules(1, 3, 9))
    assert both is not None
    assert both.sentence == "of the audit rules that were loaded 1 are missing, 1 were added"
    again = watch.look(rules(1, 2, 3))
    assert again == Drift()
    assert again.sentence == "the audit rules are again those that were loaded"
    moved = watch.look(rules(3, 2, 1))
    assert moved == Drift(moved=True)


def test_a_load_meanwhile_is_what_counts_then(tmp_path: Path) -> None:
    file = tmp_path / "run" / "loaded"
    watch = DriftWatch(rules(), NAMES, own=False, file=file)
    assert watch.look(rules()) is None
    remember(rules(1, 2), file)
    assert watch.look(rules(1, 2)) is None
    later = DriftWatch(rules(), NAMES, own=False, file=file)
    found = later.look(rules())
    assert found is not None
    assert len(found.missing) == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_none_of_ours_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "loaded"
    file.write_text("not hexadecimal\n")
    assert DriftWatch(rules(1), NAMES, own=False, file=file).look(rules(1)) is None
    remember(rules(1), Path("/proc/nowhere/loaded"))


def test_the_event_is_bounded() -> None:
    drift = Drift(missing=tuple(str(number) for number in range(500)))
    event = json.loads(rules_event(drift.sentence, drift_document(drift), Origin(), 0))
    assert event["event"]["action"] == "audit-rules-changed"
    assert event["event"]["reason"] == "of the audit rules that were loaded 500 are missing, 0 were added"
    assert event["tsauditd"]["rules"]["missing_count"] == 500
    assert len(event["tsauditd"]["rules"]["missing"]) == SHOWN
    assert "added" not in event["tsauditd"]["rules"]
