#!/usr/bin/env python3
"""Make the captures: each theme is a few rules and one command, recorded by capture.py.

themes.py [--out DIR] [NAME ...]      all themes without names; root, and nobody else may use audit meanwhile
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
STAGE = Path("/tmp/provoke")
BIN = f"{STAGE}/bin"
ALICE = 4242
PERSON = "-F auid=4242"
SSHD = "-F exe=/usr/sbin/sshd"


@dataclass(frozen=True)
class Theme:
    """One capture. `auid` None leaves the login user unset; `user` is who runs the command,
    `compress` stores the files as .gz."""

    command: tuple[str, ...]
    rules: tuple[str, ...]
    auid: int | None = ALICE
    user: str = "root"
    compress: bool = False


def calls(names: str, *filters: str, arch: str = "b64", key: str = "") -> str:
    """An exit rule for system calls in auditctl's syntax."""
    return " ".join(
        ["-a always,exit", f"-F arch={arch}", f"-S {names}", *filters, f"-k {key}" if key else ""]
    ).strip()


THEMES: dict[str, Theme] = {
    "exec": Theme(
        ("sh", "work/exec.sh"),
        (calls("execve,execveat", PERSON, key="commands"),),
        user="alice",
    ),
    "open": Theme(
        ("sh", "work/open.sh"),
        (
            calls("open,openat,creat,truncate,ftruncate", PERSON, "-F dir=/tmp", key="work"),
            calls("open,openat,creat,truncate", PERSON, "-F exit=-EACCES", key="access"),
            calls("open,openat,creat,truncate", PERSON, "-F exit=-ENOENT", "-F dir=/tmp", key="absent"),
            calls("openat", PERSON, "-F path=/etc/hostname"),
            calls("openat", PERSON, "-F exit=-ENOTDIR"),
            calls(
                "rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,mknodat", PERSON
            ),
            calls("unlink,unlinkat,rmdir,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat", PERSON),
            calls("utimensat,setxattr,fsetxattr,lsetxattr,removexattr,fremovexattr,lremovexattr", PERSON),
        ),
        user="alice",
    ),
    "connect": Theme(
        ("python3", "work/connect.py"),
        (
            calls("connect,accept,accept4,bind,listen", PERSON, key="net"),
            calls("sendto,sendmsg,recvfrom,recvmsg", PERSON),
        ),
    ),
    "ssh": Theme(
        ("bash", "work/ssh.sh"),
        (
            calls("accept,accept4", SSHD, key="sshd"),
            calls("connect", "-F exe=/usr/bin/ssh", "-F saddr_fam=2", key="sshd"),
            calls("connect", "-F exe=/usr/bin/ssh", "-F saddr_fam=10", key="sshd"),
            calls("execve", PERSON, key="commands"),
        ),
        auid=None,
    ),
    "sudo": Theme(
        ("bash", "work/sudo.sh"),
        (calls("execve", PERSON, key="commands"), calls("setuid,setgid,setgroups", PERSON, key="become")),
    ),
    "accounts": Theme(
        ("sh", "work/accounts.sh"),
        (
            calls("rename,renameat2", PERSON, "-F dir=/etc", key="identity"),
            calls("openat", PERSON, "-F path=/etc/shadow", "-F perm=wa", key="identity"),
        ),
    ),
    "mount": Theme(
        ("sh", "work/mount.sh"),
        (
            calls(
                "mount,umount2,pivot_root,swapon,swapoff,move_mount,fsopen,fsconfig,fsmount,open_tree", PERSON
            ),
            calls("mount_setattr,init_module,finit_module,delete_module", PERSON, key="modules"),
            calls("unshare", PERSON),
        ),
    ),
    "processes": Theme((f"{BIN}/processes",), (calls("all", PERSON, f"-F exe={BIN}/processes"),)),
    "memory": Theme((f"{BIN}/memory",), (calls("all", PERSON, f"-F exe={BIN}/memory"),)),
    "bpf": Theme((f"{BIN}/bpf",), (calls("bpf,perf_event_open", PERSON, f"-F exe={BIN}/bpf"),)),
    "crash": Theme((f"{BIN}/crash",), (calls("prctl,seccomp,getppid", PERSON, f"-F exe={BIN}/crash"),)),
    "iouring": Theme(
        ("python3", "-I", "work/iouring.py", f"{BIN}/iouring"),
        (calls("io_uring_setup,io_uring_enter", PERSON),),
    ),
    "i386": Theme(
        ("sh", "-c", f"{BIN}/foreign; {BIN}/foreign32"),
        (
            calls("all", PERSON, f"-F exe={BIN}/foreign", arch="b32"),
            calls("all", PERSON, f"-F exe={BIN}/foreign32", arch="b32"),
        ),
    ),
    "landlock": Theme((f"{BIN}/landlock",), (), user="alice"),
    "landlock-rules": Theme(
        (f"{BIN}/landlock",), (calls("all", PERSON, f"-F exe={BIN}/landlock"),), user="alice"
    ),
    "fanotify": Theme((f"{BIN}/fanotify",), (calls("openat", PERSON, "-F path=/tmp/provoke-fanotify"),)),
    "netfilter": Theme(("bash", "work/netfilter.sh"), ()),
    "hugeargv": Theme(
        ("python3", "-I", "work/hugeargv.py"),
        (calls("execve", PERSON, "-F exe=/usr/bin/true"),),
        compress=True,
    ),
    "hostile": Theme(
        ("python3", "-I", "work/hostile.py"),
        (
            calls("execve", PERSON, "-F dir=/tmp", key="hostile"),
            calls("execve", PERSON, "-F exe=/usr/bin/true"),
            calls("openat,open", PERSON, "-F exit=-ENOENT", "-F dir=/tmp"),
            calls("openat,open", PERSON, "-F exit=-ENAMETOOLONG"),
            calls("openat,open", PERSON, "-F exit=-EFAULT"),
            calls("unlink,mkdir,rmdir", PERSON, "-F exe=/usr/bin/python3.11"),
        ),
        user="alice",
    ),
    "terminal": Theme(("python3", "-I", "work/terminal.py"), ()),
    "links": Theme(("bash", "work/links.sh"), (calls("linkat,symlinkat,openat", PERSON, "-F exit=-EACCES"),)),
    "fcaps": Theme(
        ("bash", "work/fcaps.sh"),
        (calls("execve", PERSON, "-F dir=/tmp"), calls("setxattr,removexattr,fsetxattr", PERSON)),
    ),
    "config": Theme(("bash", "work/config.sh"), ()),
    "messages": Theme(("python3", "-I", "work/messages.py"), ()),
    "netlabel": Theme(("sh", "work/netlabel.sh"), ()),
    "cron": Theme(("sh", "work/cron.sh"), (calls("execve", PERSON, key="commands"),), auid=None),
}


# The same through Debian's auditd: the name of the log, the theme, and what auditd_log.py is told.
LOGS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{f"{name}.raw": (name, ("--format", "RAW")) for name in ("ssh", "exec")},
    **{
        f"{name}.enriched": (name, ("--format", "ENRICHED"))
        for name in ("ssh", "sudo", "exec", "connect", "accounts")
    },
    "exec.node": ("exec", ("--format", "ENRICHED", "--node", "host.example")),
    "messages.enriched": ("messages", ("--format", "ENRICHED", "--signals")),
    "cron.node": ("cron", ("--format", "RAW", "--node", "other.example", "--signals")),
}


def command_of(theme: Theme) -> list[str]:
    """The theme's command, run as its user. Not runuser: PAM would add records of its own."""
    if theme.user == "root":
        return [*theme.command]
    return ["setpriv", "--reuid", theme.user, "--regid", theme.user, "--init-groups", *theme.command]


def run(tool: str, theme: Theme, *options: str) -> int:
    """Run capture.py or auditd_log.py on a theme; its exit status."""
    arguments = list(options)
    for rule in theme.rules:
        arguments += ["--rule", rule]
    if theme.auid is not None:
        arguments += ["--auid", str(theme.auid)]
    # Debian's own Python and no user's settings: paths and environment show in the records.
    environment = {
        "PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }
    command = ["/usr/bin/python3", f"{STAGE}/{tool}.py", *arguments, "--", *command_of(theme)]
    return subprocess.run(command, cwd=STAGE, check=False, env=environment).returncode


def make(name: str) -> int:
    """Make one capture or log in STAGE/out; the tool's exit status."""
    if name in LOGS:
        theme, options = LOGS[name]
        return run("auditd_log", THEMES[theme], "--out", f"out/{name}.log", *options)
    theme_of = THEMES[name]
    return run(
        "capture", theme_of, "--out", "out", "--name", name, *(["--compress"] if theme_of.compress else [])
    )


def stage() -> None:
    """Copy this directory and what it imports to STAGE, where everybody may read; compile the programs there."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(HERE, STAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "benchmarks" / "audit_lock.py", STAGE)
    shutil.copytree(
        PROJECT / "src" / "tsauditd",
        STAGE / "tsauditd",
        ignore=shutil.ignore_patterns("_*.so", "__pycache__"),
    )
    (STAGE / "out").mkdir()
    STAGE.chmod(0o755)
    subprocess.run([STAGE / "work" / "build.sh", BIN], check=True)


def main() -> int:
    """Make the captures named, or all."""
    parser = argparse.ArgumentParser(description="Provoke audit records and record them.")
    parser.add_argument("--out", type=Path, default=HERE.parent.parent / "captures")
    parser.add_argument("--keep-people", action="store_true", help="leave alice and bob on the machine")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*THEMES, *LOGS]))
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in THEMES and name not in LOGS]:
        parser.error(f"no such theme: {' '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs
    if os.geteuid() != 0:
        print("themes.py: run as root", file=sys.stderr)
        return 4
    stage()
    subprocess.run([HERE / "people.sh", "add"], check=True)
    try:
        results = [make(name) for name in options.names or [*THEMES, *LOGS]]
        for file in sorted((STAGE / "out").iterdir()):
            shutil.copyfile(file, options.out / file.name)
    finally:
        if not options.keep_people:
            subprocess.run([HERE / "people.sh", "remove"], check=True)
            shutil.rmtree(STAGE)
    return max(results)


if __name__ == "__main__":
    sys.exit(main())
