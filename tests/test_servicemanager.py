"""What the service manager is told."""

import os
import socket
from pathlib import Path

import pytest

from tsauditd.servicemanager import ServiceManager


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_alive_and_stopping_are_told(tmp_path: Path, abstract: bool) -> None:
    name = f"@tsauditd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    now = [100.0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.setblocking(False)
        service = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "10000000"}, lambda: now[0])
        service.ready("has the audit pid")
        assert manager.recv(100) == b"READY=1\nSTATUS=has the audit pid"
        service.alive()
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        now[0] = 105.0
        service.alive()
        service.alive()
        assert manager.recv(100) == b"WATCHDOG=1"
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        service.stopping()
        assert manager.recv(100) == b"STOPPING=1"


def test_another_process_is_watched_or_nobody_listens(tmp_path: Path) -> None:
    name = str(tmp_path / "nobody")
    service = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
    service.ready("x")
    service.alive()
    ServiceManager({}).ready("x")
    ServiceManager({"NOTIFY_SOCKET": "vsock:2:1"}).stopping()
