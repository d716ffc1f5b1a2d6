"""Standard output, which never holds the daemon up: a reader that is too slow loses lines, counted."""

import os
import socket
import stat

from tsauditd.sinks.descriptor import DescriptorSink, Loop


def open_stdout(loop: Loop, queue_bytes: int, fd: int = 1) -> DescriptorSink:
    """Standard output as a sink. Raises OSError.

    The non-blocking mode belongs to the open file, which the shell and other programs may share. So a pipe or a
    terminal is opened once more (proc(5), /proc/self/fd) and a socket is sent to with MSG_DONTWAIT; a regular file
    never makes a writer wait for a reader, and opening it again would lose its place.
    """
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return DescriptorSink("standard output", fd, loop, queue_bytes, release=lambda: None)
    if stat.S_ISSOCK(kind):
        reader = socket.socket(fileno=os.dup(fd))
        return DescriptorSink(
            "standard output",
            reader.fileno(),
            loop,
            queue_bytes,
            release=reader.close,
            send=lambda _, data: reader.send(data, socket.MSG_DONTWAIT),
        )
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # another user's terminal or pipe: share the mode, and put it back at the end
        blocking = os.get_blocking(fd)
        os.set_blocking(fd, False)
        return DescriptorSink(
            "standard output", fd, loop, queue_bytes, release=lambda: os.set_blocking(fd, blocking)
        )
    return DescriptorSink("standard output", own, loop, queue_bytes, release=lambda: os.close(own))
