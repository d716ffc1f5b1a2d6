"""auditd.conf taken over: every key of it has a place or is told."""

import re
import subprocess
from pathlib import Path

import pytest

from tsauditd.config import FileOutput, RawOutput
from tsauditd.config.auditd import _KEYS, import_auditd
from tsauditd.config.toml import parse_config
from tsauditd.errors import BadConfiguration

SHIPPED = Path("/etc/audit/auditd.conf")


def taken(tmp_path: Path, text: str) -> tuple[RawOutput | None, list[str]]:
    (tmp_path / "auditd.conf").write_text(text)
    made, notes = import_auditd(tmp_path / "auditd.conf")
    outputs = parse_config(made, "made").output
    assert isinstance(outputs[0], FileOutput)
    raw = [each for each in outputs if isinstance(each, RawOutput)]
    return (raw[0] if raw else None), notes


def test_every_key_that_auditd_documents_is_known() -> None:
    page = subprocess.run(["man", "auditd.conf"], capture_output=True, text=True, check=True).stdout
    documented = set(re.findall(r"^       ([a-z][a-z_0-9]+)$", page, re.MULTILINE))
    assert len(documented) > 30
    assert documented <= set(_KEYS)


def test_the_shipped_file_becomes_what_it_says(tmp_path: Path) -> None:
    raw, notes = taken(
        tmp_path,
        "log_file = /var/log/audit/audit.log\nlog_group = adm\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\n"
        "freq = 50\nmax_log_file = 8\nnum_logs = 5\nmax_log_file_action = ROTATE\nspace_left = 75\n"
        "space_left_action = SYSLOG\nadmin_space_left = 5%\nadmin_space_left_action = SUSPEND\n"
        "disk_full_action = exec /usr/local/sbin/full\ndisk_error_action = halt\nname_format = HOSTNAME\n",
    )
    assert raw == RawOutput(
        group="adm",
        format="enriched",
        sync="second",
        rotate_bytes=8 << 20,
        keep_files=4,
        space_left="75",
        space_left_action="syslog",
        admin_space_left="5%",
        admin_space_left_action="suspend",
        disk_full_action="exec /usr/local/sbin/full",
        disk_error_action="halt",
    )
    assert [note.split(" = ")[0] for note in notes] == ["freq", "name_format"]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("", "rotate_bytes", 0),
        ("", "disk_full_action", "ignore"),
        ("max_log_file = 8\nmax_log_file_action = keep_logs\nnum_logs = 5", "keep_files", 0),
        ("max_log_file = 8\nmax_log_file_action = suspend", "size_action", "suspend"),
        ("max_log_file = 8\nmax_log_file_action = ignore", "rotate_bytes", 0),
        ("flush = data", "sync", "batch"),
        ("LOG_FORMAT = raw", "format", "raw"),
        ("# comment\n\nspace_left_action = EMAIL", "space_left_action", "syslog"),
    ],
)
def test_single_keys(tmp_path: Path, text: str, key: str, value: object) -> None:
    raw, _ = taken(tmp_path, text + "\n")
    assert getattr(raw, key) == value


@pytest.mark.parametrize("text", ["write_logs = no\n", "log_format = NOLOG\n"])
def test_without_a_log_there_is_none(tmp_path: Path, text: str) -> None:
    raw, notes = taken(tmp_path, text)
    assert raw is None
    assert notes[-1].endswith("no audit.log is written")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("freqq = 1", ":1: unknown key freqq"),
        ("\nfreq=1", ":2: not KEY = VALUE (auditd wants blanks around =): freq=1"),
        ("freq = often", ":1: freq: 'often' is not a whole number"),
        ("flush = sometimes", ":1: flush: 'sometimes' is not one of NONE"),
        ("disk_full_action = panic", ":1: disk_full_action: unknown action 'panic'"),
        ("write_logs = maybe", ":1: write_logs: 'maybe' is neither yes nor no"),
        ("num_logs = x", "num_logs: 'x' is not a whole number"),
    ],
)
def test_what_auditd_would_refuse_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadConfiguration) as error:
        taken(tmp_path, text)
    assert told in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="No such file"):
        import_auditd(tmp_path / "auditd.conf")
