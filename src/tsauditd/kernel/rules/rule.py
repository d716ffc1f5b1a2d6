"""The types that rules are made of."""

from dataclasses import dataclass, field
from enum import Enum

from tsauditd.errors import BadConfiguration, visible
from tsauditd.kernel.rules.tables import Action, List


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule is written, for errors: a file and line, or the command line."""

    file: str = "command line"
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class RuleError(BadConfiguration):
    """A rule that cannot be: says where, which word and why."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{visible(str(place))}: {message}")
        self.place = place


@dataclass(frozen=True, slots=True)
class Field:
    """One condition: the numbers of field and operator, and the value as the kernel takes it."""

    number: int
    operator: int
    value: int | str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. syscalls: the numbers that it is about, None for all of them; io_uring's operations on that list."""

    list: List
    action: Action
    fields: tuple[Field, ...] = ()
    syscalls: frozenset[int] | None = None
    prepend: bool = field(default=False, compare=False)


class Verb(Enum):
    """What one line of a rules file asks for."""

    ADD = "add"
    DELETE = "delete"
    DELETE_ALL = "-D"
    ENABLED = "-e"
    FAILURE = "-f"
    BACKLOG_LIMIT = "-b"
    RATE_LIMIT = "-r"
    BACKLOG_WAIT_TIME = "--backlog_wait_time"
    LOGINUID_IMMUTABLE = "--loginuid-immutable"
    RESET_LOST = "--reset-lost"
    RESET_BACKLOG_WAIT_TIME_ACTUAL = "--reset_backlog_wait_time_actual"
    CONTINUE = "-c"
    IGNORE = "-i"
    TRIM = "-t"
    EQUIVALENT = "-q"
    FAULTY = "a line that is wrong"


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a rules file asks for.

    rule: of ADD and DELETE. value: of the settings. texts: the key of DELETE_ALL, or mount and subtree of
    EQUIVALENT. warning: what is likely not meant, or empty; what is wrong with a FAULTY line after -c or -i.
    """

    verb: Verb
    place: Place
    rule: Rule | None = None
    value: int = 0
    texts: tuple[str, ...] = ()
    warning: str = ""
