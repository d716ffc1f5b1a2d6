"""Who became whom: the events of a program that changes its ids, against what the program itself saw."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Event, events, running

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

WORKLOAD = Path(__file__).resolve().parent / "workload"
CALLS = "setuid,setgid,setreuid,setregid,setresuid,setresgid,setfsuid,setfsgid,execve"
USER, GROUP, OTHER = 61001, 61002, 61003
PLACES = [
    (*level, *kind) for kind in ([], ["group"]) for level in ([], ["effective"], ["saved"], ["filesystem"])
]


@pytest.fixture
def become() -> Iterator[dict[str, Path]]:
    """workload/become.c where everybody may run it, and copies that give their owner's id, their group's, and both."""
    folder = Path(tempfile.mkdtemp(prefix="become-"))
    folder.chmod(0o755)
    files = {"plain": folder / "become"}
    subprocess.run(["cc", "-O2", "-static", "-o", files["plain"], WORKLOAD / "become.c"], check=True)
    for name, mode in (("user", 0o4755), ("group", 0o2755), ("both", 0o6755), ("neither", 0o2745)):
        files[name] = Path(shutil.copy(files["plain"], folder / f"become-{name}"))
        shutil.chown(files[name], OTHER if name == "both" else 0, GROUP)
        files[name].chmod(mode)
    yield files
    shutil.rmtree(folder)


def flat(user: Event) -> dict[tuple[str, ...], str]:
    """The ids in an object of ECS's user."""

    def at(place: tuple[str, ...]) -> str | None:
        inner = user
        for name in place:
            inner = inner.get(name, {})
        return inner.get("id")

    return {place: found for place in PLACES if (found := at(place))}


def seen(output: Path) -> list[tuple[str, dict[tuple[str, ...], str], dict[tuple[str, ...], str]]]:
    """Of each event that changed ids: the call, what they became and what they were."""
    return [
        (
            event["auditd"]["data"]["syscall"],
            flat(event["user"]["changes"]),
            flat(event.get("tsauditd", {}).get("user", {}).get("before", {})),
        )
        for event in events(output)
        if "changes" in event.get("user", {}) and event["process"]["name"].startswith("become")
    ]


def told(lines: str) -> list[tuple[str, dict[tuple[str, ...], str], dict[tuple[str, ...], str]]]:
    """The same of what the program says."""
    found = []
    for line in lines.splitlines():
        call, *ids = line.split()
        before, after = ids[:8], ids[8:]
        changed = [place for place in range(8) if before[place] != after[place]]
        if changed:
            found.append(
                (
                    call,
                    {PLACES[place]: after[place] for place in changed},
                    {PLACES[place]: before[place] for place in changed},
                )
            )
    return found


def test_changes_are_what_the_program_saw(
    untouched: Snapshot, tmp_path: Path, become: dict[str, Path]
) -> None:
    rules = tmp_path / "become.rules"
    rules.write_text(
        "".join(
            f"-a always,exit -F arch=b64 -S {CALLS} -F exe={file} -k become\n" for file in become.values()
        )
    )
    output = tmp_path / "out.json"
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="become") as daemon:
        words = [str(become["plain"]), "calls", str(USER), str(GROUP)]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        for name in ("plain", "user", "group", "both", "neither"):
            words = [
                *("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"),
                *(str(become["plain"]), "run", str(become[name])),
            ]
            lines += subprocess.run(words, check=True, capture_output=True, text=True).stdout
        daemon.stop()
    expected = told(lines)
    assert [call for call, *_ in expected].count("execve") == 3
    assert len(expected) > 10
    assert seen(output) == expected
