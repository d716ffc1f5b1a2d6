"""One rule out of the options of one line."""

import re
from dataclasses import replace

from tsauditd.errors import visible
from tsauditd.kernel.rules import values
from tsauditd.kernel.rules.names import Names
from tsauditd.kernel.rules.rule import Command, Field, Place, Rule, RuleError, Verb
from tsauditd.kernel.rules.syscalls import SyscallSet
from tsauditd.kernel.rules.tables import (
    ACTIONS,
    ARCH,
    COMPARE,
    COMPARISONS,
    DIR,
    EQUALITY,
    FIELD_ALIASES,
    FIELDS,
    KEY,
    KEY_SEPARATOR,
    LISTS,
    MAX_FIELDS,
    MAX_KEY_BYTES,
    OPERATORS,
    PATH,
    PERM,
    RETIRED,
    Action,
    FieldType,
    List,
    Value,
)

_OPERATOR = re.compile("|".join(re.escape(text) for text in OPERATORS))
_PATH_MAX = 4096


class RuleBuilder:
    """Collects the options of one rule, in order, as their meaning depends on what stands before."""

    def __init__(self, place: Place, names: Names) -> None:
        self._place = place
        self._names = names
        self._verb: Verb | None = None
        self._list = List.EXIT
        self._action = Action.ALWAYS
        self._prepend = False
        self._watch = False
        self._fields: list[Field] = []
        self._keys: list[str] = []
        self._key_operator = OPERATORS["="]
        self._syscalls = SyscallSet(names)

    def build(self, options: list[tuple[str, str]]) -> Command:
        """The command that the options make. Raises RuleError."""
        handlers = {
            "-S": self._syscall,
            "-F": self._field,
            "-C": self._compare,
            "-p": self._permission,
            "-k": self._key,
        }
        for option, value in options:
            if option in ("-a", "-A", "-d"):
                self._list_and_action(option, value)
            elif option in ("-w", "-W"):
                self._watched(option, value)
            elif option not in handlers:
                raise self._wrong(f"{option} cannot stand in one line with a rule")
            elif self._verb is None:
                raise self._wrong(f"{option} {visible(value)}: a list must come first (-a, -A, -d, -w or -W)")
            else:
                handlers[option](value)
        assert self._verb is not None
        return Command(self._verb, self._place, rule=self._rule(), warning=self._syscalls.warning)

    def _rule(self) -> Rule:
        fields = list(self._fields)
        if self._keys:
            fields.append(Field(KEY, self._key_operator, KEY_SEPARATOR.join(self._keys)))
        if len(fields) > MAX_FIELDS:
            raise self._wrong(f"a rule has at most {MAX_FIELDS} fields, this one has {len(fields)}")
        if self._watch and self._syscalls.given:
            raise self._wrong("-w watches a path and takes no -S: use -a with -F path= or dir=")
        if self._list is List.TASK:
            # auditctl sends no bit set for this list; the kernel looks at none (audit_filter_task).
            chosen: frozenset[int] | None = frozenset()
        else:
            chosen = self._syscalls.chosen()
        return Rule(self._list, self._action, tuple(fields), chosen, self._prepend)

    def _start(self, option: str, verb: Verb) -> None:
        if self._verb is not None:
            raise self._wrong(f"{option}: a line holds one rule only")
        self._verb = verb

    def _list_and_action(self, option: str, value: str) -> None:
        self._start(option, Verb.DELETE if option == "-d" else Verb.ADD)
        words = value.split(",")
        for word in words:
            if word in RETIRED:
                raise self._wrong(f"{option} {visible(value)}: {RETIRED[word]}")
        lists = [word for word in words if word in LISTS]
        actions = [word for word in words if word in ACTIONS]
        if len(words) != 2 or len(lists) != 1 or len(actions) != 1:
            bad = next((word for word in words if word not in LISTS and word not in ACTIONS), value)
            raise self._wrong(
                f"{option} {visible(value)}: {visible(bad)!r} is wrong: it takes ACTION,LIST with"
                f" {'|'.join(ACTIONS)} and {'|'.join(LISTS)}"
            )
        self._list, self._action = LISTS[lists[0]], ACTIONS[actions[0]]
        self._prepend = option == "-A"

    def _watched(self, option: str, path: str) -> None:
        self._start(option, Verb.DELETE if option == "-W" else Verb.ADD)
        self._watch = True
        self._check_path(f"{option} {visible(path)}", path)
        bare = path.rstrip("/") or "/"
        number = DIR if self._names.is_directory(bare) else PATH
        self._fields.append(Field(number, OPERATORS["="], bare))
        self._fields.append(Field(PERM, OPERATORS["="], values.permission("rwxa")))

    def _check_path(self, where: str, path: str) -> None:
        if not path.startswith("/"):
            raise self._wrong(f"{where}: the path must start with /")
        if len(path.encode("utf-8", "surrogateescape")) >= _PATH_MAX:
            raise self._wrong(f"{where}: the path is longer than {_PATH_MAX - 1} bytes")

    def _syscall(self, text: str) -> None:
        if self._list not in (List.EXIT, List.IO_URING):
            raise self._wrong(f"-S {visible(text)}: the list {self._list.name.lower()} takes no system calls")
        try:
            self._syscalls.add(text, io_uring=self._list is List.IO_URING)
        except values.ValueProblem as problem:
            raise self._wrong(f"-S {visible(text)}: {problem}") from None

    def _split(self, option: str, text: str) -> tuple[str, str, str]:
        """The name, the operator and the value of a condition."""
        # The leftmost operator counts, so that values may hold the others; the longer ones are tried first.
        match = _OPERATOR.search(text)
        if match is None:
            raise self._wrong(f"{option} {visible(text)}: no operator; it takes {' '.join(OPERATORS)}")
        name, operator, value = text[: match.start()], match[0], text[match.end() :]
        if not value:
            raise self._wrong(f"{option} {visible(text)}: no value after {operator}")
        return name.lower(), operator, value

    def _field(self, text: str) -> None:
        name, operator, value = self._split("-F", text)
        field = FIELDS.get(FIELD_ALIASES.get(name, name))
        if field is None:
            raise self._wrong(f"-F {visible(text)}: there is no field {visible(name)!r}")
        self._check_field(field, operator, text)
        if field.value is Value.KEY:
            self._key_operator = OPERATORS[operator]
            self._key(value)
        elif field.value is Value.PATH:
            self._check_path(f"-F {visible(text)}", value)
            self._fields.append(Field(field.number, OPERATORS[operator], value))
        elif field.value is Value.TEXT:
            self._fields.append(Field(field.number, OPERATORS[operator], value))
        else:
            try:
                number = values.read(field, value, self._names)
            except values.ValueProblem as problem:
                raise self._wrong(f"-F {visible(text)}: {visible(value)} {problem}") from None
            if field.number == ARCH:
                self._architecture(text, value)
            self._fields.append(Field(field.number, OPERATORS[operator], number))

    def _check_field(self, field: FieldType, operator: str, text: str) -> None:
        if operator not in field.operators:
            allowed = " ".join(sorted(field.operators))
            raise self._wrong(f"-F {visible(text)}: {field.name} takes only the operators {allowed}")
        if self._list not in field.lists:
            allowed = ", ".join(sorted(entry.name.lower() for entry in field.lists))
            raise self._wrong(
                f"-F {visible(text)}: {field.name} works on {allowed}, not on the list {self._list.name.lower()}"
            )

    def _architecture(self, text: str, value: str) -> None:
        if self._syscalls.given:
            raise self._wrong(f"-F {visible(text)}: arch must come before -S, as it says what the names mean")
        self._syscalls.arch = values.arch_name(value, self._names)

    def _compare(self, text: str) -> None:
        left, operator, right = self._split("-C", text)
        left, right = (FIELD_ALIASES.get(name, name) for name in (left, right.lower()))
        self._check_field(FIELDS["field_compare"], operator if operator in EQUALITY else "=", text)
        if operator not in EQUALITY:
            raise self._wrong(f"-C {visible(text)}: a comparison takes only the operators = and !=")
        for number, pair in COMPARISONS.items():
            if pair in ((left, right), (right, left)):
                self._fields.append(Field(COMPARE, OPERATORS[operator], number))
                return
        raise self._wrong(
            f"-C {visible(text)}: the kernel cannot compare {visible(left)} with {visible(right)}"
        )

    def _permission(self, text: str) -> None:
        if not any(field.number in (PATH, DIR) for field in self._fields):
            raise self._wrong(f"-p {visible(text)}: a path must come first (-w, -F path= or -F dir=)")
        try:
            bits = values.permission(text)
        except values.ValueProblem as problem:
            raise self._wrong(f"-p {visible(text)}: {visible(text)} {problem}") from None
        for index, field in enumerate(self._fields):
            if field.number == PERM:
                self._fields[index] = replace(field, value=bits)
                return
        self._fields.append(Field(PERM, OPERATORS["="], bits))

    def _key(self, text: str) -> None:
        self._keys.append(text)
        size = len(KEY_SEPARATOR.join(self._keys).encode("utf-8", "surrogateescape"))
        if size > MAX_KEY_BYTES:
            raise self._wrong(
                f"-k {visible(text)}: the keys of a rule have at most {MAX_KEY_BYTES} bytes together"
            )

    def _wrong(self, message: str) -> RuleError:
        return RuleError(self._place, message)
