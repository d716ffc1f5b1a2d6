"""The daemon under the restrictions of its unit: that user's capabilities, no memory both writable and executable."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from live import wait_until

from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import status

pytestmark = pytest.mark.system

PROJECT = Path(__file__).resolve().parents[2]
UNIT = (PROJECT / "packaging/systemd/tsauditd.service").read_text()
NOBODY = 65534

# What systemd's MemoryDenyWriteExecute= is on newer kernels (prctl(2), PR_SET_MDWE); it holds after exec too.
WITHOUT_CODE_IN_MEMORY = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0): sys.exit("no PR_SET_MDWE")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_it_works_as_the_unit_lets_it(
    flood: str, flood_rules: Path, audit_lock: Snapshot, tmp_path: Path
) -> None:
    """Registered as an ordinary user with the unit's capabilities alone, it loads rules, sees events and ends well."""
    capabilities = re.findall(r"^AmbientCapabilities=(.*)$", UNIT, re.MULTILINE)
    assert re.findall(r"^CapabilityBoundingSet=(.*)$", UNIT, re.MULTILINE) == capabilities
    wanted = "".join(f",+{name.removeprefix('CAP_').lower()}" for name in capabilities[0].split())
    output = tmp_path / "own" / "events.json"
    output.parent.mkdir()
    os.chown(output.parent, NOBODY, NOBODY)
    for place in (*tmp_path.parents, tmp_path):
        if place.stat().st_uid == os.geteuid() and place.is_relative_to("/tmp") and place != Path("/tmp"):
            place.chmod(0o755)
    command = [sys.executable, "-c", WITHOUT_CODE_IN_MEMORY]
    command += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    command += [f"--bounding-set=-all{wanted}", f"--inh-caps=-all{wanted}", f"--ambient-caps=-all{wanted}"]
    # The unit's RuntimeDirectory is where the socket would be.
    (tmp_path / "tsauditd.toml").write_text('[daemon]\nstatus_socket = ""\n')
    command += [sys.executable, "-m", "tsauditd", "run", "-c", str(tmp_path / "tsauditd.toml")]
    command += ["--rules", str(flood_rules), "--output", str(output)]
    with ControlSocket() as control, (tmp_path / "stderr").open("w+") as errors:
        daemon = subprocess.Popen(command, stderr=errors, cwd=PROJECT)
        try:
            wait_until(
                lambda: daemon.poll() is not None or status(control).pid == daemon.pid, "the audit pid"
            )
            wait_until(lambda: daemon.poll() is not None or status(control).enabled, "audit to be on")
            assert daemon.poll() is None, (tmp_path / "stderr").read_text()
            about = Path(f"/proc/{daemon.pid}/status").read_text()
            assert f"\nUid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n" in about
            subprocess.run([flood, "open", "50", f"{tmp_path}/f"], check=True)
            wait_until(lambda: output.read_bytes().count(b'"flood"') >= 50, "the events")
        finally:
            daemon.terminate()
            code = daemon.wait(60)
    assert code == 0, (tmp_path / "stderr").read_text()
    events = [json.loads(line) for line in output.read_text().splitlines()]
    opened = [event for event in events if event.get("tags") == ["flood"]]
    assert len(opened) >= 50  # and its own start
    assert opened[0]["process"]["executable"] == flood


def test_the_kernel_refuses_code_in_memory_there() -> None:
    """The restriction above is one: a page that is writable and executable cannot be had under it."""
    ask = "import mmap; mmap.mmap(-1, 4096, prot=7)"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CODE_IN_MEMORY, sys.executable, "-c", ask],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "PermissionError" in done.stderr
