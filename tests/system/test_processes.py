"""Processes of this machine as the daemon tells them, against what they said of themselves and /proc of them."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from live import PATIENCE_S, Event, events, losses, opened, running, wait_until

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

WORKLOAD = Path(__file__).resolve().parent / "workload"
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
HERTZ = os.sysconf("SC_CLK_TCK")
BORN = "fork,vfork,clone,clone3,execve,setsid,exit_group"
FROM_THE_TABLE_MB = 64
"""What the table may hold (48 MiB of programs, and the processes), and the memories of lines and texts."""

Said = dict[str, tuple[int, int, int, int]]
"""Of each process by its tag: pid, parent's pid, session, start in ticks."""


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> str:
    """workload/family.c, compiled to a path of its own."""
    program = tmp_path_factory.mktemp("workload") / "family"
    subprocess.run(["cc", "-O2", "-static", "-pthread", "-o", program, WORKLOAD / "family.c"], check=True)
    return str(program)


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return f"{tmp_path}/missing/"


def rules(family: str, tmp_path: Path, calls: str = BORN, more: str = "") -> str:
    """Rules for what family does: `calls`, and files that are not there."""
    path = tmp_path / "family.rules"
    path.write_text(
        f"-a always,exit -F arch=b64 -S openat -F exe={family} -F success=0 -k family\n"
        f"-a always,exit -F arch=b64 -S {calls} -F exe={family} -k family\n" + more
    )
    return str(path)


# Starts its arguments in a session whose leader, the shell with the number $$, is gone by then.
LEFT = """\
setsid sh -c '(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; exec "$@") &' sh "$@"
"""


def run(*words: str) -> Said:
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    return heard(said.stdout)


def heard(text: str) -> Said:
    found: Said = {}
    for line in text.splitlines():
        tag, *numbers = line.split()
        pid, parent, session, ticks = map(int, numbers)
        found[tag] = (pid, parent, session, ticks)
    return found


def by_tag(found: list[Event], prefix: str) -> dict[str, Event]:
    """The events of the files that were not there."""
    return dict(zip(opened(found, prefix), named(found, prefix), strict=True))


def named(found: list[Event], prefix: str) -> list[Event]:
    return [event for event in found if event.get("file", {}).get("path", "").startswith(prefix)]


def seconds(start: str) -> float:
    return datetime.fromisoformat(start).timestamp()


@pytest.mark.parametrize(
    ("calls", "start"),
    [(BORN, []), ("execve", []), (BORN, ["sh", "-c", LEFT, "sh"])],
    ids=["births", "programs", "left"],
)
def test_a_family_is_what_it_says_of_itself(
    untouched: Snapshot, family: str, prefix: str, tmp_path: Path, calls: str, start: list[str]
) -> None:
    output = tmp_path / "out.json"
    words = ["--rules", rules(family, tmp_path, calls), "--output", str(output)]
    with running(tmp_path, *words, key="family") as daemon:
        said = run(*start, family, "tree", prefix)
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    seen = by_tag(found, prefix)
    assert list(seen) == list(said)
    for tag, (pid, parent, session, ticks) in said.items():
        process = seen[tag]["process"]
        assert process["pid"] == pid, tag
        assert process["parent"]["pid"] == parent, tag
        # Without records of setsid, a process that has ended is taken to be in its parent's session.
        if calls == BORN:
            # Where whoever runs this has made no session, nor anybody before it, there is none, and /proc has 0.
            assert process.get("session_leader", {"pid": 0})["pid"] == session, tag
        if calls == BORN or "start" in process:
            booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            assert abs(seconds(process["start"]) - booted - ticks / HERTZ) < 1, tag
    # A process keeps its name, whatever it runs; another has another.
    entities = {said[tag][0]: event["process"]["entity_id"] for tag, event in seen.items()}
    assert len(set(entities.values())) == len(entities) == 8
    for tag, event in seen.items():
        assert event["process"]["entity_id"] == entities[said[tag][0]], tag
        parent_id = event["process"]["parent"].get("entity_id")
        assert said[tag][1] not in entities or parent_id == entities[said[tag][1]], tag
    arguments = {tag: event["process"].get("args") for tag, event in seen.items()}
    root = [family, "tree", prefix]
    for tag in ("root", "child", "leader", "member", "daemon", "orphan", "before", "single"):
        # Without records of births, who was taken up by another may be unknown, and /proc may be ahead of the events.
        late = ("daemon", "orphan", "before", "single")
        assert arguments[tag] == root or (calls != BORN and tag in late), tag
    assert arguments["program"] == [
        family,
        "here",
        prefix,
        "program",
        "an argument of two words",
    ]
    assert arguments["thread"] == [family, "here", prefix, "thread", "an argument of two words"]
    parents = {tag: event["process"]["parent"] for tag, event in seen.items()}
    for tag in ("child", "leader", "member", "before", "program", "single", "thread"):
        assert parents[tag]["args"] == root, tag
        assert parents[tag]["executable"] == family, tag
    # All of them came by one door, with whoever runs this test; who was not seen to be born may be left alone.
    doors = {tag: event["process"]["entry_leader"]["entry_meta"] for tag, event in seen.items()}
    for tag, door in doors.items():
        assert door == doors["root"] or (calls != BORN and door == {"type": "unknown"}), tag


def test_titles_need_no_records_of_the_kernel(
    untouched: Snapshot, family: str, prefix: str, tmp_path: Path
) -> None:
    found: list[list[Event]] = []
    whole = f"{family} here {prefix} program an argument of two words"
    for more in ("", f"-a always,exclude -F msgtype=PROCTITLE -F exe={family}\n"):
        output = tmp_path / f"out{len(found)}.json"
        words = ["--rules", rules(family, tmp_path, more=more), "--output", str(output)]
        with running(tmp_path, *words, key="family") as daemon:
            run(family, "tree", prefix)
            daemon.stop()
        found.append(
            [event for event in events(output) if "process" in event and event.get("tags") == ["family"]]
        )
        records = output.read_text().count('"proctitle"')
    assert records == 0
    # The kernel keeps a title from a process's first event on, also when it runs another program (audit_log_proctitle,
    # kernel/auditsc.c): there the table knows better.
    titles = []
    for each in found:
        (before,) = [event for event in each if event.get("file", {}).get("path") == f"{prefix}before"]
        stale = before["process"]["pid"]
        titles.append(Counter(title(event) for event in each if event["process"]["pid"] != stale))
        last = [title(event)[2] for event in each if event["process"]["pid"] == stale][-1]
    assert last == whole[:128]
    assert titles[0] == titles[1]
    assert titles[0].total() > 30


def title(event: Event) -> tuple[str, str, str]:
    path = event.get("file", {}).get("path", "")
    return event["auditd"]["data"]["syscall"], path, event["process"].get("title", "")


@contextmanager
def again(family: str, prefix: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [family, "again", prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[str]) -> str:
    """Has it open a file; returns what it says of itself."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_a_process_keeps_its_name_over_daemons(
    untouched: Snapshot, family: str, prefix: str, tmp_path: Path
) -> None:
    seen: list[Event] = []
    with again(family, prefix) as process:
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            output = tmp_path / f"out{len(seen)}.json"
            words = ["--rules", rules(family, tmp_path, "execve"), "--output", str(output)]
            with running(tmp_path, *words, key="family") as daemon:
                ask(process)
                wait_until(lambda output=output: named(events(output), prefix), "the event")  # type: ignore[misc]
                daemon.send(number)
                daemon.process.wait(PATIENCE_S)
            (event,) = named(events(output), prefix)
            seen.append(event["process"])
    assert seen[0]["args"] == [family, "again", prefix]
    assert seen[0]["parent"]["args"]
    for other in seen[1:]:
        assert without_start(other) == without_start(seen[0])


def without_start(process: Event) -> Event:
    """A process and its like without when they started: a clock that is set makes that some milliseconds another."""
    return {
        name: without_start(value) if isinstance(value, dict) else value
        for name, value in process.items()
        if name != "start"
    }


@contextmanager
def next_pid(pid: int) -> Iterator[None]:
    """Whoever is started next gets this number, unless others come between."""
    with LAST_PID.open("w") as file:
        file.write(str(pid - 1))
        file.flush()
        yield


def free_number() -> int:
    """A number that nobody has, far from those that are given now."""
    while True:
        wanted = (int(LAST_PID.read_text()) + 9_000) % 20_000 + 5_000
        if not Path(f"/proc/{wanted}").exists():
            return wanted
        subprocess.run(["true"], check=True)


def reused(family: str, prefix: str, *, waits: bool) -> list[Said]:
    """Two processes of one number, one after the other; `waits`: alive when the daemon hears of them."""
    for _ in range(200):
        said = []
        wanted = free_number()
        for _ in range(2):
            with next_pid(wanted):
                process = subprocess.Popen(
                    [family, "again", prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            text = ask(process)
            if waits:
                time.sleep(0.1)
            text += process.communicate()[0]
            said.append(heard(text))
            time.sleep(2 / HERTZ)
        if all(each["again0"][0] == wanted for each in said):
            return said
    pytest.fail("no number could be had twice")


@pytest.mark.parametrize(("calls", "waits"), [(BORN, False), ("execve", True)])
def test_a_number_that_passes_on_is_another_process(
    untouched: Snapshot, family: str, prefix: str, tmp_path: Path, calls: str, waits: bool
) -> None:
    output = tmp_path / "out.json"
    words = ["--rules", rules(family, tmp_path, calls), "--output", str(output)]
    with running(tmp_path, *words, key="family") as daemon:
        first, second = reused(family, prefix, waits=waits)
        daemon.stop()
    pid = first["again0"][0]
    assert second["again0"][0] == pid
    found = [event for event in named(events(output), prefix) if event["process"]["pid"] == pid]
    entities = [event["process"]["entity_id"] for event in found[-2:]]
    assert len(set(entities)) == 2


def test_a_child_that_runs_nothing_is_not_who_had_its_number_before(
    untouched: Snapshot, family: str, prefix: str, tmp_path: Path
) -> None:
    """The kernel gives a number again when its turn comes: that, not a minute, is when it is looked at again."""
    output = tmp_path / "out.json"
    rule = tmp_path / "heirs.rules"
    rule.write_text(f"-a always,exit -F arch=b64 -S openat -F exe={family} -F success=0 -k heirs\n")
    words = ["--rules", str(rule), "--output", str(output)]
    had: dict[str, int] = {}
    wanted = free_number()
    with (
        running(tmp_path, *words, key="heirs") as daemon,
        subprocess.Popen(
            [family, "heirs", prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        # Others may be quicker to take the number.
        for number in range(50):
            with next_pid(wanted):
                tag, *about = ask(process).split()
            had[tag] = int(about[0])
            wait_until(lambda tag=tag: opened(events(output), prefix)[-1:] == [tag], "the child is told")  # type: ignore[misc]
            ask(process)
            subprocess.run(["true"], check=True)
            tag = ask(process).split()[0]
            assert tag == f"between{number}"
            wait_until(lambda tag=tag: opened(events(output), prefix)[-1:] == [tag], "the parent is told")  # type: ignore[misc]
            if Counter(had.values())[wanted] == 3:
                break
        process.communicate()
        daemon.stop()
    seen = by_tag(events(output), prefix)
    names = [seen[tag]["process"]["entity_id"] for tag, pid in had.items() if pid == wanted]
    assert len(names) == len(set(names)) == 3
    others = [seen[tag]["process"]["entity_id"] for tag in seen if tag not in had]
    assert len(set(others)) == 1


def peak_mb(pid: int) -> int:
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) >> 10


def test_a_fork_bomb_stays_within_bounds(untouched: Snapshot, family: str, tmp_path: Path) -> None:
    output, count, text = tmp_path / "out.json", 20_000, "x" * 500
    words = ["--rules", rules(family, tmp_path), "--output", str(output)]
    with running(tmp_path, *words, key="family") as daemon:
        idle = peak_mb(daemon.pid)
        subprocess.run([family, "bomb", str(count), text], check=True, timeout=PATIENCE_S)
        peak = peak_mb(daemon.pid)
        daemon.stop()
    found = []
    bomb = None
    leaves = [one for one in events_of(output, b'"leaf"') if one["process"].get("args", [])[1:2] == ["leaf"]]
    for event in leaves:
        if event["event"]["action"] == "executed":
            found.append(event["process"]["entity_id"])
            bomb = bomb or event["process"]["parent"]
            assert event["process"]["parent"]["entity_id"] == bomb["entity_id"]
    assert losses(list(events_of(output, b"records-lost"))) == []
    assert bomb is not None
    assert bomb["args"] == [family, "bomb", str(count), text]
    assert len(found) == len(set(found)) == count
    # Each ends as who it was.
    ends = [event["process"]["entity_id"] for event in leaves if event["event"]["action"] != "executed"]
    assert ends.count(found[-1]) == 1
    assert sorted(ends) == sorted(found)
    assert peak < idle + FROM_THE_TABLE_MB, (idle, peak)


def events_of(output: Path, text: bytes) -> Iterator[Event]:
    """The events whose lines have the text."""
    with output.open("rb") as lines:
        for line in lines:
            if text in line:
                yield json.loads(line)
