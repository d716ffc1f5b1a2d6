"""What is done when a file has no room or fails: auditd's actions (auditd.conf(5))."""

import os
import stat
import syslog
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tsauditd.errors import visible


@dataclass(frozen=True, slots=True)
class Commands:
    """What `single` and `halt` run."""

    single: Sequence[str]
    halt: Sequence[str]


class Actions:
    """Carries actions out. `say` tells a line on standard error, from any thread."""

    def __init__(self, commands: Commands, say: Callable[[str], None]) -> None:
        self._commands = commands
        self._say = say
        self._children: set[int] = set()

    def change(self, commands: Commands) -> None:
        """Goes on with other commands."""
        self._commands = commands

    def take(self, action: str, why: str, *, suspend: Callable[[], None], rotate: Callable[[], None]) -> None:
        """Does what `action` says because of `why`. Failures are told. `rotate` may raise OSError."""
        word, _, program = action.partition(" ")
        if word == "ignore":
            return
        self._say(f"{why}: {action}")
        if word == "syslog":
            syslog.syslog(syslog.LOG_DAEMON | syslog.LOG_ALERT, f"tsauditd: {visible(why)}")
        elif word == "suspend":
            suspend()
        elif word == "rotate":
            rotate()
        elif word == "exec":
            suspend()  # as auditd: the program is to make room, then SIGUSR2 resumes
            if problem := _not_to_be_run(program):
                self._say(f"{program} is not run: {problem}")
            else:
                self._start([program])
        elif word == "single":
            self._start(self._commands.single)
        elif word == "halt":
            self._start(self._commands.halt)

    def reap(self) -> bool:
        """Takes note of programs that have ended. Returns whether others still run."""
        for child in list(self._children):
            if os.waitpid(child, os.WNOHANG)[0] == child:
                self._children.discard(child)
        return bool(self._children)

    def _start(self, command: Sequence[str]) -> None:
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
        try:
            child = os.posix_spawnp(
                command[0], list(command), os.environ, file_actions=[nothing], setsid=True, setsigmask=()
            )
        except OSError as error:
            self._say(f"{command[0]}: {error.strerror}")
        else:
            self._children.add(child)


def _not_to_be_run(program: str) -> str | None:
    """Why root should not run it: others could have put it there."""
    try:
        state = os.stat(program)
    except OSError as error:
        return error.strerror
    if not stat.S_ISREG(state.st_mode):
        return "it is not a file"
    if state.st_uid != 0 or state.st_mode & 0o022:
        return "it must belong to root and be writable by root alone"
    return None
