"""The weekly report: when it is due, and its issue by the program `reports`, as a process of its own."""

import asyncio
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, func, select

from archiver.database import connected
from archiver.errors import ArchiverError, LeaseHeldError, SettingsError
from archiver.lease import acquire, kept_alive
from archiver.nights import last_due
from archiver.schema import issued_reports, nights
from archiver.settings import Settings
from archiver.writing import in_transaction

log = structlog.get_logger()

# So long a report waits for the night that ends its week; then it goes out and says what it lacks.
LONGEST_WAIT = timedelta(hours=6)
_DONE_IN_PART = 1
# So begins what `reports` itself says; a Python that fell over exits 1, too.
_COMPLAINT = "reports: "
_LEASE = "the weekly report"


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


async def issue_if_due(
    settings: Settings, engine: Engine, now: datetime, config: Path | None, *, is_night_open: bool
) -> None:
    """Issue the week's report if it is due, under a lease: of several archivers each would send it.

    ArchiverError if it is due and was not issued.
    """

    def due() -> str | None:
        return week_to_issue(settings, engine, now, is_night_open=is_night_open)

    if due() is None:
        return
    try:
        lease = await asyncio.to_thread(in_transaction, engine, partial(acquire, name=_LEASE))
    except LeaseHeldError as error:
        log.info("weekly.report_left", reason=str(error))
        return
    async with kept_alive(engine, lease):
        week = due()  # another may have issued it meanwhile
        if week is not None:
            await issue(settings, week, config)


async def issue(settings: Settings, week: str, config: Path | None) -> None:
    """Issue a week's report, write its files to ARCHIVER_REPORT_DIRECTORY and send it to ARCHIVER_NOTIFY_URLS if set.

    ArchiverError if it was not issued. A delivery that failed is logged and not tried again: nothing tells which of
    several services took it, and one that was slow may have it. Where the settings of the delivery are wrong, the
    report is issued without one.
    """
    is_sent = settings.notify_urls is not None
    code, said = await _weekly(settings, week, config, is_sent=is_sent)
    if is_sent and code == SettingsError.exit_code:
        log.error("weekly.report_not_sent", week=week, error=said)
        code, said = await _weekly(settings, week, config, is_sent=False)
    elif is_sent and code == _DONE_IN_PART and said.startswith(_COMPLAINT):
        log.error("weekly.report_not_delivered", week=week, error=said)
        code = 0
    if code != 0:
        raise ArchiverError(f"the report of {week} was not issued: {said}")
    log.info("weekly.report_issued", week=week)


async def _weekly(settings: Settings, week: str, config: Path | None, *, is_sent: bool) -> tuple[int, str]:
    """Run `reports weekly`; return its exit code and the last line that it complained of.

    A process of its own: what a report takes of memory is given back, and the archiver knows no reports.
    """
    command = [sys.executable, "-m", "reports", "weekly", "--week", week, "--issue"]
    command += [] if settings.report_directory is None else ["--out", str(settings.report_directory)]
    command += ["--send"] if is_sent else []
    command += [] if config is None else ["--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    code = -1 if process.returncode is None else process.returncode
    lines = complaint.decode("utf-8", "replace").splitlines() or [f"exit code {code}"]
    return code, lines[-1]
