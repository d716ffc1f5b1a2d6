"""Where a contender's time goes: perf's samples of its processes under an open() storm, by what they were at."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

DATA = "perf.data"
RECEIVE, COPY, FREE = "receive", "receive: copy packets", "receive: free packets"
SWITCH, FAULT, WRITE, SEND = "sleep, wake, switch", "page faults", "write a file", "send"
CORE, PYTHON, OWN, KERNEL = "Rust core", "Python", "own program and libraries", "kernel, other"

_KINDS = (
    (SWITCH, re.compile(r"^(__)?schedule$|_sys_(futex|e?poll|p?select|nanosleep|clock_nano)|^eventfd_")),
    (FAULT, re.compile(r"^exc_page_fault$")),
    (FREE, re.compile(r"skb_free|free_skb|consume_skb|skb_release|skb_attempt_defer")),
    (COPY, re.compile(r"copy_to_iter|copy_datagram|datagram_iter|check_object_size")),
    (RECEIVE, re.compile(r"_sys_(recv|io_uring)")),
    (WRITE, re.compile(r"^(ksys_p?write|vfs_writev?|do_writev|vfs_fsync)")),
    (SEND, re.compile(r"_sys_send")),
)  # fmt: skip
"""What a sample in the kernel was at: the first of these whose pattern is found in a symbol of its stack."""

_FRAME = re.compile(r"^\s*[0-9a-f]+ (.+) \((.*)\)$")
_KERNEL = re.compile(r"^\[(kernel|guest)|\.ko(\.\w+)?$")


def read(at: Path) -> dict[str, float] | None:
    """Shares of the samples by kind, the largest first; None where nothing was recorded."""
    data = at / DATA
    if not data.exists():
        return None
    told = subprocess.run(
        ["perf", "script", "-i", data, "--no-inline", "-F", "comm,ip,sym,dso"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=False,
    )
    found = Counter(kind(frames) for frames in samples(told.stdout.splitlines()))
    return {name: count / found.total() for name, count in found.most_common()} or None


def samples(lines: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
    """The stack of each sample, innermost first: symbol and object, as `perf script` prints them."""
    frames: list[tuple[str, str]] = []
    for line in lines:
        if found := _FRAME.match(line):
            frames.append((found[1], found[2]))
        elif not line.strip() and frames:
            yield frames
            frames = []
    if frames:
        yield frames


def kind(frames: list[tuple[str, str]]) -> str:
    """What a sample was at."""
    _, inmost = frames[0]
    if not _KERNEL.search(inmost):
        if "_core" in inmost:
            return CORE
        return PYTHON if "python" in inmost else OWN
    symbols = [symbol.partition("+")[0] for symbol, where in frames if _KERNEL.search(where)]
    for name, pattern in _KINDS:
        if any(pattern.search(symbol) for symbol in symbols):
            return name
    return KERNEL
