"""What the packages are made of: units, man pages, completions, manifests."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = ("tsauditd.service", "tsauditd-observe.service", "tsauditd-rules.service")


def needs(tool: str, package: str) -> None:
    assert shutil.which(tool), f"this test needs {tool}: apt-get install {package}"


def test_systemd_takes_the_units_and_their_exposure_is_small(project: Path, tmp_path: Path) -> None:
    needs("systemd-analyze", "systemd")
    for name in UNITS:
        text = (project / "packaging/systemd" / name).read_text()
        # The commands are where the package puts them; here something else has to stand for them.
        (tmp_path / name).write_text(re.sub(r"/usr/sbin/tsauditd\b", "/bin/true", text))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in UNITS)],
        capture_output=True,
        text=True,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    for name in UNITS:
        said = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--threshold=35", tmp_path / name],
            capture_output=True,
            text=True,
        )
        assert said.returncode == 0, said.stdout[-200:] + said.stderr


def test_the_units_agree_with_each_other(project: Path) -> None:
    """Beside differs from instead only in what it must."""
    instead, beside = ((project / "packaging/systemd" / name).read_text() for name in UNITS[:2])
    service = [text.split("[Service]")[1] for text in (instead, beside)]
    # Only in auditd's place does it write auditd's log.
    service[0] = re.sub(r"# Where the package.*\nExecStartPre=.*\n", "", service[0])
    assert service[0] == service[1].replace("run --observe", "run")
    assert "Conflicts=auditd.service" in instead
    assert "auditd.service" not in beside.replace("After=auditd.service", "").replace("tsauditd.service", "")


def test_rules_are_loaded_in_the_hosts_own_mounts(project: Path) -> None:
    text = (project / "packaging/systemd/tsauditd-rules.service").read_text()
    settings = {line.split("=")[0] for line in text.splitlines() if re.match(r"\w+=", line)}
    assert not settings & {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ReadWritePaths"}
    assert not [name for name in settings if name.startswith("Protect")]


def test_every_command_has_a_man_page_that_groff_takes(project: Path, tmp_path: Path) -> None:
    needs("groff", "groff-base")
    subprocess.run([sys.executable, project / "packaging/manpages.py", tmp_path], check=True)
    pages = {page.stem for page in tmp_path.glob("*.1")}
    assert {"tsauditd", "tsauditd-run", "tsauditd-rules-load", "tsauditd-rules-suggest"} <= pages
    sections = (project / "docs/commands.md").read_text()
    assert pages == {
        name.replace(" ", "-") for name in re.findall(r"^#+ (tsauditd.*)$", sections, re.MULTILINE)
    }
    for page in tmp_path.glob("*.1"):
        done = subprocess.run(
            ["groff", "-man", "-ww", "-Tutf8", page], capture_output=True, text=True, check=True
        )
        assert done.stderr == "", page.name
        assert page.stem.replace("-", "") in re.sub(r"[^a-z]", "", done.stdout.lower())


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_shells_are_told_how_to_complete(shell: str, word: str) -> None:
    def tsauditd(**environment: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "tsauditd"], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert word in tsauditd(_TSAUDITD_COMPLETE=f"{shell}_source")
    asked = {"COMP_WORDS": "tsauditd rules ch", "COMP_CWORD": "2" if shell != "fish" else "ch"}
    assert "check" in tsauditd(_TSAUDITD_COMPLETE=f"{shell}_complete", **asked)


def test_the_configuration_that_packages_begin_with_is_good(project: Path) -> None:
    from tsauditd.config import load_config

    load_config(str(project / "packaging/tsauditd.toml"))


def test_maintainer_scripts_are_shell(project: Path) -> None:
    for script in ("config", "postinst", "prerm", "postrm", "build"):
        subprocess.run(["sh", "-n", project / "packaging/deb" / script], check=True)


def test_the_kubernetes_manifest_is_one(project: Path) -> None:
    """Every key that the kernel's rules for audit ask for, and nothing that grants more."""
    text = (project / "packaging/kubernetes/daemonset.yaml").read_text()
    assert "kind: DaemonSet" in text
    for wanted in ("hostPID: true", "hostNetwork: true", "readOnlyRootFilesystem: true", "drop: [ALL]"):
        assert wanted in text
    assert "privileged: true" not in text
    unit = (project / "packaging/systemd/tsauditd.service").read_text()
    granted = re.search(r"add: \[(.*)\]", text)
    ambient = re.search(r"AmbientCapabilities=(.*)", unit)
    assert granted is not None
    assert ambient is not None
    assert sorted(granted[1].split(", ")) == sorted(ambient[1].replace("CAP_", "").split())
