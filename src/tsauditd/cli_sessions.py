"""The commands that show sessions: what they take and print. Reading is in history.py, the rest in timelines/."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from tsauditd.arguments import moment
from tsauditd.errors import TsauditdError, UsageError, visible

if TYPE_CHECKING:
    from tsauditd.timelines.view import View

_CODES = {"red": "31", "yellow": "33", "green": "32", "blue": "36", "dim": "2", "bold": "1"}
_FILES = click.argument("files", nargs=-1, metavar="[FILES]...")


@click.command(epilog="Example: tsauditd sessions --since yesterday /var/log/audit")
@_FILES
@click.option("--user", metavar="NAME|UID", help="Only sessions of this login user.")
@click.option("--from", "source", metavar="ADDRESS|NETWORK", help="Only sessions from there.")
@click.option("--since", callback=moment, metavar="TIME", help="Only sessions that were open then or later.")
@click.option("--until", callback=moment, metavar="TIME", help="Only sessions that opened before.")
@click.option("--open", "only_open", is_flag=True, help="Only sessions that have not ended.")
@click.option("--failed", is_flag=True, help="Failed log-ins, and the sessions that they came before.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line, for programs.")
def sessions(
    files: tuple[str, ...],
    user: str | None,
    source: str | None,
    since: int | None,
    until: int | None,
    only_open: bool,
    failed: bool,
    as_json: bool,
) -> int:
    """List the sessions: who, from where, how, when, how much was done.

    FILES are sessions or events as tsauditd writes them, or audit logs (raw, ENRICHED, rotated, .gz, .zst), a
    directory that holds such, or - for standard input. Without FILES the daemon's own are read.
    """
    from tsauditd.history import History
    from tsauditd.timelines.text import failures, table
    from tsauditd.timelines.view import Views

    views = Views(lambda _: False)
    history = History(views.take, _say)
    history.read(_places(files))
    history.finish()
    inside = _network(source)

    def wanted(document: dict[str, Any]) -> bool:
        return _of_user(document, user) and inside(document) and _within(document, since, until)

    found = [
        view
        for view in views.sessions.values()
        if wanted(view.document)
        and not (only_open and view.session["state"] != "open")
        and not (failed and "failed_before" not in view.session)
    ]
    refused = [document for document in views.logins if failed and wanted(document)]
    if as_json:
        import orjson

        for document in [*refused, *(view.document for view in found)]:
            click.echo(orjson.dumps(document))
        return int(history.failed)
    for text in failures(refused):
        click.echo(text)
    for text in table(found):
        click.echo(text)
    return int(history.failed)


@click.command(epilog="Example: tsauditd session 1 /var/log/audit/audit.log")
@click.argument("name", metavar="ID|EVENT-ID")
@_FILES
@click.option("-v", "--verbose", is_flag=True, help="Show start-up noise and what folds under commands too.")
@click.option("--json", "as_json", is_flag=True, help="Print the session as one JSON object, with all rows.")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what is still to come, until the session ends."
)
def session(name: str, files: tuple[str, ...], verbose: bool, as_json: bool, follow: bool) -> int:
    """Show one session's timeline.

    ID is the session's, or the end of it that is not shared with another (such as its number); an EVENT-ID
    (1795231038.563:607553) names the session that has this event. FILES as in sessions.
    """
    places = _places(files)
    if follow:
        if as_json or "-" in places:
            message = "--follow goes with text and with files"
            raise UsageError(message)
        return _follow(name, places, verbose=verbose)
    from tsauditd.history import History
    from tsauditd.timelines.text import timeline
    from tsauditd.timelines.view import Views

    views = Views(lambda _: True)
    history = History(views.take, _say)
    history.read(places)
    history.finish()
    view = _one(name, views.sessions.values())
    if as_json:
        import orjson

        click.echo(orjson.dumps(view.whole()))
    else:
        for text in timeline(view, verbose=verbose, paint=_paint(), width=_width()):
            click.echo(text)
    return int(history.failed)


def _follow(name: str, places: list[str], *, verbose: bool) -> int:
    from tsauditd.history import History
    from tsauditd.timelines.text import heading, hides, line
    from tsauditd.timelines.view import Views

    views = Views(lambda _: True)
    paint = _paint()
    shown = 0
    wanted: str | None = None
    for _ in History(views.take, _say).follow(places):
        if wanted is None:
            wanted = _one(name, views.sessions.values()).id
            for text in heading(views.sessions[wanted], paint):
                click.echo(text)
        view = views.sessions[wanted]
        for number in sorted(view.rows):
            if number < shown:
                continue
            shown = number + 1
            row = view.rows[number]
            if verbose or not hides(row, view):
                click.echo(line(row, view, paint=paint, width=_width()))
        sys.stdout.flush()
        if end := view.session.get("end"):
            click.echo(f"ended: {end['reason']}")
            return 0
    return 0


def _one(name: str, views: Iterable["View"]) -> "View":
    """The session that a name means. Raises TsauditdError if there is none, or more than one."""
    found = [view for view in views if name == view.id]
    if not found and ":" in name:
        found = [view for view in views if any(name in row.get("events", ()) for row in view.rows.values())]
    if not found:
        found = [view for view in views if view.id.endswith(f"-{name}")]
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"no session is, ends in or has the event {visible(name)}: tsauditd sessions lists them"
        raise TsauditdError(message)
    ids = ", ".join(visible(view.id) for view in found[:5])
    message = f"{visible(name)} is the end of {len(found)} sessions ({ids}): say more of the id"
    raise TsauditdError(message)


def _places(files: tuple[str, ...]) -> list[str]:
    """What to read: the files named, otherwise where the daemon writes its sessions."""
    if files:
        return list(files)
    from tsauditd.config import FileOutput, load_config
    from tsauditd.logfiles import rotated

    paths = [output.path for output in load_config(None).sessions if isinstance(output, FileOutput)]
    if not paths or not os.path.exists(paths[0]):
        message = (
            'no FILES named, and the daemon has written no sessions to a file (output.lines = "sessions")'
        )
        raise UsageError(message)
    return rotated(paths[0])


def _of_user(document: dict[str, Any], user: str | None) -> bool:
    if user is None:
        return True
    if "logins" in document["tsauditd"]:
        return user in document["tsauditd"]["logins"]["users"]
    return user in document.get("user", {}).values()


def _within(document: dict[str, Any], since: int | None, until: int | None) -> bool:
    from tsauditd.timelines.facts import parse_time

    event = document["event"]
    if since is not None and "end" in event and parse_time(event["end"]) < since:
        return False
    return until is None or parse_time(event["start"]) < until


def _network(text: str | None) -> Callable[[dict[str, Any]], bool]:
    if text is None:
        return lambda _: True
    import ipaddress

    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        message = f"--from takes an address or a network, not {visible(text)}"
        raise UsageError(message) from error

    def inside(document: dict[str, Any]) -> bool:
        address = document.get("source", {}).get("ip")
        return address is not None and ipaddress.ip_address(address) in network

    return inside


def _paint() -> Callable[[str, str], str]:
    # https://no-color.org, and terminals that can do nothing.
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return lambda text, _: text
    return lambda text, colour: f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def _width() -> int | None:
    """The columns of the terminal; None in a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _say(message: str) -> None:
    click.echo(f"tsauditd: {message}", err=True)
