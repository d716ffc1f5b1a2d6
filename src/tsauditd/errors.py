"""What can go wrong in a way that a person can mend: one clear line, and the exit code that goes with it."""


class TsauditdError(Exception):
    """A failure that is told in one line: what, where, and what to do. Ends a command with its exit code."""

    exit_code = 1


class UsageError(TsauditdError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class NotPrivileged(TsauditdError):
    """Root or a capability is missing (auditd ends with the same code)."""

    exit_code = 4


class NoAudit(TsauditdError):
    """The kernel has no audit subsystem, or it does not answer here (a container, a user namespace)."""


class BadConfiguration(TsauditdError):
    """A configuration or rules file is wrong (auditd ends with the same code)."""

    exit_code = 6


def visible(text: str, limit: int = 160) -> str:
    """`text` as one line that is safe on a terminal: what does not print is escaped, what is too long is cut."""
    shown = text if len(text) <= limit else text[:limit] + "…"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
