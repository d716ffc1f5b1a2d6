"""Which logs are read, in which order, and what comes out of them."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsauditd.errors import TsauditdError
from tsauditd.logfiles import CHUNK, CorruptLog, LogReader, reading_order
from tsauditd.zstd import zstd

Compress = Callable[[bytes], bytes]

LINES = b"type=USER msg=audit(1.000:1): pid=1\n" * 2000


def read(path: Path) -> bytes:
    with LogReader(str(path)) as log:
        return b"".join(log.chunks())


def test_a_rotated_set_is_read_oldest_first() -> None:
    named = ["audit.log", "audit.log.2.gz", "audit.log.10", "audit.log.1"]
    assert reading_order(named) == ["audit.log.10", "audit.log.2.gz", "audit.log.1", "audit.log"]


def test_dated_files_are_read_oldest_first() -> None:
    named = ["d/audit.log", "d/audit.log-20240502.zst", "d/audit.log-20240501"]
    assert reading_order(named) == ["d/audit.log-20240501", "d/audit.log-20240502.zst", "d/audit.log"]


def test_sets_keep_the_order_in_which_they_were_named() -> None:
    named = ["b/audit.log", "a/audit.log", "b/audit.log.1", "-", "other.log"]
    assert reading_order(named) == ["b/audit.log.1", "b/audit.log", "a/audit.log", "-", "other.log"]


def test_a_file_named_twice_is_read_once() -> None:
    assert reading_order(["a.log", "a.log"]) == ["a.log"]


def test_a_directory_stands_for_its_audit_log(tmp_path: Path) -> None:
    for name in ("audit.log", "audit.log.1", "audit.log.2.zst", "notes.txt", "other.log.1"):
        (tmp_path / name).touch()
    found = [Path(name).name for name in reading_order([str(tmp_path)])]
    assert found == ["audit.log.2.zst", "audit.log.1", "audit.log"]


def test_a_directory_without_logs_is_told(tmp_path: Path) -> None:
    with pytest.raises(TsauditdError, match=r"holds no audit\.log"):
        reading_order([str(tmp_path)])


def test_a_pattern_stands_for_its_files(tmp_path: Path) -> None:
    for name in ("x.log", "x.log.1", "y.txt"):
        (tmp_path / name).touch()
    assert [Path(name).name for name in reading_order([str(tmp_path / "x*")])] == ["x.log.1", "x.log"]
    with pytest.raises(TsauditdError, match="no file matches"):
        reading_order([str(tmp_path / "z*")])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    file = tmp_path / "a[1].log"
    file.touch()
    assert reading_order([str(file)]) == [str(file)]


@given(
    st.lists(
        st.text(alphabet="ab/.-_0123456789\n\udcff*", min_size=1, max_size=20).filter(lambda n: "*" not in n)
    )
)
def test_no_name_is_lost(names: list[str]) -> None:
    names = [name for name in names if not Path(name).is_dir()]
    assert sorted(reading_order(names)) == sorted(set(names))


@pytest.mark.parametrize("copies", [1, 2])
def test_compression_is_recognised_by_content(tmp_path: Path, copies: int) -> None:
    """Several members or frames in one file are one log."""
    for name, data in (
        ("plain.gz", LINES * copies),
        ("gzip.txt", gzip.compress(LINES) * copies),
        ("zstd", zstd.compress(LINES) * copies),
    ):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == LINES * copies


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    assert read(tmp_path / "empty.log") == b""


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_damaged_file_gives_what_it_held_then_says_so(tmp_path: Path, compress: Compress) -> None:
    noise = os.urandom(3 * CHUNK)
    path = tmp_path / "cut"
    path.write_bytes(compress(noise)[: 2 * CHUNK])
    got: list[bytes] = []
    with LogReader(str(path)) as log, pytest.raises(CorruptLog, match="damaged") as told:
        got.extend(log.chunks())
    assert str(path) in str(told.value)
    assert len(b"".join(got)) >= CHUNK
    assert noise.startswith(b"".join(got))


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_small_file_that_unpacks_to_much_comes_in_small_pieces(tmp_path: Path, compress: Compress) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(compress(bytes(40 * CHUNK)))
    with LogReader(str(path)) as log:
        sizes = [len(chunk) for chunk in log.chunks()]
    assert sum(sizes) == 40 * CHUNK
    assert max(sizes) <= CHUNK


def test_a_pipe_gives_what_it_has(tmp_path: Path) -> None:
    """A live pipe is not waited upon until a whole chunk has come."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    keep = os.open(fifo, os.O_RDWR)
    with LogReader(str(fifo)) as log:
        chunks = log.chunks()
        os.write(keep, b"first\n")
        assert next(chunks) == b"first\n"
        os.write(keep, b"second\n")
        assert next(chunks) == b"second\n"
        assert log.size is None
        assert log.position == 0
    os.close(keep)
