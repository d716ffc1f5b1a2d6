"""From one state of the kernel's rules to another without a moment in which something both would record is missed.

The kernel adds a rule only at the beginning or the end of its list, refuses one that is there already, and the first
rule that matches decides. So what is new is added behind what is there, and only then is what is old deleted, from the
end backwards: as long as the old first match of an event stands, it decides; once it is gone no old rule before it
matches, and the new ones decide. A rule that must change its place is represented meanwhile by a stand-in, the same
rule with one more condition that always holds.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tsauditd.kernel.rules.encode import FIXED_SIZE, HEAD, WORDS
from tsauditd.kernel.rules.lists import identity, list_number
from tsauditd.kernel.rules.rule import Rule
from tsauditd.kernel.rules.tables import FIELDS, MAX_FIELDS, NOT_EQUAL, PREPEND, UNSET, List

_ONE = struct.Struct("=I")
_NUMBERS, _VALUES, _OPERATORS = (HEAD.size + part * WORDS.size for part in (1, 2, 3))
_PID = FIELDS["pid"].number


@dataclass(frozen=True, slots=True)
class Step:
    """One message to the kernel. wanted: the rule that an added payload is or stands for; None: it is deleted."""

    payload: bytes
    wanted: bytes | None = None


def steps(current: Sequence[bytes], wanted: Sequence[bytes]) -> list[Step]:
    """What makes `current` into `wanted`, both payloads as list_rules gives them, order kept, list after list.

    At each moment every event is recorded that both states record; some may be recorded that only one of them does.
    A rule of the list filesystem without fields, or one with 64, cannot have a stand-in: where it must change its
    place it is missing between two messages. No steps: nothing is to be changed.
    """
    found: list[Step] = []
    for number in sorted({list_number(payload) for payload in (*current, *wanted)}):
        have = [payload for payload in current if list_number(payload) == number]
        want = [payload for payload in wanted if list_number(payload) == number]
        front = _front(have, want)
        plain, with_front = _plan(have, want, 0), _plan(have, want, front)
        found += with_front if len(with_front) < len(plain) else plain
    return found


def _front(have: list[bytes], want: list[bytes]) -> int:
    """How many new rules at the beginning can be put in front one by one: those with the same action.

    An always only records more; a never hides what the new rules do not record anyway.
    """
    known = {identity(payload) for payload in have}
    count = 0
    for payload in want:
        if identity(payload) in known or _action(payload) != _action(want[0]):
            break
        count += 1
    return count if count < len(want) else 0


def _plan(have: list[bytes], want: list[bytes], skip: int) -> list[Step]:
    """The steps of one list, the first `skip` rules being put in front."""
    places = {identity(payload): index for index, payload in enumerate(have)}
    kept: list[int] = []
    for payload in want[skip:]:
        place = places.get(identity(payload), -1)
        if place <= (kept[-1] if kept else -1):
            break
        kept.append(place)
    later = want[skip + len(kept) :]
    moved = next((index for index, payload in enumerate(later) if identity(payload) in places), len(later))
    taken: set[Rule | bytes] = set(places)
    stand_ins = [(payload, _stand_in(payload, taken)) for payload in later[moved:]]

    plan = [Step(_prepended(payload), payload) for payload in reversed(want[:skip])]
    plan += [Step(payload, payload) for payload in later[:moved]]
    plan += [Step(stand_in, payload) for payload, stand_in in stand_ins if stand_in is not None]
    stay = set(kept)
    plan += [Step(payload) for index, payload in reversed([*enumerate(have)]) if index not in stay]
    plan += [Step(payload, payload) for payload in later[moved:]]
    plan += [Step(stand_in) for _, stand_in in reversed(stand_ins) if stand_in is not None]
    return plan


def _stand_in(payload: bytes, taken: set[Rule | bytes]) -> bytes | None:
    """The rule with conditions more that always hold, as many as make it unlike all that are there."""
    while (longer := _longer(payload)) is not None:
        if identity(longer) not in taken:
            return longer
        payload = longer
    return None


def _longer(payload: bytes) -> bytes | None:
    flags, action, count = HEAD.unpack_from(payload)
    if count >= MAX_FIELDS or len(payload) < FIXED_SIZE:
        return None
    condition = (_PID, UNSET, NOT_EQUAL)
    if list_number(payload) == List.FILESYSTEM:
        # It knows fstype and key only; the first field again says nothing new.
        first = tuple(_ONE.unpack_from(payload, start)[0] for start in (_NUMBERS, _VALUES, _OPERATORS))
        if count == 0 or first[0] != FIELDS["fstype"].number:
            return None
        condition = (first[0], first[1], first[2])
    changed = bytearray(payload)
    HEAD.pack_into(changed, 0, flags, action, count + 1)
    for start, number in zip((_NUMBERS, _VALUES, _OPERATORS), condition, strict=True):
        _ONE.pack_into(changed, start + 4 * count, number)
    return bytes(changed)


def _action(payload: bytes) -> int:
    return int(HEAD.unpack_from(payload)[1])


def _prepended(payload: bytes) -> bytes:
    flags, action, count = HEAD.unpack_from(payload)
    return HEAD.pack(flags | PREPEND, action, count) + payload[HEAD.size :]
