"""Writes a man page for every command, made of the command's own help: man(7) source, one file each."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import click

from tsauditd.cli import commands
from tsauditd.event import VERSION

EXIT_CODES = {
    "0": "done",
    "1": "failed",
    "2": "the command line is wrong",
    "4": "root or a capability is missing",
    "6": "a configuration or rules file is wrong",
    "130": "interrupted by Ctrl-C",
}


def main() -> None:
    """Writes the pages of all commands into a directory."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in pages():
        (directory / f"{name}.1").write_text(page, encoding="utf-8")


def pages() -> Iterator[tuple[str, str]]:
    """Each page's name, as in tsauditd-rules-load, and its source."""
    yield from _walk(commands, click.Context(commands, info_name="tsauditd"))


def _walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path.replace(" ", "-"), _page(command, context)
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            child = command.commands[word]
            yield from _walk(child, click.Context(child, info_name=word, parent=context))


def _page(command: click.Command, context: click.Context) -> str:
    name = context.command_path
    paragraphs = [_joined(part) for part in (command.help or "").split("\n\n")]
    short = paragraphs[0].rstrip(".")
    lines = [
        f'.TH "{name.replace(" ", "-").upper()}" "1" "" "tsauditd {VERSION}" "tsauditd"',
        ".SH NAME",
        f"{_plain(name.replace(' ', '-'))} \\- {_plain(short[:1].lower() + short[1:])}",
        ".SH SYNOPSIS",
        f".B {_plain(name)}",
        _plain(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
    ]
    for paragraph in paragraphs:
        lines += [".PP", _plain(paragraph)]
    lines.append(".SH OPTIONS")
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) and record[1]:
            lines += [".TP", f".B {_plain(record[0])}", _plain(record[1])]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for word in command.list_commands(context):
            lines += [
                ".TP",
                f".B {_plain(word)}",
                _plain(_joined(command.commands[word].get_short_help_str(200))),
            ]
            lines.append(f"See {_plain(name.replace(' ', '-') + '-' + word)}(1).")
    if example := (command.epilog or "").removeprefix("Example: "):
        lines += [".SH EXAMPLE", ".EX", _plain(example), ".EE"]
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", f".B {code}", _plain(meaning)]
    lines += [".SH SEE ALSO", "The pages in /usr/share/doc/tsauditd, audit.rules(7)."]
    return "\n".join(line for line in lines if line) + "\n"


def _joined(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\b", "")).strip()


def _plain(text: str) -> str:
    r"""Text as roff has it: backslashes and hyphens escaped, no line that begins as a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    main()
