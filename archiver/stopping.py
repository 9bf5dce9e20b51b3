"""How the process is told to end: once, after what is in hand; twice, at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Whether the end was asked for. Work that soon comes to a good place by itself says so, and looks here."""

    def __init__(self) -> None:
        """Begin unasked."""
        self.is_asked = False
        self._holding = 0
        self._task: asyncio.Task[object] | None = None

    def ask(self) -> None:
        """Ask for the end: the first time, work in hand may end by itself; what only waits is cancelled."""
        if self._task is not None and (self.is_asked or not self._holding):
            self._task.cancel()
        self.is_asked = True

    def watch(self, task: "asyncio.Task[object]") -> None:
        """Name the task that is cancelled."""
        self._task = task

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what is done here come to its own end when asked: it raises CancelledError by itself, or ends."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1

    def check(self) -> None:
        """Go no further if the end was asked for. Raises CancelledError."""
        if self.is_asked:
            raise asyncio.CancelledError
