"""What sessions cost: Python's time for each command of a storm inside a login session, and for an event outside one.

    .venv/bin/python benchmarks/sessions.py [--commands N] [--open N] [--json PATH] [--instructions]

Events are made by the decoder from records of the kernel's own form; the figures are of one thread, CPU time.
"""

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from tsauditd.event import Decoder
from tsauditd.journal import Journal
from tsauditd.live import LiveSessions
from tsauditd.timelines import Timelines
from tsauditd.timelines.lines import push_lines

BATCH = 50
"""Events in a batch of the storm: what the reading thread hands over in 5 ms at 10,000 a second."""

START = 1_700_000_000_000

STORMS = {"build": False, "typed": True}
"""Whether each command is typed in a shell; else one program runs them."""

COUNTED = (2_000, 8_000)
"""Commands of the short and the long storm whose instructions are counted."""


def stamp(ms: int, serial: int) -> str:
    return f"msg=audit({ms // 1000}.{ms % 1000:03d}:{serial}):"


def login(ms: int, serial: int, ses: int) -> str:
    return (
        f"type=LOGIN {stamp(ms, serial)} pid={100_000 + ses} uid=0 old-auid=4294967295 auid=1000 tty=(none) "
        f"old-ses=4294967295 ses={ses} res=1\n"
    )


def command(ms: int, serial: int, ses: int, pid: int, parent: int, args: list[str]) -> str:
    """The records of an execve(2), as this kernel writes them."""
    at = stamp(ms, serial)
    words = " ".join(f'a{n}="{word}"' for n, word in enumerate(args))
    auid = "4294967295" if ses == 4294967295 else "1000"
    return (
        f"type=SYSCALL {at} arch=c000003e syscall=59 success=yes exit=0 a0=55b4c5a3e2d0 a1=55b4c5a3e330 "
        f"a2=55b4c5a3e350 a3=8 items=2 ppid={parent} pid={pid} auid={auid} uid=1000 gid=1000 euid=1000 suid=1000 "
        f'fsuid=1000 egid=1000 sgid=1000 fsgid=1000 tty=pts0 ses={ses} comm="{args[0]}" '
        f'exe="/usr/bin/{args[0]}" key="commands"\n'
        f"type=EXECVE {at} argc={len(args)} {words}\n"
        f'type=CWD {at} cwd="/home/alice/project"\n'
        f'type=PATH {at} item=0 name="/usr/bin/{args[0]}" inode=1234 dev=fe:00 mode=0100755 ouid=0 ogid=0 '
        "rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n"
        f'type=PATH {at} item=1 name="/lib64/ld-linux-x86-64.so.2" inode=5678 dev=fe:00 mode=0100755 ouid=0 ogid=0 '
        "rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n"
        f'type=PROCTITLE {at} proctitle="{args[0]}"\n'
    )


def needed(text: str) -> bytes:
    """What timelines need of a log."""
    decoder = Decoder(timelines=True)
    decoder.feed(text.encode())
    lines = decoder.timeline()
    decoder.finish()
    return lines + decoder.timeline()


def storm(count: int, *, ses: int, typed: bool) -> list[bytes]:
    """The lines of `count` commands, in batches: a build's (one script starts them), or typed one after the other."""
    text = login(START, 1, ses) if ses != 4294967295 else ""
    shell = 900_001
    text += command(START, 2, ses, shell, 900_000, ["bash"] if typed else ["make", "-j8"])
    for n in range(count):
        args = ["cc", "-O2", "-c", f"file{n}.c", "-o", f"file{n}.o"]
        text += command(START + n // 10, n + 3, ses, 1000 + n % 30_000, shell, args)
    lines = needed(text).splitlines(keepends=True)
    return [b"".join(lines[at : at + BATCH]) for at in range(0, len(lines), BATCH)]


def cost(batches: list[bytes], *, keep: bool) -> dict[str, float]:
    """Microseconds of CPU for an event: read, made a row, written; with and without the state kept for a restart."""
    events = sum(batch.count(b"\n") for batch in batches)
    started = time.process_time()
    for batch in batches:
        for line in batch.split(b"\n"):
            if line[:1] == b"{":
                orjson.loads(line)
            else:
                line.decode().split("\t")
    reading = time.process_time() - started
    spent, written = live(batches, keep=keep)
    return {
        "all": 1e6 * spent / events,
        "reading": 1e6 * reading / events,
        "bytes_out": written / events,
    }


def live(batches: list[bytes], *, keep: bool) -> tuple[float, int]:
    """Has sessions work on the batches as in the daemon; returns the seconds of CPU and the bytes written."""
    written = 0

    def deliver(lines: bytes) -> None:
        nonlocal written
        written += len(lines)

    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(str(Path(directory) / "state")) if keep else None
        live = LiveSessions(
            deliver,
            journal=journal,
            idle=lambda: True,
            wall=lambda: START / 1000,
            say=print,
            later=lambda act: act(),
            alive=lambda some: {one.id for one in some},
        )
        live.begin(None, [])
        started = time.process_time()
        for number, batch in enumerate(batches):
            live.batch(batch)
            if number % 40 == 0:  # once a second, at 2,000 commands a second
                live.tick()
        live.close()
        return time.process_time() - started, written


def many(count: int) -> dict[str, float]:
    """Sessions open at once: memory for each, and what a second's tick costs."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = 0

    def emit(document: object) -> None:
        nonlocal taken
        taken += len(orjson.dumps(document))

    timelines = Timelines(emit)
    decoder = Decoder(timelines=True)
    for ses in range(1, count + 1):
        text = login(START + ses, 3 * ses, ses)
        text += command(START + ses, 3 * ses + 1, ses, 1_000_000 + ses, 1, ["bash"])
        text += command(START + ses, 3 * ses + 2, ses, 2_000_000 + ses, 1_000_000 + ses, ["ls", "-l"])
        decoder.feed(text.encode())
        push_lines(timelines, decoder.timeline())
    decoder.finish()
    push_lines(timelines, decoder.timeline())
    assert len(timelines.sessions) == count
    started = time.process_time()
    timelines.tick(START + count + 30_000, lambda some: {one.id for one in some})
    first = time.process_time() - started
    started = time.process_time()
    timelines.tick(START + count + 31_000, lambda some: {one.id for one in some})
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "sessions": count,
        "kib_each": (after - before) / count,
        "tick_writing_ms": 1e3 * first,
        "tick_ms": 1e3 * (time.process_time() - started),
    }


def outside(count: int) -> dict[str, float]:
    """Microseconds of Python for an event that belongs to no session: a batch of which timelines need nothing."""
    ses = 4294967295
    decoder = Decoder(timelines=True)
    for n in range(BATCH):
        decoder.feed(command(START, n, ses, 1000 + n, 1, ["cc", "-c", f"{n}.c"]).encode())
    timelines = Timelines(lambda _: None)
    batches = count // BATCH
    started = time.process_time()
    for _ in range(batches):
        if lines := decoder.timeline():
            push_lines(timelines, lines)
    spent = time.process_time() - started
    return {"each": 1e6 * spent / (batches * BATCH), "a_batch": 1e6 * spent / batches}


def instructions(name: str) -> float:
    """Instructions of Python for a command, by callgrind: the same on a busy machine as on a quiet one.

    A long storm is counted and a short one, and the difference told, so that what starting takes is left out.
    """
    found = []
    with tempfile.TemporaryDirectory() as directory:
        for count in COUNTED:
            batches = Path(directory) / "batches"
            batches.write_bytes(pickle.dumps(storm(count, ses=7, typed=STORMS[name])))
            command = [
                "valgrind",
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                sys.executable,
                __file__,
            ]
            done = subprocess.run(
                [*command, "--replay", batches],
                env={**os.environ, "PYTHONHASHSEED": "0"},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            found.append(int(done.stderr.rpartition(b"Collected : ")[2].split()[0]))
    return (found[1] - found[0]) / (COUNTED[1] - COUNTED[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=50_000)
    parser.add_argument("--open", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--instructions", action="store_true", help="count a command's, by valgrind")
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        live(pickle.loads(options.replay.read_bytes()), keep=True)
        return 0
    if options.instructions:
        for name in STORMS:
            print(f"{name:14} instructions {instructions(name):,.0f}")
        return 0
    found = {"open": many(options.open), "outside": outside(min(options.commands, 20_000))}
    for name, typed in STORMS.items():
        batches = storm(options.commands, ses=7, typed=typed)
        for kept in (False, True):
            found[f"{name}{', kept' if kept else ''}"] = cost(batches, keep=kept)
        del batches
    for name, figures in found.items():
        print(f"{name:14}", "  ".join(f"{key} {value:.2f}" for key, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
