"""The configuration as a tree of dataclasses. Each field's default and limits are here, its meaning in the docs too."""

import re
from dataclasses import dataclass, field
from typing import ClassVar

SPACE = re.compile(r"[0-9]+%?")
"""Free space: MiB, or a share of the file system."""

ACTION = re.compile(r"ignore|syslog|rotate|suspend|single|halt|exec /\S.*")
"""What to do when space or the disk fails; `exec` runs a program without arguments."""

SIZE_ACTION = re.compile(r"ignore|syslog|rotate|suspend|exec /\S.*")


ADDRESS = re.compile(r"unix:/\S+|(udp|tcp|tls)://([^\s:/\[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
"""Where a syslog collector is."""


_FACILITY_NAMES = "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock"

FACILITIES = (*_FACILITY_NAMES.split(), *(f"local{number}" for number in range(8)))
"""By number (RFC 5424, table 1)."""


def _between(default: int, least: int, most: int) -> int:
    return field(default=default, metadata={"least": least, "most": most})


def _one_of(default: str, *words: str) -> str:
    return field(default=default, metadata={"one_of": words})


def _like(default: str, form: re.Pattern[str], told: str) -> str:
    return field(default=default, metadata={"form": form, "told": told})


def _action(default: str) -> str:
    return _like(default, ACTION, "ignore, syslog, rotate, suspend, single, halt or exec /PATH")


def _space() -> str:
    return _like("0", SPACE, "MiB or a share, as in 75 or 5%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """[kernel]: how the daemon stands to the kernel's audit. What it changes holds for its own life only."""

    observe: bool = False
    """Never take the audit pid: read the multicast group beside the daemon that has it."""

    rules: str = "none"
    """The rules file to load, or a directory of `*.rules`; `none` leaves the kernel's rules alone."""

    backlog_limit: int = _between(8192, 64, 1 << 20)
    """At least so many records may wait in the kernel (kernel/audit.c, AUDIT_STATUS_BACKLOG_LIMIT)."""

    receive_buffer: int = _between(16 << 20, 64 << 10, 1 << 30)
    """Bytes that the socket may hold (socket(7), SO_RCVBUFFORCE)."""

    batch_sending: bool = True
    """Have kauditd, which sends the records, wait for its turn (SCHED_BATCH), not interrupt whoever makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """[events]: what an event carries."""

    original: bool = False
    """Add the raw records as event.original."""

    context: bool = True
    """Tell of processes, containers and the ends of connections more than an event's own records do."""

    max_argument_bytes: int = _between(2 << 20, 1 << 10, 32 << 20)
    """The longest process.args kept; what was cut is told in the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """[daemon]: the process itself."""

    pid_file: str = ""
    """Where the daemon's pid is written while it runs; empty: nowhere."""

    state_file: str = "/run/tsauditd/state"
    """Where SIGCONT has the state written."""

    status_socket: str = "/run/tsauditd/status.sock"
    """Where `tsauditd status` asks; empty: nowhere."""

    status_group: str = ""
    """The group that may ask (name or number); empty: root alone."""

    metrics_file: str = ""
    """Where numbers for Prometheus are written every 15 s (node_exporter's textfile collector); empty: nowhere."""

    metrics_port: int = _between(0, 0, 65535)
    """The port of 127.0.0.1 where Prometheus may fetch them; 0: none."""

    single_command: tuple[str, ...] = ("/sbin/telinit", "1")
    """What the action `single` runs."""

    halt_command: tuple[str, ...] = ("/sbin/telinit", "0")
    """What the action `halt` runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """[[output]]: what every type of output has."""

    type: ClassVar[str]

    queue_bytes: int = _between(32 << 20, 64 << 10, 1 << 30)
    """Bytes that may wait for a slow reader before lines are dropped, counted."""

    when_full: str = _one_of("drop-newest", "drop-newest", "drop-oldest")
    """What a full queue does."""

    lines: str = _one_of("events", "events", "sessions", "all")
    """Which lines go there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StdoutOutput(Output):
    """[[output]] type = "stdout"."""

    type: ClassVar[str] = "stdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutput(Output):
    """[[output]] type = "file"."""

    type: ClassVar[str] = "file"

    when_full: str = _one_of("wait", "wait", "drop-newest", "drop-oldest")
    """`wait`: reading waits, as auditd does while it writes, and the kernel's own queue holds what comes."""

    path: str = "/var/log/tsauditd/events.json"
    """The file to append to. A symbolic link is refused."""

    group: str = ""
    """The group that may read it (name or number); empty: root alone."""

    rotate_bytes: int = _between(0, 0, 1 << 40)
    """From this size on the file is rotated; 0: never."""

    rotate_seconds: int = _between(0, 0, 366 * 86400)
    """How long a file lasts, in whole periods since the epoch (86400: a day of UTC); 0: for ever."""

    keep_files: int = _between(0, 0, 100_000)
    """Rotated files that are kept; 0: any number."""

    keep_days: int = _between(0, 0, 36_600)
    """Days that a rotated file is kept; 0: for ever."""

    compress: str = _one_of("none", "none", "zstd")
    """What is done to a rotated file."""

    sync: str = _one_of("none", "none", "second", "batch")
    """When what was written is forced to the disk: never, once a second, after each batch."""

    direct: bool = True
    """In a storm, write in large pieces past the page cache (open(2), O_DIRECT), where the file system has that."""

    size_action: str = _like("rotate", SIZE_ACTION, "rotate, ignore, syslog, suspend or exec /PATH")
    """What happens at rotate_bytes."""

    space_left: str = _space()
    """Free space below which space_left_action is taken."""

    space_left_action: str = _action("syslog")

    admin_space_left: str = _space()
    """Free space below which admin_space_left_action is taken."""

    admin_space_left_action: str = _action("suspend")

    disk_full_action: str = _action("syslog")
    """What happens when a write finds no room."""

    disk_error_action: str = _action("syslog")
    """What happens when a write fails for another reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOutput(FileOutput):
    """[[output]] type = "raw": records as auditd writes them."""

    type: ClassVar[str] = "raw"

    path: str = "/var/log/audit/audit.log"

    format: str = _one_of("raw", "raw", "enriched")
    """Whether names are added after 0x1D, as auditd's log_format ENRICHED does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOutput(Output):
    """[[output]] type = "syslog"."""

    type: ClassVar[str] = "syslog"

    queue_bytes: int = _between(16 << 20, 64 << 10, 1 << 30)
    """Bytes that may wait for a slow collector, compressed, before lines are dropped, counted."""

    address: str = _like(
        "unix:/dev/log", ADDRESS, "unix:/PATH, udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT"
    )
    """The collector."""

    format: str = _one_of("auto", "auto", "rfc5424", "rfc3164")
    """`auto`: RFC 3164 to the local socket, which expects it, 5424 elsewhere."""

    facility: str = _one_of("authpriv", *FACILITIES)
    """The facility of RFC 5424."""

    max_bytes: int = _between(0, 0, 1 << 20)
    """The longest message; 0: what the transport takes."""

    resend_bytes: int = _between(16 << 20, 0, 64 << 20)
    """How much of what was sent last is sent again after a connection broke: no acknowledgement says what arrived."""

    ca_file: str = ""
    """The certificates that a TLS collector's is checked against; empty: the system's."""

    certificate_file: str = ""
    """Our own certificate, if the collector asks for one."""

    key_file: str = ""
    """Its private key; empty: it is in certificate_file."""

    server_name: str = ""
    """The name that the collector's certificate must have; empty: the host of the address."""


_TYPES: tuple[type[Output], ...] = (StdoutOutput, FileOutput, RawOutput, SyslogOutput)

OUTPUT_TYPES: dict[str, type[Output]] = {kind.type: kind for kind in _TYPES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration."""

    kernel: Kernel = field(default_factory=Kernel)
    events: Events = field(default_factory=Events)
    daemon: Daemon = field(default_factory=Daemon)
    output: tuple[Output, ...] = (StdoutOutput(),)

    @property
    def sessions(self) -> tuple[Output, ...]:
        """The outputs that sessions go to."""
        return tuple(each for each in self.output if each.lines != "events")

    @property
    def raw_format(self) -> str | None:
        """How records are written for the raw outputs, which share one format; None when there are none."""
        return next((each.format for each in self.output if isinstance(each, RawOutput)), None)
