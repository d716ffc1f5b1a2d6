"""kauditd waits for its turn while the daemon has the audit pid, and only then."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from live import running, wait_until

from tsauditd.kernel import sender
from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def usual(untouched: Snapshot) -> None:
    """Scheduled as ever when the test begins; `untouched` looks whether it is so again at the end."""
    sender.set_policy(sender.USUAL)
    assert sender.policy() == untouched.sender == sender.USUAL


def config(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "tsauditd.toml"
    path.write_text(text)
    return ["-c", str(path), "--output", str(tmp_path / "out.json")]


def scheduled(wanted: int) -> bool:
    return sender.policy() == wanted


def test_it_is_given_back_at_the_end(tmp_path: Path) -> None:
    with running(tmp_path, *config(tmp_path, "")) as daemon:
        assert sender.policy() == sender.BATCH
        daemon.stop()
    assert sender.policy() == sender.USUAL


def test_a_killed_daemons_is_given_back_by_the_next(tmp_path: Path) -> None:
    with running(tmp_path, *config(tmp_path, "")) as daemon:
        daemon.send(signal.SIGKILL)
        daemon.process.wait()
    assert sender.policy() == sender.BATCH
    with running(tmp_path, *config(tmp_path, "")) as daemon:
        assert sender.policy() == sender.BATCH
        daemon.stop()
    assert sender.policy() == sender.USUAL


def test_a_reload_decides_anew(tmp_path: Path) -> None:
    with running(tmp_path, *config(tmp_path, "[kernel]\nbatch_sending = false\n")) as daemon:
        assert sender.policy() == sender.USUAL
        for text, wanted in (("", sender.BATCH), ("[kernel]\nbatch_sending = false\n", sender.USUAL)):
            config(tmp_path, text)
            daemon.send(signal.SIGHUP)
            wait_until(partial(scheduled, wanted), "the reload")
        daemon.stop()


def test_what_somebody_else_has_chosen_stays(tmp_path: Path) -> None:
    pid = sender.find()
    assert pid is not None
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    try:
        with running(tmp_path, *config(tmp_path, "")) as daemon:
            assert sender.policy() == os.SCHED_IDLE
            daemon.stop()
        assert sender.policy() == os.SCHED_IDLE
    finally:
        sender.set_policy(sender.USUAL)


def test_who_may_not_says_so_once_and_goes_on(tmp_path: Path) -> None:
    words = config(tmp_path, "")
    with running(
        tmp_path, *words, through=["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-all"]
    ) as daemon:
        assert sender.policy() == sender.USUAL
        (line,) = daemon.said
        assert line.startswith("tsauditd: without CAP_SYS_NICE kauditd ")
        daemon.stop()
