"""What Debian's auditctl sends and prints is the reference for rules: same text, same bytes, same listing.

TSAUDITD_REWRITE_GOLDEN=1 writes tests/golden/rules.tsv anew from what auditctl sends for its texts.
"""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ruletexts import read_pairs, write_pairs

from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import open_unicast, register, release
from tsauditd.kernel.rules.decode import decode, text
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.files import read_rules
from tsauditd.kernel.rules.lists import add_rule, delete_rule, list_rules
from tsauditd.kernel.rules.load import carry_out
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import parse_line
from tsauditd.kernel.rules.rule import Place
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import set_enabled

pytestmark = pytest.mark.system

PROJECT = Path(__file__).resolve().parents[2]
SENT = re.compile(r'nlmsg_type=AUDIT_(?:ADD|DEL)_RULE.*?\}, "((?:\\x..)*)"')
RECORD_TYPES = {"CWD": 1307, "CONFIG_CHANGE": 1305, "USER_LOGIN": 1112, "SYSCALL": 1300, "APPARMOR": 1500}

# Texts where auditctl -l prints what does not load again as the same rule, and what is printed here instead.
PRINTED_BETTER = {
    "-a never,exit -F path=/etc/passwd -F perm=r": "-a never,exit -S all -F path=/etc/passwd -F perm=r",
    "-a always,exit -F perm=r -F path=/etc/passwd": "-a always,exit -S all -F perm=r -F path=/etc/passwd",
    "-a always,exit -F path=/etc/passwd -F perm=wa -F perm=r": (
        "-a always,exit -S all -F path=/etc/passwd -F perm=wa -F perm=r"
    ),
    "-a always,exit -F dir=/etc/ -F perm=wa": "-a always,exit -S all -F dir=/etc/ -F perm=wa",
    "-a always,exit -F exe!=/usr/bin/id": "-a always,exit -S all -F exe!=/usr/bin/id",
    "-a always,exit -S open -F key!=c": "-a always,exit -S open -F key!=c",
    "-a always,exit -F arch=aarch64 -S openat": "-a always,exit -F arch=aarch64 -S openat",
    "-a always,exit -F filetype=file": "-a always,exit -S all -F filetype=file",
    "-a always,exit -F filetype!=file": "-a always,exit -S all -F filetype!=file",
    "-a always,exit -F filetype=dir -F filetype=file -F filetype!=link -F filetype=block -F filetype=character"
    " -F filetype=fifo -F filetype=socket": (
        "-a always,exit -S all -F filetype=dir -F filetype=file -F filetype!=link -F filetype=block"
        " -F filetype=character -F filetype=fifo -F filetype=socket"
    ),
}


@cache
def syscalls(arch: str) -> dict[str, int]:
    """Debian's own table of system calls."""
    dump = subprocess.run(["ausyscall", arch, "--dump"], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in dump.splitlines()[1:])
    return {row[1]: int(row[0]) for row in rows if len(row) == 2}


def debian_names() -> Names:
    types = {number: name for name, number in RECORD_TYPES.items()}
    return Names(
        syscall_number=lambda arch, name: syscalls(arch).get(name),
        syscall_name=lambda arch, number: {v: k for k, v in syscalls(arch).items()}.get(number),
        record_type_number=RECORD_TYPES.get,
        record_type_name=types.get,
    )


def texts() -> list[str]:
    return [line for line, _ in read_pairs()]


def auditctl_sends(line: str) -> bytes:
    """The payload that auditctl sends for a rule."""
    for tool in ("strace", "auditctl"):
        assert shutil.which(tool), f"system tests need {tool}"
    command = ["strace", "-qq", "-e", "trace=sendto", "-e", "signal=none", "-xx", "-s", "16384", "auditctl"]
    trace = subprocess.run([*command, *line.split()], capture_output=True, text=True).stderr
    found = SENT.search(trace)
    assert found, f"auditctl sends no rule for {line}: {trace}"
    return bytes.fromhex(found[1].replace("\\x", ""))


def auditctl_lists() -> list[str]:
    out = subprocess.run(["auditctl", "-l"], capture_output=True, text=True, check=True).stdout
    return [line.rstrip() for line in out.splitlines() if line != "No rules"]


def test_same_bytes_as_auditctl(audit_lock: Snapshot) -> None:
    before = list(audit_lock.rules)
    names = debian_names()
    rows = []
    with ControlSocket() as control:
        for line in texts():
            sent = auditctl_sends(line)
            carry_out(control, before)
            rows.append((line, sent))
            if "TSAUDITD_REWRITE_GOLDEN" not in os.environ:
                (command,) = parse_line(line, Place(), names)
                assert command.rule is not None
                assert encode(command.rule).hex() == sent.hex(), line
    if "TSAUDITD_REWRITE_GOLDEN" in os.environ:
        write_pairs(rows)
    assert read_pairs() == rows


def test_the_kernel_gives_back_the_rule_that_was_added_and_lists_it_as_auditctl_does(
    audit_lock: Snapshot,
) -> None:
    before = list(audit_lock.rules)
    listed_before = auditctl_lists()
    names = debian_names()
    with ControlSocket() as control:
        for line in texts():
            (command,) = parse_line(line, Place(), names)
            rule = command.rule
            if line.startswith(("-W", "-d")):
                continue
            assert rule is not None
            add_rule(encode(rule), control)
            (added,) = [payload for payload in list_rules(control) if payload not in before]
            assert decode(added) == rule, line
            (listed,) = [found for found in auditctl_lists() if found not in listed_before]
            ours = text(decode(added), names)
            assert ours == PRINTED_BETTER.get(line, listed), line
            (again,) = parse_line(ours, Place(), names)
            assert again.rule is not None
            assert encode(again.rule)[:1040] == encode(rule if not rule.prepend else decode(added))[:1040], (
                line
            )
            delete_rule(added, control)
            assert list_rules(control) == before, line


def test_the_demonstration_rules_load_on_this_machine(audit_lock: Snapshot) -> None:
    commands = read_rules(PROJECT / "rules" / "demonstration" / "people.rules", debian_names())
    with ControlSocket() as control:
        for command in commands:
            assert command.rule is not None
            assert not command.warning
            add_rule(encode(command.rule), control)
        assert len(list_rules(control)) == len(audit_lock.rules) + len(commands)


# A logged-in person's process: a command, a command with more rights than the user, a connection and its other end.
WORKLOAD = """
import os, pathlib, socket, subprocess
pathlib.Path("/proc/self/loginuid").write_text("424242")
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted, address = server.accept()
local, other = socket.socketpair(socket.AF_UNIX)
subprocess.run(["/bin/true"])
os.setresuid(65534, 0, 0)
subprocess.run(["/bin/true"])
"""
SYSCALL = re.compile(rb" syscall=(\d+) .* key=\"(\w+)\"")


def test_the_demonstration_rules_see_what_they_promise(audit_lock: Snapshot) -> None:
    commands = (PROJECT / "rules" / "demonstration" / "people.rules").read_text().splitlines()
    wanted = {(42, b"connections"), (288, b"connections"), (59, b"commands"), (59, b"escalation")}
    seen: set[tuple[int, bytes]] = set()
    with ControlSocket() as control, open_unicast(1 << 22) as sock:
        for line in commands:
            # Of this test's processes only: nobody else on the machine has this login uid.
            for command in parse_line(line.replace("auid!=unset", "auid=424242"), Place(), debian_names()):
                assert command.rule is not None
                add_rule(encode(command.rule), control)
        set_enabled(1, control)
        register(sock)
        sock.settimeout(20)
        child = subprocess.Popen([sys.executable, "-c", WORKLOAD])
        while seen != wanted:
            found = SYSCALL.search(sock.recv(65536))
            if found:
                seen.add((int(found[1]), found[2]))
                assert seen <= wanted
        child.wait()
        release(control)
