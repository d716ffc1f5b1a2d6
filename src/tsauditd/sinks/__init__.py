"""Where JSON lines go: each sink in its own file, with its bounded queue, its policy when full and its counters."""

from tsauditd.event import Sink
from tsauditd.sinks.descriptor import Loop
from tsauditd.sinks.file import open_file
from tsauditd.sinks.stdout import open_stdout

__all__ = ["Loop", "open_sink"]


def open_sink(output: str, loop: Loop, queue_bytes: int) -> Sink:
    """The sink that `output` names: `-` is standard output, anything else a file to append to. Raises OSError."""
    return open_stdout(loop, queue_bytes) if output == "-" else open_file(output, loop, queue_bytes)
