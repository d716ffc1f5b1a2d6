"""Faults while records come: what was lost is stated in each test, by counting."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import small_disk
from live import PATIENCE_S, auditctl, events, losses, numbers, opened, running, wait_until

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 2) as place:
        yield place


def configured(tmp_path: Path, output: Path, keys: str = "") -> list[str]:
    config = tmp_path / "tsauditd.toml"
    config.write_text(f'[[output]]\ntype = "file"\npath = "{output}"\n{keys}\n')
    return ["-c", str(config)]


@pytest.mark.parametrize("action", ["ignore", "suspend"])
def test_a_full_disk_loses_nothing_that_the_queue_holds(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path, disk: Path, action: str
) -> None:
    """Lost: nothing. Some 3 MB of events against 2 MiB of disk; room comes back by itself, without a signal."""
    output, prefix, ballast = disk / "out.json", f"{tmp_path}/missing/", disk / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))
    words = configured(tmp_path, output, f'disk_full_action = "{action}"')
    with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "2000", prefix], check=True, timeout=PATIENCE_S)
        wait_until(
            lambda: any("No space left" in line or "suspended" in line for line in daemon.said), "it is told"
        )
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        wait_until(lambda: opened(events(output), prefix)[-1:] == numbers(2000)[-1:], "all is written")
        daemon.stop()
        assert any(line.endswith(": writing again") for line in daemon.said)
    found = events(output)
    assert opened(found, prefix) == numbers(2000)
    assert losses(found) == []


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_log_file_that_is_taken_away(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path, how: str
) -> None:
    """Lost: what was in the deleted file; of what came after that, nothing."""
    output, prefix = tmp_path / "out.json", f"{tmp_path}/missing/"
    words = configured(tmp_path, output)
    with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "100", f"{prefix}before-"], check=True, timeout=PATIENCE_S)
        wait_until(lambda: b"before-00099" in output.read_bytes(), "the first are written")
        if how == "deleted":
            output.unlink()
        else:
            output.rename(tmp_path / "moved.json")
        subprocess.run([flood, "open", "100", f"{prefix}after-"], check=True, timeout=PATIENCE_S)
        daemon.stop()
    assert opened(events(output), f"{prefix}after-") == numbers(100)
    if how == "moved":
        assert opened(events(tmp_path / "moved.json"), f"{prefix}before-") == numbers(100)


def test_an_output_that_hangs_holds_up_no_other(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Lost: nothing from the file; what the hanging output could not take is counted at the end."""
    output, prefix, pipe = tmp_path / "out.json", f"{tmp_path}/missing/", tmp_path / "pipe"
    subprocess.run(["mkfifo", pipe], check=True)
    with pipe.open("r+b", buffering=0) as end:
        reader = subprocess.Popen(["sleep", "600"], stdin=end)
    words = configured(
        tmp_path,
        output,
        f'[[output]]\ntype = "file"\npath = "{pipe}"\nqueue_bytes = 65536\nwhen_full = "drop-newest"',
    )
    try:
        with running(tmp_path, *words, "--rules", str(flood_rules), key="flood") as daemon:
            subprocess.run([flood, "open", "2000", prefix], check=True, timeout=PATIENCE_S)
            wait_until(lambda: b"/01999" in output.read_bytes(), "the file has all")
            auditctl("-m", "still-there")
            wait_until(lambda: b"still-there" in output.read_bytes(), "it goes on")
            summary = daemon.stop(signal.SIGTERM)
    finally:
        reader.kill()
        reader.wait()
    assert opened(events(output), prefix) == numbers(2000)
    assert " dropped" in summary
