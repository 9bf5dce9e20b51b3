"""When: the alarm clock, and the tick that asks the archive which night is still to do."""

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import Engine, select

from archiver.archive import open_archive
from archiver.clock import Clock
from archiver.database import connected
from archiver.errors import ArchiverError
from archiver.nightly import archive_all
from archiver.nights import cron_trigger, last_due
from archiver.schema import nights
from archiver.settings import Settings, load_settings
from archiver.weekly import issue, week_to_issue

log = structlog.get_logger()

TICK_MINUTES = 15
# A tick that comes late is as good: it asks the archive what is to do.
_ALARM = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


async def keep_nights(config: Path | None, clock: Clock) -> None:
    """Tick at start, at each scheduled time and every quarter of an hour, until cancelled."""
    settings = load_settings(config)
    scheduler = AsyncIOScheduler()
    one_at_a_time = asyncio.Lock()

    async def guarded() -> None:
        async with one_at_a_time:
            try:
                await tick(load_settings(config), clock, config)
            except ArchiverError as error:
                log.error("schedule.tick_failed", error=str(error))  # noqa: TRY400 - known errors need no traceback

    scheduler.add_job(guarded, cron_trigger(settings.schedule, ZoneInfo(settings.timezone)), **_ALARM)
    scheduler.add_job(guarded, cron_trigger(settings.report_schedule, ZoneInfo(settings.timezone)), **_ALARM)
    scheduler.add_job(guarded, "interval", minutes=TICK_MINUTES, **_ALARM)
    scheduler.start()
    log.info("schedule.started", schedule=settings.schedule, timezone=settings.timezone)
    try:
        await guarded()
        await asyncio.Event().wait()
    finally:
        scheduler.shutdown(wait=False)


async def tick(settings: Settings, clock: Clock, config: Path | None = None) -> list[str]:
    """Archive the projects whose latest night no run has served yet, and issue the week's report if that is due.

    Return those projects. Doing it twice does it once.
    """
    engine, revision = open_archive(settings)
    try:
        to_do = projects_to_do(settings, engine, clock)
        if to_do:
            wanted = settings.model_copy(update={"project_id": ",".join(to_do)})
            for outcome in await archive_all(wanted, engine, revision, clock, kind="scheduled"):
                if outcome.error is not None:
                    log.error("schedule.project_failed", project_id=outcome.project_id, error=str(outcome.error))
        is_night_open = bool(projects_to_do(settings, engine, clock))
        week = week_to_issue(settings, engine, clock.now(), is_night_open=is_night_open)
        if week is not None:
            await issue(settings, week, config)
        return to_do
    finally:
        engine.dispose()


def projects_to_do(settings: Settings, engine: Engine, clock: Clock) -> list[str]:
    """Return the projects whose latest night due is neither done nor done in part."""
    due = last_due(settings.schedule, ZoneInfo(settings.timezone), clock.now())
    if due is None:
        return []
    served = select(nights.c.project_id).where(nights.c.night_date == due[0], nights.c.state.in_(("done", "partial")))
    with connected(engine, settings.database_url.get_secret_value()) as connection:
        done = set(connection.execute(served).scalars())
    return [project_id for project_id in settings.project_ids if project_id not in done]
