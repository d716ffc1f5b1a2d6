"""Real containers for the system tests, with busybox at a path that no program of the host has."""

import contextlib
import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from live import PATIENCE_S, Event, events, wait_until

INSIDE = "/in/busybox"
"""The program of all processes in these containers."""

AUID = 4747
RULES = f"-a always,exit -F arch=b64 -S execve,execveat,mkdir,mkdirat -F auid={AUID} -k containers\n"
"""What the processes of `launch` and all their descendants execute, and the directories that they make."""


def launch(*words: str, check: bool = True) -> str:
    """Runs a program of the host whose descendants the rules tell from all else; returns what it prints."""
    script = f'echo {AUID} >/proc/self/loginuid && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def root_filesystem(directory: Path) -> Path:
    """A container's root with nothing but busybox."""
    root = directory / "rootfs"
    for name in ("in", "proc", "sys", "dev", "tmp", "bin", "sbin", "etc", "var", "run", "usr"):
        (root / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is missing"
    shutil.copy(busybox, root / INSIDE[1:])
    return root


def bundle(directory: Path, *command: str, **changes: object) -> Path:
    """An OCI bundle (runtime specification, bundle.md) that runs a command of busybox."""
    directory.mkdir()
    root_filesystem(directory)
    subprocess.run(["runc", "spec"], cwd=directory, check=True)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["process"].update(terminal=False, args=[INSIDE, *command])
    config["root"]["readonly"] = False
    config.update(changes)
    path.write_text(json.dumps(config))
    return directory


def image(directory: Path) -> Path:
    """A tar file of the root, to make images from."""
    tar = directory / "image.tar"
    subprocess.run(["tar", "-C", root_filesystem(directory), "-cf", tar, "."], check=True)
    return tar


def archive(directory: Path) -> Path:
    """The same as an image that `ctr images import` reads (OCI image layout), called localhost/box:v1."""
    layout = directory / "layout"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    vendor = "application/vnd.oci.image"
    layer = blob(image(directory).read_bytes(), f"{vendor}.layer.v1.tar")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": [INSIDE, "true"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob(json.dumps(config).encode(), f"{vendor}.config.v1+json"),
        "layers": [layer],
    }
    index = {
        **blob(json.dumps(manifest).encode(), f"{vendor}.manifest.v1+json"),
        "annotations": {
            "io.containerd.image.name": "localhost/box:v1",
            "org.opencontainers.image.ref.name": "v1",
        },
    }
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    path = directory / "box.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("oci-layout", "index.json", "blobs"):
            tar.add(layout / name, name)
    return path


def podman(directory: Path) -> list[str]:
    """The beginning of a podman command with storage of its own, which needs no network, no systemd and no overlay."""
    places = {"--root": "storage", "--runroot": "run", "--tmpdir": "tmp"}
    words = [word for option, name in places.items() for word in (option, str(directory / name))]
    return [
        *["podman", "--runtime", "runc", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"],
        *["--events-backend", "file", *words],
    ]


def podman_database(path: Path, containers: list[dict[str, object]], page_size: int = 4096) -> None:
    """`db.sql` as podman 5 keeps it (libpod/sqlite_state_internal.go), with the containers' configurations."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA page_size = {page_size}")
        database.execute("CREATE TABLE IDNamespace(ID TEXT PRIMARY KEY NOT NULL)")
        database.execute(
            "CREATE TABLE ContainerConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, PodID TEXT, "
            "JSON TEXT NOT NULL)"
        )
        for one in containers:
            database.execute("INSERT INTO IDNamespace VALUES (?)", (one["id"],))
            database.execute(
                "INSERT INTO ContainerConfig VALUES (?, ?, NULL, ?)",
                (one["id"], one["name"], json.dumps(one).encode()),
            )


LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "none"]
"""What podman needs where it may not raise limits, or has no network."""


@contextmanager
def containerd(directory: Path, *, without_login: bool = False) -> Iterator[list[str]]:
    """A containerd with its own data below `directory`; yields the beginning of a ctr command.

    What it starts has the login of `launch`, or `without_login` none, as on a host.
    """
    socket = directory / "c.sock"
    off = ["grpc.v1.cri", "internal.v1.opt", "snapshotter.v1.btrfs", "snapshotter.v1.zfs"]
    (directory / "config.toml").write_text(
        f"version = 2\nroot = '{directory}/root'\nstate = '{directory}/state'\n"
        f"disabled_plugins = {[f'io.containerd.{name}' for name in off]}\n"
        f"[grpc]\naddress = '{socket}'\n[ttrpc]\naddress = '{socket}.ttrpc'\n"
    )
    login = 4294967295 if without_login else AUID
    script = f'echo {login} >/proc/self/loginuid && exec containerd -c "$1"'
    with (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["sh", "-c", script, "sh", directory / "config.toml"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    ctr = ["ctr", "--address", str(socket)]
    try:
        wait_until(
            lambda: subprocess.run([*ctr, "version"], capture_output=True).returncode == 0, "containerd"
        )
        yield ctr
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(PATIENCE_S)


@contextmanager
def docker(directory: Path) -> Iterator[list[str]]:
    """A dockerd with its own data below `directory`, without any network; yields the beginning of a docker command.

    Who looks for that data finds the place in `directory`/etc/docker/daemon.json, where it is told.
    """
    etc = directory / "etc" / "docker"
    etc.mkdir(parents=True)
    configuration = etc / "daemon.json"
    configuration.write_text(
        json.dumps({"data-root": f"{directory}/data", "deprecated-key-path": f"{directory}/key.json"})
    )
    # The path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="docker-") as run:
        host = f"unix://{run}/docker.sock"
        words = [
            *["dockerd", "--config-file", str(configuration), "--host", host, "--storage-driver", "vfs"],
            *["--exec-root", f"{run}/exec", "--pidfile", f"{run}/pid"],
            *["--bridge", "none", "--iptables=false", "--ip6tables=false"],
        ]
        with (directory / "log").open("wb") as log:
            daemon = subprocess.Popen(
                ["sh", "-c", f'echo {AUID} >/proc/self/loginuid && exec "$@"', "sh", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        command = ["docker", "--host", host]
        try:
            wait_until(
                lambda: subprocess.run([*command, "version"], capture_output=True).returncode == 0, "docker"
            )
            yield command
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(PATIENCE_S)


def lxc(directory: Path) -> list[str]:
    """The end of the options of an LXC command, of a container with no network and nothing but busybox."""
    (directory / "dev" / "null").touch()
    configuration = directory.parent / "lxc.conf"
    configuration.write_text(
        f"lxc.uts.name = box\nlxc.rootfs.path = dir:{directory}\nlxc.mount.auto = proc:mixed\n"
        "lxc.mount.entry = /dev/null dev/null none bind 0 0\nlxc.autodev = 0\nlxc.net.0.type = none\n"
    )
    place = directory.parent / "lxc"
    place.mkdir()
    return ["-P", str(place), "-f", str(configuration)]


def repeat(times: int, *words: str) -> None:
    """Launches a program many times."""
    for _ in range(times):
        launch(*words)


def put_away(identity: str, above: str) -> None:
    """Waits for runc, and removes the groups above the container's that nobody else is in."""
    wait_until(lambda: not Path(f"/run/runc/{identity}").exists(), "runc has put it away")
    for group in Path("/sys/fs/cgroup").glob(f"**/{above}"):
        for each in [group, *group.parents][: above.count("/") + 1]:
            if not any(below.is_dir() for below in each.iterdir()):
                each.rmdir()


def inside(found: list[Event]) -> list[Event]:
    """What the rules asked for of busybox at the path that only the containers have."""
    return [event for event in asked(found) if event["process"]["executable"] == INSIDE]


def outside(found: list[Event]) -> list[Event]:
    """The rest of what they asked for: the runtimes, and what is beside them on the host.

    `runc init` is left out: it is put into the container while it runs, and becomes the container's first process.
    """
    return [
        event
        for event in asked(found)
        if event["process"]["executable"] != INSIDE
        and event["process"].get("args", [])[1:] != ["init"]
        and not event["process"]["name"].startswith("runc:[")
    ]


def asked(found: list[Event]) -> list[Event]:
    return [event for event in found if "containers" in event.get("tags", []) and "process" in event]


def when_known(output: Path, *words: str) -> Event:
    """Runs a command in a container until an event of it says what the container is called; returns its `container`."""
    last: list[Event] = []

    def named() -> bool:
        before = len(inside(events(output)))
        launch(*words)
        wait_until(lambda: len(inside(events(output))) > before, "the command is told")
        last[:] = inside(events(output))[-1:]
        return "name" in last[0].get("container", {})

    wait_until(named, f"the name of the container of {words}")
    container: Event = last[0]["container"]
    return container
