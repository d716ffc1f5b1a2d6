"""What a daemon that is not root says of containers, with CAP_DAC_READ_SEARCH and without."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from containers import INSIDE, RULES, bundle, inside, launch, put_away, when_known
from live import Event, events, losses, running, wait_until

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

NOBODY = 65534
READER = Path(__file__).resolve().parent / "workload" / "nobody.py"
DAC_READ_SEARCH = 2
OTHERS = (12, 19, 23, 30, 37, 38)
"""Of linux/capability.h: CAP_NET_ADMIN, _SYS_PTRACE, _SYS_NICE, _AUDIT_CONTROL, _AUDIT_READ, _PERFMON."""


@pytest.fixture
def own() -> Iterator[Path]:
    """A directory of the daemon's, below directories that everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def as_nobody(*numbers: int) -> list[str]:
    """What starts another with these capabilities as nobody, with a /run/tsauditd of its own."""
    own_run = f'mount -t tmpfs -o uid={NOBODY},mode=700 none /run/tsauditd && exec "$@"'
    command = [sys.executable, str(READER), ",".join(map(str, numbers))]
    return ["unshare", "--mount", "sh", "-c", own_run, "sh", *command]


@contextmanager
def podman_s(tmp_path: Path) -> Iterator[str]:
    """A container in a group as podman names it, with what it writes down where root alone reads it."""
    identity = os.urandom(32).hex()
    (tmp_path / "overlay-containers" / identity).mkdir(parents=True)
    made = bundle(tmp_path / "overlay-containers" / identity / "userdata", "sleep", "1000")
    path = made / "config.json"
    config = json.loads(path.read_text())
    config["linux"]["cgroupsPath"] = f"/libpod_parent/libpod-{identity}"
    path.write_text(json.dumps(config))
    kept = [{"id": identity, "names": ["web"], "metadata": json.dumps({"image-name": "box:v1"})}]
    (made.parent.parent / "containers.json").write_text(json.dumps(kept))
    tmp_path.chmod(0o700)
    launch("sh", "-c", f"cd {made} && runc run --detach {identity} >out 2>&1")
    try:
        yield identity
    finally:
        subprocess.run(["runc", "delete", "--force", identity], check=True)
        put_away(identity, "libpod_parent")


def lived(own: Path, tmp_path: Path, *, reads: bool) -> tuple[str, list[Event], list[str]]:
    """A container's id, what was told of it, and what the daemon said but for its summary."""
    (own / "rules").write_text(RULES)
    output = own / "out.json"
    words = ["--rules", str(own / "rules"), "--output", str(output)]
    Path("/run/tsauditd").mkdir(mode=0o700, exist_ok=True)
    through = as_nobody(*OTHERS, *([DAC_READ_SEARCH] if reads else []))
    with running(tmp_path, *words, key="containers", through=through) as daemon:
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
        with podman_s(tmp_path) as identity:
            if reads:
                when_known(output, "runc", "exec", identity, INSIDE, "echo", "late")
            launch("runc", "exec", identity, INSIDE, "echo", "last")
            wait_until(lambda: b'"last"' in output.read_bytes(), "the last command is told")
        said = daemon.said
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = inside(found)
    assert {event["user"]["name"] for event in told} == {"root"}
    assert {event["container"]["id"] for event in told} == {identity}
    assert {event["container"]["runtime"] for event in told} == {"podman"}
    return identity, told, said


def test_who_may_read_the_runtimes_state_knows_what_containers_are_called(
    untouched: Snapshot, own: Path, tmp_path: Path
) -> None:
    _, told, said = lived(own, tmp_path, reads=True)
    assert said == []
    assert (told[-1]["container"]["name"], told[-1]["container"]["image"]["name"]) == ("web", "box")


def test_who_may_not_knows_their_ids_and_says_so_once(untouched: Snapshot, own: Path, tmp_path: Path) -> None:
    identity, told, said = lived(own, tmp_path, reads=False)
    (line,) = said
    assert line.startswith("tsauditd: without CAP_DAC_READ_SEARCH ")
    assert {json.dumps(event["container"], sort_keys=True) for event in told} == {
        json.dumps({"id": identity, "runtime": "podman"}, sort_keys=True)
    }
