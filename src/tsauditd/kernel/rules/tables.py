"""The grammar of rules as data. Numbers are from linux/audit.h and linux/elf-em.h, names are auditctl's."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK

MAX_FIELDS = 64
MAX_KEY_BYTES = 256
MAX_LINE_BYTES = 6144
MASK_WORDS = 64
MAX_SYSCALL = MASK_WORDS * 32 - 1
PREPEND = 0x10
UNSET = 0xFFFFFFFF
KEY_SEPARATOR = "\x01"


class List(IntEnum):
    """AUDIT_FILTER_*: the kernel's lists of rules."""

    USER = 0
    TASK = 1
    EXIT = 4
    EXCLUDE = 5
    FILESYSTEM = 6
    IO_URING = 7


class Action(IntEnum):
    """AUDIT_NEVER, AUDIT_ALWAYS."""

    NEVER = 0
    ALWAYS = 2


LISTS = {entry.name.lower(): entry for entry in List}
ACTIONS = {entry.name.lower(): entry for entry in Action}
RETIRED = {
    "entry": "the list entry went with Linux 3.3: use exit",
    "possible": "the action possible went with Linux 2.6: use always",
}

EQUAL, NOT_EQUAL = 0x40000000, 0x30000000
OPERATORS = {
    "!=": NOT_EQUAL,
    ">=": 0x60000000,
    "<=": 0x50000000,
    "&=": 0x48000000,
    "=": EQUAL,
    ">": 0x20000000,
    "<": 0x10000000,
    "&": 0x08000000,
}
"""In the order in which they are looked for in a field."""

EQUALITY = frozenset({"=", "!="})
ORDER = EQUALITY | {">", ">=", "<", "<="}
ANY = frozenset(OPERATORS)


class Value(Enum):
    """How a field's value is written."""

    NUMBER = "a number"
    ARGUMENT = "a number of 32 bits"
    UID = "a user's name or number"
    GID = "a group's name or number"
    SESSION = "a session's number, or unset"
    ARCH = "b64, b32 or an architecture"
    RECORD_TYPE = "a record type's name or number"
    EXIT = "a number or an errno name, negative for failures"
    SUCCESS = "1 or 0"
    PERMISSION = "letters of rwxa"
    FILE_TYPE = "a file type"
    FILESYSTEM = "a file system's name or magic number"
    FAMILY = "a socket family's name or number"
    COMPARISON = "a comparison's number"
    PATH = "an absolute path"
    TEXT = "text"
    KEY = "a key"


EVERYWHERE = frozenset(List) - {List.FILESYSTEM}
NOT_EXCLUDE = EVERYWHERE - {List.EXCLUDE}
"""At a field that it does not know the list exclude stops, and the rules behind do nothing (audit_filter)."""
AT_EXIT = frozenset({List.EXIT, List.IO_URING})
PROCESS = frozenset({List.USER, List.TASK, List.EXIT, List.IO_URING})


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field: its number, how its value is written, the operators and the lists that can hold it."""

    name: str
    number: int
    value: Value
    operators: frozenset[str]
    lists: frozenset[List]


def _field(
    name: str, number: int, value: Value, operators: frozenset[str], lists: frozenset[List]
) -> tuple[str, FieldType]:
    return name, FieldType(name, number, value, operators, lists)


# The operators are those of audit_field_valid (kernel/auditfilter.c), the lists those that auditctl accepts.
FIELDS: dict[str, FieldType] = dict(
    (
        _field("pid", 0, Value.NUMBER, ORDER, EVERYWHERE),
        _field("uid", 1, Value.UID, ORDER, EVERYWHERE),
        _field("euid", 2, Value.UID, ORDER, NOT_EXCLUDE),
        _field("suid", 3, Value.UID, ORDER, NOT_EXCLUDE),
        _field("fsuid", 4, Value.UID, ORDER, NOT_EXCLUDE),
        _field("gid", 5, Value.GID, ORDER, EVERYWHERE),
        _field("egid", 6, Value.GID, ORDER, NOT_EXCLUDE),
        _field("sgid", 7, Value.GID, ORDER, NOT_EXCLUDE),
        _field("fsgid", 8, Value.GID, ORDER, NOT_EXCLUDE),
        _field("auid", 9, Value.UID, ORDER, EVERYWHERE),
        _field("pers", 10, Value.NUMBER, ANY, PROCESS),
        _field("arch", 11, Value.ARCH, EQUALITY, PROCESS - {List.IO_URING}),
        _field("msgtype", 12, Value.RECORD_TYPE, ORDER, frozenset({List.USER, List.EXCLUDE})),
        _field("subj_user", 13, Value.TEXT, EQUALITY, EVERYWHERE),
        _field("subj_role", 14, Value.TEXT, EQUALITY, EVERYWHERE),
        _field("subj_type", 15, Value.TEXT, EQUALITY, EVERYWHERE),
        _field("subj_sen", 16, Value.TEXT, ORDER, EVERYWHERE),
        _field("subj_clr", 17, Value.TEXT, ORDER, EVERYWHERE),
        _field("ppid", 18, Value.NUMBER, ORDER, AT_EXIT),
        _field("obj_user", 19, Value.TEXT, EQUALITY, AT_EXIT),
        _field("obj_role", 20, Value.TEXT, EQUALITY, AT_EXIT),
        _field("obj_type", 21, Value.TEXT, EQUALITY, AT_EXIT),
        _field("obj_lev_low", 22, Value.TEXT, ORDER, AT_EXIT),
        _field("obj_lev_high", 23, Value.TEXT, ORDER, AT_EXIT),
        _field("sessionid", 25, Value.SESSION, ORDER, PROCESS - {List.TASK}),
        _field("fstype", 26, Value.FILESYSTEM, EQUALITY, frozenset({List.FILESYSTEM})),
        _field("devmajor", 100, Value.NUMBER, ORDER, AT_EXIT),
        _field("devminor", 101, Value.NUMBER, ANY, AT_EXIT),
        _field("inode", 102, Value.NUMBER, EQUALITY, AT_EXIT),
        _field("exit", 103, Value.EXIT, ORDER, AT_EXIT),
        _field("success", 104, Value.SUCCESS, ORDER, AT_EXIT),
        _field("path", 105, Value.PATH, frozenset({"="}), AT_EXIT),
        _field("perm", 106, Value.PERMISSION, frozenset({"="}), frozenset({List.EXIT})),
        _field("dir", 107, Value.PATH, frozenset({"="}), AT_EXIT),
        _field("filetype", 108, Value.FILE_TYPE, EQUALITY, AT_EXIT),
        _field("obj_uid", 109, Value.UID, ORDER, PROCESS),
        _field("obj_gid", 110, Value.GID, ORDER, PROCESS),
        _field("field_compare", 111, Value.COMPARISON, EQUALITY, AT_EXIT),
        _field("exe", 112, Value.PATH, EQUALITY, EVERYWHERE),
        _field("saddr_fam", 113, Value.FAMILY, ORDER, AT_EXIT),
        _field("a0", 200, Value.ARGUMENT, ANY, PROCESS),
        _field("a1", 201, Value.ARGUMENT, ANY, PROCESS),
        _field("a2", 202, Value.ARGUMENT, ANY, PROCESS),
        _field("a3", 203, Value.ARGUMENT, ANY, PROCESS),
        _field("key", 210, Value.KEY, EQUALITY, frozenset(List) - {List.EXCLUDE}),
    )
)
FIELD_ALIASES = {"loginuid": "auid"}
FIELD_BY_NUMBER = {field.number: field for field in FIELDS.values()}
TEXT_VALUES = frozenset({Value.PATH, Value.TEXT, Value.KEY})
ARCH, MSGTYPE, PATH, PERM, DIR, COMPARE, KEY = (
    FIELDS[name].number for name in ("arch", "msgtype", "path", "perm", "dir", "field_compare", "key")
)

PERMISSIONS = {"r": 4, "w": 2, "x": 1, "a": 8}

FILE_TYPES = {
    "file": S_IFREG,
    "dir": S_IFDIR,
    "socket": S_IFSOCK,
    "link": S_IFLNK,
    "character": S_IFCHR,
    "block": S_IFBLK,
    "fifo": S_IFIFO,
}

FILESYSTEMS = {"debugfs": 0x64626720, "tracefs": 0x74726163}
"""The file systems whose creation of files floods (linux/magic.h); others by their number."""

COMPARISONS = {
    1: ("uid", "obj_uid"),
    2: ("gid", "obj_gid"),
    3: ("euid", "obj_uid"),
    4: ("egid", "obj_gid"),
    5: ("auid", "obj_uid"),
    6: ("suid", "obj_uid"),
    7: ("sgid", "obj_gid"),
    8: ("fsuid", "obj_uid"),
    9: ("fsgid", "obj_gid"),
    10: ("uid", "auid"),
    11: ("uid", "euid"),
    12: ("uid", "fsuid"),
    13: ("uid", "suid"),
    14: ("auid", "fsuid"),
    15: ("auid", "suid"),
    16: ("auid", "euid"),
    17: ("euid", "suid"),
    18: ("euid", "fsuid"),
    19: ("suid", "fsuid"),
    20: ("gid", "egid"),
    21: ("gid", "fsgid"),
    22: ("gid", "sgid"),
    23: ("egid", "fsgid"),
    24: ("egid", "sgid"),
    25: ("sgid", "fsgid"),
}
"""AUDIT_COMPARE_*: the pairs that -C can compare, in either order."""

ARCHES = {
    "x86_64": 0xC000003E,
    "i386": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
    "ppc64le": 0xC0000015,
    "ppc64": 0x80000015,
    "ppc": 0x00000014,
    "s390x": 0x80000016,
    "s390": 0x00000016,
    "riscv64": 0xC00000F3,
}
"""AUDIT_ARCH_* by the names of the core's system call tables."""

ARCH_ALIASES = {
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "armv5tejl": "arm",
    "armv5tel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
}

WIDTHS = {
    "x86_64": ("x86_64", "i386"),
    "i386": (None, "i386"),
    "aarch64": ("aarch64", "arm"),
    "arm": (None, "arm"),
    "ppc64le": ("ppc64le", None),
    "ppc64": ("ppc64", "ppc"),
    "s390x": ("s390x", "s390"),
    "riscv64": ("riscv64", None),
}
"""What b64 and b32 mean on a machine."""

SYSCALL_ALIASES = {
    "pread": "pread64",
    "pwrite": "pwrite64",
    "newfstat": "fstat",
    "getdents": "getdents64",
    "sys_kexec_load": "kexec_load",
    "sched_rr_get_interval64": "sched_rr_get_interval_time64",
}
"""auditctl's names where the kernel's own tables have others; asked when a name is not known as it stands."""
