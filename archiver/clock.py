"""The time: now to the millisecond, and the sleep that goes with it.

Only the command line, `ingest` and `schedule` ask a clock; everything below them is handed times.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the archiver needs of time. The demo and the tests bring one that jumps."""

    def now(self) -> datetime:
        """Return the current instant: aware, UTC, whole milliseconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time in UTC, cut to the millisecond."""
        return to_milliseconds(datetime.now(UTC))

    async def sleep(self, seconds: float) -> None:
        """Wait in the event loop."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is told to move; it sleeps by moving."""

    def __init__(self, start: datetime) -> None:
        """Start at an aware instant."""
        self._now = to_milliseconds(start.astimezone(UTC))

    def now(self) -> datetime:
        """Return the instant the clock was last moved to."""
        return self._now

    def set(self, instant: datetime) -> None:
        """Jump to an aware instant."""
        self._now = to_milliseconds(instant.astimezone(UTC))

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self._now = to_milliseconds(self._now + timedelta(seconds=seconds))

    async def sleep(self, seconds: float) -> None:
        """Move on at once, and let other tasks run."""
        self.advance(seconds)
        await asyncio.sleep(0)


def to_milliseconds(instant: datetime) -> datetime:
    """Cut an instant to whole milliseconds, the archive's resolution."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
