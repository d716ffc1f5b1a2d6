"""The listener on lines, as auditd writes them to its plugins."""

import json
import os
import select

from tsauditd.event import Listener


def test_lines_of_another_daemon_cut_anywhere() -> None:
    record = (
        "type=SYSCALL msg=audit(1700000000.000:{0}): arch=c000003e syscall=59 pid=4194305 uid=0 key={1}\n"
    )
    text = "".join(
        record.format(serial, serial) + f"type=EOE msg=audit(1700000000.000:{serial}): \n"
        for serial in (1, 2)
    )
    text += (
        "node=other type=USER msg=audit(1700000001.000:9): pid=1 uid=0 auid=0 ses=1 msg='op=x res=success'\n"
    )
    text += "nonsense\n"
    reader, writer = os.pipe()
    listener = Listener(reader, netlink=False, lines=True)
    listener.start()
    try:
        for byte in text.encode():
            os.write(writer, bytes([byte]))
        os.close(writer)
        got = b""
        while listener.counters()["ended"] == 0:
            select.select([listener.fileno()], [], [], 0.05)
            got += listener.take()
        listener.stop()
        found = [json.loads(line) for line in (got + listener.take()).splitlines()]
    finally:
        os.close(reader)
    assert [event["event"]["sequence"] for event in found] == [1, 2, 9]
    assert found[2]["host"]["name"] == "other"
    assert "incomplete" not in json.dumps(found)
    counters = listener.counters()
    assert (counters["packets"], counters["records"], counters["unreadable"]) == (6, 5, 1)
