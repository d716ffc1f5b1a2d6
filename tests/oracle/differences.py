"""Where our JSON says a field otherwise than ausearch on purpose: what it says instead, and why that is right.

First match counts. `holds` must be as narrow as the reason: it says what ours has to be, not that anything goes.
"""

from __future__ import annotations

import contextlib
import grp
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oracle.reader import Field, Record, keys, unescaped

Events = list[dict[str, Any]]
Holds = Callable[[Events, Record, Field, list[str]], bool]


@dataclass(frozen=True)
class Difference:
    """One row: the records and fields it covers (patterns of the whole name), what ours holds, the reason."""

    name: str
    types: str
    fields: str
    holds: Holds
    reason: str

    def covers(self, record: Record, item: Field) -> bool:
        """Whether the row is about this field of this record."""
        return bool(re.fullmatch(self.types, record.type) and re.fullmatch(self.fields, item.name))


def _raw(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.raw.decode(errors="replace").strip('"') in ours


def _account(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    """Ours has the number, and the reading is what this machine, not the log, calls that number."""
    if item.name in record.named:
        return item.reading == b"unknown(%s)" % item.raw and item.raw.decode() in ours
    raw = item.raw.decode()
    number = int(raw, 16 if item.name in ("a0", "a1", "a2") else 10)
    return raw in ours and item.reading.decode() in _names(number & 0xFFFFFFFF)


def _exit_code(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    raw = item.raw.decode()
    called = any(event["auditd"]["data"].get("syscall") == "exit_group" for event in events)
    return item.reading == b"UNKNOWN" and called and ours == [raw, str(int(raw, 16))]


def _names(number: int) -> set[str]:
    names = {f"unknown({number})"}
    for database in (pwd.getpwuid, grp.getgrgid):
        with contextlib.suppress(KeyError):
            names.add(database(number)[0])
    return names


def _unset(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading == b"unset" and (not ours or "unset" in ours or item.raw.decode() in ours)


def _before_bracket(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading.partition(b"(")[0].decode() in ours


def _result(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    good = item.reading in (b"yes", b"success", b"1")
    return ("success" if good else "fail") in ours


def _absent(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading in (b"?", b"(null)", b"(none)", b'"?"') and not ours


def _tags(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return all(key.decode(errors="replace") in ours for key in keys(item.reading))


def _items(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return any(len(event["auditd"].get("paths", ())) == int(item.raw) for event in events)


def _hex_without_mark(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading == b"0x" + item.raw and item.raw.decode() in ours


def _more_words(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return any(value.startswith(item.reading.decode() + " ") for value in ours)


def _recoverable(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    """The text with U+FFFD, and the raw record beside it."""
    originals = [line for event in events for line in event["event"].get("original", ())]
    return unescaped(item.reading).decode(errors="replace") in ours and any(
        f"{item.name}={item.raw.decode(errors='replace')}" in line for line in originals
    )


def _part_of_argument(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    """A piece aN[i] stands in argument N; aN_len is its length, or twice that where it was written in hex."""
    number = re.match(r"a(\d+)", item.name)
    assert number is not None
    arguments = [event["process"]["args"][int(number[1])] for event in events]
    if item.name.endswith("_len"):
        return any(int(item.raw) in (len(text.encode()), 2 * len(text.encode())) for text in arguments)
    return any(unescaped(item.reading).decode(errors="replace") in text for text in arguments)


def _quotes(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading == item.raw and item.raw.decode(errors="replace").strip('"') in ours


def _inverted(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return item.reading.replace(b"~", b"").decode() in ours


def _further(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    """The raw value and beside it a name that ausearch has not."""
    return item.raw.decode() in ours and len(ours) > 1


def _abstract(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return "\0" + item.reading.decode() in ours


def _unknown(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    unnamed = re.fullmatch(rb"unknown-[\w-]+\((?:0x)?%s\)|0x%s" % (item.raw, item.raw), item.reading)
    return unnamed is not None and item.raw.decode() in ours


def _cut_title(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    whole = bytes.fromhex(item.raw.decode()).replace(b"\0", b" ")
    text = whole.decode(errors="ignore")
    return text in ours and whole.startswith(text.encode())


def _typed(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    return unescaped(item.reading).decode(errors="replace").replace('\0"', '",<^@>') in ours


def _socket(events: Events, record: Record, item: Field, ours: list[str]) -> bool:
    """Each of `saddr_fam=inet laddr=1.2.3.4 lport=5` is among our socket's parts, with our names for families."""
    parts = dict(re.findall(rb"([\w-]+)=(.*?)(?= [\w-]+=| \}$)", item.reading, re.DOTALL))
    have = {part.partition("=")[2] for part in ours}
    if any(word in item.reading for word in (b"unknown-family", b"too short", b"unsupported")):
        return bool(ours)
    family = parts.get(b"saddr_fam", b"").decode()
    wanted = [{"local": "unix", "inet": "ipv4", "inet6": "ipv6"}.get(family, family)]
    wanted += [
        unescaped(parts[name]).decode(errors="replace") for name in (b"laddr", b"lport") if name in parts
    ]
    path = unescaped(parts.get(b"path", b"")).decode(errors="replace")  # cut at a NUL within an abstract name
    wanted = [part.partition("%")[0] for part in wanted]  # fe80::1%lo names an interface of this machine
    return have.issuperset(wanted) and any(value.startswith(path) for value in have)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "accounts by number",
        ".*",
        "(old-|o|sa|s|e|fs|f|new-)?(auid|uid|gid)|id|a[0-2]|new_gid|old_gid",
        _account,
        "Users and groups stand as numbers, with a name only from the log's own tail: ausearch names them as the "
        "machine it runs on does, which says nothing of the machine that wrote the log.",
    ),
    Difference(
        "unset is absence",
        ".*",
        "(old-|o)?(ses|auid)|a[0-2]",
        _unset,
        "A login or session that is not set is left out, or keeps its number where it is an argument.",
    ),
    Difference(
        "errors by name",
        "SYSCALL|URINGOP",
        "exit",
        _before_bracket,
        "The error's name; its English text is the same for each and adds nothing.",
    ),
    Difference(
        "results in one word",
        ".*",
        "success|res|result",
        _result,
        "auditd.result is success or fail as in Auditbeat, whichever of yes, 1 and success the record used.",
    ),
    Difference(
        "keys are tags",
        ".*",
        "key",
        _tags,
        "Each key is one tag; (null) is none. ausearch prints several keys as further fields.",
    ),
    Difference(
        "items are counted",
        "SYSCALL|URINGOP",
        "items",
        _items,
        "The number of paths is that of auditd.paths.",
    ),
    Difference(
        "exit codes are numbers",
        "SYSCALL",
        "a0",
        _exit_code,
        "exit_group(2) is given the code; ausearch reads it as a status of wait(2) and finds none in 255.",
    ),
    Difference(
        "numbers without 0x",
        "SYSCALL|SOCKETCALL",
        "a[0-3]",
        _hex_without_mark,
        "auditd.data has an argument as the record and Auditbeat have it; ausearch puts 0x before it.",
    ),
    Difference(
        "absent values are left out",
        ".*",
        ".*",
        _absent,
        "A value that says there is none is no value in ECS.",
    ),
    Difference(
        "modes in octal",
        "PATH|IPC|IPC_SET_PERM|MQ_OPEN|OPENAT2",
        "mode",
        _raw,
        "The mode stays octal as in Auditbeat, the kind of file is file.type. ausearch prints an IPC mode as that of "
        "a file of unknown kind: 000,600.",
    ),
    Difference(
        "no capabilities",
        "PATH|BPRM_FCAPS|CAPSET",
        "cap_.*",
        lambda events, record, item, ours: item.reading == b"none" and _raw(events, record, item, ours),
        "Zero stays zero.",
    ),
    Difference(
        "all the words",
        "USER.*|ADD_.*|DEL_.*|TEST|USYS_CONFIG|UNKNOWN.*",
        "op|text|key",
        _more_words,
        "Programs write several words without quotes (op=adding user id=5): they belong to the value.",
    ),
    Difference(
        "bytes that are no UTF-8",
        ".*",
        ".*",
        _recoverable,
        "JSON is UTF-8: U+FFFD stands for them and event.original keeps the record.",
    ),
    Difference(
        "arguments put together",
        "EXECVE",
        r"a\d+(_len|\[\d+\])",
        _part_of_argument,
        "ausearch shows the pieces of a long argument, ours is whole.",
    ),
    Difference(
        "quotes are not part",
        "UNKNOWN.*|CONFIG_CHANGE",
        "dev|old|new",
        _quotes,
        "ausearch does not know that this field is text and prints the quotes.",
    ),
    Difference(
        "personality",
        "SYSCALL",
        "per|a0",
        _inverted,
        "ausearch 3.0.9 prints ADDR_NO_RANDOMIZE with a ~ as if it were taken away.",
    ),
    Difference(
        "openat2 flags in octal",
        "OPENAT2",
        "oflag",
        _further,
        "The kernel prints them in octal (audit_log_openat2), ausearch reads hexadecimal.",
    ),
    Difference(
        "kill the process or the thread",
        "SECCOMP",
        "code",
        lambda events, record, item, ours: (
            {b"0x80000000": "kill_process", b"0x0": "kill_thread"}.get(item.raw) in ours
        ),
        "SECCOMP_RET_KILL_PROCESS and SECCOMP_RET_KILL_THREAD differ; ausearch says kill for both.",
    ),
    Difference(
        "unknown stays as it is",
        "SYSCALL|OPENAT2",
        "a[0-3]|resolve|syscall",
        _unknown,
        "A value that no table names stays the number it was.",
    ),
    Difference(
        "the kernel's names of calls",
        "SYSCALL",
        "syscall",
        lambda events, record, item, ours: item.reading.decode() + "64" in ours,
        "The x86_64 table says pread64 and pwrite64; pread and pwrite are what the C library makes of them.",
    ),
    Difference(
        "the kind of a node",
        "SYSCALL",
        "a[12]",
        lambda events, record, item, ours: any(
            re.fullmatch(rf"\w+,{item.reading.decode(errors='replace').lstrip('0')}", value) for value in ours
        ),
        "mknod's mode says the kind of file too; ausearch shows the permissions alone.",
    ),
    Difference(
        "a title cut within a character",
        "PROCTITLE",
        "proctitle",
        _cut_title,
        "The kernel cuts titles at 128 bytes and trims what it cannot print from the end (kernel/auditsc.c, "
        "audit_proctitle_rtrim), which may leave half a character: it is left out.",
    ),
    Difference(
        "typed text is text",
        "TTY|USER_TTY",
        "data",
        _typed,
        "ausearch writes typed bytes over 0x7f in octal and takes a NUL into the text; ours are characters and <^@>.",
    ),
    Difference(
        "newer lists", "CONFIG_CHANGE", "list", _further, "io_uring's filter list is newer than ausearch."
    ),
    Difference(
        "Landlock is newer than ausearch",
        r"UNKNOWN\[142[34]\]",
        "mode|saddr|daddr",
        _raw,
        "By the rules of other types ausearch reads a mode in words as a number and an address as hex.",
    ),
    Difference(
        "Landlock's abstract sockets",
        r"UNKNOWN\[1423\]",
        "path",
        _abstract,
        "The NUL that makes the name abstract stays.",
    ),
    Difference(
        "protocols of other families",
        "SYSCALL",
        "a2",
        lambda events, record, item, ours: item.reading == b"ip" and "0" in ours,
        "Protocol 0 is named as IP's whatever the family of the socket; ours is named by its family.",
    ),
    Difference(
        "socket addresses in parts",
        "SOCKADDR",
        "saddr",
        _socket,
        "auditd.data.socket has the parts; families that ausearch does not read are told further, and a name is not "
        "cut at a NUL within it.",
    ),
)
