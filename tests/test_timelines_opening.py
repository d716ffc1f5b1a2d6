"""What opens a session and completes it, whatever of it is audited and in whatever order it becomes known."""

import pytest
from made import Maker
from sessions import Watched, decoded, of_lines, told

from tsauditd.timelines.view import View

SAID = 'exe="/usr/sbin/sshd" hostname=198.51.100.7 addr=198.51.100.7 terminal=ssh res=success'
UNSET = "auid=4294967295 ses=4294967295"
CRYPTO = (
    f"type=CRYPTO_SESSION msg=audit(1700000000.100:{{}}): pid=900 uid=0 {UNSET} msg='op=start direction={{}} "
    "cipher=aes256-gcm@openssh.com ksize=256 mac=<implicit> pfs=curve25519-sha256 spid=901 suid=74 rport=59396 "
    'laddr=192.0.2.1 lport=22 exe="/usr/sbin/sshd" hostname=? addr=198.51.100.7 terminal=? res=success\'\n'
)
AUTH = (
    f"type=USER_AUTH msg=audit(1700000001.100:12): pid=900 uid=0 {UNSET} msg='op=PAM:authentication "
    f'grantors=pam_unix acct="alice" {SAID}\'\n'
)
LOGIN = (
    "type=LOGIN msg=audit(1700000001.200:13): pid=900 uid=0 old-auid=4294967295 auid=1000 tty=(none) "
    "old-ses=4294967295 ses=5 res=1\n"
)
START = (
    "type=USER_START msg=audit(1700000001.300:14): pid=900 uid=0 auid=1000 ses=5 msg='op=PAM:session_open "
    f'grantors=pam_unix acct="alice" {SAID}\'\n'
)
END = (
    START.replace("USER_START", "USER_END")
    .replace("1.300:14", "9.300:17")
    .replace("session_open", "session_close")
)


def session(*records: str) -> View:
    watched = of_lines(needed for needed, _ in decoded("".join(records).encode()))
    assert watched.documents[0]["event"]["action"] == "session-opened"
    assert [one["event"]["action"] for one in watched.documents].count("session-opened") == 1
    return watched.one("5")


def test_crypto_session_completes_the_login() -> None:
    view = session(CRYPTO.format(10, "from-server"), CRYPTO.format(11, "from-client"), AUTH, LOGIN, START)
    assert told(view) == [("login", "alice", "")]
    assert view.document["source"] == {"ip": "198.51.100.7", "port": 59396}
    assert view.session["kind"] == "ssh"
    assert sorted(event.rpartition(":")[2] for event in view.rows[0]["events"]) == [
        "10",
        "11",
        "12",
        "13",
        "14",
    ]


def test_user_start_opens_where_login_is_not_audited() -> None:
    view = session(START, END)
    assert told(view) == [("login", "alice", ""), ("logout", "alice", "")]
    assert (view.session["kind"], view.document["user"]["name"]) == ("ssh", "alice")
    assert view.session["end"]["reason"] == "logout"


@pytest.mark.parametrize("first", [LOGIN, START])
def test_login_and_user_start_in_either_order_are_one_login(first: str) -> None:
    view = session(first, START if first == LOGIN else LOGIN, END)
    assert told(view) == [("login", "alice", ""), ("logout", "alice", "")]
    assert min(row["offset"] for row in view.rows.values()) == 0
    assert view.session["kind"] == "ssh"


@pytest.mark.parametrize(("connects", "how"), [(True, "forward"), (False, "nothing")])
def test_a_login_for_a_forwarded_port_alone_says_so(connects: bool, how: str) -> None:
    watched, maker = Watched(), Maker()
    watched.timelines.push(maker.login(7))
    if connects:
        connection = maker.event(
            "syscall",
            7,
            event={"action": "connected-to", "category": ["network"], "type": ["connection", "start"]},
            process={"pid": 70_040, "executable": "/usr/sbin/sshd"},
            destination={"ip": "203.0.113.5", "port": 80},
        )
        watched.timelines.push(connection)
    watched.timelines.push(maker.logout(7))
    watched.timelines.tick(maker.ms, lambda _: [])
    view = watched.one("7")
    assert (view.session["kind"], view.session["how"], view.session["state"]) == ("ssh", how, "ended")
    assert view.session["summary"]["hosts"] == (["203.0.113.5"] if connects else [])


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("/usr/sbin/sshd", "ssh"),
        ("/usr/lib/openssh/sshd-session", "ssh"),
        ("/usr/bin/login", "console"),
        ("/usr/sbin/cron", "cron"),
        ("/usr/sbin/atd", "at"),
        ("/usr/lib/systemd/systemd-executor", "systemd-user"),
        ("/usr/bin/su", "su"),
        ("/usr/bin/sudo", "sudo"),
        ("/usr/local/bin/own", "unknown"),
    ],
)
def test_the_program_that_set_the_login_id_says_of_which_kind_it_is(program: str, kind: str) -> None:
    watched, maker = Watched(), Maker()
    watched.timelines.push(maker.login(7, program=program))
    watched.timelines.flush()
    assert watched.one("7").session["kind"] == kind
