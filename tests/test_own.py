"""The daemon's records of itself: read by the core as auditd's are."""

import json
import os

from tsauditd.event import Decoder
from tsauditd.own import OwnRecord, OwnRecords, Person, person

OWN = OwnRecords(lambda: 1714559400.1234)
WHO = Person(1000, 0, 7, 4242, "unconfined")


def decoded(record: OwnRecord) -> dict[str, object]:
    decoder = Decoder()
    lines = decoder.feed(record.line) + decoder.finish()
    event = json.loads(lines)
    assert event["@timestamp"] == "2024-05-01T10:30:00.123Z"
    return event  # type: ignore[no-any-return]


def test_every_record_becomes_an_event_of_its_kind() -> None:
    for record, action, outcome in (
        (OWN.start("enriched"), "started-audit", "success"),
        (OWN.end(WHO), "shutdown-audit", "success"),
        (OWN.abort("set-pid"), "aborted-auditd-startup", "failure"),
        (OWN.config(WHO, changed=True), "changed-auditd-configuration", "success"),
        (OWN.config(WHO, changed=False), "changed-auditd-configuration", "failure"),
        (OWN.rotate(WHO, done=True), "rotated-audit-logs", "success"),
        (OWN.resume(WHO), "resumed-audit-logging", "success"),
        (OWN.lost({"kernel": 5}), "audit-error", "failure"),
    ):
        event = decoded(record)["event"]
        assert isinstance(event, dict)
        assert (event["action"], event["outcome"]) == (action, outcome)


def test_the_form_is_what_ausearch_reads() -> None:
    text = OWN.end(WHO).text
    assert text.endswith("): op=terminate auid=1000 uid=0 ses=7 pid=4242 subj=unconfined res=success")
    assert OWN.end(Person()).text.endswith("auid=-1 uid=-1 ses=-1 pid=-1 subj=? res=success")
    assert OWN.rotate(WHO, done=False).text.endswith("res=failed")
    assert f" pid={os.getpid()} uid={os.getuid()} " in OWN.start(None).text


def test_serials_rise() -> None:
    first, second = (int(OWN.end(WHO).text.split(":")[1].split(")")[0]) for _ in range(2))
    assert second == first + 1


def test_a_process_that_has_gone_is_nobody() -> None:
    assert person(1 << 30) == Person(pid=1 << 30)
