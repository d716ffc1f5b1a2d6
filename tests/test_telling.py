"""How the daemon tells how it does."""

import asyncio
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tsauditd.errors import TsauditdError
from tsauditd.telling import Doors, Rates, ask, flat, listen, metrics, told, write_private

DATA: dict[str, Any] = {
    "version": "1",
    "pid": 7,
    "started": 100.0,
    "now": 160.0,
    "reading": "as the audit daemon",
    "problems": ["auditing is switched off (enabled is 0)"],
    "counters": {
        "events": 5,
        "records": 25,
        **dict.fromkeys(
            ("ends_event", "ends_trace", "ends_pidfd", "ends_destroyed", "looks_off", "trace_off"), 0
        ),
        "accepts": 3,
        "accepts_known": 3,
        "connects": 2,
        "connects_known": 1,
        "ends_listener": 3,
        "ends_unknown": 2,
    },
    "lost": {"kernel": 2, "overrun": 0},
    "backlog": 1,
    "backlog_limit": 64,
    "outputs": [
        {
            "type": "file",
            "name": 'a"b',
            "queue_bytes": 10,
            "waiting_bytes": 3,
            "written_bytes": 4,
            "dropped": 1,
            "cut": 0,
            "uncertain": 0,
            "held": 2,
            "error": "No space left on device",
        }
    ],
    "rates": {"keys": [{"name": "k", "events": 5, "per_second": 0.5}], "executables": []},
}


def test_rates_are_over_the_last_minute() -> None:
    rates = Rates()
    for second in range(0, 200, 10):
        rates.sample(float(second), {"keys": [("k", second * 2)]})
    assert rates.top(200.0, {"keys": [("k", 400), ("new", 70)]}) == {
        "keys": [
            {"name": "k", "events": 400, "per_second": 2.0},
            {"name": "new", "events": 70, "per_second": 1.0},
        ]
    }


def test_metrics_are_prometheus_text() -> None:
    lines = metrics(DATA).splitlines()
    assert 'tsauditd_lost_total{where="kernel"} 2' in lines
    assert 'tsauditd_output_up{output="a\\"b",type="file"} 0' in lines
    assert 'tsauditd_key_events_total{key="k"} 5' in lines
    samples = [line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert set(samples) <= set(typed)


def test_people_and_the_state_file_are_told_in_words() -> None:
    assert "2 kernel" in told(DATA)
    shares = "3 of 3 accepted, 1 of 2 made connections (3 listener, 2 unknown)"
    assert shares in told(DATA)
    blind = {**DATA, "counters": {**DATA["counters"], "looks_off": 1}}
    assert "CAP_SYS_PTRACE is missing" in told(blind)
    assert "No space left on device, held reading back 2 times, 3 of 10 bytes wait, 1 dropped" in told(DATA)
    assert "no daemon answers" in told(None)
    assert "lost kernel = 2" in flat(DATA)
    assert any(line.startswith('outputs = file a"b: queue bytes 10') for line in flat(DATA))


def test_the_socket_answers_and_has_one_owner(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "sock")
    answers: list[Any] = []

    async def run() -> None:
        doors = Doors(lambda: DATA)
        await doors.open(path, os.getgid(), 0)
        await asyncio.to_thread(lambda: answers.append(ask(path)))
        assert await asyncio.to_thread(listen, path, None) is None
        doors.close()

    asyncio.run(run())
    assert answers == [DATA]
    assert ask(path) is None


def test_a_socket_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    door = listen(path, None)
    assert door is not None
    assert os.stat(path).st_mode & 0o777 == 0o600
    door.close()


def test_a_daemon_that_does_not_answer_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()

        def hang_up() -> None:
            door.accept()[0].close()

        threading.Thread(target=hang_up).start()
        with pytest.raises(TsauditdError, match="does not answer"):
            ask(path)


def test_metrics_are_served_to_this_host(tmp_path: Path) -> None:
    async def run() -> bytes:
        doors = Doors(lambda: DATA)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        await doors.open("", None, port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        doors.close()
        return answer

    head, _, body = asyncio.run(run()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert body.decode() == metrics(DATA)


def test_a_file_is_put_in_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_private(str(path), "one\n", 0o640)
    write_private(str(path), "two\n", 0o640)
    assert path.read_text() == "two\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("path", ["/proc/status.sock", f"/tmp/{'x' * 120}"])
def test_a_door_that_cannot_be_made_says_where(path: str) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        listen(path, None)
    assert (caught.value.filename, bool(caught.value.strerror)) == (path, True)
