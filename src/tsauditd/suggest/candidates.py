"""The exclusion that would leave an event out. Most events have none: better too many records than a blind spot."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

EXCLUDABLE = frozenset({"CRYPTO_KEY_USER", "CRED_REFR", "CRED_DISP", "BPF", "NETFILTER_CFG"})
"""Record types that may be left out as a whole: others tell the same, or they tell of the machine's own habits."""

_SEVERAL_USES_TEXT = """
ash awk bash busybox csh curl dash env find fish gawk gdb git ksh lua mawk nc ncat node nsenter openssl perl php pkexec
python ruby runuser scp script setpriv sh socat ssh su sudo systemd-run tar tclsh tcsh vi vim wget xargs zsh
"""
_SEVERAL_USES = frozenset(_SEVERAL_USES_TEXT.split())
"""Programs that run or fetch whatever they are told: leaving them out would leave out anything."""

_INSTALLED = ("/usr/", "/bin/", "/sbin/", "/lib/", "/opt/", "/snap/")
"""Where programs stand that only root can replace."""

_GUARDED = (
    "/etc",
    "/boot",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/root",
    "/home",
    "/opt",
    "/var/spool/cron",
    "/var/log",
)
"""Where what happens to files is never left out."""

_UNSET = frozenset({"unset", "4294967295", "-1"})
_FILES = frozenset({"open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "readlink"})
_RUN = frozenset({"execve", "execveat"})
_NETWORK = frozenset({"connect", "accept", "accept4", "bind", "listen", "sendto", "sendmsg", "socket"})
_FAMILIES = {"ipv4": 2, "ipv6": 10, "unix": 1, "netlink": 16}
_WIDTHS = {
    "x86_64": "b64",
    "aarch64": "b64",
    "riscv64": "b64",
    "ppc64le": "b64",
    "s390x": "b64",
    "i386": "b32",
}


class Kept(Enum):
    """Why an event is not to be left out."""

    PERSON = "of a login session"
    FAILURE = "a failure"
    RIGHTS = "rights changed, or differ from the user's"
    MEANING = "logins, accounts, configuration and other records that no rule may hide"
    CONTAINER = "in a container, where the kernel cannot tell its program by a path"
    PROGRAM = "a program that can do anything, or that not only root can replace"
    PLACE = "files where changes matter, or at no fixed place; connections to who knows where"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a rule could tell apart: a record type, or a program's call by a user outside of any login.

    family: of the address, for network calls. place: the directory that a file call was in.
    """

    record_type: str = ""
    program: str = ""
    syscall: str = ""
    width: str = ""
    user: str = ""
    family: int | None = None
    place: str = ""

    @property
    def rule(self) -> str:
        """The rule, in auditctl's syntax. Failures stay, and so does whoever has other rights than the user."""
        if self.record_type:
            return f"-a always,exclude -F msgtype={self.record_type}"
        words = [
            f"-a never,exit -F arch={self.width} -S {self.syscall} -F exe={_escaped(self.program)}",
            f"-F uid={self.user} -C uid=euid -F auid=unset -F success=1",
        ]
        if self.family is not None:
            words.append(f"-F saddr_fam={self.family}")
        if self.place:
            words.append(f"-F dir={_escaped(self.place)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Seen:
    """One event: its candidate, and what the rule could not tell apart (arguments, an address, a file)."""

    candidate: Candidate
    detail: str


def candidate(event: dict[str, Any]) -> Seen | Kept:
    """What would leave out the event, an object of the daemon's own output; or why nothing may."""
    auditd = _table(event, "auditd")
    data = _table(auditd, "data")
    if event.get("event", {}).get("outcome") == "failure" or auditd.get("result") == "fail":
        return Kept.FAILURE
    kind = str(auditd.get("message_type", "")).upper()
    if kind in EXCLUDABLE:
        return Seen(Candidate(record_type=kind), "")
    if kind != "SYSCALL" or data.get("syscall") not in _FILES | _RUN | _NETWORK:
        return Kept.MEANING
    user = _table(event, "user")
    if str(_table(user, "audit").get("id", "unset")) not in _UNSET:
        return Kept.PERSON
    own = str(user.get("id", ""))
    others = (_table(user, part).get("id", own) for part in ("effective", "saved", "filesystem"))
    if not own.isdecimal() or any(other != own for other in others) or "changes" in user:
        return Kept.RIGHTS
    if "container" in event:
        return Kept.CONTAINER
    program = str(_table(event, "process").get("executable", ""))
    if not _fit(program) or not program.startswith(_INSTALLED) or _runs_anything(program):
        return Kept.PROGRAM
    width = _WIDTHS.get(str(data.get("arch")), "")
    if not width:
        return Kept.MEANING
    return _call(event, Candidate(program=program, syscall=str(data["syscall"]), width=width, user=own))


def _call(event: dict[str, Any], call: Candidate) -> Seen | Kept:
    if call.syscall in _RUN:
        return Seen(call, str(_table(event, "process").get("command_line", "")))
    if call.syscall in _NETWORK:
        socket = _table(_table(_table(event, "auditd"), "data"), "socket")
        end = _table(event, "destination" if call.syscall == "connect" else "source")
        family = _FAMILIES.get(str(socket.get("family", "")))
        if family is None and call.syscall == "connect":
            return Kept.PLACE
        return Seen(_with(call, family=family), str(end.get("address", socket.get("path", ""))))
    path = str(_table(event, "file").get("path", ""))
    place = path.rpartition("/")[0]
    if (
        not _fit(place)
        or place.count("/") < 2
        or any(place == top or place.startswith(f"{top}/") for top in _GUARDED)
    ):
        return Kept.PLACE
    # A directory for each job (/var/lib/x/1234) would be a rule for each: the first three parts are the place.
    return Seen(_with(call, place="/".join(place.split("/")[:4])), path)


def _with(call: Candidate, *, family: int | None = None, place: str = "") -> Candidate:
    return Candidate("", call.program, call.syscall, call.width, call.user, family, place)


def _table(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def _runs_anything(program: str) -> bool:
    name = program.rpartition("/")[2]
    return name in _SEVERAL_USES or name.rstrip("0123456789.") in _SEVERAL_USES


def _fit(path: str) -> bool:
    """Whether a rules file can name it: whoever may name files must not be able to write rules."""
    return path.startswith("/") and path.isascii() and path.isprintable() and ".." not in path.split("/")


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(" ", "\\ ")
