r"""auditctl's text to commands. Words are split at blanks; `\ ` is a blank inside a word, `\\` a backslash.

What differs from auditctl 3.0.9, because it takes what was not meant: numbers that do not fit or have trailing
characters are refused (it stores another number), saddr_fam takes names (it stores 0), success takes yes and no.
A key may come before other fields, and on every list.
"""

import re
from collections.abc import Iterable

from tsauditd.errors import visible
from tsauditd.kernel.rules import values
from tsauditd.kernel.rules.build import RuleBuilder
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.rule import Command, Place, RuleError, Verb
from tsauditd.kernel.rules.tables import MAX_LINE_BYTES, UNSET

_ESCAPED_WORD = re.compile(r"(?:\\[ \\]|[^ \t])+")
_ESCAPE = re.compile(r"\\([ \\])")

LENIENT = frozenset({Verb.CONTINUE, Verb.IGNORE})
"""After these a line that is wrong is passed over."""

_SETTINGS = {
    "-e": (Verb.ENABLED, 2),
    "-f": (Verb.FAILURE, 2),
    "-b": (Verb.BACKLOG_LIMIT, UNSET),
    "-r": (Verb.RATE_LIMIT, UNSET),
    "--backlog_wait_time": (Verb.BACKLOG_WAIT_TIME, UNSET),
}
_SWITCHES = {
    "-c": Verb.CONTINUE,
    "-i": Verb.IGNORE,
    "-t": Verb.TRIM,
    "--loginuid-immutable": Verb.LOGINUID_IMMUTABLE,
    "--reset-lost": Verb.RESET_LOST,
    "--reset_backlog_wait_time_actual": Verb.RESET_BACKLOG_WAIT_TIME_ACTUAL,
}
_RULE_OPTIONS = frozenset({"-a", "-A", "-d", "-w", "-W", "-S", "-F", "-C", "-p", "-k"})
_WITH_VALUE = _RULE_OPTIONS | set(_SETTINGS) | {"-q"}
_NOT_HERE = {
    "-l": "lists rules; it does not belong in a rules file",
    "-s": "reports the status; it does not belong in a rules file",
    "-m": "sends a message; it does not belong in a rules file",
    "-R": "reads another file; name that file itself",
}


def parse(
    lines: Iterable[str],
    file: str,
    names: Names,
    *,
    lenient: bool = False,
    wrong: list[RuleError] | None = None,
) -> list[Command]:
    """The commands of a rules file's lines, in order. Raises RuleError for the first line that is wrong.

    lenient: a -c or -i came in a file before. After one of them a line that is wrong becomes a FAULTY command.
    wrong: takes every error, of lenient lines too, and none is raised.
    """
    commands: list[Command] = []
    for number, line in enumerate(lines, 1):
        place = Place(file, number)
        try:
            found = parse_line(line, place, names)
        except RuleError as error:
            if wrong is not None:
                wrong.append(error)
            elif not lenient:
                raise
            found = [Command(Verb.FAULTY, place, warning=str(error))]
        lenient = lenient or any(command.verb in LENIENT for command in found)
        commands += found
    return commands


def parse_line(line: str, place: Place, names: Names) -> list[Command]:
    """The commands of one line; none for a blank line or a comment. Raises RuleError."""
    text = line.strip()
    if not text or text.startswith("#"):
        return []
    if len(text.encode("utf-8", "surrogateescape")) > MAX_LINE_BYTES:
        raise RuleError(place, f"the line is longer than {MAX_LINE_BYTES} bytes")
    words = [_ESCAPE.sub(r"\1", word) for word in _ESCAPED_WORD.findall(text)]
    return parse_words(words, place, names)


def parse_words(words: list[str], place: Place, names: Names) -> list[Command]:
    """The commands of one line's words, or of a command line's arguments. Raises RuleError."""
    options = list(_options(words, place))
    if any(option in _RULE_OPTIONS - {"-k"} for option, _ in options):
        return [RuleBuilder(place, names).build(options)]
    return list(_controls(options, place))


def _options(words: list[str], place: Place) -> Iterable[tuple[str, str]]:
    """Each option with its value, as getopt takes them apart: `-S open` and `-Sopen` are the same."""
    waiting = iter(words)
    for word in waiting:
        option = word if word.startswith("--") else word[:2]
        attached = word[len(option) :]
        if option in _NOT_HERE:
            raise RuleError(place, f"{option} {_NOT_HERE[option]}")
        if option in _WITH_VALUE:
            value = attached or next(waiting, "")
            if not value:
                raise RuleError(place, f"{option} needs a value")
            yield option, value
        elif (option in _SWITCHES or option == "-D") and not attached:
            yield option, ""
        elif word.startswith("-"):
            raise RuleError(place, f"unknown option {visible(word)}")
        else:
            raise RuleError(place, f"{visible(word)} belongs to no option")


def _controls(options: list[tuple[str, str]], place: Place) -> Iterable[Command]:
    keys = tuple(value for option, value in options if option == "-k")
    if keys and (len(keys) > 1 or not any(option == "-D" for option, _ in options)):
        raise RuleError(place, "-k needs a rule before it (-a, -A, -d, -w, -W) or one -D")
    for option, value in options:
        if option == "-D":
            yield Command(Verb.DELETE_ALL, place, texts=keys)
        elif option in _SWITCHES:
            yield Command(_SWITCHES[option], place)
        elif option in _SETTINGS:
            verb, high = _SETTINGS[option]
            try:
                yield Command(verb, place, value=values.number(value, 0, high))
            except values.ValueProblem as problem:
                raise RuleError(place, f"{option} {visible(value)}: {visible(value)} {problem}") from None
        elif option == "-q":
            paths = tuple(value.split(","))
            if len(paths) != 2 or not all(path.startswith("/") for path in paths):
                raise RuleError(place, f"-q {visible(value)}: it takes MOUNT,SUBTREE, both absolute paths")
            yield Command(Verb.EQUIVALENT, place, texts=paths)
