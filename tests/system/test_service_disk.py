"""auditd's actions where the kernel itself has no room or refuses: small file systems, and limits of the process."""

import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disks import small_disk
from live import PATIENCE_S, auditctl, events, losses, numbers, opened, running, wait_until

from tsauditd.config import FileOutput
from tsauditd.kernel.state import Snapshot
from tsauditd.sinks.action import Actions, Commands
from tsauditd.sinks.file import FileWriter
from tsauditd.sinks.queue import QueueSink

pytestmark = pytest.mark.system

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as place:
        yield place


@pytest.fixture
def said() -> list[str]:
    return []


Open = Callable[..., QueueSink]


@pytest.fixture
def sink(tmp_path: Path, disk: Path, said: list[str]) -> Iterator[Open]:
    """Opens the output with these keys; `single` and `halt` make a file of their name."""
    opened: list[QueueSink] = []

    def make(**keys: Any) -> QueueSink:
        commands = Commands(("touch", str(tmp_path / "single")), ("touch", str(tmp_path / "halt")))
        writer = FileWriter(FileOutput(path=str(disk / "out.json"), **keys), Actions(commands, said.append))
        opened.append(QueueSink(writer, 64 * MIB))
        return opened[-1]

    yield make
    for each in opened:
        each.close(PATIENCE_S)


def fill(place: Path, mib: int) -> Path:
    ballast = place / "ballast"
    ballast.write_bytes(bytes(mib * MIB))
    return ballast


def program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def waits(sink: QueueSink, reason: str) -> None:
    wait_until(lambda: sink.health().error == f"suspended ({reason})", "it is suspended")


def test_exec_makes_room_and_writing_goes_on_by_itself(tmp_path: Path, disk: Path, sink: Open) -> None:
    """Lost: nothing. The program is run once, and what came meanwhile is written after it."""
    cleaner = program(tmp_path, f"rm {disk}/ballast; echo run >>{tmp_path}/runs")
    output = sink(space_left="8", space_left_action=f"exec {cleaner}")
    output.write(b'{"n":1}\n')
    wait_until(lambda: (disk / "out.json").read_bytes() == b'{"n":1}\n', "there is room")
    fill(disk, 12)
    wait_until((tmp_path / "runs").exists, "the program has run")
    output.write(b'{"n":2}\n')
    wait_until(lambda: b'"n":2' in (disk / "out.json").read_bytes(), "it goes on")
    assert (disk / "out.json").read_bytes() == b'{"n":1}\n{"n":2}\n'
    assert (tmp_path / "runs").read_text() == "run\n"
    assert output.health().dropped == 0


def test_both_limits_of_space_and_recovery(tmp_path: Path, disk: Path, sink: Open, said: list[str]) -> None:
    """Lost: nothing. The first limit runs `single`, the second suspends until there is room again."""
    output = sink(
        space_left="10", space_left_action="single", admin_space_left="5", admin_space_left_action="suspend"
    )
    ballast = fill(disk, 8)
    wait_until((tmp_path / "single").exists, "single")
    assert output.health().error is None
    ballast.unlink()
    ballast = fill(disk, 13)
    waits(output, "admin_space_left")
    output.write(b'{"n":1}\n')
    ballast.unlink()
    wait_until(lambda: (disk / "out.json").read_bytes() == b'{"n":1}\n', "it goes on")
    assert [line.split(":")[0] for line in said].count("admin_space_left") == 1
    assert not (tmp_path / "halt").exists()


def test_rotate_makes_room_by_the_oldest_file(disk: Path, sink: Open) -> None:
    for number, size in ((1, 3), (2, 3), (3, 6)):
        (disk / f"out.json.{number}").write_bytes(bytes(size * MIB))
    sink(space_left="6", space_left_action="rotate")
    wait_until(lambda: not (disk / "out.json.3").exists(), "the oldest has gone")
    assert (disk / "out.json.1").exists()
    assert (disk / "out.json.2").exists()


@pytest.mark.parametrize("action", ["single", "halt"])
def test_a_full_disk_runs_the_command(
    tmp_path: Path, disk: Path, sink: Open, said: list[str], action: str
) -> None:
    """Lost: nothing: what did not fit is written once there is room."""
    lines = b"".join(b'{"n":%d,"x":"%s"}\n' % (number, b"x" * 1000) for number in range(4000))
    ballast = fill(disk, 14)
    output = sink(disk_full_action=action)
    output.write(lines)
    wait_until((tmp_path / action).exists, "the command has run")
    assert said == [f"disk_full: {disk}/out.json: No space left on device: {action}"]
    ballast.unlink()
    wait_until(lambda: output.health().waiting == 0, "all is written")
    assert (disk / "out.json").read_bytes() == lines


def test_a_write_that_the_kernel_refuses_takes_the_disk_error_action(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing. A limit on the size of files (EFBIG), lifted again; SIGUSR2 goes on after `exec`."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    ran = program(tmp_path, f"touch {tmp_path}/ran")
    config = tmp_path / "tsauditd.toml"
    config.write_text(
        f'[[output]]\ntype = "file"\npath = "{output}"\ndisk_error_action = "exec {ran}"\n'
        f'[daemon]\nstatus_socket = ""\nstate_file = ""\n'
    )
    with running(tmp_path, "-c", str(config), "--rules", str(flood_rules), key="flood") as daemon:
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (100_000, hard))
        subprocess.run([flood, "open", "500", prefix], check=True, timeout=PATIENCE_S)
        wait_until((tmp_path / "ran").exists, "the program has run")
        assert output.stat().st_size == 100_000
        assert f"disk_error: {output}: File too large: exec {ran}" in daemon.said[0]
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        auditctl("-m", "while-suspended")
        daemon.send(signal.SIGUSR2)
        wait_until(lambda: b"while-suspended" in output.read_bytes(), "it goes on")
        daemon.stop()
    found = events(output)
    assert opened(found, prefix) == numbers(500)
    assert losses(found) == []
