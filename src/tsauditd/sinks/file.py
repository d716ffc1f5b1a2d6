"""A file that lines are appended to."""

import errno
import os

from tsauditd.sinks.descriptor import DescriptorSink, Loop


def open_file(path: str, loop: Loop, queue_bytes: int) -> DescriptorSink:
    """The file at `path`, made readable and writable by its owner only if it is new. Raises OSError.

    A symbolic link in the last place is refused (O_NOFOLLOW): in a directory that others may write to it would lead
    root's lines elsewhere.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a symbolic link is refused: name the file itself", path) from None
        raise
    return DescriptorSink(path, fd, loop, queue_bytes, release=lambda: os.close(fd))
