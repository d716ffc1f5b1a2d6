"""The documentation says what the program does: every command, option, key and example."""

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tsauditd.cli import commands, main
from tsauditd.config import Config, FileOutput, Output, load_config
from tsauditd.config.model import OUTPUT_TYPES


def walk(command: click.Command, name: str = "tsauditd") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for word, child in sorted(command.commands.items()):
            yield from walk(child, f"{name} {word}")


COMMANDS = dict(walk(commands))


def sections(project: Path) -> dict[str, str]:
    """The text under each heading of docs/commands.md that names a command."""
    text = (project / "docs/commands.md").read_text()
    parts = re.split(r"^#{2,3} (tsauditd.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples(project: Path) -> list[str]:
    """Every command line that the documentation and the commands' help show."""
    found = [command.epilog.removeprefix("Example: ") for command in COMMANDS.values() if command.epilog]
    for page in [*sorted((project / "docs").glob("*.md")), project / "README.md"]:
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            found += re.findall(r"^[$#] (?:sudo |\.venv/bin/)?(tsauditd.*)$", block, re.MULTILINE)
    return found


def test_every_command_has_its_section_and_no_other(project: Path) -> None:
    assert set(sections(project)) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_documented(project: Path, name: str) -> None:
    text = sections(project)[name]
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            for word in parameter.opts:
                assert f"`{word}" in text, f"{word} of {name} is not in docs/commands.md"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_option_is_documented_that_is_not_there(project: Path, name: str) -> None:
    rows = re.findall(r"^\| (`-.*?) \| ", sections(project)[name], re.MULTILINE)
    known = {word for parameter in COMMANDS[name].params for word in parameter.opts} | {"-h", "--help"}
    for row in rows:
        for word in re.findall(r"`(--?[a-z-]+)", row):
            assert word in known, f"docs/commands.md: {name} has no {word}"


@pytest.mark.parametrize("name", [name for name, c in COMMANDS.items() if not isinstance(c, click.Group)])
def test_every_command_has_one_example_in_its_help(name: str) -> None:
    assert (COMMANDS[name].epilog or "").startswith(f"Example: {name}")


# What these do to the kernel or the terminal is tested under tests/system; here they are only understood.
CHANGES_THE_KERNEL = {"run", "rules load", "rules delete"}
NEEDS_THE_KERNEL = {"status", "rules list", "rules diff"}


def test_every_example_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    record = "type=USER msg=audit(1700000000.000:1): pid=1 uid=0 auid=0 ses=1 msg='op=x res=success'\n"
    for name in ("audit.log", "audit.log.1", "audit.log.2"):
        (tmp_path / name).write_text(record)
    (tmp_path / "audit.log.2").rename(tmp_path / "audit.log.2.gz")
    (tmp_path / "tsauditd.toml").touch()
    (tmp_path / "auditd.conf").touch()
    (tmp_path / "rules").symlink_to(project / "rules")
    monkeypatch.chdir(tmp_path)
    lines = examples(project)
    assert len(lines) > 5
    for line in lines:
        local = (
            line.split(" | ")[0]
            .replace("/var/log/audit", ".")
            .replace("/etc/tsauditd", ".")
            .replace("/etc/audit", ".")
        )
        words = shlex.split(local)[1:]
        if any(line.startswith(f"tsauditd {name}") for name in CHANGES_THE_KERNEL | NEEDS_THE_KERNEL):
            understood(words)
        else:
            assert main(words) == 0, f"{line}: {capfd.readouterr().err}"


def understood(words: list[str]) -> None:
    """Fails if the command line is not one."""
    command: click.Command = commands
    name = "tsauditd"
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        command = command.commands[name]
    command.make_context(name, words)


def shown(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def keys(tree: object, where: str) -> Iterator[tuple[str, str]]:
    assert dataclasses.is_dataclass(tree)
    for field in dataclasses.fields(tree):
        yield f"{where}.{field.name}", shown(getattr(tree, field.name))


def test_every_key_is_documented_with_its_default(project: Path) -> None:
    """In the section of its table; a type of output has its own section, less what others have too."""
    text = (project / "docs/configuration.md").read_text()
    parts = re.split(r"^#{2,3} (.*)$", text, flags=re.MULTILINE)
    rows = {
        title: dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| `(.+?)` \|", body, re.MULTILINE))
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    config = Config()
    for name in ("kernel", "events", "daemon"):
        assert rows[f"[{name}]"] == dict(keys(getattr(config, name), name))
    common = dict(keys(Output(), "output"))
    assert rows["Every type"] == common
    file = dict(keys(FileOutput(), "output"))
    for kind, output in OUTPUT_TYPES.items():
        documented = rows[f'type = "{kind}"']
        others = file | common if kind == "raw" else common
        assert common | (file if kind == "raw" else {}) | documented == dict(keys(output(), "output"))
        assert not [key for key in documented if others.get(key) == documented[key]], "said once"


def test_the_example_of_a_configuration_is_good(project: Path, tmp_path: Path) -> None:
    found = re.findall(r"```toml\n(.*?)```", (project / "docs/configuration.md").read_text(), re.DOTALL)
    assert found
    for text in found:
        (tmp_path / "x.toml").write_text(text)
        assert load_config(str(tmp_path / "x.toml")) != Config()


def test_links_between_pages_lead_somewhere(project: Path) -> None:
    for page in [*(project / "docs").glob("*.md"), project / "README.md", project / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_directory_map_is_true(project: Path) -> None:
    """Every module of the package is on the map of docs/ARCHITECTURE.md."""
    text = (project / "docs/ARCHITECTURE.md").read_text()
    package = project / "src/tsauditd"
    for module in [*package.glob("*.py"), *(p.parent for p in package.glob("*/__init__.py"))]:
        if not module.name.startswith("_"):
            name = module.name + ("/" if module.is_dir() else "")
            assert f"\n  {name} " in text, f"{name} is not on the map"


def test_the_readme_opens_with_a_real_event(project: Path, tmp_path: Path) -> None:
    """The records are in a capture, and what the README shows of the JSON is what they become."""
    blocks = re.findall(r"```(?:json)?\n(.*?)```", (project / "README.md").read_text(), re.DOTALL)
    records, shown = blocks[0].splitlines(), json.loads(blocks[1])
    log = project / "tests/captures/exec.enriched.log"
    # What stands after 0x1D was added by auditd for this log; the kernel does not say it.
    captured = {line.split("\x1d")[0] for line in log.read_text().split("\n")}
    assert set(records) <= captured
    assert main(["convert", str(log), "-o", str(tmp_path / "out")]) == 0
    events = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    real = next(event for event in events if event["event"]["id"] == shown["event"]["id"])
    assert_part(shown, real, "")


def assert_part(part: object, whole: object, where: str) -> None:
    """Everything in `part` is in `whole`."""
    if isinstance(part, dict) and isinstance(whole, dict):
        for key, value in part.items():
            assert_part(value, whole.get(key), f"{where}.{key}")
    else:
        assert part == whole, f"README.md: {where}"
