"""Names of users and groups as they were at the event, from this machine's own name service."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import Daemon, Event, events, running, wait_until

from tsauditd.kernel.state import Snapshot

pytestmark = pytest.mark.system

WORKLOAD = Path(__file__).resolve().parent / "workload"

# An /etc of its own: what follows changes no account of this machine.
WITH_ETC = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"']


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A copy of /etc to be changed."""
    subprocess.run(["cp", "-a", "/etc", tmp_path / "etc"], check=True)
    (tmp_path / "etc" / "nsswitch.conf").write_text("passwd: files held\ngroup: files held\n")
    return tmp_path / "etc"


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A program that does nothing, in a path of its own."""
    return Path(shutil.copy("/bin/true", tmp_path / "probe"))


@contextmanager
def watching(tmp_path: Path, etc: Path, probe: Path, *environment: str, rule: str = "") -> Iterator[Daemon]:
    """The daemon with this /etc, which gives the probe's starts, or what another rule says."""
    rules = tmp_path / "probe.rules"
    rules.write_text(rule or f"-a always,exit -F arch=b64 -S execve -F exe={probe} -k probe\n")
    through = [*WITH_ETC, str(etc), "env", *environment]
    words = ["--rules", str(rules), "--output", str(tmp_path / "out.json")]
    with running(tmp_path, *words, key="probe", through=through) as daemon:
        yield daemon


def probed(tmp_path: Path) -> list[Event]:
    """What the probe did so far."""
    found = events(tmp_path / "out.json")
    return [event for event in found if event.get("process", {}).get("name") == "probe"]


def names(event: Event) -> tuple[str, str | None, str | None]:
    user = event["user"]
    return user["id"], user.get("name"), user["group"].get("name")


def script(daemon: Daemon, probe: Path, text: str) -> None:
    """Runs a shell script where the daemon's /etc is; `as UID` starts the probe as that user and group.

    It sleeps afterwards: events have the time of the kernel's last tick, and what is changed sooner is not told apart.
    """
    begin = f"as() {{ setpriv --reuid $1 --regid $1 --clear-groups {probe}; sleep 0.02; }}\n"
    command = ["nsenter", "--mount", "--target", str(daemon.pid), "sh", "-euc", begin + text]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def test_an_account_has_its_name_from_its_first_event_to_its_last(
    untouched: Snapshot, tmp_path: Path, etc: Path, probe: Path
) -> None:
    ids = range(61000, 61020)
    with watching(tmp_path, etc, probe) as daemon:
        for uid in ids:
            script(
                daemon,
                probe,
                f"""
                as {uid}
                groupadd -g {uid} old{uid}; useradd -M -u {uid} -g {uid} old{uid}; as {uid}
                usermod -l mid{uid} old{uid}; as {uid}
                userdel mid{uid}; groupdel old{uid}
                groupadd -g {uid} new{uid}; useradd -M -u {uid} -g {uid} new{uid}; as {uid}
                groupmod -n last{uid} new{uid}; as {uid}
                """,
            )
        daemon.stop()
    expected = [
        names
        for uid in ids
        for names in (
            (f"{uid}", None, None),
            (f"{uid}", f"old{uid}", f"old{uid}"),
            (f"{uid}", f"mid{uid}", f"old{uid}"),
            (f"{uid}", f"new{uid}", f"new{uid}"),
            (f"{uid}", f"new{uid}", f"last{uid}"),
        )
    ]
    assert [names(event) for event in probed(tmp_path)] == expected
    removed = [e for e in events(tmp_path / "out.json") if e["event"]["action"] == "deleted-user-account"]
    told = {(e["user"]["target"].get("id"), e["user"]["target"].get("name")) for e in removed}
    assert told >= {(f"{uid}", f"mid{uid}") for uid in ids}


def test_a_process_that_goes_on_gets_the_new_name(
    untouched: Snapshot, tmp_path: Path, etc: Path, probe: Path
) -> None:
    shutil.copy("/bin/sh", probe)
    rule = f"-a always,exit -F arch=b64 -S openat -F exe={probe} -F path=/dev/null -k probe\n"
    with watching(tmp_path, etc, probe, rule=rule) as daemon:
        script(daemon, probe, "useradd -M -u 61000 old61000")
        with subprocess.Popen(
            ["setpriv", "--reuid", "61000", str(probe)], stdin=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin

            def look(times: int) -> None:
                before = len(probed(tmp_path))
                for count in range(before + 1, before + 1 + times):
                    print("read line </dev/null", file=process.stdin, flush=True)
                    wait_until(lambda: len(probed(tmp_path)) >= count, "the probe has looked")  # noqa: B023

            look(4)
            # usermod wants nobody to run as that user: where it runs, nobody is seen to.
            rename = "unshare --pid --fork --mount-proc usermod -l new61000 old61000"
            script(daemon, probe, f"sleep 0.02; {rename}; sleep 0.02")
            look(4)
            process.stdin.close()
        daemon.stop()
    assert [event["user"]["name"] for event in probed(tmp_path)] == ["old61000"] * 4 + ["new61000"] * 4


def test_accounts_made_without_a_word_are_noticed(
    untouched: Snapshot, tmp_path: Path, etc: Path, probe: Path
) -> None:
    with watching(tmp_path, etc, probe) as daemon:
        script(
            daemon,
            probe,
            """
            cp /etc/passwd /etc/passwd.new; echo quiet:x:61000:61000::/:/bin/sh >>/etc/passwd.new
            mv /etc/passwd.new /etc/passwd; as 61000
            """,
        )
        daemon.stop()
    assert [names(event) for event in probed(tmp_path)] == [("61000", "quiet", None)]


def test_a_directory_that_does_not_answer_holds_nothing_up(
    untouched: Snapshot, tmp_path: Path, etc: Path, probe: Path
) -> None:
    module = tmp_path / "libnss_held.so.2"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", module, WORKLOAD / "nss.c"], check=True)
    slow, quick, unknown = "77001", "77050", "60999"

    def last() -> dict[str, tuple[str | None, str | None]]:
        return {uid: (user, group) for uid, user, group in map(names, probed(tmp_path))}

    def run(*uids: str) -> None:
        before = len(probed(tmp_path))
        script(daemon, probe, "".join(f"as {uid}\n" for uid in uids))
        wait_until(lambda: len(probed(tmp_path)) >= before + len(uids), "the probe's events are written")

    with watching(tmp_path, etc, probe, f"LD_LIBRARY_PATH={tmp_path}") as daemon:
        run(slow, quick, unknown, "1")
        assert last()[slow] == (None, None), "the event goes out with the id"
        assert last()["1"] == ("daemon", "daemon"), "the local files answer meanwhile"

        def learnt(uid: str) -> bool:
            run(uid)
            return None not in last()[uid]

        wait_until(lambda: learnt(quick), "another name of the directory comes past the slow one")
        assert last()[quick] == ("held77050", "held77050")
        run(slow)
        assert last()[slow] == (None, None)
        (etc / "answer").touch()
        wait_until(lambda: learnt(slow), "the name is there once the directory has answered")
        assert last()[slow] == ("held77001", "held77001")
        daemon.stop()
    assert last()[unknown] == (None, None)
