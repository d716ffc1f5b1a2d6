"""The configuration: one tree of dataclasses, read from TOML. A key that is not here is refused."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tsauditd.errors import BadConfiguration

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

DEFAULT_PATH = "/etc/tsauditd/tsauditd.toml"


def _between(default: int, least: int, most: int) -> int:
    return field(default=default, metadata={"least": least, "most": most})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """[events]: what an event carries."""

    original: bool = False
    """Add the raw records as event.original."""

    max_argument_bytes: int = _between(2 << 20, 1 << 10, 32 << 20)
    """The longest process.args kept; what was cut is told in the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """[output]: where events go."""

    path: str = "-"
    """A file to append to, or `-` for standard output."""

    queue_bytes: int = _between(16 << 20, 64 << 10, 1 << 30)
    """Bytes that may wait for a slow reader before the newest lines are dropped, counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration."""

    kernel: Kernel = field(default_factory=Kernel)
    events: Events = field(default_factory=Events)
    output: Output = field(default_factory=Output)


def load_config(path: str | None) -> Config:
    """The configuration in the file at `path`; None reads /etc/tsauditd/tsauditd.toml if there is one.

    Raises BadConfiguration: unreadable, not TOML, an unknown key, a value of the wrong type or out of range.
    """
    file = Path(path or DEFAULT_PATH)
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if path is None:
            return Config()
        message = f"{file}: no such file"
        raise BadConfiguration(message) from error
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise BadConfiguration(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{file}: not TOML: {error}"
        raise BadConfiguration(message) from error
    return _build(Config(), tree, str(file), "")


def _build(default: T, tree: dict[str, Any], file: str, where: str) -> T:
    known = {f.name: f for f in dataclasses.fields(default)}
    changes: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in known:
            raise BadConfiguration(_unknown(file, where + key, [where + name for name in known]))
        current = getattr(default, key)
        if dataclasses.is_dataclass(current) and not isinstance(current, type):
            if not isinstance(value, dict):
                message = f"{file}: {where}{key} is a table: write [{where}{key}]"
                raise BadConfiguration(message)
            changes[key] = _build(current, value, file, f"{where}{key}.")
        else:
            changes[key] = _checked(value, current, known[key].metadata, f"{file}: {where}{key}")
    return dataclasses.replace(default, **changes)


_TYPES = {bool: "true or false", int: "a whole number", str: "a text in quotes"}


def _checked(value: object, current: object, limits: Mapping[str, int], where: str) -> object:
    if type(value) is not type(current):
        message = f"{where} must be {_TYPES[type(current)]}, not {value!r}"
        raise BadConfiguration(message)
    if limits and isinstance(value, int) and not limits["least"] <= value <= limits["most"]:
        message = f"{where} must be from {limits['least']} to {limits['most']}, not {value}"
        raise BadConfiguration(message)
    return value


def _unknown(file: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"{file}: unknown key {key}: {hint}"


def override(config: Config, *, observe: bool | None, rules: str | None, path: str | None) -> Config:
    """The configuration with what the command line says in place of what the file says; None leaves it alone."""
    kernel, output = config.kernel, config.output
    if observe is not None:
        kernel = dataclasses.replace(kernel, observe=observe)
    if rules is not None:
        kernel = dataclasses.replace(kernel, rules=rules)
    if path is not None:
        output = dataclasses.replace(output, path=path)
    return dataclasses.replace(config, kernel=kernel, output=output)
