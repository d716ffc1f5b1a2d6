"""auditd.conf taken over: each key becomes ours, or is told to have no counterpart and why.

The form is auditd.conf(5): `key = value`, keys and most values in any case, `#` begins a comment line.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsauditd.config.model import RawOutput
from tsauditd.errors import BadConfiguration

_MIB = 1 << 20

_LONGEST_LINE = 511
"""Bytes; auditd passes over what is longer (audit-userspace, src/auditd-config.c)."""


@dataclass(slots=True)
class Import:
    """What came of an auditd.conf: a raw output like auditd's own file, and what is to be told."""

    output: dict[str, str | int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    wanted: bool = True
    """Whether records are to be written at all (write_logs, log_format NOLOG)."""


def import_auditd(file: Path) -> tuple[str, list[str]]:
    """The text of a tsauditd.toml that does what the auditd.conf at `file` says, and notes, one line each.

    The result writes the same audit.log; JSON goes to /var/log/tsauditd/events.json beside it. Raises BadConfiguration:
    unreadable, a line that auditd would refuse, a key that auditd does not know.
    """
    try:
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise BadConfiguration(message) from error
    found = Import()
    values = _read(text, file)
    for key, (number, value) in values.items():
        handler = _KEYS.get(key)
        if handler is None:
            message = f"{file}:{number}: unknown key {key}"
            raise BadConfiguration(message)
        try:
            handler(found, value)
        except ValueError as error:
            message = f"{file}:{number}: {key}: {error}"
            raise BadConfiguration(message) from error
    _rotation(found, {key: value for key, (_, value) in values.items()})
    return _text(found, file), found.notes


def _read(text: str, file: Path) -> dict[str, tuple[int, str]]:
    values: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#") or len(line.encode()) > _LONGEST_LINE:
            continue
        if len(words) < 3 or words[1] != "=":
            message = f"{file}:{number}: not KEY = VALUE (auditd wants blanks around =): {line.strip()}"
            raise BadConfiguration(message)
        values[words[0].lower()] = (number, " ".join(words[2:]))
    return values


def _number(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        message = f"{value!r} is not a whole number"
        raise ValueError(message)
    return int(value)


def _yes(value: str) -> bool:
    if value.lower() not in ("yes", "no"):
        message = f"{value!r} is neither yes nor no"
        raise ValueError(message)
    return value.lower() == "yes"


def _log_format(found: Import, value: str) -> None:
    formats = {"raw": "raw", "enriched": "enriched"}
    if value.lower() == "nolog":
        found.wanted = False
    elif value.lower() in formats:
        found.output["format"] = formats[value.lower()]
    else:
        message = f"{value!r} is not RAW, ENRICHED or NOLOG"
        raise ValueError(message)


def _write_logs(found: Import, value: str) -> None:
    found.wanted = found.wanted and _yes(value)


_SYNC = {
    "none": "none",
    "incremental": "second",
    "incremental_async": "second",
    "data": "batch",
    "sync": "batch",
}


def _flush(found: Import, value: str) -> None:
    if value.lower() not in _SYNC:
        message = f"{value!r} is not one of {', '.join(_SYNC).upper()}"
        raise ValueError(message)
    found.output["sync"] = _SYNC[value.lower()]


def _freq(found: Import, value: str) -> None:
    if _number(value):
        found.notes.append(
            f"freq = {value}: with flush INCREMENTAL the disk is synchronised once a second instead"
        )


def _space(key: str) -> Callable[[Import, str], None]:
    def handle(found: Import, value: str) -> None:
        _number(value.removesuffix("%"))
        found.output[key] = value

    return handle


def _action(key: str) -> Callable[[Import, str], None]:
    def handle(found: Import, value: str) -> None:
        word, _, rest = value.partition(" ")
        word = word.lower()
        if word == "email":
            found.notes.append(f"{key} = email: has no counterpart: the syslog message stands for it")
            word = "syslog"
        if word == "exec" and rest.startswith("/"):
            found.output[key] = f"exec {rest}"
        elif word in ("ignore", "syslog", "rotate", "suspend", "single", "halt"):
            found.output[key] = word
        else:
            message = f"unknown action {value!r}"
            raise ValueError(message)

    return handle


def _without(key: str, usual: str, why: str) -> tuple[str, Callable[[Import, str], None]]:
    """A key without a counterpart: told, unless it has the `usual` value, with which it changes nothing."""

    def handle(found: Import, value: str) -> None:
        if value.lower() != usual:
            found.notes.append(f"{key} = {value}: has no counterpart: {why}")

    return key, handle


def _text_of(key: str) -> Callable[[Import, str], None]:
    def handle(found: Import, value: str) -> None:
        found.output[key] = value

    return handle


def _group(found: Import, value: str) -> None:
    if value not in ("root", "0"):
        found.output["group"] = value


def _later(_found: Import, _value: str) -> None:
    """Read together with others, by `_rotation`."""


_REMOTE = "records of other hosts are not received"

_KEYS: dict[str, Callable[[Import, str], None]] = dict(
    [
        ("log_file", _text_of("path")),
        ("log_format", _log_format),
        ("log_group", _group),
        ("write_logs", _write_logs),
        ("flush", _flush),
        ("freq", _freq),
        ("num_logs", _later),
        ("max_log_file", _later),
        ("max_log_file_action", _later),
        ("space_left", _space("space_left")),
        ("space_left_action", _action("space_left_action")),
        ("admin_space_left", _space("admin_space_left")),
        ("admin_space_left_action", _action("admin_space_left_action")),
        ("disk_full_action", _action("disk_full_action")),
        ("disk_error_action", _action("disk_error_action")),
        _without("local_events", "yes", "this machine's records are what the daemon is for"),
        _without("priority_boost", "4", "set Nice= in the unit"),
        _without("name_format", "none", "host.name is in every event; audit.log gets no node="),
        _without("name", "", "host.name is in every event; audit.log gets no node="),
        _without("action_mail_acct", "root", "no mail is sent"),
        _without("verify_email", "yes", "no mail is sent"),
        _without("dispatcher", "/sbin/audispd", "outputs take the place of plugins"),
        _without("disp_qos", "lossy", "each output has its queue and when_full"),
        _without("q_depth", "2000", "each output has its queue_bytes"),
        _without("overflow_action", "syslog", "what a full queue drops is told in the stream"),
        _without("max_restarts", "10", "outputs take the place of plugins"),
        _without("plugin_dir", "/etc/audit/plugins.d", "outputs take the place of plugins"),
        _without("end_of_event_timeout", "2", "an event without an end is let go after 2 s at most"),
        _without("report_interval", "0", "the state is in tsauditd status at any time"),
        _without("use_libwrap", "yes", _REMOTE),
        _without("tcp_listen_port", "", _REMOTE),
        _without("tcp_listen_queue", "5", _REMOTE),
        _without("tcp_max_per_addr", "1", _REMOTE),
        _without("tcp_client_ports", "1024-65535", _REMOTE),
        _without("tcp_client_max_idle", "0", _REMOTE),
        _without("transport", "tcp", _REMOTE),
        _without("enable_krb5", "no", _REMOTE),
        _without("krb5_principal", "auditd", _REMOTE),
        _without("krb5_key_file", "/etc/audit/audit.key", _REMOTE),
        _without("distribute_network", "no", _REMOTE),
        _without("tls_cert_file", "", _REMOTE),
        _without("tls_key_file", "", _REMOTE),
        _without("tls_ca_file", "", _REMOTE),
        _without("tls_cipher_suites", "", _REMOTE),
        _without("tls_require_client_cert", "", _REMOTE),
    ]
)


def _rotation(found: Import, values: dict[str, str]) -> None:
    """max_log_file, its action and num_logs, which mean something only together (auditd.conf(5))."""
    try:
        size, logs = _number(values.get("max_log_file", "0")), _number(values.get("num_logs", "0"))
    except ValueError as error:
        message = f"max_log_file, num_logs: {error}"
        raise BadConfiguration(message) from error
    action = values.get("max_log_file_action", "ignore")
    word = action.split()[0].lower()
    if not size or word == "ignore":
        return
    if word == "keep_logs":
        found.output |= {"rotate_bytes": size * _MIB, "keep_files": 0}
    elif word == "rotate":
        if logs < 2:
            found.notes.append(
                f"num_logs = {logs}: with fewer than 2 auditd does not rotate; neither does this"
            )
            return
        found.output |= {"rotate_bytes": size * _MIB, "keep_files": logs - 1}
    else:
        _action("size_action")(found, action)
        found.output["rotate_bytes"] = size * _MIB


def _text(found: Import, file: Path) -> str:
    lines = [
        f"# Taken over from {file}.",
        "",
        "[[output]]",
        'type = "file"',
        'path = "/var/log/tsauditd/events.json"',
    ]
    lines += ["rotate_bytes = 134217728", "keep_files = 10", 'compress = "zstd"']
    if found.wanted:
        # auditd's own defaults where its file says nothing (audit-userspace, src/auditd-config.c).
        known: dict[str, Any] = {
            "format": "enriched",
            "space_left_action": "ignore",
            "admin_space_left_action": "ignore",
            "disk_full_action": "ignore",
            "disk_error_action": "syslog",
            **found.output,
        }
        lines += ["", "[[output]]", 'type = "raw"']
        for each in dataclasses.fields(RawOutput):
            value = known.get(each.name, each.default)
            if value != each.default:
                lines.append(f"{each.name} = {_toml(value)}")
    else:
        found.notes.append("write_logs = no or log_format = NOLOG: no audit.log is written")
    return "\n".join(lines) + "\n"


def _toml(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
