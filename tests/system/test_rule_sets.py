"""The rule sets in rules/: they load on this machine's kernel, and see what they promise."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import open_unicast, register, release
from tsauditd.kernel.rules.files import read_rules
from tsauditd.kernel.rules.lists import list_rules, listing
from tsauditd.kernel.rules.load import load
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.parse import parse
from tsauditd.kernel.rules.rule import Verb
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import set_backlog_limit, set_enabled
from tsauditd.suggest.candidates import EXCLUDABLE, Candidate

pytestmark = pytest.mark.system

PROJECT = Path(__file__).resolve().parents[2]
SETS = ("people", "servers", "containers", "nodes", "lean")


@pytest.mark.parametrize("name", SETS)
def test_a_set_loads_and_what_is_listed_loads_again(name: str, audit_lock: Snapshot) -> None:
    names = core_names()
    commands = read_rules(PROJECT / "rules" / name, names)
    wanted = sum(command.verb is Verb.ADD for command in commands)
    with ControlSocket() as control:
        done = load(commands, control)
        assert not done.failed
        assert all("the directory that holds it does not exist" in problem for problem in done.problems)
        assert done.added + len(done.problems) == wanted
        again = load(commands, control)
        assert (again.added, again.deleted) == (0, 0)
        loaded = list_rules(control)
        printed = load(parse(["-D", *listing(names, control)], "x", names), control)
        assert (printed.added, printed.deleted) == (0, 0)
        assert list_rules(control) == loaded


def test_what_suggest_proposes_loads(audit_lock: Snapshot) -> None:
    """Every shape of a proposal: a program's run, its connections, its files, a record type."""
    program = Candidate("", "/usr/bin/id", "execve", "b64", "33")
    shapes = [
        program,
        replace(program, syscall="connect", family=2),
        replace(program, syscall="openat", place="/var/lib/dpkg"),
        *(Candidate(record_type=name) for name in sorted(EXCLUDABLE)),
    ]
    with ControlSocket() as control:
        done = load(parse([shape.rule for shape in shapes], "x", core_names()), control)
    assert (done.added, done.problems) == (len(shapes), [])


# A person's process that does a little of everything. Nobody else on the machine has this login uid.
WORKLOAD = r"""
import ctypes, os, pathlib, socket, subprocess, sys
pathlib.Path("/proc/self/loginuid").write_text("424242")
here = pathlib.Path(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
subprocess.run(["/bin/true"])
program = here / "program"
program.write_text("x"); program.chmod(0o4755)
os.setxattr(program, "user.x", b"1")
child = subprocess.Popen(["/bin/sleep", "20"])
libc.ptrace(16, child.pid, 0, 0); os.waitpid(child.pid, 0); libc.ptrace(17, child.pid, 0, 0); child.kill()
libc.mount(b"none", b"/no/such/place", b"tmpfs", 0, None)
libc.adjtimex(ctypes.create_string_buffer(512))
if os.fork() == 0:
    os.unshare(os.CLONE_NEWUTS) if hasattr(os, "unshare") else libc.unshare(0x04000000)
    libc.sethostname(b"x", 1)
    os._exit(0)
os.wait()
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()
socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
open("/etc/shadow").close()
for place in ("/etc/cron.d/tsauditd-test", "/etc/audit/tsauditd-test", "/etc/modprobe.d/tsauditd-test"):
    open(place, "w").close(); os.unlink(place)
for place in ("/etc/passwd", "/etc/sudoers", "/etc/pam.d/login"):
    os.chmod(place, os.stat(place).st_mode & 0o7777)
runtime = pathlib.Path("/run/docker.sock")
if not runtime.exists():
    listener = socket.socket(socket.AF_UNIX); listener.bind(str(runtime)); listener.listen()
    socket.socket(socket.AF_UNIX).connect(str(runtime)); runtime.unlink()
here.chmod(0o755); secret = here / "secret"; secret.write_text("x"); secret.chmod(0)
if os.fork() == 0:
    os.setresuid(65534, 65534, 65534)
    try: open(secret)
    except PermissionError: os._exit(0)
os.wait()
os.setresuid(65534, 0, 0)
subprocess.run(["/bin/true"])
"""
WANTED = {
    *("commands", "escalation", "setuid-file", "attributes", "injection", "namespaces", "denied", "secrets"),
    *("identity", "sudoers", "login-configuration", "connections", "listen", "raw-socket", "persistence"),
    *("network-configuration", "modules", "mounts", "clock", "tampering", "container-runtime"),
}
KEY = re.compile(rb' key="([\w-]+)"')


def test_the_sets_see_what_they_promise(audit_lock: Snapshot, tmp_path: Path) -> None:
    names = core_names()
    lines = []
    for file in sorted((PROJECT / "rules" / "containers").glob("*.rules")):
        for line in file.read_text().splitlines():
            narrowed = line.replace("-F auid!=unset", "-F auid=424242")
            if ",exit " in line and "auid" not in line:
                narrowed = line.replace(" -k ", " -F auid=424242 -k ")
            if not line.startswith("-a never") and "auid=unset" not in line:
                lines.append(narrowed)
    seen: set[str] = set()
    for place in tmp_path.parents:
        if place != Path("/tmp") and place.is_relative_to("/tmp"):
            place.chmod(0o755)
    with ControlSocket() as control, open_unicast(16 << 20) as sock:
        set_backlog_limit(8192, control)
        load(parse(lines, "sets", names), control)
        set_enabled(1, control)
        register(sock)
        sock.settimeout(3)
        child = subprocess.run(
            [sys.executable, "-c", WORKLOAD, str(tmp_path)], capture_output=True, text=True, timeout=60
        )
        try:
            while seen != WANTED:
                seen.update(key.decode() for key in KEY.findall(sock.recv(65536)))
        except TimeoutError:
            pass
        release(control)
    assert child.returncode == 0, child.stderr
    assert seen >= WANTED
