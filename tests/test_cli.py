"""The commands as the shell sees them: exit codes, one line for each failure, pipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tsauditd.cli import main

RECORD = "type=USER msg=audit(1700000000.000:{}): pid=1 uid=0 auid=0 ses=1 msg='op=x res=success'\n"


def tsauditd(*words: str, data: bytes | None = None, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "tsauditd", *words], input=data, capture_output=True, timeout=60, **options
    )


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["conver"], 2, "tsauditd: No such command 'conver'"),
        (["convert", "--nope"], 2, "tsauditd: No such option"),
        (["convert", "--since", "soon"], 2, "tsauditd: 'soon' is not a time"),
        (["convert", "/nonexistent/a.log"], 1, "tsauditd: /nonexistent/a.log: No such file or directory"),
        (["convert", "-o", "/nonexistent/out", "/dev/null"], 1, "tsauditd: /nonexistent/out: No such file"),
        (["convert", "/proc"], 1, "tsauditd: /proc: this directory holds no audit.log"),
        (["run", "-c", "/nonexistent.toml"], 6, "tsauditd: /nonexistent.toml: no such file"),
        (["config", "check", "/nonexistent.toml"], 6, "tsauditd: /nonexistent.toml: no such file"),
    ],
)
def test_failures_are_one_line_with_their_code(
    words: list[str], code: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith(told)
    assert errors.count("\n") == 1


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("tsauditd 0.")


def test_standard_input_to_standard_output() -> None:
    for words in ([], ["-"]):
        done = tsauditd("convert", *words, data=RECORD.format(7).encode())
        assert done.returncode == 0
        assert done.stderr == b""
        assert json.loads(done.stdout)["event"]["sequence"] == 7


def test_a_live_pipe_is_converted_as_it_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tsauditd", "convert"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # In a log only the next record tells that an event has ended.
        process.stdin.write((RECORD.format(1) + RECORD.format(2)).encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["event"]["sequence"] == 1
        process.stdin.close()
        assert json.loads(process.stdout.readline())["event"]["sequence"] == 2
        assert process.wait(30) == 0


def test_a_pipe_that_closes_early_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("".join(RECORD.format(n) for n in range(50_000)))
    command = f'"{sys.executable}" -m tsauditd convert "{log}" | head -n 1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == b""
    assert json.loads(done.stdout)["event"]["sequence"] == 0


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(RECORD.format(1))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tsauditd", "convert", str(log)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == b"tsauditd: No space left on device\n"


def test_without_root_the_daemon_says_so(tmp_path: Path) -> None:
    """Or, asked to, it converts a log instead."""
    log = tmp_path / "audit.log"
    log.write_text(RECORD.format(5))
    log.chmod(0o644)
    assert os.geteuid() == 0, "run the tests as root"
    code = (
        "import os, sys; from tsauditd.cli import main; import tsauditd.daemon, tsauditd.convert; "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    )
    tmp_path.chmod(0o755)
    shown = subprocess.run([sys.executable, "-c", code, "run"], capture_output=True, timeout=60)
    assert shown.returncode == 4
    assert shown.stdout == b""
    assert shown.stderr.count(b"\n") == 1
    with log.open("rb") as opened:
        path = f"/dev/fd/{opened.fileno()}"
        shown = subprocess.run(
            [sys.executable, "-c", code, "run", "--or-convert", path],
            capture_output=True,
            timeout=60,
            pass_fds=[opened.fileno()],
        )
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["event"]["sequence"] == 5
    assert shown.stderr.count(b"\n") == 1
