"""The raw log against auditd itself: both get the same records at the same time, and write the same bytes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from live import PATIENCE_S, auditctl, running, wait_until

from tsauditd.kernel.state import KernelState, Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

AUDITD = """\
log_file = {0}/audit.log
log_format = {1}
flush = NONE
plugin_dir = {0}/plugins.d
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
"""

WORK = """
import os, pwd, socket, sys
where = sys.argv[1]
sys.stdin.readline()
for name in ("plain", "two words", 'quo"te', "new\\nline", "é"):
    try:
        os.open(f"{where}/{name}", os.O_RDONLY)
    except OSError:
        pass
for family, address in (
    (socket.AF_INET, ("127.0.0.1", 9)), (socket.AF_INET6, ("::1", 9)),
    (socket.AF_UNIX, where + "/missing.sock"), (socket.AF_UNIX, "\\0abstract"),
):
    with socket.socket(family) as s:
        try:
            s.connect(address)
        except OSError:
            pass
if os.fork() == 0:
    os.setgid(12345)
    os.setuid(pwd.getpwnam("nobody").pw_uid)
    try:
        os.open("/etc/shadow", os.O_RDONLY)
    except OSError:
        pass
    os._exit(0)
os.wait()
os.execv("/bin/true", ["/bin/true", "x" * 3000, "two words"])
"""


def between(log: Path) -> list[bytes]:
    """The records between the two marks, less what the daemons say of themselves."""
    lines = [line for line in log.read_bytes().split(b"\n") if not line.startswith(b"type=DAEMON_")]
    marks = [number for number, line in enumerate(lines) if b"text=mark-" in line or b"msg='mark-" in line]
    return lines[marks[0] : marks[-1] + 1]


@pytest.mark.parametrize("log_format", ["RAW", "ENRICHED"])
def test_the_same_bytes_as_auditd(untouched: Snapshot, tmp_path: Path, log_format: str) -> None:
    theirs, ours = tmp_path / "auditd", tmp_path / "ours.log"
    (theirs / "plugins.d").mkdir(parents=True)
    (theirs / "auditd.conf").write_text(AUDITD.format(theirs, log_format))
    theirs.chmod(0o750)
    config = tmp_path / "tsauditd.toml"
    config.write_text(
        f'[[output]]\ntype = "raw"\npath = "{ours}"\nformat = "{log_format.lower()}"\n'
        '[[output]]\ntype = "stdout"\n'
    )
    auditd = subprocess.Popen(["/sbin/auditd", "-n", "-c", str(theirs)], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: status().pid == auditd.pid and status().enabled == 1, "auditd is registered")
        with running(tmp_path, "-c", str(config), observe=True) as daemon:
            auditctl("-m", "mark-begin")
            wait_until(lambda: b"mark-begin" in ours.read_bytes(), "it writes")
            work = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)], stdin=subprocess.PIPE)
            for field in ("pid", "ppid"):
                calls = "openat,connect,execve,setuid"
                auditctl(
                    "-a",
                    "always,exit",
                    "-F",
                    "arch=b64",
                    "-S",
                    calls,
                    "-F",
                    f"{field}={work.pid}",
                    "-k",
                    "both",
                )
            work.communicate(b"go\n", timeout=PATIENCE_S)
            assert work.returncode == 0
            auditctl("-m", "mark-end")
            wait_until(lambda: b"mark-end" in ours.read_bytes(), "all is written")
            wait_until(lambda: b"mark-end" in (theirs / "audit.log").read_bytes(), "all is written by auditd")
            daemon.stop()
    finally:
        auditd.terminate()
        auditd.wait(PATIENCE_S)
        KernelState().restore(untouched)
    mine, other = (between(log) for log in (ours, theirs / "audit.log"))
    assert len(mine) > 50
    assert mine == other
    assert (b"\x1d" in ours.read_bytes()) == (log_format == "ENRICHED")


@pytest.mark.parametrize("log_format", ["raw", "enriched"])
def test_the_audit_tools_read_it(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path, log_format: str
) -> None:
    log = tmp_path / "audit.log"
    config = tmp_path / "tsauditd.toml"
    config.write_text(f'[[output]]\ntype = "raw"\npath = "{log}"\nformat = "{log_format}"\n')
    with running(tmp_path, "-c", str(config), "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "100", f"{tmp_path}/missing/"], check=True, timeout=PATIENCE_S)
        daemon.stop()

    def tool(*words: str) -> str:
        done = subprocess.run(
            [*words, "-if", str(log)], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        assert "Malformed" not in done.stdout + done.stderr
        return done.stdout

    found = tool("ausearch", "-k", "flood", "-i", "-sc", "openat")
    assert found.count("type=SYSCALL") == 100
    assert "syscall=openat" in found
    assert len(re.findall(r"name=\S*/missing/\d{5}", found)) == 100
    assert flood in tool("aureport", "-x", "--summary")
    done = subprocess.run(["aulast", "-f", str(log)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
