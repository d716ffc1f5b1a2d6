"""The configuration file and what the command line puts in its place."""

from pathlib import Path

import pytest

from tsauditd.config import Config, FileOutput, StdoutOutput, load_config, override
from tsauditd.errors import BadConfiguration


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "tsauditd.toml"
    path.write_text(text)
    return str(path)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == Config()


def test_every_kind_of_value(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[kernel]\nobserve = true\nrules = "/etc/audit/rules.d"\nbacklog_limit = 16384\n'
        '[[output]]\ntype = "file"\npath = "/var/log/x"\n[[output]]\ntype = "stdout"\n',
    )
    config = load_config(path)
    assert config.kernel.observe
    assert config.kernel.rules == "/etc/audit/rules.d"
    assert config.kernel.backlog_limit == 16384
    assert config.output == (FileOutput(path="/var/log/x"), StdoutOutput())
    assert config.events == Config().events


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kernel]\nobserv = true", "unknown key kernel.observ: did you mean kernel.observe?"),
        ("[kernal]", "unknown key kernal: did you mean kernel?"),
        ("xyzzy = 1", "unknown key xyzzy: known are kernel, events, daemon, output"),
        ("[kernel]\nobserve = 1", "kernel.observe must be true or false, not 1"),
        ("[kernel]\nbacklog_limit = true", "kernel.backlog_limit must be a whole number, not True"),
        ("[kernel]\nbacklog_limit = 1", "kernel.backlog_limit must be from 64 to 1048576, not 1"),
        ("[output]\npath = 5", "output is a list of tables: write [[output]] for each"),
        ("output = []", "0 outputs: give 1 to 16"),
        ("[[output]]\npath = '/x'", "an output has no type: known are stdout, file, raw, syslog"),
        ("[[output]]\ntype = 'files'", "an output has the unknown type 'files'"),
        ("[[output]]\ntype = 'file'\npath = 5", "output.path must be a text in quotes, not 5"),
        ("[[output]]\ntype = 'file'\npath = 'x'", "output.path must begin with /, not be 'x'"),
        ("[[output]]\ntype = 'stdout'\npath = 'x'", "unknown key output.path"),
        (
            "[[output]]\ntype = 'file'\npath = '/x'\n[[output]]\ntype = 'raw'\npath = '/x'",
            "two outputs write to /x",
        ),
        (
            "[[output]]\ntype = 'file'\nsync = 'often'",
            "output.sync must be one of none, second, batch, not 'often'",
        ),
        ("[[output]]\ntype = 'file'\nspace_left = '5 MB'", "output.space_left must be MiB or a share, as in"),
        (
            "[[output]]\ntype = 'file'\ndisk_full_action = 'exec rm'",
            "output.disk_full_action must be ignore, ",
        ),
        ("[[output]]\ntype = 'syslog'\naddress = 'collector'", "output.address must be unix:/PATH, udp://"),
        (
            "[[output]]\ntype = 'raw'\n[[output]]\ntype = 'raw'\npath = '/x'\nformat = 'enriched'",
            "outputs of type raw must have the same format",
        ),
        ("[daemon]\nhalt_command = []", "daemon.halt_command must be a list of texts, not []"),
        ("kernel = 5", "kernel is a table: write [kernel]"),
        ("[kernel", "not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadConfiguration) as error:
        load_config(path)
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)
    assert error.value.exit_code == 6


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="no such file"):
        load_config(str(tmp_path / "missing"))
    with pytest.raises(BadConfiguration, match="Is a directory"):
        load_config(str(tmp_path))
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    with pytest.raises(BadConfiguration, match="not TOML"):
        load_config(str(tmp_path / "latin"))


def test_the_command_line_wins_where_it_speaks() -> None:
    assert override(Config(), observe=None, rules=None, path=None) == Config()
    changed = override(Config(), observe=True, rules="none", path="/x")
    assert (changed.kernel.observe, changed.kernel.rules) == (True, "none")
    assert changed.output == (FileOutput(path="/x"),)
    assert override(changed, observe=None, rules=None, path="-").output == (StdoutOutput(),)
