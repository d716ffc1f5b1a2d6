"""Whether sessions are watched: as long as an output takes them, also one that a reload brings or takes away."""

import time
from collections.abc import Callable
from pathlib import Path

from tsauditd.alive import every_process_seen, sessions_alive
from tsauditd.config import Config, FileOutput
from tsauditd.event import Listener
from tsauditd.journal import Journal
from tsauditd.live import LiveSessions, state_path
from tsauditd.pipeline import Origin, Pipeline

_BLIND = (
    "not every process of this host can be seen (another pid namespace, or /proc mounted with hidepid): sessions end"
    " 15 minutes after their logout, or after 7 silent days"
)


class Watching:
    """The sessions that are watched, if any are."""

    def __init__(
        self,
        pipeline: Pipeline,
        origin: Origin,
        *,
        say: Callable[[str], None],
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        """`say` tells a line on standard error; `later` calls in a moment what it is given."""
        self._pipeline = pipeline
        self._origin = origin
        self._say = say
        self._later = later
        self.sessions: LiveSessions | None = None

    def change(self, config: Config) -> None:
        """Watches, or does not, as the outputs ask; what the last run has left open is taken up.

        Raises OSError when there is no place to keep what is open.
        """
        files = [output.path for output in config.sessions if isinstance(output, FileOutput)]
        path = Path(state_path(files[0] if files else None))
        if self.sessions is not None:
            if not config.sessions:
                self.sessions.close()
                self.sessions = None
            else:
                self.sessions.keep_at(str(path))
            return
        if not config.sessions:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = every_process_seen()
        if not seen:
            self._say(_BLIND)
        self.sessions = LiveSessions(
            self._pipeline.deliver_sessions,
            journal=Journal(str(path)),
            idle=lambda: self._pipeline.idle,
            wall=time.time,
            say=self._say,
            later=self._later,
            alive=sessions_alive if seen else None,
        )
        written = [Path(name) for file in files for name in (f"{file}.1", file)]
        self.sessions.begin(self._origin.boot_id, written)

    def flush(self) -> None:
        """Writes what waits to the outputs that there are now."""
        if self.sessions is not None:
            self.sessions.flush()

    def close(self) -> None:
        """The end of the daemon: what is open is kept for the next start."""
        if self.sessions is not None:
            self.sessions.close()


def hand_on(listener: Listener, pipeline: Pipeline, sessions: LiveSessions | None) -> None:
    """Gives the events that the listener has finished to the outputs and the sessions that there are now."""
    if lines := listener.take():
        pipeline.deliver(lines)
        if sessions is not None and (needed := listener.timeline()):
            sessions.batch(needed)
