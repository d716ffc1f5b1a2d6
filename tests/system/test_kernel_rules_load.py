"""Rules are changed while the machine works, and nothing that they record is missed."""

import re
import subprocess
import threading
from pathlib import Path

import pytest

from tsauditd.kernel.netlink import ControlSocket
from tsauditd.kernel.registration import open_unicast, register, release
from tsauditd.kernel.rules.load import load
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.parse import parse
from tsauditd.kernel.state import Snapshot
from tsauditd.kernel.status import set_backlog_limit, set_enabled, status

pytestmark = pytest.mark.system

OPENS = 50_000


def test_no_event_is_missed_while_rules_are_loaded_again_and_again(
    flood: str, audit_lock: Snapshot, tmp_path: Path
) -> None:
    """Whole files with -D, in other orders, with never rules before and behind: each open is recorded all the same."""
    names = core_names()
    ours = f"-a always,exit -F arch=b64 -S openat -F exe={flood} -F success=0 -k flood"
    other = "-a {},exit -F arch=b64 -S openat -F pid={} -F ppid=1 -k other"
    files = [
        parse(["-D", *lines], "x.rules", names)
        for lines in (
            [other.format("never", 1), ours, other.format("always", 2)],
            [other.format("always", 2), other.format("never", 3), ours],
            [ours, other.format("never", 1), other.format("always", 4), other.format("never", 3)],
            [other.format("never", 1), f"-a always,exit -F arch=b64 -S openat -F exe={flood} -k flood2"],
        )
    ]
    seen: set[bytes] = set()
    with ControlSocket() as control, open_unicast(64 << 20) as sock:
        set_backlog_limit(65536, control)
        load(files[0], control)
        set_enabled(1, control)
        register(sock)
        sock.settimeout(5)

        def read() -> None:
            try:
                while True:
                    packet = sock.recv(65536)
                    found = re.search(rb'name="[^"]*/f(\d{5})"', packet)
                    if found:
                        seen.add(found[1])
            except TimeoutError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        lost = status(control).lost
        work = subprocess.Popen([flood, "open", str(OPENS), f"{tmp_path}/f"])
        loads = 0
        while work.poll() is None:
            loads += 1
            load(files[loads % len(files)], control)
        reader.join()
        release(control)
        assert status(control).lost == lost
    assert work.returncode == 0
    assert loads > 4  # every file at least once
    assert len(seen) == OPENS
