"""A weekly report made from the archive, with what it restates; and issued: kept in the archive as it went out."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from archiver.archive import open_archive
from archiver.database import first_line
from archiver.errors import DatabaseError
from archiver.issued import load_baseline, load_issued_versions, save_issued
from archiver.schema import runs
from archiver.settings import Settings
from reports.changes import load_changes
from reports.columns import Frames
from reports.definitions import DEFINITION_VERSIONS
from reports.in_parts import frames_and_failures
from reports.night_frames import load_night_runs
from reports.reading import Reading, opened, reading
from reports.render import render_json_file
from reports.restated import Baseline
from reports.weekly import WeeklyReport, weekly_report, weekly_window
from reports.window import week_label


def make_weekly(
    settings: Settings, monday: date, projects: Sequence[str] | None, as_of: datetime | None
) -> WeeklyReport:
    """Make the report of the week that begins on `monday`, as known at `as_of`, by default now.

    It is compared with the report that was issued for that week before, else with the last one of a week before.
    DatabaseError if the archive can't be read, or no longer tells what was known then.
    """
    zone = ZoneInfo(settings.timezone)
    window = weekly_window(monday, zone)
    with opened(settings) as engine, reading(engine, projects, as_of) as now:
        return weekly_of(settings, engine, now, monday, *frames_and_failures(now, window))


def weekly_of(
    settings: Settings, engine: Engine, now: Reading, monday: date, frames: Frames, failures: pd.DataFrame
) -> WeeklyReport:
    """Make the same report from what `now` has: the frames of its weeks, and FAILURES of all history up to its end."""
    zone = ZoneInfo(settings.timezone)
    baseline, versions = None, dict[str, Mapping[str, int]]()
    if frames.last_run_ended_at is not None:
        week, before = week_label(monday), frames.last_run_ended_at
        baseline = _baseline(engine, now, week, zone, before)
        first = weekly_window(monday, zone).weeks[0].label
        versions = load_issued_versions(
            now.stored, zone=zone.key, since=first, until=week, projects=now.projects, before=before
        )
    return weekly_report(
        frames,
        monday,
        zone,
        recheck_days=settings.recheck_days,
        failures=failures,
        night_runs=load_night_runs(now),
        known_failures=now.known_failures(monday + timedelta(days=7)),  # the night after Sunday ends the week
        baseline=baseline,
        issued=versions,
    )


def issue_weekly(
    settings: Settings, monday: date, projects: Sequence[str] | None, issued_at: datetime
) -> tuple[WeeklyReport, str]:
    """Make the report of a week as all that had ended knew it, keep it in the archive, and return it and its SHA-256.

    What a run still under way has saved is left out, so that the same report can be made again.
    DatabaseError if no run has ended.
    """
    with opened(settings) as engine, reading(engine, projects) as archive:
        ended = archive.book_scalar(select(func.max(runs.c.ended_at)).where(archive.of_projects(runs)))
    if ended is None:
        raise DatabaseError("there is nothing to issue: no run or import of these projects has ended yet")
    report = make_weekly(settings, monday, projects, ended)
    engine, _ = open_archive(settings)
    try:
        with engine.begin() as connection:
            digest = save_issued(
                connection,
                zone=settings.timezone,
                week=report.week.label,
                projects=projects,
                as_of=ended,
                issued_at=issued_at,
                definition_versions=DEFINITION_VERSIONS,
                report=render_json_file(report),
            )
    except SQLAlchemyError as error:
        raise DatabaseError(f"the report can't be kept: {first_line(error)}") from None
    finally:
        engine.dispose()
    return report, digest


def _baseline(engine: Engine, now: Reading, week: str, zone: ZoneInfo, before: datetime) -> Baseline | None:
    issued = load_baseline(now.stored, zone=zone.key, week=week, projects=now.projects, before=before)
    if issued is None:
        return None
    try:
        with reading(engine, now.projects, issued.as_of) as then:
            facts = load_changes(then, now)
    except DatabaseError:
        facts = None  # pruned since, or not for this role: the figures are all that is left to compare
    return Baseline(
        week=issued.week,
        as_of=issued.as_of,
        issued_at=issued.issued_at,
        report=issued.report,
        report_sha256=issued.report_sha256,
        definition_versions=issued.definition_versions,
        facts=facts,
    )
