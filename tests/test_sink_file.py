"""The file sink: rotation, permissions, full and failing disks. On a real file system, with a clock of the test's."""

import errno
import fcntl
import grp
import os
import random
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsauditd.config import FileOutput
from tsauditd.errors import BadConfiguration
from tsauditd.sinks.action import Actions, Commands
from tsauditd.sinks.file import FileWriter

_fcntl = fcntl.fcntl

NOW = 1_714_559_400.0
DAY = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., FileWriter]


@pytest.fixture
def make(tmp_path: Path, said: list[str], clock: Clock) -> Make:
    def writer(**keys: Any) -> FileWriter:
        output = FileOutput(path=str(tmp_path / "events.json"), **keys)
        commands = Commands(("touch", str(tmp_path / "single")), ("touch", str(tmp_path / "halt")))
        return FileWriter(output, Actions(commands, said.append), wall=clock)

    return writer


def put(writer: FileWriter, text: bytes) -> None:
    at = 0
    while at < len(text):
        at = writer.write(text, at)


def decompressed(path: Path) -> bytes:
    return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("has_the_way", [True, False])
@given(st.lists(st.integers(1, 700_000), min_size=1, max_size=8), st.integers(0, 5000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_of_any_size_are_there_as_they_came(
    tmp_path: Path,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    has_the_way: bool,
    sizes: list[int],
    before: int,
) -> None:
    def refused(fd: int, command: int, flags: int = 0) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return _fcntl(fd, command, flags)

    path = tmp_path / "events.json"
    path.write_bytes(b"\n" * before)
    with monkeypatch.context() as patch:
        if not has_the_way:
            patch.setattr(fcntl, "fcntl", refused)
        writer = make()
        pieces = [random.Random(size).randbytes(size - 1).replace(b"\n", b" ") + b"\n" for size in sizes]
        for piece in pieces:
            put(writer, piece)
        writer.close()
    assert path.read_bytes() == b"\n" * before + b"".join(pieces)


def test_a_piece_that_may_not_go_past_the_cache_is_cut_nowhere(tmp_path: Path, make: Make) -> None:
    writer = make(direct=False)
    assert writer.write(b"x" * 300_000 + b"\n", 0) == 300_001
    writer.close()


def test_large_pieces_rotate_between_lines(tmp_path: Path, make: Make) -> None:
    writer = make(rotate_bytes=200_000)
    lines = b"".join(b"%06d" % number * 20 + b"\n" for number in range(6000))
    half = lines.index(b"\n", len(lines) // 2) + 1
    for piece in (b"first\n", lines[:half], lines[half:], b"last\n"):
        put(writer, piece)
    writer.close()
    # events.json, events.json.1 and so on: the newest first.
    found = [(tmp_path / name).read_bytes() for name in reversed(names(tmp_path))]
    assert len(found) > 1
    assert all(part.endswith(b"\n") for part in found)
    assert b"".join(found) == b"first\n" + lines + b"last\n"


def test_it_rotates_by_size_and_keeps_so_many(tmp_path: Path, make: Make) -> None:
    writer = make(rotate_bytes=10, keep_files=2)
    for number in range(5):
        put(writer, b"line %d....\n" % number)
    writer.close()
    assert names(tmp_path) == ["events.json", "events.json.1", "events.json.2"]
    assert (tmp_path / "events.json").read_bytes() == b"line 4....\n"
    assert (tmp_path / "events.json.2").read_bytes() == b"line 2....\n"
    assert stat.S_IMODE((tmp_path / "events.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "events.json.1").stat().st_mode) == 0o400


def test_any_number_is_kept_unless_told(tmp_path: Path, make: Make) -> None:
    writer = make(rotate_bytes=1)
    for number in range(12):
        put(writer, b"%d\n" % number)
    writer.close()
    assert (tmp_path / "events.json.11").read_bytes() == b"0\n"


def test_it_rotates_by_time_also_for_what_an_earlier_daemon_wrote(
    tmp_path: Path, make: Make, clock: Clock
) -> None:
    writer = make(rotate_seconds=DAY)
    put(writer, b"first\n")
    clock.now += DAY
    put(writer, b"second\n")
    clock.now += 1
    put(writer, b"third\n")
    writer.close()
    os.utime(tmp_path / "events.json", (clock.now, clock.now))
    clock.now += DAY
    writer = make(rotate_seconds=DAY)
    put(writer, b"fourth\n")
    writer.close()
    assert (tmp_path / "events.json").read_bytes() == b"fourth\n"
    assert (tmp_path / "events.json.1").read_bytes() == b"second\nthird\n"
    assert (tmp_path / "events.json.2").read_bytes() == b"first\n"


def test_what_is_too_old_goes(tmp_path: Path, make: Make, clock: Clock) -> None:
    writer = make(rotate_bytes=1, keep_days=3)
    put(writer, b"a\n")
    put(writer, b"b\n")
    os.utime(tmp_path / "events.json.1", (NOW - 4 * DAY, NOW - 4 * DAY))
    writer.tick()
    writer.close()
    assert names(tmp_path) == ["events.json"]


def test_rotated_files_are_compressed_with_their_mode_and_time(tmp_path: Path, make: Make) -> None:
    left = tmp_path / "events.json.1"
    left.write_bytes(b"left by a daemon that was killed\n")
    writer = make(rotate_bytes=1, keep_files=5, compress="zstd")
    put(writer, b"one\n")
    os.utime(tmp_path / "events.json", (NOW, NOW))
    put(writer, b"two\n")
    put(writer, b"three\n")
    writer.close()
    assert names(tmp_path) == ["events.json", *(f"events.json.{n}.zst" for n in (1, 2, 3))]
    assert [decompressed(tmp_path / f"events.json.{n}.zst") for n in (1, 2, 3)] == [
        b"two\n",
        b"one\n",
        b"left by a daemon that was killed\n",
    ]
    state = (tmp_path / "events.json.2.zst").stat()
    assert (stat.S_IMODE(state.st_mode), state.st_mtime) == (0o400, NOW)


def test_the_group_may_read(tmp_path: Path, make: Make) -> None:
    name = grp.getgrgid(os.getgid()).gr_name
    writer = make(group=name, rotate_bytes=1)
    put(writer, b"a\n")
    put(writer, b"b\n")
    writer.close()
    assert stat.S_IMODE((tmp_path / "events.json").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "events.json.1").stat().st_mode) == 0o440
    with pytest.raises(BadConfiguration, match="there is no group nobody-at-all"):
        make(group="nobody-at-all")


@pytest.mark.parametrize("how", ["unlink", "rename"])
def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path, make: Make, how: str) -> None:
    writer = make()
    put(writer, b"one\n")
    if how == "unlink":
        (tmp_path / "events.json").unlink()
    else:
        (tmp_path / "events.json").rename(tmp_path / "moved")
    # In the middle of a line: the new file gets all of it.
    assert writer.write(b"two\nthree\n", 6) == 10
    writer.close()
    assert (tmp_path / "events.json").read_bytes() == b"three\n"


def test_a_line_that_was_cut_by_a_crash_is_ended(tmp_path: Path, make: Make) -> None:
    (tmp_path / "events.json").write_bytes(b'{"cut')
    writer = make()
    put(writer, b"{}\n")
    writer.close()
    assert (tmp_path / "events.json").read_bytes() == b'{"cut\n{}\n'


def full(monkeypatch: pytest.MonkeyPatch, free_mib: int, total_mib: int = 1000) -> None:
    values = (4096, 4096, total_mib * 256, free_mib * 256, free_mib * 256, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: os.statvfs_result(values))


def test_the_limits_of_space_act_once_each_and_again_after_recovery(
    make: Make, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    writer = make(
        space_left="5%", space_left_action="single", admin_space_left="20", admin_space_left_action="suspend"
    )
    for free in (100, 49, 48, 19, 18):
        full(monkeypatch, free)
        writer.tick()
    assert said == [
        "space_left: 49 MiB are free, fewer than 5%: single",
        "admin_space_left: 19 MiB are free, fewer than 20 MiB: suspend",
    ]
    assert writer.state == "suspended (admin_space_left)"
    full(monkeypatch, 500)
    writer.tick()
    assert not writer.state, "space is back"
    full(monkeypatch, 30)
    writer.tick()
    assert len(said) == 3
    writer.close()


def test_the_clock_is_asked_for_as_seldom_as_there_is_to_look_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make()
    plain = writer.tick()
    writer.close()
    writer = make(space_left="50")
    watching = writer.tick()
    full(monkeypatch, 10)
    short = writer.tick()
    writer.close()
    assert plain > watching > short


def test_rotate_makes_room_from_the_oldest(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make(rotate_bytes=1, space_left="50", space_left_action="rotate")
    for text in (b"a\n", b"b\n", b"c\n"):
        put(writer, text)
    full(monkeypatch, 10)
    writer.tick()
    assert names(tmp_path) == ["events.json", "events.json.1"]
    writer.tick()
    writer.tick()
    assert names(tmp_path) == ["events.json"]
    writer.close()


def failing(monkeypatch: pytest.MonkeyPatch, number: int | None) -> None:
    if number is None:
        monkeypatch.undo()
        return

    def write(_fd: int, _data: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize(
    ("number", "key", "word"),
    [(errno.ENOSPC, "disk_full_action", "disk_full"), (errno.EIO, "disk_error_action", "disk_error")],
)
def test_a_failing_disk_takes_its_action_once(
    tmp_path: Path,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    number: int,
    key: str,
    word: str,
) -> None:
    writer = make(**{key: "suspend"})
    failing(monkeypatch, number)
    for _ in range(3):
        with pytest.raises(OSError, match=os.strerror(number)):
            writer.write(b"a\n", 0)
    assert said == [f"{word}: {tmp_path}/events.json: {os.strerror(number)}: suspend"]
    assert writer.state == f"suspended ({word})"
    failing(monkeypatch, None)
    writer.resume()
    assert not writer.state
    put(writer, b"a\n")
    writer.close()
    assert (tmp_path / "events.json").read_bytes() == b"a\n"


def test_a_program_that_others_may_write_is_not_run(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o777)
    writer = make(disk_error_action=f"exec {program}")
    failing(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        writer.write(b"a\n", 0)
    assert said[-1] == f"{program} is not run: it must belong to root and be writable by root alone"
    failing(monkeypatch, None)
    writer.close()
