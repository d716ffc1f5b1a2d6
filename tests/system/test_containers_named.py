"""Real containers whose runtimes know them by name, and pods as containerd lays them out."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from containers import (
    INSIDE,
    RULES,
    bundle,
    inside,
    launch,
    lxc,
    outside,
    podman_database,
    put_away,
    root_filesystem,
    when_known,
)
from live import Event, events, losses, running

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

MANY = 5
"""Containers and commands that end at once."""

POD = "1d1e5f0c-93f7-4d14-9c5f-0a5d2f1b7c11"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "containers.rules"
    path.write_text(RULES)
    return path


def of(found: list[Event], runtime: str) -> list[tuple[str, str]]:
    """The container and the command of each event from inside, all of which must be of this runtime."""
    told = inside(found)
    assert {event["container"]["runtime"] for event in told} == {runtime}
    return [(event["container"]["id"], " ".join(event["process"]["args"][1:])) for event in told]


def entered(found: list[Event]) -> set[str]:
    return {event["process"]["entry_leader"]["entry_meta"]["type"] for event in inside(found)}


def test_lxc(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    options = lxc(root_filesystem(tmp_path))
    output = tmp_path / "out.json"
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon:
        for number in range(MANY):
            launch("lxc-execute", "-n", f"once{number}", *options, "--", INSIDE, "true")
        launch("lxc-start", "-dn", "web", *options, "--", INSIDE, "sleep", "1000")
        try:
            attach = ["lxc-attach", *options[:2], "-n", "web", "--", INSIDE]
            launch("lxc-wait", *options[:2], "-n", "web", "-s", "RUNNING")
            for _ in range(MANY):
                launch(*attach, "true")
            late = when_known(output, *attach, "echo", "late")
        finally:
            subprocess.run(["lxc-stop", *options[:2], "-kn", "web"], check=True)
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = of(found, "lxc")
    assert told[:MANY] == [(f"once{number}", "true") for number in range(MANY)]
    counts = Counter(told[MANY:])
    assert (counts["web", "sleep 1000"], counts["web", "true"]) == (1, MANY)
    assert {name for name, _ in told[MANY:]} == {"web"}
    assert late == {"id": "web", "name": "web", "runtime": "lxc"}
    assert entered(found) == {"container"}
    # LXC's own programs go in before they run another.
    assert all("lxc" in event["process"]["executable"] for event in outside(found) if "container" in event)


def test_systemd_nspawn(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    """As it is without systemd, or in a service of its own: no group has the container's name."""
    root = root_filesystem(tmp_path)
    (root / "etc" / "os-release").write_text("ID=box\n")
    output = tmp_path / "out.json"
    run = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"]
    # Inside, nobody has logged in: systemd-nspawn sees to it.
    with rules.open("a") as file:
        file.write(f"-a always,exit -F arch=b64 -S execve -F path={root}{INSIDE} -k containers\n")
    script = f"{INSIDE} true & {INSIDE} mkdir /tmp/d; ({INSIDE} sleep 0.1); {INSIDE} true; wait"
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon:
        for number in range(MANY):
            launch(*run, "-D", str(root), "-M", f"once{number}", INSIDE, "true")
        launch(*run, "-qD", str(root), "--machine=family", INSIDE, "sh", "-c", script)
        root.rename(tmp_path / "box")
        late = when_known(output, *run, f"--directory={tmp_path}/box/", INSIDE, "echo", "late")
        launch("true")
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = of(found, "systemd-nspawn")
    assert told[:MANY] == [(f"once{number}", "true") for number in range(MANY)]
    assert [name for name, _ in told].count("family") >= 5
    assert late == {"id": "box", "name": "box", "runtime": "systemd-nspawn"}
    assert entered(found) == {"container"}
    assert [event for event in outside(found) if "container" in event] == []


def test_a_pod_of_kubernetes(untouched: Snapshot, rules: Path, tmp_path: Path) -> None:
    """What the kubelet and containerd's CRI ask of runc: the group below the pod's, and the annotations."""
    identity = os.urandom(32).hex()
    notes = {
        "io.kubernetes.cri.container-name": "app",
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.image-name": "registry.example/shop/app:1.25",
        "io.kubernetes.cri.sandbox-name": "app-7d4b",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": POD,
    }
    made = bundle(tmp_path / "app", "sleep", "1000", annotations=notes)
    path = made / "config.json"
    config = json.loads(path.read_text())
    config["linux"]["cgroupsPath"] = f"/kubepods/burstable/pod{POD}/{identity}"
    path.write_text(json.dumps(config))
    output = tmp_path / "out.json"
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon:
        launch("sh", "-c", f"cd {made} && runc run --detach {identity} >out 2>&1")
        try:
            for _ in range(MANY):
                launch("runc", "exec", identity, INSIDE, "true")
            when_known(output, "runc", "exec", identity, INSIDE, "echo", "late")
        finally:
            subprocess.run(["runc", "delete", "--force", identity], check=True)
        put_away(identity, f"kubepods/burstable/pod{POD}")
        daemon.stop()
    found = events(output)
    assert losses(found) == []
    told = inside(found)
    assert {event["container"]["id"] for event in told} == {identity}
    assert {event["orchestrator"]["resource"]["id"] for event in told} == {POD}
    late = told[-1]
    assert late["container"]["name"] == "app"
    assert late["container"]["image"] == {"name": "registry.example/shop/app", "tag": ["1.25"]}
    assert late["orchestrator"] == {
        "type": "kubernetes",
        "namespace": "shop",
        "resource": {"type": "pod", "id": POD, "name": "app-7d4b"},
    }
    assert [event for event in outside(found) if "container" in event] == []


CRIO = {
    "io.container.manager": "cri-o",
    "io.kubernetes.cri-o.ContainerName": f"k8s_app_app-7d4b_shop_{POD}_0",
    "io.kubernetes.cri-o.ImageName": "registry.example/shop/app:1.25",
    "io.kubernetes.cri-o.Labels": json.dumps(
        {
            "io.kubernetes.container.name": "app",
            "io.kubernetes.pod.name": "app-7d4b",
            "io.kubernetes.pod.namespace": "shop",
            "io.kubernetes.pod.uid": POD,
        }
    ),
}
IMAGE = {"name": "registry.example/shop/app", "tag": ["1.25"]}


@pytest.mark.parametrize(
    ("runtime", "group", "name", "notes"),
    [
        ("podman", "/libpod_parent/libpod-{}", "web", {"io.container.manager": "libpod"}),
        ("cri-o", f"/kubepods/burstable/pod{POD}/crio-{{}}", f"k8s_app_app-7d4b_shop_{POD}_0", CRIO),
    ],
    ids=["podman", "cri-o"],
)
def test_what_podman_5_and_crio_keep(
    untouched: Snapshot,
    rules: Path,
    tmp_path: Path,
    runtime: str,
    group: str,
    name: str,
    notes: dict[str, str],
) -> None:
    """The group and the annotations that they give runc, and their files below the root of their storage."""
    identity = os.urandom(32).hex()
    (tmp_path / "overlay-containers" / identity).mkdir(parents=True)
    made = bundle(tmp_path / "overlay-containers" / identity / "userdata", "sleep", "1000", annotations=notes)
    path = made / "config.json"
    config = json.loads(path.read_text())
    config["linux"]["cgroupsPath"] = group.format(identity)
    path.write_text(json.dumps(config))
    kept = [{"id": identity, "names": [name], "metadata": json.dumps({"image-name": "other"})}]
    (made.parent.parent / "containers.json").write_text(json.dumps(kept))
    own: dict[str, object] = {
        "id": identity,
        "name": "web",
        "rootfsImageName": "registry.example/shop/app:1.25",
        "labels": {"app.example/tier": "front"},
    }
    if runtime == "podman":
        others: list[dict[str, object]] = [{"id": f"{n:064x}", "name": f"n{n}"} for n in range(99)]
        podman_database(tmp_path / "db.sql", [*others, own])
    output = tmp_path / "out.json"
    with running(tmp_path, "--rules", str(rules), "--output", str(output), key="containers") as daemon:
        launch("sh", "-c", f"cd {made} && runc run --detach {identity} >out 2>&1")
        try:
            late = when_known(output, "runc", "exec", identity, INSIDE, "echo", "late")
        finally:
            subprocess.run(["runc", "delete", "--force", identity], check=True)
            put_away(identity, group.format("")[1:].rpartition("/")[0])
        daemon.stop()
    assert (late["id"], late["runtime"], late["image"]) == (identity, runtime, IMAGE)
    if runtime == "podman":
        assert (late["name"], late["labels"]) == ("web", {"app_example/tier": "front"})
        return
    assert late["name"] == "app"
    assert inside(events(output))[-1]["orchestrator"] == {
        "type": "kubernetes",
        "namespace": "shop",
        "resource": {"type": "pod", "id": POD, "name": "app-7d4b"},
    }
