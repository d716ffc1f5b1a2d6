"""Rules files and directories of them: their commands, in the order in which augenrules would have them."""

import re
from pathlib import Path

from tsauditd.errors import BadConfiguration
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.parse import LENIENT, parse
from tsauditd.kernel.rules.rule import Command, RuleError, Verb

# What augenrules does with the control lines of a directory: first, second, third; -e is last.
_FIRST = (Verb.DELETE_ALL, Verb.BACKLOG_LIMIT, Verb.FAILURE)


def read_rules(path: Path, names: Names, wrong: list[RuleError] | None = None) -> list[Command]:
    """The commands of a rules file, or of a directory's *.rules in natural order, arranged as augenrules does.

    Raises BadConfiguration when it cannot be read, RuleError for the first line that is wrong; `wrong` takes all
    such errors instead.
    """
    try:
        if not path.is_dir():
            return parse(_lines(path), str(path), names, wrong=wrong)
        files = sorted(path.glob("*.rules"), key=_natural)
        commands: list[Command] = []
        for file in files:
            lenient = any(command.verb in LENIENT for command in commands)
            commands += parse(_lines(file), str(file), names, lenient=lenient, wrong=wrong)
    except OSError as error:
        raise BadConfiguration(f"cannot read rules {path}: {error.strerror}") from None
    return _arranged(commands)


def _arranged(commands: list[Command]) -> list[Command]:
    early: list[Command] = []
    for verb in _FIRST:
        found = [command for command in commands if command.verb is verb and not command.texts]
        early += found[-1:]
    last = [command for command in commands if command.verb is Verb.ENABLED][-1:]
    moved = {*_FIRST, Verb.ENABLED}
    rest = [command for command in commands if command.verb not in moved or command.texts]
    return early + rest + last


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "surrogateescape").split("\n")


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """`9-x` before `10-x`, as sort -V."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
