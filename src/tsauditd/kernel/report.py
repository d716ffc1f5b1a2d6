"""What `tsauditd status` shows of the kernel: as data for --json, and as lines for people."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from tsauditd.errors import visible
from tsauditd.kernel.netlink import Control, using
from tsauditd.kernel.numbers import ENABLED_LOCKED, NETLINK_AUDIT
from tsauditd.kernel.registration import process_name
from tsauditd.kernel.rules.encode import HEAD
from tsauditd.kernel.rules.lists import list_rules
from tsauditd.kernel.rules.tables import List
from tsauditd.kernel.status import status

_ENABLED = {0: "off", 1: "on", ENABLED_LOCKED: "on, and locked until reboot"}
_FAILURE = {0: "nothing is said", 1: "the kernel log tells", 2: "the machine stops (panic)"}
_LIST_NAMES = {entry.value: entry.name.lower() for entry in List}


def report(control: Control | None = None, proc: Path = Path("/proc")) -> dict[str, Any]:
    """The kernel's audit state as a dict that JSON can hold. Raises NotPrivileged, NoAudit or KernelRefused.

    receiver: the process that holds the audit pid, or None. listeners: processes that read the multicast group
    beside it (journald's audit socket is one), as far as this network namespace shows them. Times are in jiffies.
    """
    with using(control) as link:
        now = status(link)
        rules = list_rules(link)
    lists = Counter(
        _LIST_NAMES.get(HEAD.unpack_from(payload)[0], "other")
        for payload in rules
        if len(payload) >= HEAD.size
    )
    return {
        "enabled": now.enabled,
        "locked": now.locked,
        "failure": now.failure,
        "pid": now.pid,
        "receiver": _process(proc, now.pid) if now.pid else None,
        "listeners": listeners(proc),
        "rules": {"count": len(rules), "lists": dict(sorted(lists.items()))},
        "lost": now.lost,
        "backlog": now.backlog,
        "backlog_limit": now.backlog_limit,
        "backlog_wait_time": now.backlog_wait_time,
        "backlog_wait_time_actual": now.backlog_wait_time_actual,
        "rate_limit": now.rate_limit,
        "loginuid_immutable": now.features.loginuid_immutable,
        "only_unset_loginuid": now.features.only_unset_loginuid,
        "features_locked": sorted(now.features.locked),
        "abilities": list(now.abilities),
    }


def render(data: dict[str, Any]) -> str:
    """The same for people: a line for each thing, aligned, ending in a newline."""
    rows = [
        ("auditing", _ENABLED.get(data["enabled"], str(data["enabled"]))),
        ("records go to", _person(data["receiver"]) if data["receiver"] else "nobody (the kernel log)"),
    ]
    rows += [("also read by", _person(process)) for process in data["listeners"]] or [
        ("also read by", "nobody")
    ]
    rules = data["rules"]
    parts = ", ".join(f"{count} {name}" for name, count in rules["lists"].items())
    rows += [
        ("rules", f"{rules['count']} ({parts})" if parts else "none"),
        ("lost records", f"{data['lost']} since boot or the last reset"),
        ("waiting records", f"{data['backlog']} of at most {data['backlog_limit'] or 'any number'}"),
        ("when that is full", f"a process waits {data['backlog_wait_time']} jiffies at most"),
        ("waited so far", f"{data['backlog_wait_time_actual']} jiffies"),
        ("when records are lost", _FAILURE.get(data["failure"], str(data["failure"]))),
        ("rate limit", f"{data['rate_limit']} records a second" if data["rate_limit"] else "none"),
        ("login user id", _login_uid(data)),
        ("kernel can", ", ".join(data["abilities"]) or "nothing of note"),
    ]
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {value}\n" for name, value in rows)


def listeners(proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """The processes that have an audit socket in a multicast group, by /proc/net/netlink."""
    inodes = set()
    try:
        lines = (proc / "net" / "netlink").read_text().splitlines()[1:]
    except OSError:
        return []
    for line in lines:
        # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
        columns = line.split()
        if len(columns) >= 10 and columns[1] == str(NETLINK_AUDIT) and int(columns[3], 16):
            inodes.add(columns[9])
    if not inodes:
        return []
    owners = [_process(proc, pid) for pid in _pids(proc) if inodes & set(_socket_inodes(proc, pid))]
    return owners or [{"pid": 0, "name": None, "executable": None}]


def _pids(proc: Path) -> list[int]:
    return sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())


def _socket_inodes(proc: Path, pid: int) -> list[str]:
    found = []
    try:
        for entry in (proc / str(pid) / "fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                found.append(target[8:-1])
    except OSError:
        pass  # the process ended meanwhile, or is not ours to look into
    return found


def _process(proc: Path, pid: int) -> dict[str, Any]:
    try:
        executable: str | None = os.readlink(proc / str(pid) / "exe")
    except OSError:
        executable = None
    return {"pid": pid, "name": process_name(pid, proc), "executable": executable}


def _person(process: dict[str, Any]) -> str:
    if not process["pid"]:
        return "a process that is not visible from here"
    name = visible(process["name"] or "unknown")
    where = f", {visible(process['executable'])}" if process["executable"] else ""
    return f"{name} (pid {process['pid']}{where})"


def _login_uid(data: dict[str, Any]) -> str:
    words = ["cannot be changed once set" if data["loginuid_immutable"] else "can be changed by root"]
    if data["only_unset_loginuid"]:
        words.append("cannot be unset")
    if data["features_locked"]:
        words.append(f"locked: {', '.join(data['features_locked'])}")
    return "; ".join(words)
