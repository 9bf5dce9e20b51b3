"""Whether the books agree among themselves: runs, the nights they served, weeks, and reports as they were issued."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from hashlib import sha256
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, case, or_, select

from archiver.instants import instant_text
from archiver.schema import issued_reports, nights, plans, runs, snapshots, weeks

_WEEK = timedelta(days=7)


def book_findings(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the books, a line each."""
    yield from _plan_findings(connection)
    yield from _run_findings(connection)
    yield from _night_findings(connection)
    yield from _week_findings(connection)
    yield from _issued_findings(connection)


def _plan_findings(connection: Connection) -> Iterator[str]:
    of_plan = (snapshots.c.project_id == plans.c.project_id) & (snapshots.c.plan_id == plans.c.plan_id)
    unseen = select(plans.c.plan_id).where(~select(snapshots.c.snapshot_id).where(of_plan).exists())
    for plan_id in connection.execute(unseen).scalars():
        yield f"plan {plan_id} was never seen: no snapshot shows it"


def _run_findings(connection: Connection) -> Iterator[str]:
    of_run = runs.c
    endless = select(of_run.run_id).where(of_run.outcome != "running", of_run.ended_at.is_(None))
    for run_id in connection.execute(endless).scalars():
        yield f"run {run_id} is over, and has no end"
    later = runs.alias()
    is_overtaken = (later.c.project_id == of_run.project_id) & (later.c.started_at > of_run.started_at)
    open_still = select(of_run.run_id).where(
        of_run.outcome == "running", select(later.c.run_id).where(is_overtaken).exists()
    )
    for run_id in connection.execute(open_still).scalars():
        yield f"run {run_id} is not over, though a later one has begun"
    is_sum = of_run.plans_fetched == of_run.plans_changed + of_run.plans_unchanged
    is_all_well = (of_run.outcome == "complete") & (of_run.plans_failed > 0)
    for run_id in connection.execute(select(of_run.run_id).where(or_(~is_sum, is_all_well))).scalars():
        yield f"run {run_id} does not add up: its counts, or its outcome beside them"
    is_its_night = (nights.c.project_id == of_run.project_id) & (nights.c.night_date == of_run.night_date)
    without = select(of_run.run_id).outerjoin(nights, is_its_night)
    for run_id in connection.execute(
        without.where(of_run.night_date.is_not(None), nights.c.night_key.is_(None))
    ).scalars():
        yield f"run {run_id} was of a night that is not in the books"


def _night_findings(connection: Connection) -> Iterator[str]:
    """A night was served by a run of its own that ended so; one that was not names none."""
    outcome = case((nights.c.state == "done", "complete"), (nights.c.state == "partial", "partial"))
    is_its_run = (
        (runs.c.run_id == nights.c.run_id)
        & (runs.c.project_id == nights.c.project_id)
        & (runs.c.night_date == nights.c.night_date)
        & (runs.c.outcome == outcome)
    )
    is_served = nights.c.state.in_(("done", "partial"))
    false = (is_served & runs.c.run_id.is_(None)) | (~is_served & nights.c.run_id.is_not(None))
    query = select(nights.c.project_id, nights.c.night_date, nights.c.state).outerjoin(runs, is_its_run).where(false)
    for project_id, night_date, state in connection.execute(query):
        yield f"the night of {night_date} of {project_id} is {state}, and its run says otherwise"


def _week_findings(connection: Connection) -> Iterator[str]:
    columns = [weeks.c[name] for name in ("time_zone", "week_start_date", "week", "starts_at", "ends_at")]
    found = connection.execute(select(*columns).order_by(*columns[:2])).all()
    if not found and connection.execute(select(runs.c.run_id).limit(1)).first() is not None:
        yield "there are no weeks: the next run writes them"
    for zone_name, group in groupby(found, key=lambda row: row.time_zone):
        rows, zone = list(group), ZoneInfo(zone_name)
        for row in rows:
            year, week, _ = row.week_start_date.isocalendar()
            ends = [datetime.combine(day, time(), zone) for day in (row.week_start_date, row.week_start_date + _WEEK)]
            if (row.week, row.starts_at, row.ends_at) != (f"{year}-W{week:02d}", *ends):
                yield f"the week {row.week} of {zone_name} is not where the calendar has it"
        for before, row in pairwise(rows):
            if row.week_start_date - before.week_start_date != _WEEK:
                yield f"weeks of {zone_name} are missing between {before.week} and {row.week}"


def _issued_findings(connection: Connection) -> Iterator[str]:
    columns = (issued_reports.c.week, issued_reports.c.as_of, issued_reports.c.report, issued_reports.c.report_sha256)
    for week, as_of, report, digest in connection.execute(select(*columns)):
        if sha256(report.encode()).hexdigest() != digest:
            known = instant_text(as_of)
            yield f"the report of {week} issued as of {known} is not the one that went out: its hash differs"
