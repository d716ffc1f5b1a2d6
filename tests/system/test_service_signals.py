"""The running daemon and signals: reload, rotate, resume, state, and the records that it writes of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import PATIENCE_S, Daemon, auditctl, events, running, state, text, wait_until

from tsauditd.kernel.state import Snapshot
from tsauditd.telling import ask

pytestmark = pytest.mark.system

TABLES = '[daemon]\npid_file = "{0}/run/pid"\nstate_file = "{0}/run/state"\nstatus_socket = "{0}/run/sock"\n'


class Files:
    """A configuration and what it makes."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "tsauditd.toml"
        self.json = directory / "events.json"
        self.log = directory / "audit.log"
        self.run = directory / "run"
        self.directory = directory

    def write(self, json_keys: str = "", raw_keys: str = "", more: str = "") -> None:
        self.config.write_text(
            TABLES.format(self.directory)
            + f'[[output]]\ntype = "file"\npath = "{self.json}"\n{json_keys}\n'
            + f'[[output]]\ntype = "raw"\npath = "{self.log}"\n{raw_keys}\n{more}\n'
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.write()
    return made


@pytest.fixture
def daemon(untouched: Snapshot, files: Files, tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path, "-c", str(files.config)) as started:
        # Until then audit may be off.
        wait_until(lambda: b"DAEMON_START" in text(files.log), "it has begun")
        yield started
        started.stop()


def daemons(files: Files, kind: str) -> list[dict[str, Any]]:
    """The daemon's own events of that type, once they are written."""
    return [each for each in events(files.json) if each["auditd"]["message_type"] == kind]


def wait_for(files: Files, kind: str, count: int = 1) -> dict[str, Any]:
    name = f"type={kind.upper()} ".encode()
    wait_until(lambda: text(files.log).count(name) >= count, f"{kind} in the raw log")
    wait_until(lambda: len(daemons(files, kind)) >= count, f"{kind} in the events")
    return daemons(files, kind)[-1]


def test_start_and_end_are_told_with_who_did_it(files: Files, untouched: Snapshot, tmp_path: Path) -> None:
    with running(tmp_path, "-c", str(files.config)) as daemon:
        start = wait_for(files, "daemon_start")
        assert (files.run / "pid").read_text() == f"{daemon.pid}\n"
        daemon.stop()
    assert not (files.run / "pid").exists()
    assert not (files.run / "sock").exists()
    found = events(files.json)
    assert found[0] == start
    assert start["event"]["action"] == "started-audit"
    assert start["process"]["pid"] == daemon.pid
    end = found[-1]
    assert end["event"]["action"] == "shutdown-audit"
    assert end["process"]["pid"] == os.getpid(), "the sender, as the kernel knows him"
    lines = files.log.read_text().splitlines()
    assert lines[0].startswith("type=DAEMON_START msg=audit(")
    assert lines[-1].startswith("type=DAEMON_END msg=audit(")
    assert f" pid={os.getpid()} " in lines[-1]
    seen = subprocess.run(
        ["ausearch", "-m", "DAEMON_START,DAEMON_END", "--format", "csv", "-if", files.log],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    ).stdout
    assert seen.count("DAEMON_") == 2
    last = subprocess.run(["aulast", "-f", files.log], capture_output=True, text=True)
    assert last.returncode == 0, last.stderr


def test_a_start_that_the_kernel_refuses_is_recorded(
    files: Files, untouched: Snapshot, tmp_path: Path
) -> None:
    """A watch in a directory that is not there: nothing of the kernel's state is changed, code 1."""
    rules = tmp_path / "refused.rules"
    rules.write_text(f"-w {tmp_path}/no/such/place -p wa -k refused\n")
    before = state()
    done = subprocess.run(
        [sys.executable, "-m", "tsauditd", "run", "-c", str(files.config), "--rules", str(rules)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "refused.rules:1: " in done.stderr
    assert "Traceback" not in done.stderr
    assert state() == before
    [event] = events(files.json)
    assert event["event"]["action"] == "aborted-auditd-startup"
    assert event["event"]["outcome"] == "failure"
    assert event["process"]["pid"] > 0
    assert files.log.read_text().startswith("type=DAEMON_ABORT msg=audit(")
    assert " op=load-rules auid=" in files.log.read_text()
    seen = subprocess.run(
        ["ausearch", "-m", "DAEMON_ABORT", "--format", "csv", "-if", files.log],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    ).stdout
    assert seen.count("DAEMON_ABORT") == 1


def test_usr1_rotates_every_file(files: Files, daemon: Daemon) -> None:
    auditctl("-m", "before")
    both = (files.log, files.json)
    wait_until(lambda: all(b"before" in text(path) for path in both), "the first event")
    daemon.send(signal.SIGUSR1)
    record = wait_for(files, "daemon_rotate")
    assert record["process"]["pid"] == os.getpid()
    assert record["event"]["outcome"] == "success"
    assert files.log.read_text().startswith("type=DAEMON_ROTATE "), "the first line of the new file"
    assert "before" in Path(f"{files.log}.1").read_text()
    assert "before" in Path(f"{files.json}.1").read_text()


def test_auditctl_sends_signals_to_whoever_has_the_audit_pid(files: Files, daemon: Daemon) -> None:
    auditctl("--signal", "CONT")
    wait_until((files.run / "state").exists, "the state is written")
    auditctl("--signal", "USR1")
    assert wait_for(files, "daemon_rotate")["process"]["pid"] not in (os.getpid(), daemon.pid)


def test_hup_takes_a_new_configuration_and_keeps_the_old_when_it_is_wrong(
    files: Files, daemon: Daemon
) -> None:
    third = files.directory / "third.json"
    files.write(json_keys="rotate_bytes = 1", more=f'[[output]]\ntype = "file"\npath = "{third}"')
    daemon.send(signal.SIGHUP)
    wait_until(lambda: third.exists() and b"daemon_config" in third.read_bytes(), "the new output writes")
    auditctl("-m", "after")
    wait_until(lambda: Path(f"{files.json}.1").exists(), "the new limit holds")
    wait_until(lambda: b"op=reconfigure state=changed auid=" in text(files.log), "it is recorded")

    files.config.write_text("[[output]]\ntype = 'flie'\n")
    daemon.send(signal.SIGHUP)
    wait_until(lambda: b"state=no-change" in files.log.read_bytes(), "the refusal is recorded")
    assert "not reloaded, the configuration that runs stays: " in daemon.said[-1]
    assert "unknown type 'flie'" in daemon.said[-1]
    auditctl("-m", "still-running")
    wait_until(lambda: b"still-running" in third.read_bytes(), "it goes on")

    files.write(more=f'[[output]]\ntype = "file"\npath = "{files.directory}/no/such/directory"')
    daemon.send(signal.SIGHUP)
    wait_until(
        lambda: files.log.read_bytes().count(b"state=no-change") == 2, "what cannot be opened is refused"
    )
    files.write()
    daemon.send(signal.SIGHUP)
    wait_until(lambda: files.log.read_bytes().count(b"state=changed") == 2, "a good one is taken again")
    auditctl("-m", "without-third")
    wait_until(lambda: b"without-third" in files.log.read_bytes(), "the others write")
    assert b"without-third" not in third.read_bytes()


def test_what_a_reload_cannot_change_is_told(files: Files, daemon: Daemon) -> None:
    files.config.write_text("[kernel]\nobserve = true\n" + files.config.read_text())
    daemon.send(signal.SIGHUP)
    wait_until(lambda: b"state=changed" in files.log.read_bytes(), "the reload")
    assert daemon.said == ["tsauditd: reloaded, but kernel.observe takes effect at the next start"]


def rule(path: str, key: str) -> str:
    return f"-a always,exit -F arch=b64 -S unlinkat -F path={path} -F key={key}\n"


def test_a_reload_changes_rules_by_their_difference_and_the_kernels_settings(
    untouched: Snapshot, files: Files, tmp_path: Path
) -> None:
    rules, foreign = tmp_path / "own.rules", tmp_path / "foreign"
    foreign.touch()
    rules.write_text(rule(str(tmp_path / "one"), "one") + rule(str(tmp_path / "two"), "two"))
    tables = files.config.read_text()

    def reload(daemon: Daemon, backlog: int, rules_key: str) -> None:
        count = files.log.read_bytes().count(b"op=reconfigure")
        files.config.write_text(f'[kernel]\nrules = "{rules_key}"\nbacklog_limit = {backlog}\n{tables}')
        daemon.send(signal.SIGHUP)
        wait_until(lambda: files.log.read_bytes().count(b"op=reconfigure") > count, "the reload")

    def loaded() -> list[str]:
        return [word.removeprefix("key=") for word in auditctl("-l").split() if word.startswith("key=")]

    files.config.write_text(f'[kernel]\nrules = "{rules}"\n{tables}')
    with running(tmp_path, "-c", str(files.config), key="two") as daemon:
        auditctl(*rule(str(foreign), "foreign").split())
        rules.write_text(rule(str(tmp_path / "two"), "two") + rule(str(tmp_path / "three"), "three"))
        reload(daemon, 20_000, str(rules))
        assert sorted(loaded()) == ["foreign", "three", "two"]
        assert "backlog_limit 20000\n" in auditctl("-s")
        changes = [line for line in files.log.read_text().splitlines() if "CONFIG_CHANGE" in line]
        assert not [line for line in changes if 'key="two"' in line and "op=remove_rule" in line], "it stayed"

        rules.write_text("-a always,exit -F nonsense=1\n")
        reload(daemon, 20_000, str(rules))
        assert "nonsense" in daemon.said[-1]
        assert sorted(loaded()) == ["foreign", "three", "two"]

        rules.write_text(rule(str(tmp_path / "four"), "four"))
        before = files.config.read_text()
        files.config.write_text(before + f'[[output]]\ntype = "file"\npath = "{tmp_path}/no/such/place"\n')
        daemon.send(signal.SIGHUP)
        wait_until(lambda: "no/such" in daemon.said[-1], "the output is refused")
        assert sorted(loaded()) == ["foreign", "three", "two"], "and then the rules stay as well"

        reload(daemon, 9000, "none")
        assert loaded() == ["foreign"]
        assert "backlog_limit 9000\n" in auditctl("-s")
        daemon.stop()
        assert loaded() == ["foreign"], "somebody else's rule stays"
        assert f"backlog_limit {untouched.status.backlog_limit}\n" in auditctl("-s")
        auditctl("-d", *rule(str(foreign), "foreign").split()[1:])


def test_a_reload_changes_what_events_carry_and_the_raw_format(files: Files, daemon: Daemon) -> None:
    auditctl("-m", "first")
    wait_until(lambda: b"first" in files.json.read_bytes(), "the first event")
    files.write(raw_keys='format = "enriched"')
    files.config.write_text("[events]\noriginal = true\n" + files.config.read_text())
    daemon.send(signal.SIGHUP)
    record = wait_for(files, "daemon_config")
    assert "op=reconfigure" in record["event"]["original"][0]
    auditctl("-m", "second")
    wait_until(lambda: b"second" in files.log.read_bytes(), "the second event")
    first, second = (line for line in files.log.read_text().split("\n") if "type=USER " in line)
    assert "\x1d" not in first
    assert "\x1dUID=" in second
    files.write()
    daemon.send(signal.SIGHUP)
    assert "original" not in wait_for(files, "daemon_config", 2)["event"]


def test_cont_writes_the_state_and_status_asks(files: Files, daemon: Daemon) -> None:
    auditctl("-m", "one")
    wait_until(lambda: b"one" in files.log.read_bytes(), "an event")
    daemon.send(signal.SIGCONT)
    state = files.run / "state"
    wait_until(state.exists, "the state file")
    told_there = state.read_text()
    assert f"pid = {daemon.pid}\n" in told_there
    assert f"outputs = raw {files.log}: " in told_there
    assert state.stat().st_mode & 0o777 == 0o640
    assert (files.run / "sock").stat().st_mode & 0o777 == 0o600

    found = ask(str(files.run / "sock"))
    assert found is not None
    assert [each["type"] for each in found["outputs"]] == ["file", "raw"]

    def told() -> bool:
        asked = ask(str(files.run / "sock"))
        assert asked is not None
        return bool(asked["outputs"][1]["written_bytes"] == files.log.stat().st_size)

    wait_until(told, "what is written is told")
    assert not any(found["lost"].values())
    done = subprocess.run(
        [sys.executable, "-m", "tsauditd", "status", "-c", str(files.config), "--json"],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["daemon"]["pid"] == daemon.pid
    shown = subprocess.run(
        [sys.executable, "-m", "tsauditd", "status", "-c", str(files.config)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{files.log}: writes" in shown
    assert f"pid {daemon.pid}, as the audit daemon" in shown


def test_rates_and_metrics(
    untouched: Snapshot, files: Files, tmp_path: Path, flood: str, flood_rules: Path
) -> None:
    tables = files.config.read_text()
    files.config.write_text(
        tables.replace("[daemon]\n", f'[daemon]\nmetrics_file = "{tmp_path}/run/tsauditd.prom"\n')
    )
    with running(tmp_path, "-c", str(files.config), "--rules", str(flood_rules), key="flood") as daemon:
        subprocess.run([flood, "open", "50", f"{tmp_path}/missing/"], check=True, timeout=PATIENCE_S)

        def counted() -> bool:
            found = ask(str(files.run / "sock"))
            assert found is not None
            keys = {each["name"]: each["events"] for each in found["rates"]["keys"]}
            programs = {each["name"]: each["events"] for each in found["rates"]["executables"]}
            return bool(keys.get("flood", 0) >= 51 and programs.get(flood, 0) >= 51)

        wait_until(counted, "the events are counted")
        prometheus = (files.run / "tsauditd.prom").read_text()
        assert "# TYPE tsauditd_events_total counter\n" in prometheus
        assert f'tsauditd_output_up{{output="{files.log}",type="raw"}} 1\n' in prometheus
        daemon.stop()
