"""The weekly report: when it is due, and its issue by the program `reports`, as a process of its own."""

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, func, select

from archiver.database import connected
from archiver.errors import ArchiverError
from archiver.nights import last_due
from archiver.schema import issued_reports, nights
from archiver.settings import Settings

log = structlog.get_logger()

# So long a report waits for the night that ends its week; then it goes out and says what it lacks.
LONGEST_WAIT = timedelta(hours=6)


def week_to_issue(settings: Settings, engine: Engine, now: datetime, *, is_night_open: bool) -> str | None:
    """Return the week whose report is due by ARCHIVER_REPORT_SCHEDULE and was not issued yet; None if there is none.

    It is the last whole week before the day it falls due. A report waits while a night is still to do, and none is
    made of a time before the archive's first night.
    """
    due = last_due(settings.report_schedule, ZoneInfo(settings.timezone), now)
    if due is None or (is_night_open and now < due[1] + LONGEST_WAIT):
        return None
    year, week, _ = (due[0] - timedelta(days=7)).isocalendar()
    label = f"{year}-W{week:02}"
    issued = select(func.count()).where(
        issued_reports.c.time_zone == settings.timezone,
        issued_reports.c.week == label,
        issued_reports.c.projects.is_(None),
    )
    with connected(engine, settings.database_url.get_secret_value()) as connection:
        first_night_at = connection.execute(select(func.min(nights.c.planned_at))).scalar()
        is_issued = bool(connection.execute(issued).scalar())
    return None if is_issued or first_night_at is None or first_night_at > due[1] else label


async def issue(settings: Settings, week: str, config: Path | None) -> None:
    """Issue a week's report, and write its files to ARCHIVER_REPORT_DIRECTORY if that is set. ArchiverError on failure.

    A process of its own: what a report takes of memory is given back, and the archiver knows no reports.
    """
    command = [sys.executable, "-m", "reports", "weekly", "--week", week, "--issue"]
    command += [] if settings.report_directory is None else ["--out", str(settings.report_directory)]
    command += [] if config is None else ["--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        lines = said.decode("utf-8", "replace").splitlines() or [f"exit code {process.returncode}"]
        raise ArchiverError(f"the report of {week} was not issued: {lines[-1]}")
    log.info("weekly.report_issued", week=week)
