"""The kernel's end markers, which are not received while every event of a call ends with PROCTITLE anyway."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from live import PATIENCE_S, Daemon, Event, auditctl, events, losses, numbers, opened, running, wait_until

from tsauditd.kernel.state import Snapshot
from tsauditd.telling import ask

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


@contextmanager
def untitled(program: str) -> Iterator[None]:
    """Has the kernel leave out PROCTITLE for this program."""
    rule = ("never,exclude", "-F", "msgtype=PROCTITLE", "-F", f"exe={program}")
    auditctl("-a", *rule)
    try:
        yield
    finally:
        auditctl("-d", *rule)


def added(event: Event) -> bool:
    """Whether it tells of a rule that was added to the list exclude."""
    data = event.get("auditd", {}).get("data", {})
    return (data.get("op"), data.get("list")) == ("add_rule", "5")


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
@pytest.mark.parametrize("when", ["before the start", "before it is learned", "once it is learned"])
def test_those_whose_titles_alone_are_left_out_are_whole(
    when: str, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """None of them is among the events that are learned from."""
    output, rules, config = (tmp_path / name for name in ("out.json", "both.rules", "tsauditd.toml"))
    config.write_text("events.original = true\n")
    other, prefix = str(tmp_path / "other"), f"{tmp_path}/untitled/"
    shutil.copy(flood, other)
    rules.write_text(
        f"{flood_rules.read_text()}-a always,exit -F arch=b64 -S openat -F exe={other} -F success=0 -k flood\n"
    )
    with ExitStack() as stack:
        if when == "before the start":
            stack.enter_context(untitled(other))
        daemon = stack.enter_context(
            running(
                tmp_path, "--config", str(config), "--output", str(output), "--rules", str(rules), key="flood"
            )
        )
        if when == "before it is learned":
            stack.enter_context(untitled(other))
        learn(flood, f"{tmp_path}/first/", output)
        if when == "once it is learned":
            stack.enter_context(untitled(other))
            # It has been told of, so that markers come again.
            wait_until(lambda: any(added(event) for event in events(output)), "the rule is known")
        subprocess.run([other, "open", "5", prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: opened(events(output), prefix) == numbers(5), "what has no titles")
        daemon.stop()
    found = events(output)
    assert whole(found)
    records = [event["event"]["original"] for event in found if opened([event], prefix)]
    assert not any("type=PROCTITLE" in record for record in records)


def test_rules_that_leave_out_other_records_do_not_matter(
    untouched: Snapshot, flood: str, flood_rules: Path, tmp_path: Path
) -> None:
    """Auditing is on already, so that the kernel tells of the rule's coming: it is learned once they have been read."""
    output, rules, config = (tmp_path / name for name in ("out.json", "other.rules", "tsauditd.toml"))
    rules.write_text(f"-a always,exclude -F msgtype=CRYPTO_KEY_USER\n{flood_rules.read_text()}")
    config.write_text(f'[daemon]\nstatus_socket = "{tmp_path}/sock"\n')
    words = ("--config", str(config), "--output", str(output), "--rules", str(rules))
    count, rounds = 50, 0

    def count_records() -> int:
        counters = (ask(f"{tmp_path}/sock") or {})["counters"]
        return int(counters["records"])

    def left_out() -> bool:
        """Whether of each of some opens four records came, and no marker."""
        nonlocal rounds
        rounds += 1
        before, prefix = count_records(), f"{tmp_path}/{rounds}/"
        subprocess.run([flood, "open", str(count), prefix], check=True, timeout=PATIENCE_S)
        wait_until(lambda: opened(events(output), prefix) == numbers(count), "they are told")
        return count_records() - before < count * 4.5

    auditctl("-e", "1")
    with running(tmp_path, *words, key="flood") as daemon:
        wait_until(lambda: any(added(event) for event in events(output)), "the rule's coming is told")
        wait_until(left_out, "markers are left out")
        daemon.stop()
    assert whole(events(output))
    auditctl("-e", str(untouched.status.enabled))


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
