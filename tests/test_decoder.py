"""The decoder's face: bytes in any cut, lines out, and whatever could not be read is told."""

import itertools
import json
import threading

from hypothesis import given
from hypothesis import strategies as st

from tsauditd.event import VERSION, Decoder, DecoderCounters, decoder_counters, syscall_number


def record(serial: int, uid: int = 0) -> str:
    """A record that is an event by itself."""
    return (
        f"type=USER_CMD msg=audit(1700000000.123:{serial}): pid=101 uid={uid} auid=4294967295 ses=4294967295 "
        f"""msg='cwd="/root" cmd=6964202D75 terminal=pts/0 res=success'\n"""
    )


LOG = "".join(record(serial) for serial in range(1, 21)).encode() + b"not a record\n" + record(21).encode()


def whole(log: bytes) -> bytes:
    decoder = Decoder()
    return decoder.feed(log) + decoder.end_file() + decoder.finish()


@given(st.lists(st.integers(0, len(LOG)), max_size=8))
def test_the_cut_makes_no_difference(cuts: list[int]) -> None:
    decoder = Decoder()
    bounds = [0, *sorted(cuts), len(LOG)]
    lines = b"".join(decoder.feed(LOG[start:end]) for start, end in itertools.pairwise(bounds))
    assert lines + decoder.end_file() + decoder.finish() == whole(LOG)


def test_lines_without_a_copy_stay_while_somebody_has_them() -> None:
    decoder, other = Decoder(), Decoder()
    first, second = decoder.read(LOG), decoder.read(LOG)
    assert (bytes(first), bytes(second)) == (other.feed(LOG), other.feed(LOG))
    assert first.readonly
    kept = bytes(second)
    del first
    decoder.read(LOG)
    assert bytes(second) == kept


def test_every_event_comes_out_once_and_is_json() -> None:
    events = [json.loads(line) for line in whole(LOG).splitlines()]
    assert [event["event"]["sequence"] for event in events] == list(range(1, 22))


def test_finish_reads_a_last_line_without_its_newline() -> None:
    decoder = Decoder()
    lines = decoder.feed(record(1).encode().rstrip(b"\n")) + decoder.finish()
    assert len(lines.splitlines()) == 1


def test_unreadable_lines_are_told_with_their_place() -> None:
    decoder = Decoder()
    decoder.feed(LOG)
    decoder.end_file()
    decoder.feed(b"worse \xff\n")
    decoder.finish()
    told = decoder.unreadable()
    assert [(line, text) for line, _, text in told] == [
        (21, "not a record"),
        (1, "worse \N{REPLACEMENT CHARACTER}"),
    ]
    assert all(why for _, why, _ in told)
    assert decoder.unreadable() == []
    counted = decoder_counters(decoder)
    assert (counted["unreadable"], counted["events"], counted["lines"]) == (2, 21, 23)


def test_counts_everything_that_its_face_names() -> None:
    assert set(Decoder().counters()) == set(DecoderCounters.__annotations__)


def test_keeps_to_the_time_asked_for() -> None:
    time = 1_700_000_000_123
    for since, until, kept in ((time, time + 1, 21), (time + 1, None, 0), (None, time, 0)):
        decoder = Decoder(since=since, until=until)
        assert (decoder.feed(LOG) + decoder.finish()).count(b"\n") == kept


def test_this_machines_names_only_when_asked() -> None:
    for resolve in (True, False):
        decoder = Decoder(resolve=resolve)
        user = json.loads(decoder.feed(record(1).encode()) + decoder.finish())["user"]
        assert user["id"] == "0"
        assert user.get("name") == ("root" if resolve else None)


def test_an_id_that_nobody_has_is_nameless() -> None:
    decoder = Decoder(resolve=True)
    log = "".join(record(serial, 3_999_999_999) for serial in (1, 2)).encode()
    for line in (decoder.feed(log) + decoder.finish()).splitlines():
        assert "name" not in json.loads(line)["user"]


def test_threads_may_share_a_decoder() -> None:
    decoder = Decoder()
    taken: list[bytes] = []

    def feed(start: int) -> None:
        taken.extend(decoder.feed(record(serial).encode()) for serial in range(start, start + 500))

    threads = [threading.Thread(target=feed, args=(start,)) for start in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.append(decoder.finish())
    assert b"".join(taken).count(b"\n") == 1500


def test_system_calls_have_their_numbers() -> None:
    assert syscall_number("x86_64", "openat") == 257
    assert syscall_number("i386", "openat") == 295
    assert syscall_number("aarch64", "openat") == 56
    assert syscall_number("aarch64", "open") is None
    assert syscall_number("vax", "open") is None
    assert syscall_number("x86_64", "nothing") is None


def test_has_a_version() -> None:
    assert VERSION.split(".")[0].isdecimal()
