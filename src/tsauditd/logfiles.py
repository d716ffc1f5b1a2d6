"""Audit logs on disk: which files, in which order, and their bytes whatever compressed them."""

import io
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from tsauditd.errors import TsauditdError

STANDARD_INPUT = "-"
CHUNK = 256 << 10
"""In bytes: so much, and the lines that come of it, stay in the processor's own cache."""

_PATTERN = re.compile(r"[*?[]")
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# auditd numbers its rotated files (audit.log.1 is the newest); logrotate can date them (audit.log-20240501).
_ROTATED = re.compile(
    r"(?P<base>.*?)(?:\.(?P<number>\d{1,9})|-(?P<date>\d{8}(?:[-T_]?\d{2,6})?))?(?:\.(?:gz|zst))?",
    re.DOTALL | re.ASCII,
)


class CorruptLog(TsauditdError):
    """A compressed log ends early or is damaged; what came before the damage was read."""


def reading_order(names: Sequence[str], bases: Sequence[str] = ("audit.log",)) -> list[str]:
    """The files that `names` stand for, each rotated set oldest first.

    A directory stands for the first of `bases` that it holds and everything rotated from that; a name with `*`, `?`
    or `[` that is no file is a pattern. Files belong to one set when they are in one directory and differ only by
    what rotation adds: `.N`, `-DATE`, `.gz`, `.zst`. A set is read oldest first (highest number first, dates upwards,
    the bare name last) where its first member was named; a file named twice is read once. Raises TsauditdError for a
    directory or a pattern that holds nothing.
    """
    sets: dict[str, list[str]] = {}
    for name in _expand(names, bases):
        members = sets.setdefault(_base(name), [])
        if name not in members:
            members.append(name)
    return [name for members in sets.values() for name in sorted(members, key=_age)]


def rotated(path: str) -> list[str]:
    """The file at `path` and everything rotated from it."""
    directory, name = os.path.split(path)
    found = [entry for entry in os.listdir(directory or ".") if _match(entry)["base"] == name]
    return sorted(os.path.join(directory, entry) for entry in found)


def _expand(names: Sequence[str], bases: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name != STANDARD_INPUT and os.path.isdir(name):
            entries = [(_match(entry)["base"], os.path.join(name, entry)) for entry in os.listdir(name)]
            base = next((base for base in bases if any(base == other for other, _ in entries)), None)
            if base is None:
                message = f"{name}: this directory holds no {' or '.join(bases)}: name the files"
                raise TsauditdError(message)
            yield from sorted(entry for other, entry in entries if other == base)
        elif name != STANDARD_INPUT and _PATTERN.search(name) and not os.path.exists(name):
            import glob

            found = glob.glob(name)
            if not found:
                message = f"{name}: no file matches this pattern"
                raise TsauditdError(message)
            yield from sorted(found)
        else:
            yield name


def _match(name: str) -> re.Match[str]:
    found = _ROTATED.fullmatch(name)
    assert found is not None  # every part but the base may be missing, and the base takes any text
    return found


def _base(name: str) -> str:
    directory, file = os.path.split(name)
    return os.path.join(directory, _match(file)["base"])


def _age(name: str) -> tuple[int, int, str]:
    """Sorts the members of a set oldest first: numbers downwards, then dates upwards, then the live file."""
    found = _match(os.path.basename(name))
    if found["number"]:
        return (0, -int(found["number"]), name)
    return (1, 0, found["date"]) if found["date"] else (2, 0, name)


class LogReader:
    """One log, opened: `chunks()` gives its plain bytes, at most CHUNK at a time and as soon as there are any.

    Compression is recognised by the first bytes, not by the name. Raises OSError when the file cannot be opened.
    """

    def __init__(self, name: str) -> None:
        """`name` is a path, or `-` for standard input."""
        self.name = "standard input" if name == STANDARD_INPUT else name
        self._raw = io.FileIO(0 if name == STANDARD_INPUT else name, closefd=name != STANDARD_INPUT)
        status = os.fstat(self._raw.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._buffered = io.BufferedReader(self._raw, CHUNK)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._buffered.close()

    @property
    def position(self) -> int:
        """How many bytes of the file have been read, compressed as they are."""
        return self._raw.tell() if self.size is not None else 0

    def chunks(self) -> Iterator[bytes]:
        """The log's bytes, decompressed. Raises CorruptLog after what could be read, OSError as the system does."""
        magic = self._buffered.peek(4)[:4]
        # What most logs need none of is imported for those that do.
        if magic.startswith(_GZIP):
            import gzip
            import zlib

            with gzip.GzipFile(fileobj=self._buffered, mode="rb") as stream:
                yield from self._decompressed("gzip", stream.read1, (EOFError, gzip.BadGzipFile, zlib.error))
        elif magic == _ZSTD:
            from tsauditd.zstd import zstd

            with zstd.ZstdFile(self._buffered, "rb") as packed:
                yield from self._decompressed("zstd", packed.read1, (EOFError, zstd.ZstdError))
        else:
            while chunk := self._buffered.read1(CHUNK):
                yield chunk

    def _decompressed(
        self, kind: str, read: Callable[[int], bytes], damages: tuple[type[Exception], ...]
    ) -> Iterator[bytes]:
        try:
            while chunk := read(CHUNK):
                yield chunk
        except damages as error:
            message = f"{self.name}: damaged {kind} data: {error}"
            raise CorruptLog(message) from error
