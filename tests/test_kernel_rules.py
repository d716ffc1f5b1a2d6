"""Rules: auditctl's text, the kernel's bytes, and both ways between them."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruletexts import read_pairs

from tsauditd.cli import main
from tsauditd.errors import BadConfiguration
from tsauditd.kernel.rules import tables
from tsauditd.kernel.rules.decode import UnknownRule, decode, text
from tsauditd.kernel.rules.encode import encode
from tsauditd.kernel.rules.files import read_rules
from tsauditd.kernel.rules.names import Names, core_names
from tsauditd.kernel.rules.parse import parse, parse_line
from tsauditd.kernel.rules.rule import Field, Place, Rule, RuleError, Verb
from tsauditd.kernel.rules.tables import Action, List, Value
from tsauditd.kernel.rules.uring import OPERATIONS

X86_64 = {
    "read": 0,
    "open": 2,
    "close": 3,
    "connect": 42,
    "accept": 43,
    "execve": 59,
    "accept4": 288,
    "execveat": 322,
}
I386 = {"read": 3, "open": 5, "close": 6, "execve": 11, "connect": 362, "accept4": 364, "execveat": 358}
SYSCALLS = {"x86_64": X86_64, "i386": I386, "aarch64": {"openat": 56}}
TYPES = {"CWD": 1307, "USER_LOGIN": 1112}

NAMES = Names(
    syscall_number=lambda arch, name: SYSCALLS.get(arch, {}).get(name),
    syscall_name=lambda arch, number: {v: k for k, v in SYSCALLS.get(arch, {}).items()}.get(number),
    record_type_number=TYPES.get,
    record_type_name={v: k for k, v in TYPES.items()}.get,
    user_id={"root": 0, "daemon": 1}.get,
    group_id={"root": 0, "adm": 4}.get,
    is_directory=lambda path: path in ("/", "/etc", "/etc/ssh"),
    machine="x86_64",
    families={"inet": 2, "inet6": 10},
)


ALL_NAMES = replace(
    NAMES,
    syscall_number=core_names().syscall_number,
    syscall_name=core_names().syscall_name,
    is_directory=lambda path: path in ("/", "/etc", "/etc/ssh", "/usr/bin"),
)


def rule_of(line: str) -> Rule:
    (command,) = parse_line(line, Place(), ALL_NAMES)
    assert command.rule is not None
    return command.rule


@pytest.mark.parametrize(("line", "sent"), read_pairs(), ids=[line for line, _ in read_pairs()])
def test_bytes_are_those_that_auditctl_sends(line: str, sent: bytes) -> None:
    assert encode(rule_of(line)).hex() == sent.hex()


@pytest.mark.parametrize("line", [line for line, _ in read_pairs()])
def test_what_is_printed_loads_again_as_the_same_rule(line: str) -> None:
    rule = rule_of(line)
    printed = text(decode(encode(rule)), ALL_NAMES)
    assert rule_of(printed) == rule


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("-w /etc/shadow -p aw -k a -k b", "-w /etc/shadow -p wa -k a -k b"),
        ("-w /etc/ -p r", "-w /etc -p r"),
        (r"-w /srv/with\ blank\\x -p r", r"-w /srv/with\ blank\\x -p r"),
        ("-a exit,always -S open -F exit=-13", "-a always,exit -S open -F exit=-EACCES"),
        ("-a exit,always -S 2,3,400 -F a1&=64", "-a always,exit -S open,close,400 -F a1&=0x40"),
        ("-a always,exit -F arch=i386 -S connect", "-a always,exit -F arch=b32 -S connect"),
        ("-a always,exit -C auid!=uid", "-a always,exit -S all -C uid!=auid"),
        ("-a always,exit -F uid=daemon -F gid=adm", "-a always,exit -S all -F uid=1 -F gid=4"),
        ("-a always,exit -F auid!=unset", "-a always,exit -S all -F auid!=-1"),
        ("-a always,exit -F saddr_fam=INET6", "-a always,exit -S all -F saddr_fam=10"),
        ("-a always,exit -F success=yes", "-a always,exit -S all -F success=1"),
        ("-a always,exit -F success=no", "-a always,exit -S all -F success=0"),
        ("-a io_uring,always -S openat,connect -F key=u", "-a always,io_uring -S connect,openat -F key=u"),
        ("-a always,io_uring -F uid=5", "-a always,io_uring -S all -F uid=5"),
        ("-a never,exclude -F msgtype=1307", "-a never,exclude -F msgtype=CWD"),
        ("-a never,exclude -F msgtype=1999", "-a never,exclude -F msgtype=1999"),
        ("-a never,filesystem -F fstype=0x6e667364", "-a never,filesystem -F fstype=0x6e667364"),
        ("-a always,exit -F key=a>=b", "-a always,exit -S all -F key=a>=b"),
    ],
)
def test_printed_as_auditctl_does(line: str, printed: str) -> None:
    assert text(rule_of(line), NAMES) == printed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-a always,exits -S open", "'exits' is wrong"),
        ("-a always", "'always' is wrong"),
        ("-a always,never", "is wrong: it takes ACTION,LIST"),
        ("-a always,exit,x", "'x' is wrong"),
        ("-a entry,always", "entry went with Linux 3.3: use exit"),
        ("-a exit,possible", "use always"),
        ("-a always,exit -S nosuch", "nosuch is no system call of x86_64"),
        ("-a always,exit -F arch=b32 -S accept", "accept is no system call of i386"),
        ("-a always,exit -S 2048", "2048 is out of range"),
        ("-a always,exit -S 5x", "5x is not a number"),
        ("-a always,exit -S open -F arch=b64", "arch must come before -S"),
        ("-a always,exit -F arch=bogus", "bogus is no architecture"),
        ("-a always,exit -F arch>b64", "arch takes only the operators != ="),
        ("-a always,exit -F nosuch=1", "there is no field 'nosuch'"),
        ("-a always,exit -F uid", "-F uid: no operator"),
        ("-a always,exit -F uid=", "no value after ="),
        ("-a always,exit -F uid==0", "=0 is not a user"),
        ("-a always,exit -F uid&1", "uid takes only the operators"),
        ("-a always,exit -F uid=nobody1", "nobody1 is not a user of this machine"),
        ("-a always,exit -F gid=nobody1", "nobody1 is not a group of this machine"),
        ("-a always,exit -F uid=4294967296", "4294967296 is out of range"),
        ("-a always,exit -F uid!=unset", "unset cannot be unset: only auid and sessionid can"),
        ("-a always,exit -F pid=08", "08 is not a number (a leading 0 means octal)"),
        ("-a always,exit -F pid=0,1", "0,1 is not a number"),
        ("-a always,exit -F sessionid=abc", "abc is not a number"),
        ("-a always,exit -F a0=0xffffffffff", "0xffffffffff is out of range"),
        ("-a always,exit -F exit=FOO", "FOO is no errno name"),
        ("-a always,exit -F exit=-2147483649", "-2147483649 is out of range"),
        ("-a always,exit -F success=maybe", "maybe is not a number"),
        ("-a always,exit -F perm=rq", "rq may hold only the letters r, w, x and a"),
        ("-a always,exit -F perm!=r", "perm takes only the operators ="),
        ("-a always,exit -F filetype=bogus", "bogus is no file type"),
        ("-a always,exit -F filetype=8", "8 is no file type"),
        ("-a always,exit -F saddr_fam=999", "999 is out of range"),
        ("-a always,exit -F field_compare=99", "99 is out of range"),
        ("-a always,exit -F path=relative", "the path must start with /"),
        ("-a always,exit -F msgtype=CWD", "msgtype works on exclude, user, not on the list exit"),
        ("-a exclude,always -F msgtype=NOSUCH", "NOSUCH is no record type known here"),
        ("-a always,exit -F fstype=tracefs", "fstype works on filesystem"),
        ("-a filesystem,always -F fstype=nosuchfs", "nosuchfs is no file system known here"),
        ("-a filesystem,always -F uid=0", "uid works on"),
        ("-a task,always -S open", "the list task takes no system calls"),
        ("-a task,always -F exit=1", "not on the list task"),
        ("-a io_uring,always -F arch=b64 -S openat", "not on the list io_uring"),
        ("-a io_uring,always -S nosuch", "nosuch is no io_uring operation"),
        ("-a always,exit -C auid=gid", "the kernel cannot compare auid with gid"),
        ("-a always,exit -C auid>uid", "a comparison takes only the operators = and !="),
        ("-a user,always -C auid=uid", "field_compare works on"),
        ("-a always,exit extra", "extra belongs to no option"),
        ("-a always,exit -Z", "unknown option -Z"),
        ("-a always,exit -k", "-k needs a value"),
        ("-a always,exit -p wa", "-p wa: a path must come first"),
        ("-a always,exit -e 1", "-e cannot stand in one line with a rule"),
        ("-a always,exit -a never,task", "a line holds one rule only"),
        ("-F uid=0 -a always,exit", "a list must come first"),
        ("-S open", "a list must come first"),
        ("-w relative", "the path must start with /"),
        ("-w /etc/x -p wz", "wz may hold only the letters"),
        ("-w /etc/x -S open", "takes no -S"),
        ("-w /" + "x" * 4100, "longer than 4095 bytes"),
        ("-w /etc/x -k " + "k" * 257, "at most 256 bytes"),
        ("-a always,exit" + " -F pid=1" * 65, "at most 64 fields, this one has 65"),
        ("-a always,exit " + "x" * 6200, "longer than 6144 bytes"),
        ("-k lone", "-k needs a rule before it"),
        ("-e 3", "3 is out of range (0 to 2)"),
        ("-f x", "x is not a number"),
        ("-b", "-b needs a value"),
        ("-R /etc/audit/x", "-R reads another file"),
        ("-m text", "-m sends a message"),
        ("-q /mnt", "it takes MOUNT,SUBTREE"),
        ("-w /etc/\x1b[2J -Q", r"unknown option -Q"),
    ],
)
def test_what_is_wrong_is_told_with_place_and_word(line: str, said: str) -> None:
    with pytest.raises(RuleError) as error:
        parse(["# comment", "", line], "my.rules", NAMES)
    message = str(error.value)
    assert message.startswith("my.rules:3: ")
    assert said in message
    assert message.isprintable()
    assert error.value.exit_code == BadConfiguration.exit_code


def test_control_lines() -> None:
    lines = [
        "-D",
        "-b 8192 -f 1",
        "--backlog_wait_time 60000",
        "-e 1",
        "-r 0",
        "--loginuid-immutable",
        "-D -k x",
    ]
    commands = parse([*lines, "--reset-lost", "-i", "-t", "-q /mnt,/srv"], "x", NAMES)
    assert [(command.verb, command.value, command.texts) for command in commands] == [
        (Verb.DELETE_ALL, 0, ()),
        (Verb.BACKLOG_LIMIT, 8192, ()),
        (Verb.FAILURE, 1, ()),
        (Verb.BACKLOG_WAIT_TIME, 60000, ()),
        (Verb.ENABLED, 1, ()),
        (Verb.RATE_LIMIT, 0, ()),
        (Verb.LOGINUID_IMMUTABLE, 0, ()),
        (Verb.DELETE_ALL, 0, ("x",)),
        (Verb.RESET_LOST, 0, ()),
        (Verb.IGNORE, 0, ()),
        (Verb.TRIM, 0, ()),
        (Verb.EQUIVALENT, 0, ("/mnt", "/srv")),
    ]


def test_wrong_lines_are_passed_over_after_c_or_i() -> None:
    commands = parse(["-i", "-w relative", "-w /x"], "my.rules", NAMES)
    assert [command.verb for command in commands] == [Verb.IGNORE, Verb.FAULTY, Verb.ADD]
    assert commands[1].warning == "my.rules:2: -w relative: the path must start with /"


def test_a_name_with_two_numbers_and_no_arch_is_warned_of() -> None:
    (command,) = parse_line("-a always,exit -S open", Place(), NAMES)
    assert "open has another number in i386 programs" in command.warning
    (command,) = parse_line("-a always,exit -F arch=b64 -S open", Place(), NAMES)
    assert not command.warning


def test_a_directory_is_arranged_as_augenrules_does(tmp_path: Path) -> None:
    (tmp_path / "10-x.rules").write_text("-e 1\n-w /b\n-D\n-f 0\n")
    (tmp_path / "9-x.rules").write_text("-w /a\n-e 0\n-b 1\n-f 1\n-b 2\n-D -k x\n")
    (tmp_path / "README").write_text("no rules")
    commands = read_rules(tmp_path, NAMES)
    said = [(command.verb.value, command.value) for command in commands]
    assert said == [("-D", 0), ("-b", 2), ("-f", 0), ("add", 0), ("-D", 0), ("add", 0), ("-e", 1)]
    assert [command.place.line for command in commands if command.rule] == [1, 2]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(BadConfiguration, match="cannot read rules /no/such: No such file"):
        read_rules(Path("/no/such"), NAMES)


def test_the_demonstration_rules_are_right_on_x86_64(project: Path) -> None:
    commands = read_rules(project / "rules" / "demonstration" / "people.rules", NAMES)
    assert {command.verb for command in commands} == {Verb.ADD}
    assert not [command.warning for command in commands if command.warning]
    for command in commands:
        assert command.rule is not None
        # Only logged-in people's processes: services cause no records.
        assert Field(9, tables.NOT_EQUAL, tables.UNSET) in command.rule.fields


@pytest.mark.parametrize("broken", [b"", bytes(1039), b"\xff" * 1040, b"\xff" * 4096])
def test_bytes_that_are_no_rule(broken: bytes) -> None:
    with pytest.raises(UnknownRule):
        decode(broken)


@given(st.binary(max_size=1400))
def test_decoding_any_bytes_gives_a_rule_or_unknown_rule(data: bytes) -> None:
    padded = data + bytes(max(0, 1040 - len(data)))
    try:
        rule = decode(padded)
    except UnknownRule:
        return
    assert text(rule, NAMES).startswith(("-a ", "-A ", "-w "))


@given(st.text(max_size=200))
def test_parsing_any_text_gives_commands_or_a_rule_error(line: str) -> None:
    with suppress(RuleError):
        parse_line(line, Place("x", 1), NAMES)


WORD = st.text(st.characters(codec="utf-8", exclude_characters="\x01\n\t"), min_size=1, max_size=20).filter(
    lambda word: word.strip() == word and word.split() != []
)


@st.composite
def fields(draw: st.DrawFn, kind: List) -> Field:
    allowed = [
        field
        for field in tables.FIELDS.values()
        if kind in field.lists and field.value not in (Value.ARCH, Value.KEY)
    ]
    field = draw(st.sampled_from(allowed))
    operator = tables.OPERATORS[draw(st.sampled_from(sorted(field.operators)))]
    value: int | str
    match field.value:
        case Value.PATH:
            value = "/" + draw(WORD)
        case Value.TEXT:
            # The grammar has no way to say `<` and a value that begins with `=`.
            value = draw(WORD.filter(lambda word: not word.startswith("=")))
        case Value.FILE_TYPE:
            value = draw(st.sampled_from(sorted(tables.FILE_TYPES.values())))
        case Value.PERMISSION:
            value = draw(st.integers(1, 15))
        case Value.COMPARISON:
            value = draw(st.sampled_from(sorted(tables.COMPARISONS)))
        case Value.FAMILY:
            value = draw(st.integers(0, 45))
        case Value.UID | Value.GID if field.name != "auid":
            value = draw(st.integers(0, tables.UNSET - 1))
        case _:
            value = draw(st.integers(0, tables.UNSET))
    return Field(field.number, operator, value)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind = draw(st.sampled_from(List))
    found = draw(st.lists(fields(kind), max_size=12))
    if kind is List.EXIT and draw(st.booleans()):
        found.insert(
            0, Field(tables.ARCH, tables.EQUAL, draw(st.sampled_from(sorted(tables.ARCHES.values()))))
        )
    keys = draw(st.lists(WORD, max_size=3))
    if keys and kind is not List.EXCLUDE:
        found.append(Field(tables.KEY, tables.EQUAL, tables.KEY_SEPARATOR.join(keys)))
    syscalls: frozenset[int] | None = None
    if kind is List.TASK:
        syscalls = frozenset()
    elif kind in (List.EXIT, List.IO_URING):
        syscalls = draw(st.none() | st.frozensets(st.integers(0, 500), min_size=1, max_size=20))
    return Rule(kind, draw(st.sampled_from(Action)), tuple(found), syscalls, draw(st.booleans()))


@given(rules())
def test_every_rule_survives_bytes_and_text(rule: Rule) -> None:
    payload = encode(rule)
    assert len(payload) % 4 == 0
    assert decode(payload) == rule
    assert decode(payload).prepend == rule.prepend
    assert rule_of(text(rule, NAMES)) == rule


def test_io_uring_operations_have_the_kernels_numbers() -> None:
    assert OPERATIONS.index("openat") == 18
    assert OPERATIONS.index("connect") == 16
    assert len(set(OPERATIONS)) == len(OPERATIONS)


def test_the_cores_names_read_and_print_system_calls() -> None:
    names = core_names()
    line = "-a always,exit -F arch=aarch64 -S openat,execve"
    (command,) = parse_line(line, Place(), names)
    assert command.rule is not None
    assert command.rule.syscalls == frozenset({56, 221})
    assert text(command.rule, names) == line
    for name in ("connect", "accept4", "execve", "execveat"):
        assert names.syscall_number("i386", name) == I386[name]
        assert names.syscall_number("x86_64", name) == X86_64[name]
    (command,) = parse_line("-a always,exit -F arch=b64 -S pread", Place(), replace(names, machine="x86_64"))
    assert command.rule is not None
    assert command.rule.syscalls == frozenset({17})
    for arch in tables.ARCHES:
        assert names.syscall_number(arch, "openat") is not None, arch


def test_check_tells_every_error_with_place_and_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "10-a.rules").write_text("-w /x\n-w relative\n-i\n-a always,exit -F uidd=0\n")
    (tmp_path / "20-b.rules").write_text("-a always,exit -S nosuch\n-w /y\n")
    assert main(["rules", "check", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in lines] == [
        "10-a.rules:2",
        "10-a.rules:4",
        "20-b.rules:1",
    ]
    assert all(word in line for word, line in zip(("relative", "uidd", "nosuch"), lines, strict=True))
    assert main(["rules", "check", str(tmp_path / "none")]) == 6
