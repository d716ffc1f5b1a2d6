#!/usr/bin/env python3
# Copyright tsauditd authors. SPDX-License-Identifier: Apache-2.0
"""Write the tables behind the readings of record fields (`values/*.tsv`) from the system's own headers.

    python3 rust/core/data/generate/field_values.py --kernel /usr/src/linux-headers-6.12.117+deb12-common

Needs Debian's linux-libc-dev, a linux-headers-*-common package and ncurses-term. Numbers come from the named
files; a name is the constant without its prefix, in the spelling that audit tools use.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

INCLUDE = Path("/usr/include")
VALUES = Path(__file__).resolve().parent.parent / "values"
LICENCE = "GPL-2.0 WITH Linux-syscall-note"

# Where audit tools spell a constant otherwise than the header does.
SPELLED = {
    "NFPROTO_UNSPEC": "unspecified",
    "NF_INET_PRE_ROUTING": "PREROUTING",
    "NF_INET_LOCAL_IN": "INPUT",
    "NF_INET_LOCAL_OUT": "OUTPUT",
    "NF_INET_POST_ROUTING": "POSTROUTING",
    "ICMP_ECHOREPLY": "echo-reply",
    "ICMP_DEST_UNREACH": "destination-unreachable",
    "ICMP_PARAMETERPROB": "parameter-problem",
    "ICMP_TIMESTAMP": "timestamp-request",
    "ICMP_TIMESTAMPREPLY": "timestamp-reply",
    "ICMP_ADDRESS": "address-mask-request",
    "ICMP_ADDRESSREPLY": "address-mask-reply",
    "ICMPV6_DEST_UNREACH": "destination-unreachable",
    "ICMPV6_PKT_TOOBIG": "packet-too-big",
    "ICMPV6_TIME_EXCEED": "time-exceeded",
    "ICMPV6_PARAMPROB": "parameter-problem",
    "AUDIT_FILTER_FS": "filesystem",
    "AUDIT_FILTER_URING_EXIT": "io_uring",
    "AUDIT_NLGRP_NONE": "audit-none",
    "AUDIT_NLGRP_READLOG": "audit-netlink-multicast",
}

Rows = dict[int, str]


def text(header: str) -> str:
    """The header's text without comments, so that a commented-out constant is not read."""
    path = INCLUDE / header
    if not path.exists():
        raise SystemExit(f"{path}: not found; install linux-libc-dev and linux-headers-*-common")
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.DOTALL)


def defines(header: str, prefix: str, change: Callable[[str], str], skip: str = "$^") -> Rows:
    """`#define PREFIX_X number` lines; the first name of a number wins."""
    rows: Rows = {}
    pattern = rf"#\s*define\s+({prefix}\w+)\s+(0x[0-9a-fA-F]+|\d+)U?\s*$"
    for name, number in re.findall(pattern, text(header), re.M):
        if not re.search(skip, name):
            rows.setdefault(int(number, 0), SPELLED.get(name) or change(name.removeprefix(prefix)))
    return rows


def enumeration(header: str, first: str, prefix: str, change: Callable[[str], str]) -> Rows:
    """The enum that has the constant `first`, counted as C does; names of other prefixes are left out."""
    body = re.search(rf"enum\s*\w*\s*\{{([^}}]*\b{first}\b[^}}]*)\}}", text(header))
    if body is None:
        raise SystemExit(f"{header}: no enum with {first}")
    rows: Rows = {}
    known: dict[str, int] = {}
    number = -1
    for part in filter(None, (part.strip() for part in body[1].split(","))):
        name, _, value = (half.strip() for half in part.partition("="))
        number = (known[value] if value in known else int(value, 0)) if value else number + 1
        known[name] = number
        if name.startswith(prefix) and not re.search(r"NUMHOOKS|NUMPROTO|_MAX$", name):
            rows.setdefault(number, SPELLED.get(name) or change(name.removeprefix(prefix)))
    return rows


def dashed(name: str) -> str:
    """`TIME_EXCEEDED` -> `time-exceeded`."""
    return name.lower().replace("_", "-")


# terminfo's names of keys, and the names that a keystroke is shown by.
KEYS = {
    "kcuu1": "up", "kcud1": "down", "kcub1": "left", "kcuf1": "right", "khome": "home", "kend": "end",
    "kich1": "insert", "kdch1": "delete", "kpp": "page-up", "knp": "page-down", "kcbt": "back-tab",
    "kDC": "shift-del", "kEND": "shift-end", "kHOM": "shift-home", "kIC": "shift-insert",
    "kLFT": "shift-left", "kNXT": "shift-next", "kPRV": "shift-previous", "kRIT": "shift-right",
    "kri": "scroll-backward", "kind": "scroll-forward", "ka1": "A1", "ka3": "A3", "kb2": "B2",
    "kc1": "C1", "kc3": "C3", "kent": "send", **{f"kf{n}": f"F{n}" for n in range(1, 64)},
}  # fmt: skip
TERMINALS = "xterm xterm-r6 linux screen vt220 rxvt gnome cons25 putty sun vt420".split()


def keystroke(written: str) -> bytes:
    """A terminfo string's bytes: `\\E[1~`, `^?`, `\\177`."""
    sign = {"\\E": b"\x1b", "\\s": b" ", "\\,": b",", "\\\\": b"\\", "\\^": b"^", "^?": b"\x7f"}
    out = b""
    for part in re.findall(r"\\[0-7]{3}|\\.|\^.|.", written):
        if part in sign:
            out += sign[part]
        elif re.fullmatch(r"\\[0-7]{3}", part):
            out += bytes([int(part[1:], 8)])
        elif len(part) == 2 and part[0] == "^":
            out += bytes([ord(part[1]) & 0x1F])
        else:
            out += part[-1].encode()
    return out


def tty_keys() -> Rows:
    """Escape sequences of keys, as big-endian numbers; those of two bytes are rather Alt and a letter."""
    rows: Rows = {}
    for terminal in TERMINALS:
        shown = subprocess.run(["infocmp", "-1x", terminal], stdout=subprocess.PIPE, text=True, check=True)
        for capability, written in re.findall(r"^\t(k\w+)=(.*),$", shown.stdout, re.M):
            sequence = keystroke(written)
            if capability in KEYS and sequence.startswith(b"\x1b") and 3 <= len(sequence) <= 8:
                rows.setdefault(int.from_bytes(sequence, "big"), KEYS[capability])
    return rows


TABLES: dict[str, tuple[str, Callable[[], Rows]]] = {
    "netfilter_families": (
        f"NFPROTO_* of linux/netfilter.h ({LICENCE})",
        lambda: enumeration("linux/netfilter.h", "NFPROTO_IPV4", "NFPROTO_", str.lower),
    ),
    "netfilter_hooks": (
        f"enum nf_inet_hooks of linux/netfilter.h ({LICENCE}), as rules name the chains",
        lambda: enumeration("linux/netfilter.h", "NF_INET_FORWARD", "NF_INET_", str),
    ),
    "netfilter_actions": (
        f"XT_AUDIT_TYPE_* of linux/netfilter/xt_AUDIT.h ({LICENCE})",
        lambda: enumeration("linux/netfilter/xt_AUDIT.h", "XT_AUDIT_TYPE_DROP", "XT_AUDIT_TYPE_", str),
    ),
    "icmp_types": (
        f"ICMP_* of linux/icmp.h ({LICENCE}), up to NR_ICMP_TYPES",
        lambda: defines(
            "linux/icmp.h",
            "ICMP_",
            dashed,
            r"_(UNREACH|UNKNOWN|FAILED|ISOLATED|ANO|UNR_TOS|FILTERED|VIOLATION|CUTOFF|NET|HOST|NETTOS|HOSTTOS"
            r"|TTL|FRAGTIME|NEEDED|NR_\w+)$(?<!DEST_UNREACH)|^ICMP_(FILTER|EXT|AFI|V)",
        ),
    ),
    "icmpv6_types": (
        f"ICMPV6_* types of linux/icmpv6.h ({LICENCE})",
        lambda: defines(
            "linux/icmpv6.h",
            "ICMPV6_",
            dashed,
            r"NOROUTE|PROHIBITED|NEIGHBOUR|ADDR_UNREACH|PORT_UNREACH|POLICY|REJECT|HOPLIMIT|FRAGTIME|_FIELD"
            r"|HDR|OPTION|EXC_|FILTER|MODE|ROUTER_PREF|INFOMSG|_MAX",
        ),
    ),
    "filter_lists": (
        f"AUDIT_FILTER_* of linux/audit.h ({LICENCE})",
        lambda: defines("linux/audit.h", "AUDIT_FILTER_", str.lower, r"PREPEND"),
    ),
    "multicast_groups": (
        f"AUDIT_NLGRP_* of linux/audit.h ({LICENCE})",
        lambda: enumeration("linux/audit.h", "AUDIT_NLGRP_READLOG", "AUDIT_NLGRP_", dashed),
    ),
    "tty_keys": (f"key capabilities in terminfo (ncurses-term) of {', '.join(TERMINALS)}; MIT/X11", tty_keys),
}


def main() -> None:
    """Write every table."""
    parser = argparse.ArgumentParser(description="Write the tables behind the readings of fields.")
    parser.add_argument("--kernel", type=Path, required=True, metavar="DIR", help="linux-headers-*-common")
    kernel: Path = parser.parse_args().kernel
    internal = str(kernel / "include/linux/errno.h")
    TABLES["kernel_errors"] = (
        f"include/linux/errno.h (GPL-2.0) of {kernel.name}: errors that stay inside the kernel",
        lambda: defines(internal, "E", lambda rest: f"E{rest}"),
    )
    for table, (source, rows) in TABLES.items():
        lines = [f"# From {source}. Written by data/generate/field_values.py."]
        lines += [f"{number:#x}\t{name}" for number, name in sorted(rows().items())]
        (VALUES / f"{table}.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
