"""Every capture gives the JSON that was once read by a person and found right, from its log and from its packets.

`TSAUDITD_WRITE_GOLDEN=1 pytest tests/test_golden.py` writes the golden files anew: read what changed before keeping it.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replay import sending, socket_pair

from tsauditd.event import Decoder, Listener

HERE = Path(__file__).parent
LOGS = sorted([*(HERE / "captures").glob("*.log"), *(HERE / "captures").glob("*.log.gz")])
PACKETS = sorted([*(HERE / "captures").glob("*.packets"), *(HERE / "captures").glob("*.packets.gz")])

# Longer files are compressed; longer values stand as their digest.
LARGEST_PLAIN_FILE = 40_000
LONGEST_TEXT = 2_000
LONGEST_LIST = 200

SHOWN_LINES = 60


def contents(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def stem(path: Path) -> str:
    """The capture's name: `ssh.enriched` of ssh.enriched.log.gz."""
    return path.name.removesuffix(".gz").removesuffix(".log").removesuffix(".packets")


def decoded(log: bytes, *, resolve: bool = False) -> list[dict[str, Any]]:
    """The events of a log."""
    decoder = Decoder(resolve=resolve)
    lines = decoder.feed(log) + decoder.end_file() + decoder.finish()
    return [json.loads(line) for line in lines.splitlines()]


def replayed(packets: list[bytes]) -> list[dict[str, Any]]:
    """The events of packets that come over a socket."""
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False)
        listener.start()
        with sending(sender, packets):
            pass
        listener.stop()
        return [json.loads(line) for line in bytes(listener.take()).splitlines()]


def framed(stored: bytes) -> Iterator[bytes]:
    """The packets of a .packets file (captures/README.md)."""
    while stored:
        (length,) = struct.unpack_from("<I", stored)
        yield stored[4 : 4 + length]
        stored = stored[4 + length :]


def folded(value: Any) -> Any:
    """The value with the digest of whatever is long in its place, so that the golden files stay readable."""
    if isinstance(value, dict):
        return {name: folded(item) for name, item in value.items()}
    if isinstance(value, list) and len(value) <= LONGEST_LIST:
        return [folded(item) for item in value]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) or len(text) > LONGEST_TEXT:
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{text[:40]}... {len(value)} {'items' if isinstance(value, list) else 'characters'}, sha256 {digest}"
    return value


def golden_file(name: str) -> Path | None:
    found = [HERE / "golden" / f"{name}.jsonl{end}" for end in ("", ".gz")]
    return next((path for path in found if path.exists()), None)


def write_golden(name: str, events: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events)
    for end in ("", ".gz"):
        (HERE / "golden" / f"{name}.jsonl{end}").unlink(missing_ok=True)
    if len(lines) > LARGEST_PLAIN_FILE:
        path = HERE / "golden" / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress(lines.encode(), mtime=0))
    else:
        (HERE / "golden" / f"{name}.jsonl").write_text(lines)


def difference(wanted: dict[str, Any], got: dict[str, Any]) -> str:
    """What changed in one event, line by line."""
    before, after = (
        json.dumps(event, indent=1, ensure_ascii=False, sort_keys=True).splitlines()
        for event in (wanted, got)
    )
    lines = list(difflib.unified_diff(before, after, "golden", "now", lineterm="", n=2))
    more = [f"... {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    return "\n".join([f"event {got['event']['id']}:", *lines[:SHOWN_LINES], *more])


def identity(event: dict[str, Any]) -> str:
    return str(event["event"]["id"])


def compare(wanted: list[dict[str, Any]], got: list[dict[str, Any]]) -> None:
    """The same events in the same order, object by object."""
    assert [identity(event) for event in got] == [identity(event) for event in wanted]
    pairs = zip(wanted, got, strict=True)
    assert [difference(one, other) for one, other in pairs if one != other] == []


@pytest.mark.parametrize("path", LOGS, ids=[path.name for path in LOGS])
def test_a_log_gives_its_golden_events(path: Path) -> None:
    events = [folded(event) for event in decoded(contents(path))]
    if os.environ.get("TSAUDITD_WRITE_GOLDEN") == "1":
        write_golden(stem(path), events)
    golden = golden_file(stem(path))
    assert golden is not None, (
        f"TSAUDITD_WRITE_GOLDEN=1 pytest {__file__} writes tests/golden/{stem(path)}.jsonl"
    )
    compare([json.loads(line) for line in contents(golden).splitlines()], events)


def test_every_golden_file_has_its_capture() -> None:
    names = {path.name.removesuffix(".gz") for path in (HERE / "golden").glob("*.jsonl*")}
    assert names == {f"{stem(path)}.jsonl" for path in LOGS}


@pytest.mark.parametrize("path", PACKETS, ids=[path.name for path in PACKETS])
def test_packets_give_the_same_events_as_their_log(path: Path) -> None:
    """The listener names ids as this machine does, so the log's are asked for by name too."""
    log = next(log for log in LOGS if stem(log) == stem(path))
    wanted = sorted(decoded(contents(log), resolve=True), key=identity)
    got = sorted(replayed(list(framed(contents(path)))), key=identity)
    compare(wanted, got)
