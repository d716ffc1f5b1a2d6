"""The commands: what they take and what they print. What they do is elsewhere, imported when it is needed."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tsauditd.arguments import moment
from tsauditd.cli_rules import rules
from tsauditd.cli_sessions import session, sessions
from tsauditd.errors import NoAudit, NotPrivileged, TsauditdError, UsageError, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from tsauditd.config import Config


COMPLETE = "_TSAUDITD_COMPLETE"
"""The variable by which a shell asks for completions (click's protocol)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name and returns its exit code.

    0 done, 1 failed, 2 usage, 4 not privileged, 6 bad configuration, 130 interrupted. A failure is told in one line
    on standard error.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(commands, {}, "tsauditd", COMPLETE, instruction)
    try:
        # Not commands.main(): it makes a failure of a pipe that closes early.
        with commands.make_context("tsauditd", words) as context:
            result = commands.invoke(context)
        if sys.stdout is not None:  # closed by the caller
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except TsauditdError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "tsauditd"
        return _fail(f"{error.format_message().rstrip('.')} (see {where} --help)", UsageError.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except BrokenPipeError:
        # The reader has what it wanted. Python's own flush at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        where = f"{visible(str(error.filename))}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)


def _fail(message: str, code: int) -> int:
    _say(message)
    return code


def _say(message: str) -> None:
    click.echo(f"tsauditd: {message}", err=True)


def _version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from tsauditd.event import VERSION

        click.echo(f"tsauditd {VERSION}")
        context.exit()


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT, epilog="Example: tsauditd convert /var/log/audit/audit.log")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def commands() -> None:
    """Kernel audit records in, one ECS JSON object per event out."""


commands.add_command(rules)
commands.add_command(sessions)
commands.add_command(session)


@commands.command(epilog="Example: tsauditd run --rules rules/demonstration/people.rules --output -")
@click.option("-c", "--config", metavar="FILE", help="The configuration file.")
@click.option(
    "--observe", is_flag=True, default=None, help="Only read beside the daemon that has the audit pid."
)
@click.option("--plugin", is_flag=True, help="Read what auditd writes to its plugins, from standard input.")
@click.option("--output", metavar="-|PATH", help="Where events go: standard output or a file to append to.")
@click.option(
    "--rules", metavar="FILE|DIR|none", help="Rules to load for the daemon's life; none: leave them."
)
@click.option(
    "--or-convert", metavar="LOG", help="Without root or audit, say so and convert this log instead."
)
def run(
    config: str | None,
    observe: bool | None,
    plugin: bool,
    output: str | None,
    rules: str | None,
    or_convert: str | None,
) -> int:
    """Read the kernel's audit records, in the foreground, until a signal ends it.

    Takes the audit pid if it is free, otherwise reads the multicast group beside the daemon that has it. What it
    changes in the kernel's audit is put back when it ends. With --plugin auditd has started it, and keeps all that.
    """
    from tsauditd.config import Config, load_config, override
    from tsauditd.daemon import run_daemon

    if plugin and (observe or rules or or_convert):
        message = "--plugin leaves the kernel's audit to auditd: it goes with --config and --output alone"
        raise UsageError(message)

    def load() -> Config:
        return override(load_config(config), observe=observe, rules=rules, path=output, plugin=plugin)

    if plugin:
        return _run_plugin(load)
    try:
        return run_daemon(load, _say)
    except (NotPrivileged, NoAudit) as error:
        if or_convert is None:
            raise
        _say(f"{error}; showing the events of {or_convert} instead")
    return _convert([or_convert], output or "-")


def _run_plugin(load: "Callable[[], Config]") -> int:
    from tsauditd.daemon import run_daemon
    from tsauditd.plugin import tell

    def say(line: str) -> None:
        _say(line)
        tell(line)

    try:
        return run_daemon(load, say, plugin=True)
    except (TsauditdError, OSError) as error:
        tell(str(error))
        raise


@commands.command(epilog="Example: tsauditd convert --since yesterday /var/log/audit -o events.json")
@click.argument("files", nargs=-1, metavar="[FILES]...")
@click.option(
    "-o", "--output", default="-", metavar="PATH", help="Write to this file instead of standard output."
)
@click.option("--original", is_flag=True, help="Keep each event's raw records as event.original.")
@click.option("--since", callback=moment, metavar="TIME", help="Only events from this time on.")
@click.option("--until", callback=moment, metavar="TIME", help="Only events before this time.")
@click.option("--resolve", is_flag=True, help="Name users and groups as this machine knows them.")
@click.option("--strict", is_flag=True, help="Exit with 1 if any line could not be read.")
@click.option("--sessions", "sessions_path", metavar="PATH", help="Write the sessions to this file as well.")
def convert(
    files: tuple[str, ...],
    output: str,
    original: bool,
    since: int | None,
    until: int | None,
    resolve: bool,
    strict: bool,
    sessions_path: str | None,
) -> int:
    """Turn audit logs into JSON lines, one event a line.

    FILES are logs as auditd writes them (raw, ENRICHED, node=, rotated, .gz, .zst), a directory that holds an
    audit.log, or - for standard input, which is read when no file is named. A rotated set is read oldest first,
    in whatever order it was named. A TIME is 2024-05-01T12:30, seconds since the epoch, today, yesterday or -1h.
    """
    return _convert(
        files,
        output,
        strict=strict,
        sessions=sessions_path,
        original=original,
        since=since,
        until=until,
        resolve=resolve,
    )


def _convert(
    files: Sequence[str],
    output: str,
    *,
    strict: bool = False,
    sessions: str | None = None,
    **settings: Any,  # noqa: ANN401
) -> int:
    from tsauditd.convert import convert as convert_logs
    from tsauditd.event import Decoder

    decoder = Decoder(**settings, timelines=sessions is not None)
    return convert_logs(files, output, decoder, strict=strict, sessions=sessions, stderr=sys.stderr)


@commands.group()
def config() -> None:
    """Look after the configuration."""


@config.command(epilog="Example: tsauditd config check /etc/tsauditd/tsauditd.toml")
@click.argument("file", required=False)
def check(file: str | None) -> None:
    """Say whether the daemon would take the configuration in FILE."""
    from tsauditd.config import DEFAULT_PATH, load_config

    load_config(file or DEFAULT_PATH)
    click.echo(f"{file or DEFAULT_PATH}: good")


@config.command("import", epilog="Example: tsauditd config import /etc/audit/auditd.conf")
@click.argument("file", default="/etc/audit/auditd.conf", metavar="[FILE]")
def import_(file: str) -> None:
    """Print a configuration that does what an auditd.conf says.

    What has no counterpart is told on standard error, one line for each key.
    """
    from pathlib import Path

    from tsauditd.config.auditd import import_auditd

    text, notes = import_auditd(Path(file))
    for note in notes:
        _say(f"{visible(file)}: {note}")
    click.echo(text, nl=False)


@commands.command(epilog="Example: tsauditd status --json")
@click.option(
    "-c", "--config", metavar="FILE", help="The configuration file, which says where to ask the daemon."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(config: str | None, as_json: bool) -> None:
    """Show the kernel's audit state and, when it runs, the daemon's.

    Who gets the records, rules, losses, what waits; the daemon's outputs, and which rules and programs cause most
    events.
    """
    import json

    from tsauditd.config import load_config
    from tsauditd.kernel.pyroute import AuditNetlink
    from tsauditd.kernel.report import render, report
    from tsauditd.telling import ask, told

    with AuditNetlink() as control:
        data = report(control)
    data["daemon"] = ask(load_config(config).daemon.status_socket)
    click.echo(json.dumps(data) if as_json else render(data) + told(data["daemon"]), nl=as_json)
