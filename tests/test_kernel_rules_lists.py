"""What follows from the kernel's rules for what will be read."""

from dataclasses import replace

import pytest

from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.lists import may_exclude, name_any
from tsauditd.kernel.rules.names import core_names
from tsauditd.kernel.rules.parse import parse_line
from tsauditd.kernel.rules.rule import Field, Place, Rule
from tsauditd.kernel.rules.tables import EQUAL, MSGTYPE, Action, List


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("-a always,exit -F arch=b64 -S connect -k c", True),
        ("-a always,exit -F arch=b64 -S openat,accept4 -F exe=/usr/sbin/nginx", True),
        ("-a always,exit -S 42", True),
        ("-a always,exit -F arch=b32 -S 42", False),
        ("-a always,exit -F arch!=b64 -S 42", False),
        ("-a always,exit -F arch=b64 -S openat", False),
        ("-a never,exit -F arch=b64 -S connect", False),
        ("-a always,exit -S all -F uid=7", False),
        ("-w /etc/passwd -p wa", False),
    ],
)
def test_rules_that_name_connections_are_known(line: str, named: bool) -> None:
    names = replace(core_names(), machine="x86_64")
    (command,) = parse_line(line, Place(), names)
    assert command.rule is not None
    assert name_any([encode(command.rule)], ("connect", "accept4"), names) is named
    assert not name_any([b"newer"], ("connect",), names)


@pytest.mark.parametrize(
    ("line", "may"),
    [
        ("-a always,exclude -F msgtype=PROCTITLE", True),
        ("-a never,exclude -F msgtype=PROCTITLE -F exe=/usr/bin/true", True),
        ("-a always,exclude -F msgtype=1327 -F uid=7", True),
        ("-a always,exclude -F auid=7 -F msgtype!=SYSCALL", True),
        ("-a always,exclude -F msgtype>=1327 -F pid=7", True),
        ("-a always,exclude -F msgtype>1326 -F msgtype<=1327", True),
        ("-a always,exclude -F msgtype>1320 -F msgtype<1330 -F gid=7", True),
        ("-a never,exclude -F exe=/usr/bin/true", True),
        ("-a always,exclude -F subj_type=init_t", True),
        ("-a always,exclude -F uid!=0", True),
        ("-a always,exclude -F msgtype=CWD", False),
        ("-a always,exclude -F msgtype=CWD -F exe=/usr/bin/true", False),
        ("-a always,exclude -F msgtype!=PROCTITLE", False),
        ("-a always,exclude -F msgtype>1327", False),
        ("-a always,exclude -F msgtype<1327", False),
        ("-a always,exclude -F msgtype>=1300 -F msgtype<=1326", False),
        ("-a never,user -F msgtype=PROCTITLE", False),
        ("-a never,user -F uid=7", False),
        ("-a never,exit -S all -F exe=/usr/bin/true", False),
        ("-a never,task -F uid=7", False),
        ("-a never,filesystem -F fstype=tracefs", False),
        ("-w /etc/passwd -p wa", False),
    ],
)
def test_rules_that_may_leave_titles_out_are_known(line: str, may: bool) -> None:
    names = replace(core_names(), machine="x86_64")
    (command,) = parse_line(line, Place(), names)
    assert command.rule is not None
    other = encode(Rule(List.EXIT, Action.ALWAYS))
    assert may_exclude([other, encode(command.rule)], 1327) is may
    assert may_exclude([encode(replace(command.rule, prepend=True))], 1327) is may


def test_a_newer_rule_of_the_list_exclude_may_leave_out_anything() -> None:
    known = encode(Rule(List.EXCLUDE, Action.ALWAYS, (Field(MSGTYPE, EQUAL, 1307),)))
    action_of_tomorrow = bytes((9,))
    assert not may_exclude([known], 1327)
    assert may_exclude([known[:4] + action_of_tomorrow + known[5:]], 1327)
