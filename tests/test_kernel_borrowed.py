"""What a daemon has borrowed: undone without undoing what others did, and found again after a kill."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tsauditd.kernel import borrowed
from tsauditd.kernel.borrowed import Borrowed, Entry, enter, left_behind
from tsauditd.kernel.loan import Loan
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import AuditStatus, Features

REST = AuditStatus(
    enabled=0,
    failure=1,
    pid=0,
    rate_limit=0,
    backlog_limit=64,
    lost=0,
    backlog=0,
    feature_bitmap=0x7F,
    backlog_wait_time=15000,
    backlog_wait_time_actual=0,
    features=Features(
        loginuid_immutable=False, only_unset_loginuid=True, locked=frozenset({"only_unset_loginuid"})
    ),
)
OURS = replace(REST, enabled=1, pid=77, backlog_limit=8192)
BEFORE = Snapshot(REST, (b"a", b"b"))
AFTER = Snapshot(OURS, (b"a", b"b", b"x", b"y"))


@pytest.mark.parametrize(
    ("after", "now", "then"),
    [
        pytest.param(AFTER, AFTER, BEFORE, id="nobody else changed anything"),
        pytest.param(AFTER, BEFORE, BEFORE, id="given back already"),
        pytest.param(None, AFTER, BEFORE, id="killed while it changed things"),
        pytest.param(
            AFTER,
            Snapshot(replace(OURS, lost=9), (b"a", b"z", b"x")),
            Snapshot(replace(REST, lost=9), (b"a", b"z")),
            id="rules of others stay, deleted ones too",
        ),
        pytest.param(
            AFTER,
            Snapshot(replace(OURS, backlog_limit=500), AFTER.rules),
            Snapshot(replace(REST, backlog_limit=500), BEFORE.rules),
            id="a setting that somebody has changed stays",
        ),
        pytest.param(
            AFTER,
            Snapshot(replace(OURS, pid=99), AFTER.rules),
            Snapshot(replace(REST, enabled=1), BEFORE.rules),
            id="auditing stays on for another daemon that has come",
        ),
        pytest.param(
            Snapshot(OURS, (b"b", b"x")),
            Snapshot(OURS, (b"b", b"x", b"z")),
            Snapshot(REST, (b"a", b"b", b"z")),
            id="rules that ours had deleted come back before those of others",
        ),
    ],
)
def test_what_is_given_back(after: Snapshot | None, now: Snapshot, then: Snapshot) -> None:
    assert Borrowed(BEFORE, after).given_back(now) == then


def test_an_entry_is_for_root_alone_and_whole(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    entry = enter(Borrowed(BEFORE, None), directory)
    (path,) = directory.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert left_behind(directory) == [], "its daemon is alive"
    entry.change(Borrowed(BEFORE, AFTER))
    assert list(directory.iterdir()) == [path]
    assert left_behind(directory) == []
    entry.close()
    (found,) = left_behind(directory)
    assert found.borrowed == Borrowed(BEFORE, AFTER)
    found.remove()
    assert list(directory.iterdir()) == []
    assert left_behind(directory) == []
    assert left_behind(tmp_path / "never made") == []


def test_the_newest_of_the_dead_comes_first(tmp_path: Path) -> None:
    for number, limit in ((1, 100), (2, 200), (3, 300)):
        enter(Borrowed(Snapshot(replace(REST, backlog_limit=limit), ()), None), tmp_path).close()
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, ns=(number, number))
    found = left_behind(tmp_path)
    assert [entry.borrowed.before.status.backlog_limit for entry in found] == [300, 200, 100]
    for entry in found:
        entry.close()


def test_an_entry_of_a_killed_process_is_found(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from test_kernel_borrowed import *\n"
        "entry = enter(Borrowed(BEFORE, AFTER), Path(sys.argv[1])); print('in', flush=True); sys.stdin.read()"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(borrowed.__file__).parents[2])])
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        assert left_behind(tmp_path) == []
        process.kill()
    (found,) = left_behind(tmp_path)
    assert found.borrowed == Borrowed(BEFORE, AFTER)
    found.close()


def test_one_of_another_boot_or_damaged_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("one\n")
    monkeypatch.setattr(borrowed, "_BOOT_ID", boot)
    directory = tmp_path / "run"
    enter(Borrowed(BEFORE, AFTER), directory).close()
    boot.write_text("two\n")
    (directory / "borrowed-1.json").write_text('{"boot_id": "two", "before"')
    (directory / "borrowed-2.json").write_text('{"boot_id": "two", "before": {"status": {}}, "after": null}')
    (directory / "borrowed-3.json").write_text("[]")
    (directory / "borrowed-4.json").symlink_to(boot)
    (directory / "borrowed-5.json").mkdir()
    os.mkfifo(directory / "borrowed-6.json")
    assert left_behind(directory) == []
    assert sorted(path.name for path in directory.iterdir()) == [
        "borrowed-4.json",
        "borrowed-5.json",
        "borrowed-6.json",
    ]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a Loan writes, instead of under /run."""
    found: dict[str, Path] = {"directory": tmp_path}
    monkeypatch.setattr("tsauditd.kernel.loan.enter", lambda entry: enter(entry, **found))
    monkeypatch.setattr("tsauditd.kernel.loan.left_behind", lambda: left_behind(**found))
    return tmp_path


def test_a_loan_takes_over_from_the_dead(directory: Path) -> None:
    said: list[str] = []
    enter(Borrowed(BEFORE, AFTER), directory).close()
    loan = Loan(AFTER, said.append)
    assert len(said) == 1
    assert loan.before == BEFORE
    loan.begin()
    (path,) = directory.iterdir()
    loan.taken(AFTER)
    assert loan.given_back(AFTER) == BEFORE
    loan.leave()
    assert list(directory.iterdir()) == [path], "for the next one to try"

    again = Loan(BEFORE, said.append)
    assert len(said) == 1, "nothing was left"
    again.begin()
    again.settle()
    assert list(directory.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(entry: Borrowed) -> Entry:
        raise OSError(30, "Read-only file system")

    said: list[str] = []
    monkeypatch.setattr("tsauditd.kernel.loan.enter", refuse)
    loan = Loan(BEFORE, said.append)
    loan.begin()
    loan.taken(AFTER)
    assert loan.given_back(AFTER) == BEFORE
    loan.settle()
    assert len(said) == 1
    assert said[0].startswith("/run/tsauditd: Read-only file system: should this daemon be killed")
