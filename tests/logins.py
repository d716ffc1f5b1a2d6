"""Real people on this machine, and an sshd that they log in to from another network namespace."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from live import PATIENCE_S, wait_until

PROVOKE = Path(__file__).resolve().parent / "system" / "provoke"
HERE, THERE = "203.0.113.1", "203.0.113.10"
"""Where sshd listens, and where its clients come from."""

_SERVER, _CLIENT = "tsa-here", "tsa-there"
_CONFIG = """\
ListenAddress {here}
HostKey {home}/host
PidFile none
UsePAM yes
StrictModes no
UseDNS no
PermitRootLogin no
PrintMotd no
PrintLastLog no
AuthorizedKeysFile {home}/key.pub
"""
_CRON = """
mount --bind "$1/empty" /etc/crontab && mount --bind "$1/cron.d" /etc/cron.d && mount -t tmpfs none /run
exec /usr/sbin/cron -f
"""


@contextmanager
def people() -> Iterator[None]:
    """alice (may use sudo) and bob (may not), for as long as it takes."""
    there = {"alice", "bob"} & {person.pw_name for person in pwd.getpwall()}
    subprocess.run(["sh", PROVOKE / "people.sh", "add"], check=True)
    try:
        yield
    finally:
        if not there:
            subprocess.run(["sh", PROVOKE / "people.sh", "remove"], check=True)


class Terminal:
    """A login on a terminal: what is typed, and what comes back."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._seen = b""

    def type(self, line: str, until: str = "$ ") -> str:
        """Types a line and waits for what ends the answer: a prompt. Returns all that came since the last."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.until(until)

    def until(self, end: str) -> str:
        """Waits until the answer ends in `end`; returns it."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

        def there() -> bool:
            assert self.process.stdout is not None
            chunk = self.process.stdout.read(65536)
            self._seen += chunk or b""
            assert chunk != b"", f"the terminal has gone: {self._seen!r}"
            return self._seen.endswith(end.encode())

        wait_until(there, f"{end!r} on the terminal")
        seen, self._seen = self._seen.decode(errors="replace"), b""
        return seen

    def leave(self) -> None:
        """Logs out."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"exit\n")
        self.process.stdin.close()
        os.set_blocking(self.process.stdout.fileno(), True)
        self.process.stdout.read()
        self.process.wait(PATIENCE_S)


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """A command that logs in on a terminal that can do nothing, at its first prompt."""
    environment = {**os.environ, "TERM": "dumb"}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            login = Terminal(process)
            login.until("$ ")
            yield login
        finally:
            process.kill()


class Door:
    """The sshd; see `door`."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def _ssh(self, *words: str) -> list[str]:
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
        ]
        return ["ip", "netns", "exec", _CLIENT, "ssh", "-F", "/dev/null", "-i", str(self._home / "key"),
                *(word for option in options for word in ("-o", option)), *words]  # fmt: skip

    def run(self, who: str, command: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        """`ssh who@here command`."""
        words = self._ssh(*options, f"{who}@{HERE}", command)
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)

    @contextmanager
    def forwarding(self, who: str, socket: Path) -> Iterator[None]:
        """`ssh -N -L socket:here:22 who@here`: what connects to the socket talks to the port, until the end."""
        words = self._ssh(
            "-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{socket}:{HERE}:22", f"{who}@{HERE}"
        )
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
            try:
                wait_until(socket.exists, "the port is forwarded")
                yield
            finally:
                process.terminate()

    @contextmanager
    def terminal(self, who: str) -> Iterator[Terminal]:
        """`ssh who@here`, on a terminal that can do nothing, at its first prompt."""
        with terminal(*self._ssh("-tt", f"{who}@{HERE}")) as login:
            yield login


@contextmanager
def door() -> Iterator[Door]:
    """An sshd between two network namespaces; alice and bob log in with a key."""
    with tempfile.TemporaryDirectory(prefix="tsauditd-door.") as name:
        home = Path(name)
        home.chmod(0o755)
        for key in ("host", "key"):
            _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "door", "-f", home / key)
        (home / "key.pub").chmod(0o644)
        (home / "config").write_text(_CONFIG.format(here=HERE, home=home))
        Path("/run/sshd").mkdir(exist_ok=True)
        try:
            for space in (_SERVER, _CLIENT):
                if Path("/run/netns", space).exists():  # left by a run that was killed
                    _do("ip", "netns", "del", space)
                _do("ip", "netns", "add", space)
            _do(*f"ip link add tsa-0 netns {_SERVER} type veth peer name tsa-1 netns {_CLIENT}".split())
            for space, address, link in ((_SERVER, HERE, "tsa-0"), (_CLIENT, THERE, "tsa-1")):
                _do("ip", "-n", space, "addr", "add", f"{address}/24", "dev", link)
                for up in ("lo", link):
                    _do("ip", "-n", space, "link", "set", up, "up")
            words = ["/usr/sbin/sshd", "-D", "-f", f"{home}/config", "-E", f"{home}/log"]
            with subprocess.Popen(["ip", "netns", "exec", _SERVER, *words]) as sshd:
                try:
                    wait_until(lambda: "listening" in _content(home / "log"), "sshd listens")
                    yield Door(home)
                finally:
                    sshd.terminate()
        finally:
            for space in (_SERVER, _CLIENT):
                subprocess.run(["ip", "netns", "del", space], check=False)


@contextmanager
def cron() -> Iterator[None]:
    """Debian's cron, which sees nothing but the people's own crontabs and has just booted."""
    with tempfile.TemporaryDirectory(prefix="tsauditd-cron.") as name:
        (Path(name) / "empty").touch()
        (Path(name) / "cron.d").mkdir()
        words = ["unshare", "-m", "--propagation", "private", "sh", "-c", _CRON, "sh", name]
        with subprocess.Popen(words) as process:
            try:
                yield
            finally:
                process.terminate()


@contextmanager
def atd() -> Iterator[None]:
    """Debian's atd."""
    with subprocess.Popen(["/usr/sbin/atd", "-f"]) as process:
        try:
            wait_until(lambda: _content(Path("/run/atd.pid")).strip() == str(process.pid), "atd runs")
            yield
        finally:
            process.terminate()


def pipe(place: Path, name: str) -> Path:
    """A named pipe that everybody can wait at, until `waited_at` has its descriptor closed."""
    path = place / name
    os.mkfifo(path)
    path.chmod(0o666)
    return path


def waited_at(path: Path) -> int:
    """Waits until somebody waits at the pipe; who closes the descriptor that it returns lets him go on."""
    found: list[int] = []

    def opened() -> bool:
        with suppress(OSError):  # ENXIO: nobody has it open to read
            found.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return bool(found)

    wait_until(opened, f"somebody waits at {path}")
    return found[0]


def _content(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _do(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)
