"""The kernel's end markers, which are not received while every event of a call ends with PROCTITLE anyway."""

import re
import subprocess
from pathlib import Path

import pytest
from live import PATIENCE_S, Daemon, Event, auditctl, events, losses, numbers, opened, running, wait_until

pytestmark = pytest.mark.system

RING = Path(__file__).resolve().parent / "provoke" / "work" / "iouring.c"
GROUP = 4242
LEARNED = 600
"""More events than it takes to learn what they end with."""


@pytest.fixture(scope="session")
def ring(tmp_path_factory: pytest.TempPathFactory) -> str:
    """provoke/work/iouring.c, compiled."""
    program = tmp_path_factory.mktemp("ring") / "iouring"
    subprocess.run(["cc", "-O2", "-o", program, RING], check=True)
    return str(program)


def learn(flood: str, prefix: str, output: Path) -> None:
    """Makes so many events that markers are left out."""
    subprocess.run([flood, "open", str(LEARNED), prefix], check=True, timeout=PATIENCE_S)
    wait_until(lambda: opened(events(output), prefix) == numbers(LEARNED), "what is to be learned from")


def records(daemon: Daemon) -> int:
    """How many the daemon says in the end that it has read."""
    found = re.search(r" (\d+) records,", daemon.stop())
    assert found
    return int(found[1])


def whole(found: list[Event]) -> bool:
    return losses(found) == [] and not any("incomplete" in event.get("tsauditd", {}) for event in found)


@pytest.mark.usefixtures("untouched")
def test_markers_are_left_out_until_titles_are(flood: str, flood_rules: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    first, second, third = (f"{tmp_path}/{name}/" for name in ("first", "second", "third"))
    with running(tmp_path, "--output", str(output), "--rules", str(flood_rules), key="flood") as daemon:
        learn(flood, first, output)
        subprocess.run([flood, "open", str(LEARNED), second], check=True, timeout=PATIENCE_S)
        auditctl("-a", "always,exclude", "-F", "msgtype=PROCTITLE")
        try:
            subprocess.run([flood, "open", str(LEARNED), third], check=True, timeout=PATIENCE_S)
            wait_until(
                lambda: sorted(opened(events(output), third)) == numbers(LEARNED), "what has no titles"
            )
        finally:
            auditctl("-d", "always,exclude", "-F", "msgtype=PROCTITLE")
        read = records(daemon)
    found = events(output)
    assert opened(found, second) == numbers(LEARNED)
    assert whole(found)
    # SYSCALL, CWD, PATH, PROCTITLE and the marker: of the second neither, of the third all but PROCTITLE.
    assert read < LEARNED * (5 + 5 + 4)


@pytest.mark.usefixtures("untouched")
def test_operations_of_io_uring_have_an_end(flood: str, flood_rules: Path, ring: str, tmp_path: Path) -> None:
    """They have no PROCTITLE, so that only their markers end them."""
    output, rules = tmp_path / "out.json", tmp_path / "ring.rules"
    rule = f"-a always,io_uring -S openat,mkdirat -F gid={GROUP} -k ring\n"
    rules.write_text(flood_rules.read_text() + rule)
    with running(tmp_path, "--output", str(output), "--rules", str(rules), key="flood") as daemon:
        learn(flood, f"{tmp_path}/first/", output)
        for times in (1, 2):
            words = ["setpriv", "--regid", str(GROUP), "--clear-groups", ring]
            subprocess.run(words, check=True, timeout=PATIENCE_S)
            told_of_ring(output, 4 * times)
        daemon.stop()
    assert whole(events(output))


def told_of_ring(output: Path, count: int) -> None:
    """Waits until three opens and a mkdir are told, or as many times those."""

    def of_ring() -> list[Event]:
        return [event for event in events(output) if "ring" in event.get("tags", [])]

    wait_until(lambda: len(of_ring()) == count, "three opens and a mkdir")
