"""The configuration file: TOML to the tree. What is not in the tree is refused, with the nearest name that is."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tsauditd.config.model import OUTPUT_TYPES, Config, FileOutput, Output, RawOutput, StdoutOutput
from tsauditd.errors import BadConfiguration

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

DEFAULT_PATH = "/etc/tsauditd/tsauditd.toml"

_MOST_OUTPUTS = 16


def load_config(path: str | None) -> Config:
    """The configuration in the file at `path`; None reads /etc/tsauditd/tsauditd.toml if there is one.

    Raises BadConfiguration: unreadable, not TOML, an unknown key, a value of the wrong type or out of range.
    """
    file = Path(path or DEFAULT_PATH)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path is None:
            return Config()
        message = f"{file}: no such file"
        raise BadConfiguration(message) from error
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise BadConfiguration(message) from error
    except UnicodeDecodeError as error:
        message = f"{file}: not TOML: {error}"
        raise BadConfiguration(message) from error
    return parse_config(text, str(file))


def parse_config(text: str, file: str) -> Config:
    """The configuration in `text`; `file` is what messages call it. Raises BadConfiguration."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{file}: not TOML: {error}"
        raise BadConfiguration(message) from error
    return _build(Config(), tree, file, "")


def _build(default: T, tree: dict[str, Any], file: str, where: str) -> T:
    known = {f.name: f for f in dataclasses.fields(default)}
    changes: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in known:
            raise BadConfiguration(_unknown(file, where + key, [where + name for name in known]))
        current = getattr(default, key)
        if key == "output":
            changes[key] = _outputs(value, file)
        elif dataclasses.is_dataclass(current) and not isinstance(current, type):
            if not isinstance(value, dict):
                message = f"{file}: {where}{key} is a table: write [{where}{key}]"
                raise BadConfiguration(message)
            changes[key] = _build(current, value, file, f"{where}{key}.")
        else:
            changes[key] = _checked(value, current, known[key].metadata, f"{file}: {where}{key}")
    return dataclasses.replace(default, **changes)


def _outputs(value: object, file: str) -> tuple[Output, ...]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        message = f"{file}: output is a list of tables: write [[output]] for each"
        raise BadConfiguration(message)
    if not 1 <= len(value) <= _MOST_OUTPUTS:
        message = f"{file}: {len(value)} outputs: give 1 to {_MOST_OUTPUTS}"
        raise BadConfiguration(message)
    outputs = tuple(_output(dict(each), file) for each in value)
    places = [_place(each) for each in outputs if isinstance(each, StdoutOutput | FileOutput)]
    for place in places:
        if places.count(place) > 1:
            message = f"{file}: two outputs write to {place}"
            raise BadConfiguration(message)
    if len({each.format for each in outputs if isinstance(each, RawOutput)}) > 1:
        message = f"{file}: outputs of type raw must have the same format"
        raise BadConfiguration(message)
    return outputs


def _place(output: StdoutOutput | FileOutput) -> str:
    return output.path if isinstance(output, FileOutput) else "standard output"


def _output(tree: dict[str, Any], file: str) -> Output:
    kind = tree.pop("type", None)
    if kind not in OUTPUT_TYPES:
        told = "has no type" if kind is None else f"has the unknown type {kind!r}"
        message = f"{file}: an output {told}: known are {', '.join(OUTPUT_TYPES)}"
        raise BadConfiguration(message)
    output = _build(OUTPUT_TYPES[kind](), tree, file, "output.")
    if isinstance(output, RawOutput) and output.lines != "events":
        message = (
            f"{file}: output.lines = {output.lines!r} is not for type raw, which has the kernel's records"
        )
        raise BadConfiguration(message)
    if isinstance(output, FileOutput) and not output.path.startswith("/"):
        message = f"{file}: output.path must begin with /, not be {output.path!r}"
        raise BadConfiguration(message)
    return output


_TYPES = {bool: "true or false", int: "a whole number", str: "a text in quotes", tuple: "a list of texts"}


def _checked(value: object, current: object, limits: Mapping[str, Any], where: str) -> object:
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        value = tuple(value)
    if type(value) is not type(current):
        message = f"{where} must be {_TYPES[type(current)]}, not {value!r}"
        raise BadConfiguration(message)
    if "least" in limits and isinstance(value, int) and not limits["least"] <= value <= limits["most"]:
        message = f"{where} must be from {limits['least']} to {limits['most']}, not {value}"
        raise BadConfiguration(message)
    if "one_of" in limits and value not in limits["one_of"]:
        message = f"{where} must be one of {', '.join(limits['one_of'])}, not {value!r}"
        raise BadConfiguration(message)
    if "form" in limits and isinstance(value, str) and not limits["form"].fullmatch(value):
        message = f"{where} must be {limits['told']}, not {value!r}"
        raise BadConfiguration(message)
    return value


def _unknown(file: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"{file}: unknown key {key}: {hint}"


def override(
    config: Config, *, observe: bool | None, rules: str | None, path: str | None, plugin: bool = False
) -> Config:
    """The configuration with what the command line says in place of what the file says; None leaves it alone.

    `path`: a file, or `-` for standard output, becomes the only output. `plugin`: auditd hands the records on. Raises
    BadConfiguration.
    """
    kernel, output = config.kernel, config.output
    if observe is not None:
        kernel = dataclasses.replace(kernel, observe=observe)
    if rules is not None:
        kernel = dataclasses.replace(kernel, rules=rules)
    if path is not None:
        output = (StdoutOutput() if path == "-" else FileOutput(path=path),)
    if plugin and any(isinstance(each, RawOutput) for each in output):
        message = "an output of type raw is not for --plugin: auditd writes its audit.log itself"
        raise BadConfiguration(message)
    return dataclasses.replace(config, kernel=kernel, output=output)
