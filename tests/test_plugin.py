"""`tsauditd run --plugin` as auditd starts it: lines on standard input, no environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LINES = """\
type=USER_ACCT msg=audit(1700000000.001:7): pid=4194305 uid=0 auid=1000 ses=1 msg='op=PAM:accounting res=success'
type=SYSCALL msg=audit(1700000000.002:8): arch=c000003e syscall=59 success=yes exit=0 pid=4194305 uid=0 key="k"
type=CWD msg=audit(1700000000.002:8): cwd="/"
type=EOE msg=audit(1700000000.002:8):\x20
no record
type=USER_END msg=audit(1700000000.003:9): pid=4194305 uid=0 auid=1000 ses=1 msg='op=PAM:session_close res=success'
"""


def run(
    tmp_path: Path, *words: str, text: str = LINES, output: str = ""
) -> "subprocess.CompletedProcess[str]":
    config = tmp_path / "tsauditd.toml"
    config.write_text(f'[daemon]\nstatus_socket = ""\nstate_file = ""\n{output}')
    command = [sys.executable, "-m", "tsauditd", "run", "--plugin", "-c", str(config), *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, env={}, timeout=60)


def test_lines_come_out_as_events_and_their_end_is_the_end(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    (unreadable,) = (event for event in found if event["event"]["action"] == "audit-records-lost")
    assert unreadable["tsauditd"]["lost"]["unreadable"] == 1
    assert unreadable["event"]["original"] == "no record"
    found.remove(unreadable)
    kernel = [event for event in found if not event["auditd"]["message_type"].startswith("daemon_")]
    assert [event["auditd"]["sequence"] for event in kernel] == [7, 8, 9]
    assert [event["auditd"]["message_type"] for event in found][-1] == "daemon_end"
    assert "incomplete" not in done.stdout
    assert "process" in kernel[1]
    assert done.stderr.count("\n") >= 1


@pytest.mark.parametrize("words", [["--observe"], ["--rules", "none"], ["--or-convert", "x"]])
def test_what_it_does_not_go_with(tmp_path: Path, words: list[str]) -> None:
    done = run(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tsauditd: --plugin leaves the kernel's audit to auditd")


def test_a_raw_log_is_auditds(tmp_path: Path) -> None:
    done = run(tmp_path, output='[[output]]\ntype = "raw"\npath = "/nowhere/audit.log"\n')
    assert (done.returncode, done.stdout) == (6, "")
    assert (
        done.stderr
        == "tsauditd: an output of type raw is not for --plugin: auditd writes its audit.log itself\n"
    )


def test_a_terminal_is_not_auditd(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        command = [sys.executable, "-m", "tsauditd", "run", "--plugin", "--output", str(tmp_path / "out")]
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert done.stderr.startswith("tsauditd: --plugin reads what auditd writes to its plugins")
    assert done.stderr.count("\n") == 1
