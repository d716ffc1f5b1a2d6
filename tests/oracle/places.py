"""Where in our JSON a record's field belongs. Dotted paths; a list anywhere stands for each of its items."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from oracle.reader import Field, Record

# By field name, for every type of record; beside auditd.data.NAME and tsauditd.interpreted.NAME, where any may be.
COMMON: dict[str, tuple[str, ...]] = {
    "pid": ("process.pid",),
    "ppid": ("process.parent.pid",),
    "exe": ("process.executable",),
    "comm": ("process.name",),
    "cwd": ("process.working_directory",),
    "proctitle": ("process.title",),
    "argc": ("process.args_count",),
    "auid": ("user.audit.id", "user.audit.name"),
    "uid": ("user.id", "user.name", "user.effective.id", "user.effective.name"),
    "gid": ("user.group.id", "user.group.name"),
    "euid": ("user.effective.id", "user.effective.name"),
    "egid": ("user.effective.group.id", "user.effective.group.name"),
    "suid": ("user.saved.id", "user.saved.name"),
    "sgid": ("user.saved.group.id", "user.saved.group.name"),
    "fsuid": ("user.filesystem.id", "user.filesystem.name"),
    "fsgid": ("user.filesystem.group.id", "user.filesystem.group.name"),
    "ses": ("auditd.session",),
    "key": ("tags",),
    "success": ("auditd.result",),
    "res": ("auditd.result",),
    "result": ("auditd.result",),
    "addr": ("source.ip", "source.address"),
    "hostname": ("source.domain", "source.ip", "source.address"),
    "acct": ("user.name", "user.effective.name", "user.target.name", "group.name"),
    "id": (
        "user.target.id",
        "user.target.name",
        "user.id",
        "user.effective.id",
        "user.effective.name",
        "group.id",
        "group.name",
    ),
    "grp": ("group.name",),
    "saddr": ("source.ip", "source.address", "destination.ip", "destination.address"),
    "daddr": ("destination.ip", "destination.address"),
    "cmd": ("process.args", "process.command_line"),
}

# Fields of PATH whose reading stands beside them, in the same entry of auditd.paths.
PATH_READINGS: dict[str, tuple[str, ...]] = {
    "ouid": ("owner",),
    "ogid": ("group",),
    "cap_fp": ("permitted",),
    "cap_fi": ("inheritable",),
}


def values(event: dict[str, Any], path: str) -> Iterator[str]:
    """Every value at a dotted path, as text."""
    nodes: list[Any] = [event]
    for step in path.split("."):
        nodes = [node[step] for node in nodes if isinstance(node, dict) and step in node]
        nodes = [item for node in nodes for item in (node if isinstance(node, list) else [node])]
    for node in nodes:
        if not isinstance(node, dict):
            yield str(node).lower() if isinstance(node, bool) else str(node)


def candidates(event: dict[str, Any], record: Record, field: Field) -> list[str]:
    """What our JSON holds where this field belongs."""
    if record.type == "PATH":
        return _of_path(event, record, field.name)
    if record.type == "EXECVE" and (argument := re.fullmatch(r"a(\d+)", field.name)):
        arguments = event.get("process", {}).get("args", [])
        place = int(argument[1])
        return [arguments[place]] if place < len(arguments) else []
    if record.type in ("SOCKADDR", "NETFILTER_PKT") and field.name == "saddr":
        socket = event["auditd"]["data"].get("socket", {})
        return [f"{name}={value}" for name, value in socket.items()] + list(
            values(event, "auditd.data.saddr")
        )
    paths = (f"auditd.data.{field.name}", f"tsauditd.interpreted.{field.name}", *COMMON.get(field.name, ()))
    return [value for path in paths for value in values(event, path)]


def _of_path(event: dict[str, Any], record: Record, name: str) -> list[str]:
    """The field in the entry of auditd.paths with the record's item number."""
    item = next((field.raw.decode() for field in record.fields if field.name == "item"), None)
    return [
        value
        for entry in event["auditd"].get("paths", [])
        if str(entry.get("item")) == item
        for member in (name, *PATH_READINGS.get(name, ()))
        for value in values(entry, member)
    ]
