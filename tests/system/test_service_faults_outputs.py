"""Faults on the side of the outputs and of the process; each test states what was lost, by counting."""

import json
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import (
    PATIENCE_S,
    auditctl,
    events,
    go_on,
    losses,
    numbers,
    opened,
    running,
    wait_until,
)

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

MEMORY = 64 << 20


def configured(tmp_path: Path, *outputs: str) -> list[str]:
    config = tmp_path / "tsauditd.toml"
    config.write_text("".join(f"[[output]]\n{each}\n" for each in outputs))
    return ["-c", str(config)]


def test_a_disk_that_can_only_be_read(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing that the queue holds. It is told, the action is taken, and writing goes on by itself."""
    disk, prefix = tmp_path / "disk", f"{tmp_path}/missing/"
    disk.mkdir()
    output = disk / "out.json"
    words = configured(
        tmp_path, f'type = "file"\npath = "{output}"\ndisk_error_action = "exec /no/such/program"'
    )
    try:
        with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
            subprocess.run([flood, "open", "100", f"{prefix}1-"], check=True, timeout=PATIENCE_S)
            wait_until(lambda: b"1-00099" in output.read_bytes(), "the first are written")
            before = output.read_bytes()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64m", "none", disk], check=True)
            subprocess.run([flood, "open", "1000", f"{prefix}2-"], check=True, timeout=PATIENCE_S)
            wait_until(lambda: any("Read-only file system" in line for line in daemon.said), "it is told")
            wait_until(
                lambda: any("/no/such/program is not run" in line for line in daemon.said), "the action"
            )
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            daemon.send(signal.SIGUSR2)
            wait_until(lambda: output.exists() and b"2-00999" in output.read_bytes(), "it writes again")
            daemon.stop()
        after = output.read_bytes()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)
    found = [json.loads(line) for line in (before + after).splitlines()]
    assert opened(found, prefix) == [f"1-{n}" for n in numbers(100)] + [f"2-{n}" for n in numbers(1000)]
    assert losses(found) == []


@pytest.mark.parametrize("queue_bytes", [16 << 20, 64 << 10])
def test_an_output_that_blocks_for_a_while(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path, queue_bytes: int
) -> None:
    """Lost: nothing that the queue holds; what a small one does not is counted, and told in that output alone."""
    file, pipe, prefix = tmp_path / "out.json", tmp_path / "pipe", f"{tmp_path}/missing/"
    os.mkfifo(pipe)
    got: list[bytes] = []

    def read() -> None:
        with pipe.open("rb") as lines:
            got.extend(lines)

    with pipe.open("r+b", buffering=0):  # so that it is open for whoever writes
        words = configured(
            tmp_path,
            f'type = "file"\npath = "{file}"',
            f'type = "file"\npath = "{pipe}"\nwhen_full = "drop-newest"\nqueue_bytes = {queue_bytes}',
        )
        with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
            subprocess.run([flood, "open", "2000", prefix], check=True, timeout=PATIENCE_S)
            wait_until(lambda: b"/01999" in file.read_bytes(), "the file has all, meanwhile")
            go_on("the output blocks")
            reader = threading.Thread(target=read)
            reader.start()
            told = b"audit-records-lost" if queue_bytes < 1 << 20 else b"/01999"
            wait_until(lambda: any(told in line for line in list(got)), "all that was kept has come")
            auditctl("-m", "after")
            wait_until(lambda: any(b"after" in line for line in list(got)), "it goes on")
            daemon.stop()
    reader.join(PATIENCE_S)
    assert opened(events(file), prefix) == numbers(2000)
    assert losses(events(file)) == []
    found = [json.loads(line) for line in got]
    came = opened(found, prefix)
    dropped = losses(found)[-1]["total"]["dropped"] if losses(found) else 0
    assert came == sorted(set(came))
    assert len(came) + dropped == 2000
    assert (dropped == 0) == (queue_bytes == 16 << 20)


def frames(stream: bytes) -> list[bytes]:
    """The messages of a stream with octet counting (RFC 6587)."""
    found = []
    while stream:
        length, _, rest = stream.partition(b" ")
        found.append(rest[: int(length)])
        stream = rest[int(length) :]
    return found


def test_a_collector_that_is_gone(untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path) -> None:
    """Lost: what the queue cannot hold, counted, and told to the collector once it is there; the file loses nothing."""
    file, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody else's, and nobody listens
        port = taken.getsockname()[1]
        words = configured(
            tmp_path,
            f'type = "file"\npath = "{file}"',
            f'type = "syslog"\naddress = "tcp://127.0.0.1:{port}"\nqueue_bytes = 65536',
        )
        with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
            subprocess.run([flood, "open", "3000", prefix], check=True, timeout=PATIENCE_S)
            wait_until(lambda: b"/02999" in file.read_bytes(), "the file has all, meanwhile")
            wait_until(lambda: any("Connection refused" in line for line in daemon.said), "it is told")
            go_on("the collector is gone")
            taken.listen()
            stream, _ = taken.accept()
            got = bytearray()

            def read() -> None:
                while part := stream.recv(1 << 16):
                    got.extend(part)

            reader = threading.Thread(target=read)
            reader.start()
            wait_until(lambda: b"audit-records-lost" in got, "the loss is told")
            daemon.stop()
            reader.join(PATIENCE_S)
            stream.close()
    assert opened(events(file), prefix) == numbers(3000)
    found = [json.loads(message[message.index(b"{") :]) for message in frames(bytes(got))]
    lost = losses(found)[-1]["total"]
    ours = [event for event in found if event["event"]["action"] != "audit-records-lost"]
    assert lost["dropped"] > 0
    assert len(ours) + lost["dropped"] == len(events(file))
    assert opened(found, prefix) == sorted(opened(found, prefix))


def test_no_more_file_descriptors(untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path) -> None:
    """Lost: what was in the file that somebody deleted; after that nothing, as the queue holds it."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = configured(tmp_path, f'type = "file"\npath = "{output}"')

    def written() -> bytes:
        """What is in the file and in the one that was rotated, if it was by now."""
        return b"".join(path.read_bytes() for path in (Path(f"{output}.1"), output) if path.exists())

    with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "10", f"{prefix}1-"], check=True, timeout=PATIENCE_S)
        wait_until(lambda: b"1-00009" in output.read_bytes(), "the first are written")
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        output.unlink()
        subprocess.run([flood, "open", "1000", f"{prefix}2-"], check=True, timeout=PATIENCE_S)
        wait_until(lambda: any("Too many open files" in line for line in daemon.said), "it is told")
        daemon.send(signal.SIGUSR1)
        daemon.send(signal.SIGHUP)
        daemon.send(signal.SIGCONT)
        wait_until(
            lambda: any("not reloaded" in line for line in daemon.said), "it says why it does not reload"
        )
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        wait_until(lambda: b"2-00999" in written(), "it writes again, and rotates")
        daemon.stop()
    found = [json.loads(line) for line in written().splitlines()]
    assert opened(found, f"{prefix}2-") == numbers(1000)
    assert losses(found) == []


@contextmanager
def memory_limit(pid: int) -> Iterator[Path]:
    """Puts a process into a memory control group of its own, of either version; gives its directory."""
    second = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    root = Path("/sys/fs/cgroup") if second else Path("/sys/fs/cgroup/memory")
    home = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    back = root / next(
        line.split(":")[2] for line in home if line.split(":")[1] == ("" if second else "memory")
    ).strip("/")
    group = root / f"tsauditd-test-{pid}"
    if second:
        (root / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    try:
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(MEMORY))
        (group / "cgroup.procs").write_text(str(pid))
        yield group
        if Path(f"/proc/{pid}").exists():
            (back / "cgroup.procs").write_text(str(pid))
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "nobody is in it")
        group.rmdir()


def kills(group: Path) -> int:
    """How often the kernel has killed for want of memory in the group."""
    name = "memory.events" if (group / "memory.events").exists() else "memory.oom_control"
    words = (group / name).read_text().split()
    return int(words[words.index("oom_kill") + 1])


def test_sixty_four_mebibytes_of_memory(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing from the file; of the output that hangs, what its queue of 8 MiB does not hold, counted."""
    output, pipe, prefix = tmp_path / "out.json", tmp_path / "pipe", f"{tmp_path}/missing/"
    os.mkfifo(pipe)
    with pipe.open("r+b", buffering=0):
        words = configured(
            tmp_path,
            f'type = "file"\nlines = "all"\npath = "{output}"',
            f'type = "file"\npath = "{pipe}"\nwhen_full = "drop-newest"\nqueue_bytes = {8 << 20}',
        )
        with (
            running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon,
            memory_limit(daemon.pid) as group,
        ):
            subprocess.run([flood, "open", "30000", prefix], check=True, timeout=PATIENCE_S)
            subprocess.run([flood, "run", "1000"], check=True, timeout=PATIENCE_S)
            wait_until(lambda: b'"00999"' in output.read_bytes(), "the file has all")
            assert kills(group) == 0
            summary = daemon.stop()
    assert opened(events(output), prefix) == numbers(30_000)
    assert " dropped" in summary
    assert ", 0 lost, " in summary
