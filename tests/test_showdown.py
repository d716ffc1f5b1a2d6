"""The showdown's pure parts: reading what each contender writes, figures, the page, the fleet."""

import copy
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from showdown import contenders, figures, fleet, latency, page, profile, publish, rounds, tables, written
from showdown.contenders import UNIT_NICE, Contender
from showdown.written import Delivered, Form

from tsauditd.errors import TsauditdError

RECORDS = b"""\
type=SYSCALL msg=audit(1.000:7): arch=c000003e syscall=257 success=yes exe="/s" key="showdown-open"
type=CWD msg=audit(1.000:7): cwd="/"
type=PATH msg=audit(1.000:7): item=0 name="/opened" nametype=NORMAL
type=PROCTITLE msg=audit(1.000:7): proctitle="s"
type=SYSCALL msg=audit(1.000:8): arch=c000003e syscall=257 success=yes exe="/s" key="showdown-open"
type=PATH msg=audit(1.000:8): item=0 name="/opened" nametype=NORMAL
type=SYSCALL msg=audit(1.000:9): arch=c000003e syscall=257 success=yes exe="/s" key="other"
type=CONFIG_CHANGE msg=audit(1.000:10): op=add_rule key="showdown-open" list=4 res=1
"""

OURS = {
    "event": {"id": "1.000:7"},
    "tags": ["showdown-open"],
    "process": {"executable": "/s", "entity_id": "x", "title": "s", "working_directory": "/"},
    "auditd": {"data": {"syscall": "openat"}},
    "file": {"path": "/opened"},
}

LAUREL = {
    "ID": "1.000:7",
    "SYSCALL": {"key": "showdown-connect"},
    "SOCKADDR": [{"saddr": "%02%00é%7f%01%00%01%00%00"}],
    "PROCTITLE": {},
}


def read(form: Form, directory: Path, lines: bytes, name: str, truth: dict[str, int]) -> Delivered:
    log = directory / "log"
    log.write_bytes(lines)
    return written.delivered(form, [log], f"showdown-{name}", Counter(truth))


def test_an_event_of_auditd_counts_once_and_is_whole_with_all_its_records(tmp_path: Path) -> None:
    found = read(written.AUDIT_LOG, tmp_path, RECORDS + RECORDS, "open", {"/opened": 2})
    assert found == Delivered(events=2, complete=1, correct=1, both_ends=0)
    assert found.example == "1.000:8 lacks CWD, PROCTITLE"


def test_what_a_syslog_daemon_puts_before_a_record_is_passed_over(tmp_path: Path) -> None:
    lines = b"".join(b"Nov 21 vm audisp-syslog: " + line for line in RECORDS.splitlines(keepends=True))
    assert read(written.AUDIT_LOG, tmp_path, lines, "open", {"/opened": 2}).complete == 1


def test_an_event_that_says_something_else_is_not_right(tmp_path: Path) -> None:
    assert read(written.AUDIT_LOG, tmp_path, RECORDS, "open", {"/other": 2}).correct == 0


def test_more_of_a_thing_than_was_done_is_not_right(tmp_path: Path) -> None:
    lines = RECORDS.replace(b":8)", b":6)") + RECORDS
    assert read(written.AUDIT_LOG, tmp_path, lines, "open", {"/opened": 1}).correct == 1


@pytest.mark.parametrize("lacking", ["title", "entity_id", "working_directory"])
def test_our_own_event_is_whole_with_all_that_it_should_say(tmp_path: Path, lacking: str) -> None:
    less = copy.deepcopy(OURS)
    del less["process"][lacking]  # type: ignore[attr-defined]
    less["event"] = {"id": "1.000:8"}
    lines = json.dumps(OURS).encode() + b"\n<13>Nov 21 vm tsauditd: " + json.dumps(less).encode() + b"\n"
    found = read(written.ECS, tmp_path, lines, "open", {"/opened": 2})
    assert found == Delivered(2, 1, 1, 0)
    assert found.example == f"1.000:8 lacks {lacking}"


def test_a_client_of_a_server_is_known_by_its_address(tmp_path: Path) -> None:
    event = copy.deepcopy(OURS) | {
        "auditd": {"data": {"syscall": "accept4"}},
        "source": {"ip": "127.0.0.1", "port": 4711},
        "destination": {"ip": "127.0.0.1", "port": 80},
    }
    found = read(written.ECS, tmp_path, json.dumps(event).encode(), "open", {"127.0.0.1": 1})
    assert found == Delivered(1, 1, 1, both_ends=1)


def test_laurel_writes_bytes_as_percent_or_as_text(tmp_path: Path) -> None:
    lines = json.dumps(LAUREL).encode()
    port = int.from_bytes("é".encode())
    assert read(written.LAUREL, tmp_path, lines, "connect", {f"127.1.0.1:{port}": 1}).correct == 1


@pytest.mark.parametrize(
    ("saddr", "says"),
    [("020008F97F010001", "127.1.0.1:2297"), ("0A00", None), ("01002F72756E2F78", None), (None, None)],
)
def test_an_address(saddr: str | None, says: str | None) -> None:
    assert written.address(saddr) == says


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [figures.percentile(values, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert figures.percentile([3.0], 0.5) == 3.0
    assert figures.percentile([], 0.5) is None


def test_a_line_that_never_came_leaves_no_percentile() -> None:
    told = {"latency_rest": {"ms": [1.0], "missing": 1}}
    assert figures.latency(told, "rest", 0.5) is None


def pieces(*peaks: tuple[float, float]) -> list[dict[str, Any]]:
    """Rounds of one piece of work: the memory of all processes, and of those beside the reader."""
    return [{"open": {"peak_mb": all_of_them, "others_peak_mb": others}} for all_of_them, others in peaks]


def test_the_memory_aims_take_each_of_ours_and_of_a_pipeline_the_reader_alone() -> None:
    told = {
        "rounds": pieces((110.0, 8.0), (104.0, 1.0)),
        "idle": {"resident_mb": 42.0, "others_resident_mb": 4.0},
        "burst": {"peak_mb": 60.0, "others_peak_mb": 5.0},
    }
    them = dict.fromkeys((figures.OURS, figures.LEAN, figures.OURS_SYSLOG), told)
    aims = [aim for aim in figures.AIMS if "resident" in aim.what]
    values = {aim.what: (aim.value({"contenders": them}), aim.aim) for aim in aims}
    assert values == {
        "resident memory at rest, MB: tsauditd": (42, 40),
        "resident memory at rest, MB: tsauditd, lean rules": (42, 40),
        "resident memory at rest, MB: tsauditd + rsyslog, tsauditd alone": (38, 40),
        "resident memory, most of all storms, MB: tsauditd": (110, 100),
        "resident memory, most of all storms, MB: tsauditd, lean rules": (110, 100),
        "resident memory, most of all storms, MB: tsauditd + rsyslog, tsauditd alone": (103, 100),
    }
    assert figures.others_peak_mb(told) == 8


def test_a_burst_counts_as_a_storm() -> None:
    told = {"rounds": pieces((50.0, 2.0)), "burst": {"peak_mb": 90.0, "others_peak_mb": 20.0}}
    assert (figures.peak_mb(told), figures.own_peak_mb(told), figures.others_peak_mb(told)) == (90, 70, 20)


def test_memory_that_was_not_told_apart_is_nobody_s_own() -> None:
    told = {"rounds": [{"open": {"peak_mb": 50.0}}], "idle": {"resident_mb": 42.0}}
    assert (figures.own_peak_mb(told), figures.own_rest_mb(told), figures.others_peak_mb(told)) == (None,) * 3


def test_the_names_of_ours_are_those_of_the_contenders() -> None:
    named = {one.name for one in contenders.contenders(Path("floor"))}
    assert {figures.OURS, figures.LEAN, figures.OURS_SYSLOG} <= named


@pytest.fixture(scope="module")
def result() -> Any:
    """The last full run."""
    return json.loads(fleet.RUN.read_text())


def test_the_results_are_those_of_the_run(result: Any) -> None:
    if os.environ.get("TSAUDITD_WRITE_GOLDEN"):
        publish.publish(result)
    assert publish.results(result) in publish.TEXT.read_text()
    assert fleet.text_of(result) in publish.FLEET.read_text()


def test_every_aim_says_reached_missed_or_not_measured(result: Any) -> None:
    said = tables.report(result)
    for aim in figures.AIMS:
        line = (
            rf"^{re.escape(aim.what)}: .*(reached|MISSED|not measured)( \(of one that only receives: .*\))?$"
        )
        assert re.search(line, said, re.MULTILINE)


def test_the_report_stands_when_somebody_did_not_take_part(result: Any) -> None:
    less = copy.deepcopy(result)
    for name in (figures.FLOOR, figures.AUDITD):
        del less["contenders"][name]
    less["works"] = {"web": result["works"]["web"]}
    assert "not measured" in tables.report(less)


def test_the_page_is_one_file_and_draws_what_was_measured(result: Any) -> None:
    text = page.page(result)
    assert text.count("<svg") > 5
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", text.replace('xlink:href="#', ""))
    assert "<script" not in text


PERF = """\
listener
\tffffffff81a2 copy_folio_from_iter_atomic+0x12 ([kernel.kallsyms])
\tffffffff81a1 ksys_write+0x5f ([kernel.kallsyms])
\t7f0010 __GI___libc_write+0x4f (/usr/lib/x86_64-linux-gnu/libc.so.6)

listener
\tffffffff81b2 __schedule+0x2 ([kernel.kallsyms])
\tffffffff81b1 __x64_sys_recvmmsg+0x2 ([kernel.kallsyms])

listener
\tffffffff81b3 skb_release_data+0x2 ([kernel.kallsyms])
\tffffffff81b1 __x64_sys_recvmmsg+0x2 ([kernel.kallsyms])

listener
\t7f0020 tsauditd_core::engine::Engine::write+0x3 (/x/tsauditd/_core.abi3.so)

tsauditd
\t7f0030 _PyEval_EvalFrameDefault+0x3 (/usr/lib/libpython3.11.so.1.0)
"""


def test_samples_are_told_by_what_they_were_at() -> None:
    blocks = [profile.kind(frames) for frames in profile.samples(PERF.splitlines())]
    assert blocks == [profile.WRITE, profile.SWITCH, profile.FREE, profile.CORE, profile.PYTHON]


def test_who_fails_does_not_stop_the_others() -> None:
    one, other, third = (Contender(name, name, lambda _: []) for name in ("one", "other", "third"))
    turns = []

    def take(contender: Contender, *, first: bool) -> dict[str, Any]:
        turns.append((contender.name, first))
        if contender is other or (contender is third and len(turns) < 4):
            raise TsauditdError("it fell over")
        return {"works": {}, "extras": {"once": True} if first else {}, "seconds": 0.0}

    result, failed = rounds.in_turns([one, other, third], 2, take)
    assert turns == [
        ("one", True), ("other", True), ("third", True), ("other", True), ("third", True), ("one", False)
    ]  # fmt: skip
    assert {name: len(told["rounds"]) for name, told in result.items()} == {"one": 2, "third": 1}
    assert failed == {"other": ["it fell over"] * 2, "third": ["it fell over"]}
    assert result["third"]["once"]


def test_a_showdown_that_nobody_comes_through_says_why() -> None:
    def take(_contender: Contender, *, first: bool) -> dict[str, Any]:
        raise OSError(28, f"No space left on device, first: {first}")

    with pytest.raises(TsauditdError, match="No space left"):
        rounds.in_turns([Contender("one", "one", lambda _: [])], 1, take)


def test_a_second_signal_does_not_break_off_what_the_first_one_began() -> None:
    program = (
        "import os, signal\nfrom borrowed import interruptible\ninterruptible()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n    signal.pause()\n"
        "except KeyboardInterrupt:\n    os.kill(os.getpid(), signal.SIGINT)\n    print('put back')\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("put back\n", "", 0)


def test_an_event_that_is_not_whole_is_told(result: Any) -> None:
    less = copy.deepcopy(result)
    less["contenders"]["auditd"]["rounds"][0]["web"]["delivered"]["example"] = "1.000:8 lacks CWD"
    assert "auditd, web: not whole, for example 1.000:8 lacks CWD\n" in tables.report(less)


def test_whose_turn_failed_is_told(result: Any) -> None:
    failed = {**result, "failed": {"auditd": ["it fell <over>"]}}
    assert "auditd: A ROUND FAILED: it fell <over>\n" in tables.report(failed)
    assert "it fell &lt;over&gt;" in page.page(failed)


def test_a_fleet_is_calculated_from_the_run_that_is_named(
    result: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run.json"
    run.write_text(json.dumps(result))
    monkeypatch.setattr("sys.argv", ["fleet", "--run", str(run), "--hosts", "7", "--rate", "web=0"])
    assert fleet.main() == 0
    assert capsys.readouterr().out == fleet.text_of(result, 7, {**fleet.RATES, "web": 0})


@pytest.mark.parametrize("words", [["--rate", "tea=1"], ["--rate", "web=much"], ["--rate", "web=-1"]])
def test_a_rate_that_is_none_is_a_wrong_use(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fleet", *words])
    with pytest.raises(SystemExit) as ended:
        fleet.main()
    assert ended.value.code == 2


def test_a_run_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fleet", "--run", "/nowhere"])
    with pytest.raises(SystemExit) as ended:
        fleet.main()
    assert ended.value.code == 1
    assert "/nowhere" in capsys.readouterr().err


def test_a_fleet_costs_what_its_hosts_cost(result: Any) -> None:
    told = result["contenders"][figures.OURS]
    one, many = fleet.fleet(told, 1), fleet.fleet(told, 1000)
    assert one is not None
    assert many is not None
    assert many.cores == pytest.approx(1000 * one.cores)
    assert many.terabytes_a_day == pytest.approx(1000 * (one.terabytes_a_day or 0))
    assert many.most_events_a_second == one.most_events_a_second
    assert fleet.fleet(result["contenders"]["no audit"]) is None


def test_ours_has_the_priority_of_its_unit() -> None:
    unit = Path(__file__).parents[1] / "packaging/systemd/tsauditd.service"
    assert f"Nice={UNIT_NICE}\n" in unit.read_text()


def test_the_log_is_watched_through_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("probe-000009 is from before\n")
    watch = latency.Watch(lambda: sorted(tmp_path.glob("audit.log*")))
    with log.open("a") as growing:
        growing.write("probe-000001\nprobe-00")
    watch.look()
    between = time.monotonic_ns()
    with log.open("a") as growing:
        growing.write("0002 probe-\n")
    log.rename(tmp_path / "audit.log.1")
    log.write_text("probe-000003\nprobe-000001 once more\nprobe-000004 is cut")
    watch.look()
    (tmp_path / "audit.log.1").unlink()
    seen = watch.seen()
    watch.close()
    assert set(seen) == {1, 2, 3}
    assert seen[1] < between < seen[2]
    assert seen[3] > between


def test_a_log_that_begins_later_is_found_and_a_number_counts_by_the_end_of_its_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    watch = latency.Watch(lambda: sorted(tmp_path.glob("log*")))
    watch.look()
    log.write_text("x probe-000001 begins")
    watch.look()
    between = time.monotonic_ns()
    with log.open("a") as growing:
        growing.write(" and ends\n")
    watch.look()
    assert watch.seen()[1] > between
    watch.close()
