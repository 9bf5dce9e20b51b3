"""When a request that failed is tried again, and when it is not.

`stamina` is not used for this loop: it sleeps by the machine's clock alone, and here the injected clock
sleeps; and it takes its own time limit before a wait that `Retry-After` asks for, where this loop gives up
instead of waiting in vain.
"""

import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from archiver.api.limits import Counts, Limits
from archiver.api.refusals import PassingError, Subject
from archiver.clock import Clock
from archiver.errors import ApiError

_LONGEST_BACKOFF_SECONDS = 30.0
_LONGEST_RETRY_AFTER_SECONDS = 60.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Retrying:
    """Tries a request until it succeeds, fails for good, or has had its time.

    Time is the sum of what the tries took by the monotonic clock and of the waits, so that neither a
    machine's clock that is set nor a clock that jumps stretches it. What `prepare` takes (a new token, the
    throttle's turn) is not counted.
    """

    clock: Clock
    limits: Limits
    counts: Counts
    prepare: Callable[[], Awaitable[None]]

    async def run(
        self,
        subject: Subject,
        attempt: Callable[[float], Awaitable[_T]],
        *,
        timeout_seconds: float,
        is_list: bool = False,
    ) -> _T:
        """Return what `attempt` returns; it is told the seconds it may take. Raises the last word."""
        retry_seconds = self.limits.retry_seconds
        # No time for retries still leaves a first try its own time.
        has_own_time = is_list or retry_seconds == 0
        whole_seconds = max(retry_seconds, timeout_seconds) if has_own_time else retry_seconds
        spent_seconds = 0.0
        tries = waits = 0
        while True:
            await self.prepare()
            tries += 1
            self.counts.requests += 1
            started = time.monotonic()
            try:
                answer = await attempt(min(timeout_seconds, whole_seconds - spent_seconds))
            except PassingError as error:
                fault = error
            except ApiError:
                self.counts.given_up_in_a_row = 0  # a refusal is an answer
                raise
            else:
                self.counts.given_up_in_a_row = 0
                return answer
            spent_seconds += time.monotonic() - started
            wait_seconds, end_seconds = 0.0, whole_seconds
            if not fault.is_at_once:  # else there is a new token, and nothing to wait for
                wait_seconds = max(self._backoff_seconds(waits), fault.retry_after_seconds or 0.0)
                end_seconds = retry_seconds
                waits += 1
            is_last = fault.most_tries is not None and tries >= fault.most_tries
            if is_last or spent_seconds + wait_seconds >= end_seconds:
                self.counts.given_up_in_a_row += not is_last
                raise _given_up(subject, fault, tries, spent_seconds)
            self.counts.retries += 1
            await self.clock.sleep(wait_seconds)
            spent_seconds += wait_seconds

    def _backoff_seconds(self, waits: int) -> float:
        longest = min(_LONGEST_BACKOFF_SECONDS, self.limits.backoff_seconds * 2.0 ** min(waits, 16))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret


def _given_up(subject: Subject, fault: PassingError, tries: int, spent_seconds: float) -> Exception:
    pause = f", asked to wait {fault.retry_after_seconds:g} s" if fault.retry_after_seconds else ""
    return subject.last_word(
        f"{fault}; given up after {tries} {'try' if tries == 1 else 'tries'} in {spent_seconds:.1f} s{pause}",
        stage=fault.stage,
        status=fault.status,
        error_code=fault.error_code,
        request_id=fault.request_id,
        body=fault.body,
    )


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Read a `Retry-After`, seconds or an HTTP date, capped; None if it is of no use (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return min(float(value), _LONGEST_RETRY_AFTER_SECONDS)
    instant = http_date(value)
    if instant is None or instant <= now:
        return None
    return min((instant - now).total_seconds(), _LONGEST_RETRY_AFTER_SECONDS)


def http_date(value: str | None) -> datetime | None:
    """Read an HTTP date; None where it is none."""
    try:
        instant = parsedate_to_datetime(value or "")
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
