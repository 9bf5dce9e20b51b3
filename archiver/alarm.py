"""The alarm clock of `schedule`: it says when to look, and knows nothing of what is to do."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import structlog
from apscheduler.events import EVENT_JOB_SUBMITTED, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from archiver.nights import cron_trigger
from archiver.settings import Settings

log = structlog.get_logger()

NIGHT, WATCH = "night", "watch"
TICK_MINUTES = 15
# An alarm so much late is a misfire: the machine slept, or was too busy. It rings all the same, once.
LATE_SECONDS = 60
# The loop's own time goes evenly. No alarm in so long: the machine's clock was set back, and they wait for their times.
LONGEST_SILENCE_SECONDS = TICK_MINUTES * 60 + LATE_SECONDS
_RINGING = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


@dataclass(slots=True)
class AlarmCounts:
    """How often it rang, and how often late."""

    rings: int = 0
    misfires: int = 0


async def alarms(settings: Settings, counts: AlarmCounts) -> AsyncIterator[frozenset[str]]:
    """Yield what to look at: at once, at each scheduled time and every quarter of an hour; and how often to watch.

    What rings while nobody waits is yielded together, once.
    """
    # Its words go to the log below, as events.
    quiet = logging.getLogger("apscheduler")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    zone = ZoneInfo(settings.timezone)
    rang: set[str] = {NIGHT}
    is_ringing = asyncio.Event()
    is_ringing.set()

    async def ring(what: str) -> None:
        counts.rings += 1
        rang.add(what)
        is_ringing.set()

    def note_lateness(event: JobSubmissionEvent) -> None:
        # Of several times that are coalesced the event has the last; the first is what was waited for.
        late = (datetime.now(UTC) - expected[event.job_id]).total_seconds()
        expected[event.job_id] = scheduler.get_job(event.job_id).next_run_time
        if late > LATE_SECONDS:
            counts.misfires += 1
            log.warning("schedule.alarm_late", late_seconds=round(late))

    def set_alarms() -> None:
        scheduler.remove_all_jobs()
        for expression in (settings.schedule, settings.report_schedule):
            scheduler.add_job(ring, cron_trigger(expression, zone), [NIGHT], **_RINGING)
        scheduler.add_job(ring, "interval", [NIGHT], minutes=TICK_MINUTES, **_RINGING)
        if settings.watch_minutes:
            scheduler.add_job(ring, "interval", [WATCH], minutes=settings.watch_minutes, **_RINGING)
        expected.update({job.id: job.next_run_time for job in scheduler.get_jobs()})

    expected: dict[str, datetime] = {}
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.add_listener(note_lateness, EVENT_JOB_SUBMITTED)
    scheduler.start()
    set_alarms()
    try:
        while True:
            try:
                await asyncio.wait_for(is_ringing.wait(), LONGEST_SILENCE_SECONDS)
            except TimeoutError:
                counts.misfires += 1
                log.warning("schedule.clock_set_back", silent_seconds=LONGEST_SILENCE_SECONDS)
                set_alarms()
                rang |= {NIGHT, WATCH} if settings.watch_minutes else {NIGHT}
            is_ringing.clear()
            what = frozenset(rang)
            rang.clear()
            yield what
    finally:
        scheduler.shutdown(wait=False)
