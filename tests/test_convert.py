"""Logs in, JSON lines out: files, order, damage, what is told and how it ends."""

import gzip
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tsauditd.convert import SHOWN_LINES, convert
from tsauditd.errors import UsageError
from tsauditd.event import Decoder


def record(serial: int, seconds: int = 1_700_000_000) -> str:
    return f"type=USER msg=audit({seconds}.000:{serial}): pid=1 uid=0 auid=0 ses=1 msg='text=\"x\"'\n"


class Run:
    """One conversion into a file, and what it said."""

    def __init__(self, tmp_path: Path, *names: Path, strict: bool = False, **settings: Any) -> None:
        self.path = tmp_path / "out.json"
        stderr = io.StringIO()
        decoder = Decoder(**settings)
        files = [str(name) for name in names]
        self.code = convert(files, str(self.path), decoder, strict=strict, stderr=stderr)
        self.said = stderr.getvalue().splitlines()

    @property
    def serials(self) -> list[int]:
        return [json.loads(line)["event"]["sequence"] for line in self.path.read_text().splitlines()]


def test_a_log_becomes_lines(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(record(1) + record(2))
    run = Run(tmp_path, log)
    assert (run.code, run.serials, run.said) == (0, [1, 2], [])
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o600


def test_a_rotated_set_comes_out_in_order(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_text(record(3))
    (tmp_path / "audit.log.1").write_text(record(2))
    (tmp_path / "audit.log.2.gz").write_bytes(gzip.compress(record(1).encode()))
    assert Run(tmp_path, tmp_path).serials == [1, 2, 3]


def test_an_event_may_go_over_the_end_of_a_file(tmp_path: Path) -> None:
    syscall = (
        "type=SYSCALL msg=audit(1700000000.000:7): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 "
        'items=1 ppid=1 pid=2 auid=0 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=1 comm="x" '
        'exe="/x" key=(null)\n'
    )
    (tmp_path / "audit.log.1").write_text(syscall)
    (tmp_path / "audit.log").write_text('type=CWD msg=audit(1700000000.000:7): cwd="/"\n' + record(8))
    assert Run(tmp_path, tmp_path).serials == [7, 8]


def test_times_choose_events(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("".join(record(n, 1_700_000_000 + n) for n in range(5)))
    run = Run(tmp_path, log, since=1_700_000_001_000, until=1_700_000_003_000)
    assert (run.code, run.serials) == (0, [1, 2])


def test_unreadable_lines_are_shown_with_their_place(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(record(1) + "what \x1b[31m is this\n" + record(2))
    run = Run(tmp_path, log)
    assert (run.code, run.serials) == (0, [1, 2])
    assert run.said[0].startswith(f"tsauditd: {log}:2: ")
    assert "\\x1b[31m" in run.said[0]
    assert run.said[1:] == ["tsauditd: 1 line could not be read"]
    assert Run(tmp_path, log, strict=True).code == 1


def test_many_unreadable_lines_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(record(1) + "junk\n" * 3000)
    run = Run(tmp_path, log)
    assert run.code == 0
    assert len(run.said) == SHOWN_LINES + 1
    assert run.said[-1] == f"tsauditd: 3000 lines could not be read ({3000 - SHOWN_LINES} of them not shown)"


def test_nothing_readable_is_a_failure(tmp_path: Path) -> None:
    log = tmp_path / "passwd"
    log.write_text("root:x:0:0\n")
    run = Run(tmp_path, log)
    assert run.code == 1
    assert run.said[-1] == "tsauditd: no audit record was found: is this an audit log?"


def test_nothing_to_read_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "audit.log").touch()
    run = Run(tmp_path, tmp_path / "audit.log")
    assert (run.code, run.serials, run.said) == (0, [], [])


def test_a_missing_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "b.log").write_text(record(1))
    run = Run(tmp_path, tmp_path / "a.log", tmp_path / "b.log")
    assert (run.code, run.serials) == (1, [1])
    assert run.said == [f"tsauditd: {tmp_path}/a.log: No such file or directory"]


def test_what_came_before_the_damage_is_written(tmp_path: Path) -> None:
    noisy = "".join(record(n) + f"# {os.urandom(20).hex()}\n" for n in range(1, 3000))
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(noisy.encode())[:-500])
    (tmp_path / "b.log").write_text(record(5000))
    run = Run(tmp_path, tmp_path / "a.log.gz", tmp_path / "b.log")
    assert run.code == 1
    assert run.serials[0] == 1
    assert len(run.serials) > 1000
    assert run.serials[-1] == 5000
    assert any("a.log.gz: damaged gzip data" in line for line in run.said)


def test_a_log_is_not_overwritten_by_its_own_events(tmp_path: Path) -> None:
    log = tmp_path / "out.json"
    log.write_text(record(1))
    with pytest.raises(UsageError, match="name another file"):
        Run(tmp_path, log)
    assert log.read_text() == record(1)


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_when_it_takes_long(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("".join(record(n) for n in range(30_000)))
    moments = iter(range(0, 100_000, 10))
    stderr = Terminal()
    code = convert(
        [str(log)], str(tmp_path / "out"), Decoder(), strict=False, stderr=stderr, clock=lambda: next(moments)
    )
    assert code == 0
    assert "% of 2 MB" in stderr.getvalue()
    assert stderr.getvalue().endswith("\r\x1b[K"), "the line is gone at the end"
