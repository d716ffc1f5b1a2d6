"""All output is what schema/event.schema.json says: of real logs, of hostile ones, and of the daemon itself."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tsauditd.event import Decoder, decoder_counters
from tsauditd.kernel.rules.drift import Drift, drift_document
from tsauditd.kernel.standing import Notice, notice_document
from tsauditd.pipeline import Losses, Origin, loss_event, notice_event, rules_event

HERE = Path(__file__).parent
LOGS = sorted([*(HERE / "captures").glob("*.log"), *(HERE / "captures").glob("*.log.gz")])

SCHEMA: dict[str, Any] = json.loads(
    (resources.files("tsauditd") / "schema" / "event.schema.json").read_text()
)
WHOLE = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
RECORDS = WHOLE.evolve(schema={**SCHEMA, "oneOf": [{"$ref": "#/$defs/records"}]})

# ECS 8.17, the expected event types of each category that is used here.
EXPECTED_TYPES = {
    "authentication": {"start", "end", "info"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "driver": {"change", "end", "info", "start"},
    "file": {"access", "change", "creation", "deletion", "info"},
    "host": {"access", "change", "end", "info", "start"},
    "iam": {"admin", "change", "creation", "deletion", "group", "info", "user"},
    "intrusion_detection": {"allowed", "denied", "info"},
    "network": {"access", "allowed", "connection", "denied", "end", "info", "protocol", "start"},
    "package": {"access", "change", "deletion", "info", "installation", "start"},
    "process": {"access", "change", "end", "info", "start"},
    "session": {"start", "end", "info"},
}
# Rows that are kept because Auditbeat publishes them.
AUDITBEATS_OWN = {"ANOM_PROMISCUOUS"}


def contents(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, none of whose keys comes twice or differs from another by case only."""
    names = [name.casefold() for name, _ in pairs]
    assert len(set(names)) == len(names), sorted(names)
    return dict(pairs)


def refuse(constant: str) -> None:
    raise AssertionError(constant)


def problem(line: bytes) -> str | None:
    """What is wrong with one line, and where."""
    event = json.loads(line.decode(), object_pairs_hook=distinct, parse_constant=refuse)
    error = best_match(RECORDS.iter_errors(event))
    return error and f"{error.json_path}: {error.message[:500]}"


def check(log: bytes, *, original: bool = False) -> list[bytes]:
    """Decodes a log and holds each line against the schema."""
    decoder = Decoder(original=original)
    output = decoder.feed(log) + decoder.end_file() + decoder.finish()
    assert output == b"" or output.endswith(b"\n")
    lines = output.split(b"\n")[:-1]
    assert len(lines) == len(output.decode().splitlines()) == decoder_counters(decoder)["events"]
    assert [found for found in map(problem, lines) if found] == []
    return lines


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_refuses_what_it_does_not_know() -> None:
    event = json.loads(check(b"type=USER msg=audit(1.000:1): pid=1 uid=0 msg='op=x res=success'\n")[0])
    assert WHOLE.is_valid(event)
    assert not WHOLE.is_valid({**event, "more": 1})
    assert not WHOLE.is_valid({**event, "process": {"pid": "1"}})
    assert not WHOLE.is_valid({**event, "user": {"id": 0}})
    assert not WHOLE.is_valid({**event, "source": {"ip": "1.2.3"}})


@pytest.mark.parametrize("original", [False, True], ids=["plain", "original"])
@pytest.mark.parametrize("path", LOGS, ids=[path.name for path in LOGS])
def test_real_logs(path: Path, original: bool) -> None:
    assert check(contents(path), original=original)


def test_losses() -> None:
    for lost in (Losses(kernel=3), Losses(1, 2, 3, 4), Losses(unreadable=2)):
        for origin in (Origin(), Origin("host", "id", "boot")):
            line = loss_event(
                lost, lost, origin, 1_700_000_000.123, ["noise \x1b"] if lost.unreadable else []
            )
            event = json.loads(line, object_pairs_hook=distinct)
            assert [error.message for error in WHOLE.iter_errors(event)] == []


def test_changed_rules() -> None:
    for drift in (Drift(), Drift(moved=True), Drift(missing=("-w /x",) * 30, added=("-w /y",))):
        line = rules_event(
            drift.sentence, drift_document(drift), Origin("host", "id", "boot"), 1_700_000_000.123
        )
        event = json.loads(line, object_pairs_hook=distinct)
        assert [error.message for error in WHOLE.iter_errors(event)] == []


def test_the_place_at_the_kernel() -> None:
    for good, name in ((True, "tsauditd"), (False, None)):
        notice = Notice("audit-pid-lost", "It was taken.", good, 7, name, 1)
        origin = Origin("host", "id", "boot")
        line = notice_event(notice.sentence, notice_document(notice), notice.action, origin, 1.5, good=good)
        event = json.loads(line, object_pairs_hook=distinct)
        assert [error.message for error in WHOLE.iter_errors(event)] == []


def test_categories_and_types_go_together(project: Path) -> None:
    rows = (project / "rust/core/data/actions.tsv").read_text().splitlines()
    table = [row.split("\t") for row in rows if not row.startswith("#")][1:]
    for _, name, _, categories, types, *_ in table:
        assert (categories == "-") == (types == "-"), name
        if categories == "-" or name in AUDITBEATS_OWN:
            continue
        expected = [EXPECTED_TYPES[category] for category in categories.split(",")]
        assert set(types.split(",")) <= set.union(*expected), name
        assert all(set(types.split(",")) & some for some in expected), name


# Hostile logs: records that look real, with whatever anyone may write into them.

KINDS = st.sampled_from(
    "SYSCALL PATH CWD EXECVE PROCTITLE SOCKADDR EOE LOGIN USER_LOGIN USER_CMD USER_AUTH ADD_USER ADD_GROUP AVC "
    "USER_AVC SECCOMP URINGOP TTY USER_TTY CONFIG_CHANGE NETFILTER_PKT NETFILTER_CFG CRYPTO_SESSION ANOM_ABEND OBJ_PID "
    "BPRM_FCAPS SOCKETCALL IPC MQ_OPEN MMAP OPENAT2 APPARMOR_DENIED DAEMON_START UNKNOWN[1423] UNKNOWN[99999] "
    "NEWER".split()
)
NAMES = st.sampled_from(
    "arch syscall success exit a0 a1 a2 a3 a0[0] a0_len argc items ppid pid auid uid gid euid suid fsuid egid sgid "
    "fsgid tty ses comm exe subj key item name inode dev mode ouid ogid rdev obj nametype cap_fp cap_fi cwd "
    "proctitle saddr acct addr hostname terminal res result op id msg rport laddr lport new_group grp sig old-auid "
    "data uring_op list proto daddr seresult socket Socket SOCKET UID Uid interpreted per oauid message".split()
) | st.text(st.characters(codec="utf-8", exclude_characters=" ='\"\n\r\0"), min_size=1, max_size=5)
VALUES = st.one_of(
    st.sampled_from(
        "0 1 -1 4294967295 18446744073709551615 99999999999999999999 007 1e9 NaN c000003e 40000003 59 257 102 42 "
        "yes no success failed ? (null) (none) ffffff9c NORMAL CREATE DELETE PARENT UNKNOWN 0100644 0140777 "
        "a:b:c:d:e a:b 10.0.0.1 ::1 fe80::1%eth0 999.1.1.1 70000 "
        "0200005000000000 020000507F0000010000000000000000 0A00 01002F746D702F78 0100002F61 10000000 "
        "2F62696E00FFFE 00 FF C3 E280A8 0A0D 22 5C".split()
    ),
    st.integers(-(2**65), 2**65).map(str),
    st.binary(max_size=12).map(lambda raw: raw.hex().upper()),
    st.text(max_size=8).map(lambda text: f'"{text}"'),
    st.text(max_size=8),
)
FIELD = st.tuples(NAMES, VALUES).map("=".join)
WORDS = st.one_of(
    FIELD, FIELD, FIELD, VALUES, st.sampled_from(["msg='", "'", "avc: denied { read }", "\x1d", "  "])
)
STAMPS = st.sampled_from(
    ["1700000000.123:7", "1700000000.123:8", "1.000:18446744073709551615", "99999999999999999.999:1", "0.0:0"]
)
RECORD = st.tuples(
    st.sampled_from(["", "node=h ", "node=\u202e "]), KINDS, STAMPS, st.lists(WORDS, max_size=12)
).map(lambda parts: f"{parts[0]}type={parts[1]} msg=audit({parts[2]}): {' '.join(parts[3])}".encode())
HOSTILE = st.lists(st.one_of(RECORD, RECORD, RECORD, st.binary(max_size=30)), max_size=8).map(b"\n".join)


@settings(max_examples=400, deadline=None)
@given(HOSTILE, st.booleans())
def test_hostile_logs(log: bytes, original: bool) -> None:
    check(log, original=original)


REAL_LINES = [
    line
    for path in LOGS
    if path.stat().st_size < 100_000
    for line in contents(path).splitlines()
    if len(line) < 2_000
]


def damaged(line: bytes, cuts: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The line with pieces replaced."""
    for start, length, piece in cuts:
        at = start % (len(line) + 1)
        line = line[:at] + piece + line[at + length :]
    return line


PIECES = st.one_of(st.binary(max_size=4), FIELD.map(lambda text: f" {text} ".encode()))
CUTS = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 20), PIECES), max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(REAL_LINES) - 1), st.lists(CUTS, min_size=1, max_size=8))
def test_damaged_logs(start: int, damage: list[list[tuple[int, int, bytes]]]) -> None:
    lines = REAL_LINES[start : start + len(damage)]
    check(b"\n".join(damaged(line, cuts) for line, cuts in zip(lines, damage, strict=False)))


@pytest.mark.parametrize("again", ["in the record", "in another"])
def test_a_field_that_comes_twice_is_one_member(again: str) -> None:
    first, other = ("tty=0 ", "") if again == "in the record" else ("", " tty=0 ")
    log = (
        f"type=SYSCALL msg=audit(1.000:1): arch=c000003e syscall=44 {first}success=yes exit=60 a0=3 a1=7f a2=3c a3=0 "
        "items=0 ppid=1 pid=2 auid=0 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=1 "
        'comm="x" exe="/x" key=(null)\n'
        f"type=PROCTITLE msg=audit(1.000:1):{other} proctitle=78\n"
    )
    (line,) = check(log.encode())
    assert sorted(json.loads(line)["auditd"]["data"]["tty"]) == ["0", "pts0"]


def test_a_line_is_one_line_for_every_reader() -> None:
    """Not even the separators that only some readers know end a line early."""
    name = "".join(map(chr, [*range(1, 32), *range(127, 160), 0x2028, 0x2029])).encode().hex().upper()
    (line,) = check(
        f"type=USER_LOGIN msg=audit(1.000:1): pid=1 uid=0 msg='acct={name} res=failed'\n".encode()
    )
    assert not re.search(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]", line)
