"""Who takes part: how each is configured and started in a directory of its own, and where its lines come to be."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from readers import BACKLOG_LIMIT, RECEIVE_BUFFER, auditd
from report import TSAUDITD

from showdown.written import AUDIT_LOG, AUDITBEAT, ECS, GO_AUDIT, LAUREL, Form

SYSLOG_SOCKET = Path("/dev/log")
"""Where auditd's plugin sends: syslog(3) knows no other place."""

UNIT_NICE = -4
"""What our unit has as `Nice=`, and auditd, as Debian ships it, gives itself (priority_boost)."""

OFF = "no audit"
NOBODY = "audit, nobody listening"
FLOOR = "floor"
BATCHED_FLOOR = "floor, recvmmsg"
LEAN_FLOOR = "floor, recvmmsg, lean rules"
ENRICHED = "auditd"
RAW = "auditd RAW"
WITH_SYSLOG = "auditd + syslog + rsyslog"
WITH_LAUREL = "auditd + laurel"
OURS = "tsauditd"
OURS_LEAN = "tsauditd, lean rules"
OURS_SYSLOG = "tsauditd + rsyslog"


@dataclass(frozen=True, slots=True)
class Contender:
    """One who takes part. `commands` are started in order, the one that takes the audit pid last."""

    name: str
    what: str
    """A line that says what runs."""
    commands: Callable[[Path], list[list[str]]]
    form: Form | None = None
    """How its lines are read; None where nothing is kept."""
    logs: str = ""
    """Which files its lines are in: a pattern for Path.glob, the file that is written to now first by name."""
    needs: tuple[tuple[str, str], ...] = ()
    """Programs that must be on PATH, each with the Debian package that has it (or where it comes from)."""
    audit: bool = True
    """Whether auditing is on."""
    listens: str = ""
    """The socket, in the directory or elsewhere, by which the command before the last is known to be ready."""
    lean: bool = False
    """Whether the records that theme 12-lean leaves out are left out."""
    possible: Callable[[], str | None] = lambda: None
    """What else stands against it on this machine."""

    def missing(self) -> str | None:
        """Why it cannot take part here; None when it can."""
        for program, package in self.needs:
            if shutil.which(program) is None:
                return f"{program} is not on PATH ({package})"
        return self.possible()


def contenders(floor: Path) -> list[Contender]:
    """All of them."""
    debian = ("auditd", "apt-get install auditd")
    plugins = ("audisp-syslog", "apt-get install audispd-plugins")
    rsyslog = ("rsyslogd", "apt-get install rsyslog")
    read_all = [str(floor), "-r", str(RECEIVE_BUFFER)]
    return [
        Contender(OFF, "auditing is off, nothing runs", lambda _: [], audit=False),
        Contender(NOBODY, "the rules are loaded, nobody has the audit pid", lambda _: []),
        Contender(FLOOR, "a C program that receives packets one by one, and discards", lambda _: [read_all]),
        Contender(BATCHED_FLOOR, "the same, up to 128 packets a call", lambda _: [[*read_all, "-b"]]),
        Contender(
            LEAN_FLOOR,
            "the same, under the lean rules: what no reader can take less than there",
            lambda _: [[*read_all, "-b"]],
            lean=True,
        ),
        Contender(
            OURS,
            "everything on: ECS to a file, sessions to another",
            lambda at: [tsauditd(at, _ours_to_files(at))],
            ECS,
            "events.json*",
        ),
        Contender(
            OURS_LEAN,
            "the same, without the records that it can do without (rules/themes/12-lean.rules)",
            lambda at: [tsauditd(at, _ours_to_files(at))],
            ECS,
            "events.json*",
            lean=True,
        ),
        Contender(
            OURS_SYSLOG,
            "ECS to the local rsyslogd, which writes it to a file",
            lambda at: [_rsyslogd(at, at / "log.socket"), tsauditd(at, _ours_to_syslog(at))],
            ECS,
            "syslog/*",
            (rsyslog,),
            listens="log.socket",
            possible=_syslog_output,
        ),
        Contender(
            ENRICHED,
            "as Debian ships it (ENRICHED)",
            lambda at: [auditd(at, "ENRICHED")],
            AUDIT_LOG,
            "log/*",
            (debian,),
        ),
        Contender(
            RAW, "log_format = RAW", lambda at: [auditd(at, "RAW")], AUDIT_LOG, "log/*", (debian,)
        ),
        Contender(
            WITH_SYSLOG,
            "auditd as Debian ships it, its syslog plugin, rsyslogd with Debian's rules",
            lambda at: [_rsyslogd(at, SYSLOG_SOCKET), _with_plugin(at, _SYSLOG_PLUGIN)],
            AUDIT_LOG,
            "syslog/syslog",
            (debian, plugins, rsyslog),
            listens=str(SYSLOG_SOCKET),
            possible=_free_socket,
        ),
        Contender(
            WITH_LAUREL,
            "auditd as Debian ships it, laurel as its plugin with Debian's configuration",
            _with_laurel,
            LAUREL,
            "laurel/audit.log*",
            (debian, ("laurel", "apt-get install laurel")),
        ),
        Contender(
            "go-audit",
            "go-audit to a file",
            _go_audit,
            GO_AUDIT,
            "go-audit.log",
            (("go-audit", "not in Debian"), ("auditctl", "apt-get install auditd")),
        ),
        Contender(
            "Auditbeat",
            "its module auditd, to a file",
            _auditbeat,
            AUDITBEAT,
            "beat/auditbeat*",
            (("auditbeat", "not in Debian"),),
        ),
    ]  # fmt: skip


def tsauditd(at: Path, outputs: str) -> list[str]:
    """Ours with its defaults and these outputs, whatever this machine's own configuration says.

    Started as its unit starts it.
    """
    file = at / "tsauditd.toml"
    kernel = f"[kernel]\nbacklog_limit = {BACKLOG_LIMIT}\nreceive_buffer = {RECEIVE_BUFFER}\n"
    file.write_text(kernel + outputs, encoding="utf-8")
    return ["nice", "-n", str(UNIT_NICE), str(TSAUDITD), "run", "-c", str(file), "--rules", "none"]


def _ours_to_files(at: Path) -> str:
    return (
        f'[[output]]\ntype = "file"\npath = "{at}/events.json"\n'
        f'[[output]]\ntype = "file"\nlines = "sessions"\npath = "{at}/sessions.json"\n'
    )


def _ours_to_syslog(at: Path) -> str:
    return f'[[output]]\ntype = "syslog"\naddress = "unix:{at}/log.socket"\n'


def _syslog_output() -> str | None:
    """Whether this version of ours has the output."""
    done = subprocess.run(
        [TSAUDITD, "config", "check", "/dev/stdin"],
        input='[[output]]\ntype = "syslog"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else "this version of tsauditd has no syslog output"


def _free_socket() -> str | None:
    return f"{SYSLOG_SOCKET} is somebody's: end the syslog daemon first" if SYSLOG_SOCKET.exists() else None


_SYSLOG_PLUGIN = (
    "active = yes\ndirection = out\npath = {plugin}\ntype = always\nargs = LOG_INFO\nformat = string\n"
)


def _with_plugin(at: Path, text: str) -> list[str]:
    """auditd as Debian ships it with this plugin, and no other."""
    command = auditd(at, "ENRICHED")
    plugin = at / "etc" / "plugins.d" / "showdown.conf"
    plugin.write_text(text.format(plugin=shutil.which("audisp-syslog")), encoding="utf-8")
    plugin.chmod(0o640)
    return command


def _rsyslogd(at: Path, listens: Path) -> list[str]:
    """rsyslogd with Debian's rules for files, which are in the directory `syslog`, and nothing from elsewhere."""
    logs = at / "syslog"
    logs.mkdir()
    spool = at / "spool"
    spool.mkdir()
    rules = (
        ("*.*;auth,authpriv.none", "-", "syslog"),
        ("auth,authpriv.*", "", "auth.log"),
        ("kern.*", "-", "kern.log"),
        ("user.*", "-", "user.log"),
    )
    other = "" if listens == SYSLOG_SOCKET else f'input(type="imuxsock" Socket="{listens}")\n'
    switch = ' SysSock.Use="off"' if other else ""
    text = f'global(workDirectory="{spool}")\nmodule(load="imuxsock"{switch})\n{other}'
    text += "".join(f"{what}\t{sync}{logs}/{name}\n" for what, sync, name in rules)
    (at / "rsyslog.conf").write_text(text, encoding="utf-8")
    return ["rsyslogd", "-n", "-f", str(at / "rsyslog.conf"), "-i", str(at / "rsyslog.pid")]


def _with_laurel(at: Path) -> list[list[str]]:
    """Both with Debian's configurations; what differs is where the logs are, and that all of them are kept."""
    (at / "laurel").mkdir(mode=0o700)
    changes = {"directory": f'"{at}/laurel"', "generations": "999"}
    lines = []
    for line in Path("/etc/laurel/config.toml").read_text(encoding="utf-8").splitlines():
        key = line.partition("=")[0].strip()
        # Without a user of its own it stays who auditd is, and can write there.
        if key != "user":
            lines.append(f"{key} = {changes[key]}" if key in changes else line)
    (at / "laurel.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plugin = (
        f"active = yes\ndirection = out\ntype = always\nformat = string\npath = {shutil.which('laurel')}\n"
        f"args = --config {at}/laurel.toml\n"
    )
    return [_with_plugin(at, plugin)]


def _go_audit(at: Path) -> list[list[str]]:
    # It refuses to start without a rule; rules are loaded per workload, so this one matches nothing.
    (at / "go-audit.yaml").write_text(
        "events:\n  min: 1300\n  max: 1399\nmessage_tracking:\n  enabled: true\noutput:\n  file:\n"
        f"    enabled: true\n    attempts: 2\n    path: {at}/go-audit.log\n    mode: 0600\n    user: root\n"
        "    group: root\nlog:\n  flags: 0\nrules:\n  - -a never,exit -F arch=b64 -S uselib\n"
    )
    return [["go-audit", "-config", str(at / "go-audit.yaml")]]


def _auditbeat(at: Path) -> list[list[str]]:
    (at / "auditbeat.yml").write_text(
        "auditbeat.modules:\n- module: auditd\n  socket_type: unicast\n  resolve_ids: true\n"
        f"output.file:\n  path: {at}/beat\n  filename: auditbeat\nlogging.to_files: false\n"
    )
    return [["auditbeat", "-e", "-c", str(at / "auditbeat.yml"), "--path.data", str(at / "data")]]


def chosen(all_of_them: Sequence[Contender], words: Sequence[str]) -> list[Contender]:
    """Those whose name has one of the words; all without words."""
    return [one for one in all_of_them if not words or any(word in one.name for word in words)]
