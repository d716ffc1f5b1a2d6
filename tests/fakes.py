"""Stand-ins for what is outside a module."""

from collections.abc import Callable


class FakeLoop:
    """An event loop that only remembers who waits to write."""

    def __init__(self) -> None:
        self.writers: dict[int, Callable[[], None]] = {}

    def add_writer(self, fd: int, callback: Callable[[], None], /) -> None:
        assert fd not in self.writers
        self.writers[fd] = callback

    def remove_writer(self, fd: int, /) -> bool:
        return self.writers.pop(fd, None) is not None

    def writable(self) -> None:
        """Tells everyone that waits that now is the time."""
        for callback in list(self.writers.values()):
            callback()
