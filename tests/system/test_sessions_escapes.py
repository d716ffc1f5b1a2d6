"""What leaves a login: jobs of at, setsid, and programs put into containers; on the real kernel."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import INSIDE, LIMITS, archive, bundle, containerd, image, podman
from live import wait_until
from logins import atd, pipe, waited_at
from scenes import Scene, lines, outliving, played

from tsauditd.kernel.state import Snapshot
from tsauditd.timelines.view import View

pytestmark = pytest.mark.system

INNER = "47115"
"""A user id of the containers, by which the rules tell their processes from all else."""

RULES = (
    f"-a always,exit -F arch=b64 -S execve,execveat,exit_group -F uid={INNER} -k scenes\n"
    "-a always,exit -F arch=b64 -S execve,execveat -F exe=/usr/sbin/runc -k scenes\n"
)
UNSET = 'echo 4294967295 >/proc/self/loginuid && exec "$@"'
"""Runs a command without a login, whoever runs the tests."""


@pytest.fixture
def scene(untouched: Snapshot, tmp_path: Path) -> Iterator[Scene]:
    with played(tmp_path, RULES) as scene:
        yield scene


def joined(scene: Scene) -> list[View]:
    """The sessions of programs that were put into containers."""
    return [view for view in scene.views() if view.session.get("how") == "exec"]


def over(scene: Scene) -> bool:
    """Whether every session has ended."""
    return all(view.session["state"] == "ended" for view in scene.views())


def test_a_job_of_at_is_linked_to_who_asked_for_it(scene: Scene) -> None:
    with atd():
        done = scene.sshd.run("alice", "echo '/bin/echo from-at >/dev/null' | at now")
        assert done.returncode == 0, done.stderr
        ssh, job = scene.ended(2)
    (asked,) = [row for row in ssh.rows.values() if row.get("process", {}).get("name") == "at"]
    assert (job.session["kind"], job.document["user"]["name"]) == ("at", "alice")
    assert (job.session["started_by"]["id"], job.session["started_by"]["row"]) == (ssh.id, asked["number"])
    assert ("link", "", f"started session {job.id} (at)") in lines(ssh)
    assert lines(job) == [
        ("login", "alice", ""),
        ("command", "alice", "sh"),
        ("command", "alice", "/bin/echo from-at"),
        ("logout", "alice", ""),
    ]


def test_setsid_does_not_leave_the_session(scene: Scene) -> None:
    gate = pipe(scene.place, "gate")
    with scene.sshd.terminal("alice") as terminal:
        terminal.type(f"setsid -f sh -c 'cat {gate}; whoami' >/dev/null 2>&1")
        held = waited_at(gate)
        terminal.leave()
    scene.logged_out()
    os.close(held)
    (view,) = scene.ended(1)
    assert lines(view) == outliving(
        f"setsid -f sh -c cat {gate}; whoami",
        f"sh -c cat {gate}; whoami",
        f"cat {gate}",
    )


def test_a_program_put_into_a_container_without_a_login(scene: Scene, tmp_path: Path) -> None:
    place = bundle(tmp_path / "long", "sleep", "1000")
    run = ["sh", "-c", UNSET, "sh", "runc"]
    script = f"{INSIDE} id -u; ({INSIDE} true; {INSIDE} echo last)"
    subprocess.run(
        [*run, "run", "--detach", "--bundle", str(place), "long"],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for command in (["sh", "-c", script], ["true"]):
            subprocess.run([*run, "exec", "--user", INNER, "long", INSIDE, *command], check=True)
        wait_until(lambda: len(joined(scene)) == 2, "both sessions")
        first, second = scene.ended(2)
    finally:
        subprocess.run(["runc", "delete", "--force", "long"], check=True)
    assert lines(first) == [
        ("command", INNER, f"{INSIDE} sh -c {script}"),
        ("command", INNER, f"{INSIDE} id -u"),
        ("command", INNER, f"{INSIDE} true"),
        ("command", INNER, f"{INSIDE} echo last"),
    ]
    assert lines(second) == [("command", INNER, f"{INSIDE} true")]
    for view in (first, second):
        assert (view.session["kind"], view.session["number"]) == (
            "container",
            view.rows[0]["process"]["entity_id"],
        )
        assert view.document["container"]["id"] == "long"


def test_who_had_a_daemon_put_it_there(scene: Scene, tmp_path: Path) -> None:
    with containerd(tmp_path, without_login=True) as ctr:
        subprocess.run([*ctr, "images", "import", str(archive(tmp_path))], check=True, capture_output=True)
        box = ["--snapshotter", "native", "--detach", "localhost/box:v1", "web", INSIDE, "sleep", "1000"]
        subprocess.run([*ctr, "run", *box], check=True, capture_output=True)
        try:
            for number in range(3):
                task = ["task", "exec", "--user", INNER, "--exec-id", f"e{number}", "web", INSIDE, "id"]
                done = scene.sshd.run("alice", " ".join(["sudo", *ctr, *task]))
                assert done.returncode == 0, done.stderr
            wait_until(lambda: len(joined(scene)) == 3 and over(scene), "the ends of all sessions")
        finally:
            for verb in (["task", "delete", "--force"], ["container", "delete"]):
                subprocess.run([*ctr, *verb, "web"], check=True, capture_output=True)
    for inside in joined(scene):
        (asker,) = [view for view in scene.views() if view.id == inside.session["started_by"]["id"]]
        row = asker.rows[inside.session["started_by"]["row"]]
        assert row["process"]["name"] == "ctr"
        assert "web" in row["process"]["args"]
        assert asker.document["user"]["name"] == "alice"
        assert ("link", "", f"started session {inside.id} (container)") in lines(asker)
        assert lines(inside) == [("command", INNER, f"{INSIDE} id")]
    assert len({inside.session["started_by"]["id"] for inside in joined(scene)}) == 3


def test_a_runtime_without_a_daemon_stays_in_the_login(scene: Scene, tmp_path: Path) -> None:
    base = podman(scene.place)  # its paths may not be long
    made = [*base, "import", str(image(tmp_path)), "localhost/box:v1"]
    subprocess.run(made, check=True, capture_output=True)
    web = [*base, "run", *LIMITS, "--detach", "--name", "web", "localhost/box:v1", INSIDE, "sleep", "1000"]
    subprocess.run(web, check=True, capture_output=True)
    try:
        with atd():
            line = " ".join(["sudo", *base, "exec", "web", INSIDE, "echo", "inside", f">{scene.place}/said"])
            ask = ["runuser", "-u", "alice", "--", "at", "now"]
            subprocess.run(ask, input=line.encode() + b" 2>&1\n", check=True, capture_output=True)
            (view,) = scene.ended(1)
        assert (scene.place / "said").read_text() == "inside\n"
    finally:
        subprocess.run([*base, "rm", "--all", "--force", "--time", "0"], check=True, capture_output=True)
    assert (view.session["kind"], view.document["user"]["name"]) == ("at", "alice")
    (inside,) = [row for row in view.rows.values() if "container" in row]
    assert inside["process"]["command_line"] == f"{INSIDE} echo inside"
    assert len(inside["container"]["id"]) == 64
