"""The -S options of one rule: names and numbers of system calls, or of io_uring's operations."""

from tsauditd.errors import visible
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.tables import MAX_SYSCALL, SYSCALL_ALIASES, WIDTHS
from tsauditd.kernel.rules.uring import OPERATIONS
from tsauditd.kernel.rules.values import ValueProblem, number


class SyscallSet:
    """Collects -S options. arch: whose numbers names mean, this machine's own when the rule does not say."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._numbers: set[int] = set()
        self._all = False
        self.arch: str | None = None
        self.given = False
        self.warning = ""

    def add(self, text: str, *, io_uring: bool) -> None:
        """Adds the names or numbers of one -S, parted by commas. Raises ValueProblem."""
        self.given = True
        for word in text.split(","):
            if word == "all":
                self._all = True
            elif word:
                self._numbers.add(_operation(word) if io_uring else self._syscall(word))

    def chosen(self) -> frozenset[int] | None:
        """The numbers, or None for all: that is what a rule without -S means."""
        return None if self._all or not self._numbers else frozenset(self._numbers)

    def _syscall(self, word: str) -> int:
        if word[:1].isdigit():
            return _number(word)
        native, narrow = WIDTHS.get(self._names.machine, (None, None))
        arch = self.arch or native or narrow or self._names.machine
        found = self._look_up(arch, word.lower())
        if found is None:
            raise ValueProblem(f"{visible(word)} is no system call of {arch}")
        if self.arch is None and native and narrow and not self.warning:
            other = self._look_up(narrow, word.lower())
            if other != found:
                self.warning = (
                    f"{visible(word)} has another number in {narrow} programs, which this rule does not see:"
                    " write one rule with -F arch=b64 and one with -F arch=b32"
                )
        return found

    def _look_up(self, arch: str, name: str) -> int | None:
        found = self._names.syscall_number(arch, name)
        if found is None and name in SYSCALL_ALIASES:
            return self._names.syscall_number(arch, SYSCALL_ALIASES[name])
        return found


def _operation(word: str) -> int:
    if word[:1].isdigit():
        return _number(word)
    lower = word.lower()
    if lower not in OPERATIONS:
        raise ValueProblem(f"{visible(word)} is no io_uring operation")
    return OPERATIONS.index(lower)


def _number(word: str) -> int:
    try:
        return number(word, 0, MAX_SYSCALL)
    except ValueProblem as problem:
        raise ValueProblem(f"{visible(word)} {problem}") from None
