"""How many requests a second leave this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable

# A loop wakes up late by a timer's grain. So much may be made good by the next request, or a high rate is
# never reached.
_GRAIN_SECONDS = 0.005


class Throttle:
    """A ceiling over all requests that share it: each waits for its slot, in the order they came.

    The slots are evenly spaced and are not saved up, so an idle minute is not followed by a burst. A caller
    that is cancelled while it waits takes no slot. One throttle belongs to one event loop.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Allow so many requests a second; 0 allows any number."""
        self._interval_seconds = 1 / requests_per_second if requests_per_second > 0 else 0.0
        self._monotonic = monotonic
        self._sleep = sleep
        self._next_slot = float("-inf")
        self._turn = asyncio.Lock()  # hands over in the order of arrival

    async def wait(self) -> None:
        """Return when the next request may leave."""
        if not self._interval_seconds:
            return
        async with self._turn:
            has_waited = False
            while (early_seconds := self._next_slot - self._monotonic()) > 0:
                await self._sleep(early_seconds)
                has_waited = True
            late_seconds = min(self._monotonic() - self._next_slot, _GRAIN_SECONDS) if has_waited else 0.0
            self._next_slot = self._monotonic() - late_seconds + self._interval_seconds
