"""Whether the daemon still has the place at the kernel that it took: the audit pid, and auditing being on.

The kernel lets nobody take a healthy holder's place (audit_receive_msg in kernel/audit.c), but it lets go of a holder
whose socket refuses a packet (auditd_reset), and the holder's own process may give the pid back; who comes first then
has it. Nothing is said to the one that loses it: that one has to look.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from tsauditd.kernel import registration
from tsauditd.kernel.status import Glance


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the kernel's audit that has come to be otherwise."""

    action: str
    """What has happened, as event.action."""

    sentence: str
    """The same in words, with what to do."""

    good: bool
    """Whether it is as it should be, now."""

    pid: int
    """Who has the audit pid; 0 for nobody."""

    name: str | None
    """That process's command name, as far as it is known."""

    enabled: int
    """As in Glance."""


def notice_document(notice: Notice) -> dict[str, object]:
    """What stands under tsauditd.kernel in the event that tells of it."""
    return {"enabled": notice.enabled, "pid": notice.pid, "name": notice.name}


class Standing:
    """What was told last of the audit pid and the enabled flag; gets the pid back when it is free."""

    def __init__(
        self,
        receiver: socket.socket,
        *,
        registered: bool,
        enabled: int,
        name_of: Callable[[int], str | None] = registration.process_name,
    ) -> None:
        """`receiver` gets the records; `registered`: as the holder of the pid. `enabled`: the flag as it is to be."""
        self._receiver = receiver
        self._registered = registered
        self._enabled = enabled
        self._name_of = name_of
        self._me = os.getpid()
        self._holder = self._me
        self._beside = False
        self._off = False

    @property
    def away(self) -> str | None:
        """Who has the pid in this process's place, in words; None: nobody has, or it never was this one's."""
        if not self._registered or self._holder == self._me:
            return None
        return self._told(self._holder)

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        found = [f"{away} has the audit pid that was this daemon's"] if (away := self.away) else []
        return [*found, "auditing is switched off (enabled is 0)"] if self._off else found

    def expect(self, enabled: int) -> None:
        """The flag is to be this from now on."""
        self._enabled = enabled

    def look(self, now: Glance) -> list[Notice]:
        """What is new. Takes the pid when nobody has it, and reads beside whoever else has it."""
        found: list[Notice] = []
        if self._registered and now.pid != self._holder:
            before, self._holder = self._holder, now.pid
            found.append(self._moved(before, now))
        if self._registered and now.pid == 0:
            with contextlib.suppress(OSError):  # the next look tries again
                self._take()
        off = self._enabled > 0 and now.enabled == 0
        if off != self._off:
            self._off = off
            found.append(self._switched(now))
        return found

    def _moved(self, before: int, now: Glance) -> Notice:
        if now.pid == self._me:
            action = "audit-pid-regained"
            text = f"this daemon has the audit pid again, which {self._told(before)} had"
        else:
            action = "audit-pid-lost"
            text = f"this daemon has lost the audit pid: {self._told(now.pid)} has it, "
            if now.pid:
                text += (
                    f"{self._read_beside()}; it is taken back when it is free: end the other"
                    f" (auditctl --signal TERM, or kill {now.pid})"
                )
            else:
                text += "and it is taken back"
        return self._notice(action, text, now, good=now.pid == self._me)

    def _switched(self, now: Glance) -> Notice:
        if self._off:
            text = "somebody has switched auditing off: no rule makes events until it is on again (auditctl -e 1)"
            return self._notice("audit-switched-off", text, now, good=False)
        return self._notice("audit-switched-on", "auditing is on again", now, good=True)

    def _notice(self, action: str, text: str, now: Glance, *, good: bool) -> Notice:
        return Notice(action, text, good, now.pid, self._name_of(now.pid) if now.pid else None, now.enabled)

    def _told(self, pid: int) -> str:
        return f"{self._name_of(pid) or 'a process'} (pid {pid})" if pid else "nobody"

    def _read_beside(self) -> str:
        """Joins the multicast group; returns what that means for the records, in words."""
        try:
            if not self._beside:
                registration.join_multicast(self._receiver)
                self._beside = True
        except OSError as error:
            return f"and nothing comes until then (multicast group: {error.strerror})"
        return "and what comes is read from the multicast group beside it"

    def _take(self) -> None:
        """Asks for the pid, after leaving the group: or each record would come twice."""
        if self._beside:
            registration.leave_multicast(self._receiver)
            self._beside = False
        registration.claim(self._receiver)
