"""The commands about audit rules: what they take and what they print. What they do is in kernel/rules and suggest."""

from typing import TYPE_CHECKING

import click

from tsauditd.errors import UsageError, visible

if TYPE_CHECKING:
    from tsauditd.kernel.rules.rule import Command


def say(message: str) -> None:
    """Tells a line on standard error."""
    click.echo(f"tsauditd: {message}", err=True)


@click.group()
def rules() -> None:
    """Check, load, list and delete audit rules, in auditctl's own syntax."""


@rules.command("check", epilog="Example: tsauditd rules check rules/demonstration/people.rules")
@click.argument("files", nargs=-1, required=True, metavar="FILE|DIR...")
def rules_check(files: tuple[str, ...]) -> int:
    """Say whether rules files are right, without touching the kernel: every error, with its file, line and word."""
    from pathlib import Path

    from tsauditd.kernel.rules.files import read_rules
    from tsauditd.kernel.rules.names import core_names
    from tsauditd.kernel.rules.rule import RuleError, Verb

    names = core_names()
    failed = False
    for file in files:
        wrong: list[RuleError] = []
        for command in read_rules(Path(file), names, wrong):
            if command.warning and command.verb is not Verb.FAULTY:
                click.echo(f"{visible(str(command.place))}: {command.warning}", err=True)
        for error in wrong:
            click.echo(str(error), err=True)
        if not wrong:
            click.echo(f"{visible(file)}: good")
        failed = failed or bool(wrong)
    return 1 if failed else 0


@rules.command("load", epilog="Example: tsauditd rules load /etc/audit/rules.d")
@click.argument("file", metavar="FILE|DIR")
def rules_load(file: str) -> int:
    """Carry out a rules file, or a directory's *.rules in order, as augenrules and auditctl -R do.

    Only what differs from the kernel's rules is changed, and there is no moment without rules. When a rule is
    refused the kernel's rules stay as they were, unless -c or -i stands in the file.
    """
    from tsauditd.kernel.pyroute import AuditNetlink
    from tsauditd.kernel.rules.drift import remember
    from tsauditd.kernel.rules.lists import list_rules
    from tsauditd.kernel.rules.load import load

    commands = _rules_of(file)
    with AuditNetlink() as control:
        done = load(commands, control)
        remember(list_rules(control))
    for problem in done.problems:
        say(problem)
    click.echo(f"{done.added} added, {done.deleted} deleted, {done.kept} as they were")
    return 1 if done.failed else 0


@rules.command("diff", epilog="Example: tsauditd rules diff /etc/audit/rules.d")
@click.argument("file", metavar="FILE|DIR")
def rules_diff(file: str) -> int:
    """Show how the kernel's rules differ from those that a file or directory leads to; exit 1 if they do.

    A line with - is in the kernel and would be deleted, one with + would be added.
    """
    import difflib

    from tsauditd.kernel.pyroute import AuditNetlink
    from tsauditd.kernel.rules.lists import as_text, list_rules
    from tsauditd.kernel.rules.load import aim
    from tsauditd.kernel.rules.names import core_names

    commands, names = _rules_of(file), core_names()
    with AuditNetlink() as control:
        loaded = list_rules(control)
    now, wanted = (
        [as_text(rule, names) for rule in rules] for rules in (loaded, aim(commands, loaded).rules)
    )
    changes = [line for line in difflib.ndiff(now, wanted) if line[0] in "+-"]
    for line in changes:
        click.echo(f"{line[0]} {line[2:]}")
    return 1 if changes else 0


@rules.command("list", epilog="Example: tsauditd rules list")
def rules_list() -> None:
    """Print the kernel's rules, as text that load takes."""
    from tsauditd.kernel.pyroute import AuditNetlink
    from tsauditd.kernel.rules.lists import listing
    from tsauditd.kernel.rules.names import core_names

    with AuditNetlink() as control:
        lines = listing(core_names(), control)
    for line in lines:
        click.echo(line)


@rules.command("delete", epilog="Example: tsauditd rules delete --key demonstration")
@click.option("--all", "everything", is_flag=True, help="Delete every rule.")
@click.option("--key", metavar="KEY", help="Delete the rules that have this key.")
def rules_delete(everything: bool, key: str | None) -> None:
    """Delete the kernel's rules."""
    if everything == (key is not None):
        message = "say which rules to delete: --key KEY or --all"
        raise UsageError(message)
    from tsauditd.kernel.pyroute import AuditNetlink
    from tsauditd.kernel.rules.drift import remember
    from tsauditd.kernel.rules.lists import delete_all, list_rules

    with AuditNetlink() as control:
        deleted = delete_all(control, key)
        remember(list_rules(control))
    click.echo(f"{deleted} deleted")


@rules.command("suggest", epilog="Example: tsauditd rules suggest /var/log/audit")
@click.argument("files", nargs=-1, metavar="[FILES]...")
@click.option(
    "--least", type=click.FloatRange(0, 100), default=1.0, metavar="PERCENT", help="The least saving of each."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def rules_suggest(files: tuple[str, ...], least: float, as_json: bool) -> None:
    """Propose exclusions, from a day of events, with what each would save. Changes nothing.

    FILES are the daemon's own JSON lines or audit logs, as convert takes them. What is proposed is a program's habit
    outside of any login, without failures; logins, people's sessions, changes of rights and accounts, failures and
    what is seldom are never proposed.
    """
    import json

    from tsauditd.suggest.report import as_data, as_text, proposals, read
    from tsauditd.suggest.tally import Tally

    tally = Tally()
    read(files, tally, say)
    found = proposals(tally, least / 100)
    click.echo(json.dumps(as_data(found, tally)) if as_json else as_text(found, tally), nl=as_json)


def _rules_of(file: str) -> "list[Command]":
    from pathlib import Path

    from tsauditd.kernel.rules.files import read_rules
    from tsauditd.kernel.rules.names import core_names

    return read_rules(Path(file), core_names())
