"""Where lines go: each sink in its own file, with its bounded queue, its policy when full and its counters."""

from tsauditd.config import FileOutput, Output, RawOutput, StdoutOutput, SyslogOutput
from tsauditd.event import Sink
from tsauditd.sinks.action import Actions, Commands
from tsauditd.sinks.descriptor import Loop
from tsauditd.sinks.file import FileWriter
from tsauditd.sinks.queue import QueueSink
from tsauditd.sinks.stdout import open_stdout
from tsauditd.sinks.syslog import SyslogWriter

__all__ = ["Actions", "Commands", "Loop", "open_sink"]


def open_sink(output: Output, loop: Loop, actions: Actions) -> Sink:
    """The sink that `output` describes. Raises OSError or BadConfiguration."""
    if isinstance(output, StdoutOutput):
        sink = open_stdout(loop, output.queue_bytes)
        sink.takes = output.lines
        return sink
    if isinstance(output, SyslogOutput):
        return QueueSink(
            SyslogWriter(output), output.queue_bytes, takes=output.lines, when_full=output.when_full
        )
    assert isinstance(output, FileOutput)
    return QueueSink(
        FileWriter(output, actions),
        output.queue_bytes,
        takes="records" if isinstance(output, RawOutput) else output.lines,
        when_full=output.when_full,
    )
