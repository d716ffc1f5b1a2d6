"""What is told of the audit pid and the enabled flag, and what is done when the pid is lost."""

import os
import socket
from collections.abc import Iterator

import pytest

from tsauditd.kernel import registration
from tsauditd.kernel.standing import Standing
from tsauditd.kernel.status import Glance

ME = os.getpid()
OTHER = 4_194_305  # above every pid_max
HELD = Glance(enabled=1, pid=ME, lost=0)


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the kernel, which is not there."""
    asked: list[str] = []
    for name in ("claim", "join_multicast", "leave_multicast"):
        monkeypatch.setattr(registration, name, lambda _, name=name: asked.append(name))
    return asked


@pytest.fixture
def standing() -> Iterator[Standing]:
    with socket.socket() as line:
        names = {OTHER: "other"}
        yield Standing(line, registered=True, enabled=1, name_of=names.get)


def actions(standing: Standing, now: Glance) -> list[str]:
    return [notice.action for notice in standing.look(now)]


def test_nothing_new_is_not_told(standing: Standing, did: list[str]) -> None:
    assert actions(standing, HELD) == did == standing.problems == []
    assert actions(standing, HELD._replace(enabled=2)) == []


def test_a_pid_that_was_let_go_is_taken_back(standing: Standing, did: list[str]) -> None:
    assert actions(standing, HELD._replace(pid=0)) == ["audit-pid-lost"]
    assert did == ["claim"]
    assert standing.problems == ["nobody has the audit pid that was this daemon's"]
    assert actions(standing, HELD._replace(pid=0)) == []
    assert did == ["claim", "claim"]
    assert actions(standing, HELD) == ["audit-pid-regained"]
    assert standing.problems == []


def test_beside_one_that_has_taken_it_until_it_is_free(standing: Standing, did: list[str]) -> None:
    (notice,) = standing.look(HELD._replace(pid=OTHER))
    assert (notice.action, notice.pid, notice.name, notice.good) == ("audit-pid-lost", OTHER, "other", False)
    assert f"kill {OTHER}" in notice.sentence
    assert standing.away == f"other (pid {OTHER})"
    assert actions(standing, HELD._replace(pid=OTHER)) == []
    assert did == ["join_multicast"], "once"
    # The group is left first: or what comes would come twice.
    assert actions(standing, HELD._replace(pid=0)) == ["audit-pid-lost"]
    assert did[1:] == ["leave_multicast", "claim"]
    assert actions(standing, HELD) == ["audit-pid-regained"]
    assert standing.away is None


def test_without_the_right_to_read_beside(
    standing: Standing, did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: socket.socket) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(registration, "join_multicast", refuse)
    (notice,) = standing.look(HELD._replace(pid=OTHER))
    assert "nothing comes until then (multicast group: Operation not permitted)" in notice.sentence
    assert actions(standing, HELD._replace(pid=0)) == ["audit-pid-lost"]
    assert did == ["claim"]


def test_switched_off_and_on(standing: Standing, did: list[str]) -> None:
    assert actions(standing, HELD._replace(enabled=0)) == ["audit-switched-off"]
    assert actions(standing, HELD._replace(enabled=0)) == []
    assert standing.problems == ["auditing is switched off (enabled is 0)"]
    assert actions(standing, HELD) == ["audit-switched-on"]
    assert did == []


def test_one_that_never_had_the_pid_misses_nothing(did: list[str]) -> None:
    with socket.socket() as line:
        standing = Standing(line, registered=False, enabled=0)
        assert actions(standing, HELD._replace(pid=OTHER)) == []
        assert actions(standing, HELD._replace(pid=0, enabled=0)) == []
        assert standing.away is None
    assert did == []
