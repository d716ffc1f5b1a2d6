"""Numbers of the kernel's audit interface, from linux/audit.h and linux/netlink.h."""

from enum import IntEnum, IntFlag

NETLINK_AUDIT = 9
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
AUDIT_NLGRP_READLOG = 1
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_DROP_MEMBERSHIP = 2
SO_RCVBUFFORCE = 33

ENABLED_LOCKED = 2
"""audit_enabled's value that holds until reboot."""


class Kind(IntEnum):
    """Types of control messages."""

    GET = 1000
    SET = 1001
    SIGNAL_INFO = 1010
    ADD_RULE = 1011
    DEL_RULE = 1012
    LIST_RULES = 1013
    TRIM = 1014
    MAKE_EQUIV = 1015
    SET_FEATURE = 1018
    GET_FEATURE = 1019


PURPOSES: dict[int, str] = {
    Kind.GET: "reading the audit status",
    Kind.SET: "changing the audit status",
    Kind.SIGNAL_INFO: "asking who sent a signal",
    Kind.ADD_RULE: "adding an audit rule",
    Kind.DEL_RULE: "deleting an audit rule",
    Kind.LIST_RULES: "listing the audit rules",
    Kind.TRIM: "trimming watched trees",
    Kind.MAKE_EQUIV: "making two trees equivalent",
    Kind.SET_FEATURE: "changing an audit feature",
    Kind.GET_FEATURE: "reading the audit features",
}
"""What a message is for, for the sentence that says it failed."""


class StatusMask(IntFlag):
    """AUDIT_STATUS_*: which members of struct audit_status a SET means."""

    ENABLED = 0x01
    FAILURE = 0x02
    PID = 0x04
    RATE_LIMIT = 0x08
    BACKLOG_LIMIT = 0x10
    BACKLOG_WAIT_TIME = 0x20
    LOST = 0x40
    BACKLOG_WAIT_TIME_ACTUAL = 0x80


STATUS_MEMBERS = (
    "mask",
    "enabled",
    "failure",
    "pid",
    "rate_limit",
    "backlog_limit",
    "lost",
    "backlog",
    "feature_bitmap",
    "backlog_wait_time",
    "backlog_wait_time_actual",
)
"""struct audit_status: eleven u32 in this order. Older kernels answer with fewer."""

FEATURE_BITMAP: dict[str, int] = {
    "backlog_limit": 0x01,
    "backlog_wait_time": 0x02,
    "executable_path": 0x04,
    "exclude_extend": 0x08,
    "sessionid_filter": 0x10,
    "lost_reset": 0x20,
    "filter_fs": 0x40,
}
"""AUDIT_FEATURE_BITMAP_*: what this kernel can do."""

FEATURE_VERSION = 1
FEATURES: dict[str, int] = {"only_unset_loginuid": 0, "loginuid_immutable": 1}
"""AUDIT_FEATURE_*: switches of struct audit_features, by bit."""
