"""Real containers: every event from inside says in which, also of commands that end at once; the host's have none."""

import subprocess
from pathlib import Path

import pytest
from containers import (
    INSIDE,
    LIMITS,
    RULES,
    archive,
    bundle,
    containerd,
    docker,
    image,
    inside,
    launch,
    outside,
    podman,
    repeat,
    when_known,
)
from live import Event, events, losses, running

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

MANY = 25
"""Containers and commands that end at once: more than luck."""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "containers.rules"
    path.write_text(RULES)
    return path


def commands(found: list[Event]) -> list[str]:
    return [
        " ".join(event["process"]["args"][1:]) for event in found if event["event"]["action"] == "executed"
    ]


def test_runc(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    at_once = bundle(tmp_path / "at-once", "true")
    family = bundle(
        tmp_path / "family",
        "sh",
        "-c",
        f"for n in 1 2 3 4 5; do {INSIDE} true & done; ({INSIDE} mkdir /tmp/d; {INSIDE} sleep 0.2); wait",
    )
    long = bundle(tmp_path / "long", "sleep", "1000")
    output = tmp_path / "out.json"
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon:
        for number in range(MANY):
            launch("runc", "run", "--bundle", str(at_once), f"once{number}")
        launch("runc", "run", "--bundle", str(family), "family")
        launch("sh", "-c", f"cd {long} && runc run --detach --pid-file pid long >out 2>&1")
        try:
            repeat(MANY, "runc", "exec", "long", INSIDE, "true")
            launch("runc", "exec", "long", INSIDE, "sh", "-c", f"{INSIDE} mkdir /tmp/d")
            late = when_known(output, "runc", "exec", "long", INSIDE, "echo", "late")
        finally:
            subprocess.run(["runc", "delete", "--force", "long"], check=True)
        launch("true")
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = inside(found)
    assert {event.get("container", {}).get("runtime") for event in told} == {"runc"}
    names = [event["container"]["id"] for event in told]
    assert names.count("long") >= MANY + 4
    assert [name for name in names if name.startswith("once")] == [f"once{number}" for number in range(MANY)]
    assert names.count("family") >= 7
    assert [event for event in outside(found) if "container" in event] == []
    assert late["name"] == "long"
    assert {event["process"]["entry_leader"]["entry_meta"]["type"] for event in told} == {"container"}


def test_podman(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    base = podman(tmp_path)
    subprocess.run(
        [*base, "import", str(image(tmp_path)), "localhost/box:v1"], check=True, capture_output=True
    )
    output = tmp_path / "out.json"
    run = [*base, "run", *LIMITS]
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon:
        try:
            for _ in range(3):
                launch(*run, "--name", "once", "--rm", "localhost/box:v1", INSIDE, "true")
            line = [*run, "--detach", "--name", "web", "--label", "app.example/tier=front"]
            identity = launch(*line, "localhost/box:v1", INSIDE, "sleep", "1000").strip()
            repeat(3, *base, "exec", "web", INSIDE, "true")
            late = when_known(output, *base, "exec", "web", INSIDE, "echo", "late")
        finally:
            subprocess.run([*base, "rm", "--all", "--force", "--time", "0"], check=True, capture_output=True)
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = inside(found)
    assert commands(told)[:7] == ["true"] * 3 + ["sleep 1000"] + ["true"] * 3
    assert all(len(event["container"]["id"]) == 64 for event in told)
    assert {event["container"]["id"] for event in told[3:]} == {identity}
    assert late["runtime"] == "podman"
    assert [event for event in outside(found) if "container" in event] == []
    assert late["name"] == "web"
    assert late["image"] == {"name": "localhost/box", "tag": ["v1"]}
    assert late["labels"] == {"app_example/tier": "front"}


def test_containerd(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    box = archive(tmp_path)
    output = tmp_path / "out.json"
    with (
        running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon,
        containerd(tmp_path) as ctr,
    ):
        subprocess.run([*ctr, "images", "import", str(box)], check=True, capture_output=True)
        run = [*ctr, "run", "--snapshotter", "native"]
        for number in range(5):
            launch(*run, "--rm", "localhost/box:v1", f"once{number}", INSIDE, "true")
        launch(
            *run,
            "--detach",
            "--label",
            "app.example/tier=front",
            "localhost/box:v1",
            "web",
            INSIDE,
            "sleep",
            "1000",
        )
        try:
            task = [*ctr, "task", "exec", "--exec-id"]
            for number in range(5):
                launch(*task, f"e{number}", "web", INSIDE, "true")
            late = when_known(output, *task, "late", "web", INSIDE, "echo", "late")
        finally:
            for verb in (["task", "delete", "--force"], ["container", "delete"]):
                subprocess.run([*ctr, *verb, "web"], check=True, capture_output=True)
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = inside(found)
    names = [event.get("container", {}).get("id") for event in told]
    assert names[:11] == [*(f"once{number}" for number in range(5)), *["web"] * 6]
    assert set(names[11:]) == {"web"}
    assert {event["container"]["runtime"] for event in told} == {"containerd"}
    assert [event for event in outside(found) if "container" in event] == []
    assert late["name"] == "web"
    assert late["labels"] == {"app_example/tier": "front"}


# An /etc of its own, in which the daemon finds where docker's data is.
WITH_ETC = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"']


def test_docker(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", "/etc", tmp_path / "etc"], check=True)
    output = tmp_path / "out.json"
    words = ["--rules", str(rules), "--output", str(output)]
    with (
        docker(tmp_path) as base,
        running(tmp_path, *words, key="containers", through=[*WITH_ETC, str(tmp_path / "etc")]) as daemon,
    ):
        subprocess.run(
            [*base, "import", str(image(tmp_path)), "localhost/box:v1"], check=True, capture_output=True
        )
        run = [*base, "run", "--network", "none"]
        for _ in range(3):
            launch(*run, "--rm", "localhost/box:v1", INSIDE, "true")
        line = [*run, "--detach", "--name", "web", "--label", "app.example/tier=front", "localhost/box:v1"]
        identity = launch(*line, INSIDE, "sleep", "1000").strip()
        try:
            repeat(3, *base, "exec", "web", INSIDE, "true")
            late = when_known(output, *base, "exec", "web", INSIDE, "echo", "late")
        finally:
            subprocess.run([*base, "rm", "--force", "web"], check=True, capture_output=True)
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = inside(found)
    assert commands(told)[:7] == ["true"] * 3 + ["sleep 1000"] + ["true"] * 3
    assert all(len(event["container"]["id"]) == 64 for event in told)
    assert len({event["container"]["id"] for event in told[:3]}) == 3
    assert {event["container"]["id"] for event in told[3:]} == {identity}
    assert [event for event in outside(found) if "container" in event] == []
    assert late == {
        "id": identity,
        "runtime": "docker",
        "name": "web",
        "image": {"name": "localhost/box", "tag": ["v1"]},
        "labels": {"app_example/tier": "front"},
    }
