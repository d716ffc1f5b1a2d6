"""Which lines of a batch a session's timeline needs: those, whole, and no others."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from replay import events, packet, sending, socket_pair, wait_ready

from tsauditd.event import Decoder, Listener

CAPTURES = Path(__file__).parent / "captures"
LOGS = sorted([*CAPTURES.glob("*.log"), *CAPTURES.glob("*.log.gz")])

LOGIN_TYPES = {"user_login", "user_auth", "user_acct", "user_err", "user_start", "cred_acq", "login"}
MACHINE, BOOT = "0123456789abcdef0123456789abcdef", "fedcba98-7654-4321-8000-000000000000"


def needed(event: dict[str, Any]) -> bool:
    auditd = event["auditd"]
    kind = auditd["message_type"]
    rare = ("system_boot", "system_shutdown", "service_start", "service_stop", "crypto_session")
    sshd = event.get("process", {}).get("name", "").startswith("sshd") and auditd.get("data", {}).get(
        "syscall"
    ) in (
        "accept",
        "accept4",
        "getpeername",
    )
    return (
        "session" in auditd
        or kind in LOGIN_TYPES
        or kind in rare
        or kind.startswith(("anom_login", "anom_origin"))
        or sshd
    )


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_the_spans_are_the_needed_lines(path: Path) -> None:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    decoder = Decoder()
    found: list[bytes] = []
    rest: list[bytes] = []
    for start in range(0, len(data), 50_000):
        split(decoder.feed(data[start : start + 50_000]), decoder.timeline_spans(), found, rest)
    split(decoder.finish(), decoder.timeline_spans(), found, rest)
    assert all(needed(json.loads(line)) for line in found)
    assert not any(needed(json.loads(line)) for line in rest)


def split(lines: bytes, spans: list[tuple[int, int]], found: list[bytes], rest: list[bytes]) -> None:
    at = 0
    for start, end in spans:
        assert at <= start < end
        rest += lines[at:start].splitlines()
        found += lines[start:end].splitlines()
        at = end
    rest += lines[at:].splitlines()


def test_the_listener_tells_them_of_each_batch_and_names_the_session() -> None:
    of_session = [
        packet(kind, text)
        for kind, text in (
            (1112, "audit(1700000001.000:9001): pid=5 uid=0 auid=7 ses=3 msg='op=login id=7 res=success'"),
            (1320, "audit(1700000001.000:9001): "),
        )
    ]
    with socket_pair() as (sender, receiver):
        listener = Listener(receiver.fileno(), netlink=False, host_name="here", host_id=MACHINE, boot_id=BOOT)
        listener.start()
        found: list[bytes] = []
        rest: list[bytes] = []
        with sending(sender, [*events(range(1, 50)), *of_session, *events(range(50, 99))]):
            while len(found) + len(rest) < 99:
                wait_ready(listener)
                lines = listener.take()
                split(lines, listener.timeline_spans(), found, rest)
        listener.stop()
    assert len(rest) == 98
    (line,) = found
    assert json.loads(line)["tsauditd"]["session"] == {"id": "01234567-fedcba98-3"}
