"""When: at each alarm the archive is asked which nights are still to do, and which projects to watch."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, func, select

from archiver.alarm import NIGHT, WATCH, AlarmCounts, alarms
from archiver.archive import open_archive
from archiver.clock import Clock
from archiver.database import connected
from archiver.errors import ArchiverError, LeaseHeldError, NightServedError
from archiver.nightly import ProjectOutcome, archive_all
from archiver.nights import last_due
from archiver.pings import begun
from archiver.schema import nights, runs
from archiver.settings import Settings, load_settings
from archiver.stopping import Stop
from archiver.telling import tell_of, tell_of_archive
from archiver.weekly import issue_if_due

log = structlog.get_logger()

# An alarm that rings a little early, or a look that began a little late, is no reason to leave one out.
_WATCH_SHARE = 0.9


@dataclass(slots=True)
class ScheduleCounts:
    """What happened since the start: alarms, looks at what is to do, and those that failed."""

    alarm: AlarmCounts = field(default_factory=AlarmCounts)
    ticks: int = 0
    errors: int = 0
    has_failed_last: bool = False
    last_ended_at: datetime | None = None


async def keep_nights(
    config: Path | None,
    clock: Clock,
    *,
    stop: Stop | None = None,
    counts: ScheduleCounts | None = None,
    ringing: AsyncIterator[frozenset[str]] | None = None,
) -> None:
    """Do at each alarm what is to do, one thing at a time, until told to stop or no alarm is left."""
    stop, counts = stop or Stop(), counts or ScheduleCounts()
    settings = load_settings(config)
    log.info(
        "schedule.started",
        schedule=settings.schedule,
        timezone=settings.timezone,
        watch_minutes=settings.watch_minutes,
    )
    if settings.unread_credentials is not None and not settings.targets:
        log.error("schedule.credentials_not_read", error=str(settings.unread_credentials))
    async with aclosing(ringing or alarms(settings, counts.alarm)) as rings:  # type: ignore[type-var]
        async for what in rings:
            counts.ticks += 1
            error = await _look(what, config, clock, stop)
            counts.errors += error is not None
            if (error is not None) != counts.has_failed_last:
                settings = _newest(config, settings)
                await tell_of_archive(settings, error)
            counts.has_failed_last, counts.last_ended_at = error is not None, clock.now()
            stop.check()


async def _look(what: frozenset[str], config: Path | None, clock: Clock, stop: Stop) -> str | None:
    """Do what an alarm asks for. What fails is logged and returned, and asked for again by the next alarm."""
    try:
        settings = load_settings(config)
        if NIGHT in what:
            await tick(settings, clock, config, stop)
        if WATCH in what:
            await watch(settings, clock, stop)
    except ArchiverError as error:
        log.error("schedule.tick_failed", error=str(error))  # noqa: TRY400 - known errors need no traceback
        return str(error)
    except Exception as error:
        # Staying up for years means outliving what nobody foresaw, too.
        said = f"unexpected {type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}"
        log.exception("schedule.tick_broke", error=said, exc_info=bool(os.environ.get("ARCHIVER_DEBUG")))
        return said
    return None


def _newest(config: Path | None, before: Settings) -> Settings:
    """Return the settings as they are now; those of before where it is they that fail."""
    try:
        return load_settings(config)
    except ArchiverError:
        return before


async def tick(settings: Settings, clock: Clock, config: Path | None = None, stop: Stop | None = None) -> list[str]:
    """Archive the projects whose latest night no run has served yet, and issue the week's report if that is due.

    Return those projects. Doing it twice does it once.
    """
    engine, revision = open_archive(settings)
    try:
        to_do = projects_to_do(settings, engine, clock)
        if to_do:
            async with begun(settings):
                outcomes = await archive_all(
                    settings,
                    engine,
                    revision,
                    clock,
                    kind="scheduled",
                    leaves_served_nights=True,
                    stop=stop,
                    project_ids=to_do,
                )
                _log_failed(outcomes)
                await tell_of(settings, engine, clock, outcomes)
        is_night_open = bool(projects_to_do(settings, engine, clock))
        await issue_if_due(settings, engine, clock.now(), config, is_night_open=is_night_open)
        return to_do
    finally:
        engine.dispose()


async def watch(settings: Settings, clock: Clock, stop: Stop | None = None) -> list[str]:
    """Look between nights at the projects at which nobody looked for ARCHIVER_WATCH_MINUTES, and return them.

    A project whose night is still to do is left to the night.
    """
    engine, revision = open_archive(settings)
    try:
        to_watch = projects_to_watch(settings, engine, clock)
        if to_watch:
            _log_failed(
                await archive_all(settings, engine, revision, clock, kind="watch", stop=stop, project_ids=to_watch)
            )
        return to_watch
    finally:
        engine.dispose()


def _log_failed(outcomes: Sequence[ProjectOutcome]) -> None:
    for outcome in outcomes:
        if isinstance(outcome.error, LeaseHeldError | NightServedError):
            log.info("schedule.project_left", project_id=outcome.project_id, reason=str(outcome.error))
        elif outcome.error is not None:
            log.error("schedule.project_failed", project_id=outcome.project_id, error=str(outcome.error))


def projects_to_do(settings: Settings, engine: Engine, clock: Clock) -> list[str]:
    """Return the projects whose latest night due is neither done nor done in part."""
    due = last_due(settings.schedule, ZoneInfo(settings.timezone), clock.now())
    if due is None:
        return []
    served = select(nights.c.project_id).where(nights.c.night_date == due[0], nights.c.state.in_(("done", "partial")))
    with connected(engine, settings.database_url.get_secret_value()) as connection:
        done = set(connection.execute(served).scalars())
    return [project_id for project_id in settings.project_ids if project_id not in done]


def projects_to_watch(settings: Settings, engine: Engine, clock: Clock) -> list[str]:
    """Return the projects whose night is done and whose latest run began ARCHIVER_WATCH_MINUTES ago."""
    if not settings.watch_minutes:
        return []
    since = clock.now() - timedelta(minutes=settings.watch_minutes * _WATCH_SHARE)
    looked = select(runs.c.project_id, func.max(runs.c.started_at)).where(runs.c.kind != "import")
    with connected(engine, settings.database_url.get_secret_value()) as connection:
        last = {row[0]: row[1] for row in connection.execute(looked.group_by(runs.c.project_id))}
    to_do = projects_to_do(settings, engine, clock)
    return [
        project_id
        for project_id in settings.project_ids
        if project_id not in to_do and project_id in last and last[project_id] <= since
    ]
