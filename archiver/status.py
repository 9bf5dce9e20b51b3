"""What is asked of the archive to tell its health: runs, nights, failures, counts of rows, size."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, case, func, literal_column, select, text

from archiver.database import is_sqlite, parse_url, sqlite_path
from archiver.health import FailedPlan, Holdings, Nights, ProjectStatus, Run, Status
from archiver.known_failures import load_known_failures
from archiver.lease import held
from archiver.ledger import Night, RunCounts, RunResult
from archiver.mapping import Row
from archiver.nights import due_between
from archiver.proofs import proofs
from archiver.schema import fetch_failures, job_attempts, nights, plans, rollbacks, runs

GROWTH_DAYS = 28
RECENT_RUNS = 5
MISSED_NIGHTS_SHOWN = 10
FAILED_PLANS_SHOWN = 50
_RUNS_IN_A_ROW = 30

# An import tells of the past: it makes nothing fresh. A watch run lists every plan and so tells of the present, but
# fetches few: what is not among its failures may not have been tried.
_COLLECTS = runs.c.kind != "import"
_TRIES_ALL_DUE = runs.c.kind.in_(("scheduled", "manual"))
_SAVED = runs.c.outcome.in_(("complete", "partial"))
_ENDED_BY_ITSELF = runs.c.outcome.in_(("complete", "partial", "failed"))


def known_projects(connection: Connection) -> list[str]:
    """Return the projects that the archive has seen."""
    return list(connection.execute(select(runs.c.project_id).distinct().order_by(runs.c.project_id)).scalars())


def load_status(
    connection: Connection,
    url: str,
    schema: str,
    night: Night,
    now: datetime,
    *,
    project_ids: Sequence[str],
    configured: Sequence[str],
    max_age_hours: float,
    targets: Mapping[str, str] | None = None,
) -> Status:
    """Load what is known of some projects at `now`, in their order.

    Nights that fell due and stand in no book yet are reckoned for the configured projects, or for all where none is:
    of a project that was given up, none falls due.
    """
    leases = held(connection)
    holdings = _holdings(connection, now - timedelta(days=GROWTH_DAYS))
    projects = [
        _project(
            connection,
            project_id,
            night if project_id in configured or not configured else None,
            now,
            is_configured=project_id in configured,
            is_leased=f"project:{project_id}" in leases,
            max_age_hours=max_age_hours,
            holdings=holdings.get(project_id, Holdings()),
            target=(targets or {}).get(project_id),
        )
        for project_id in project_ids
    ]
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    kind = connection.dialect.name
    return Status(now, kind, _size_bytes(connection, url, schema), revision, max_age_hours, projects)


def _project(
    connection: Connection,
    project_id: str,
    night: Night | None,
    now: datetime,
    *,
    is_configured: bool,
    is_leased: bool,
    max_age_hours: float,
    holdings: Holdings,
    target: str | None,
) -> ProjectStatus:
    # Runs of a project never overlap (each holds its lease), so the latest to start is the latest to end.
    saved = connection.execute(_latest(project_id, 1).where(_COLLECTS, _SAVED)).mappings().first()
    complete = connection.execute(_latest(project_id, 1).where(_COLLECTS, runs.c.outcome == "complete")).mappings()
    last_complete = complete.first()
    recent = connection.execute(_latest(project_id, RECENT_RUNS)).mappings()
    age = None if saved is None else max(now - saved["ended_at"], timedelta()) / timedelta(hours=1)
    counted, missed = _nights(connection, project_id, night, now)
    failed_count, failed = _failed_plans(connection, project_id)
    return ProjectStatus(
        project_id,
        is_configured=is_configured,
        is_fresh=age is not None and age <= max_age_hours,
        age_hours=None if age is None else round(age, 3),
        last_complete_at=None if last_complete is None else last_complete["ended_at"],
        recent_runs=[_run(dict(row), is_leased=is_leased) for row in recent],
        nights=counted,
        missed_nights=missed[:MISSED_NIGHTS_SHOWN],
        failed_plans_count=failed_count,
        failed_plans=failed,
        known_failures=load_known_failures(connection, [project_id]),
        holdings=holdings,
        target=target,
    )


def _latest(project_id: str, count: int) -> Select[Any]:
    return select(runs).where(runs.c.project_id == project_id).order_by(runs.c.started_at.desc()).limit(count)


def _run(row: Row, *, is_leased: bool) -> Run:
    counts = RunCounts(**{name: row[name] for name in RunCounts.__slots__})
    result = RunResult(
        row["run_id"], row["project_id"], row["started_at"], row["outcome"], row["ended_at"], counts, row["error"]
    )
    return Run(result, row["kind"], row["night_date"], is_in_progress=is_leased and row["outcome"] == "running")


def _nights(connection: Connection, project_id: str, night: Night | None, now: datetime) -> tuple[Nights, list[date]]:
    """Count the nights, and name the missed ones, newest first, as the next run would write them."""
    columns = (nights.c.night_date, nights.c.planned_at, nights.c.state)
    written = connection.execute(
        select(*columns).where(nights.c.project_id == project_id).order_by(nights.c.night_date)
    )
    states: dict[date, str] = {}
    last_planned_at = None
    for night_date, planned_at, state in written:
        states[night_date], last_planned_at = state, planned_at
    unwritten: list[date] = []
    if night is not None and last_planned_at is not None:
        fell_due = due_between(night.schedule, night.zone, last_planned_at, now)
        unwritten = [night_date for night_date, _ in fell_due if night_date > max(states)]
    if unwritten:
        states = {night_date: "missed" if state == "due" else state for night_date, state in states.items()}
        states |= dict.fromkeys(unwritten, "missed") | {unwritten[-1]: "due"}
    found = list(states.values())
    counted = {state: found.count(state) for state in ("done", "partial", "missed", "due")}
    missed = sorted((night_date for night_date, state in states.items() if state == "missed"), reverse=True)
    return Nights(planned=len(found), unwritten=len(unwritten), **counted), missed


def _failed_plans(connection: Connection, project_id: str) -> tuple[int, list[FailedPlan]]:
    """Count what the latest run of a night (or by hand) could not archive, and tell the first of it, by plan."""
    ended = _latest(project_id, _RUNS_IN_A_ROW).where(_TRIES_ALL_DUE, _ENDED_BY_ITSELF)
    run_ids = list(connection.execute(ended.with_only_columns(runs.c.run_id)).scalars())
    if not run_ids:
        return 0, []
    of_latest = fetch_failures.c.run_id == run_ids[0]
    count = connection.execute(select(func.count()).select_from(fetch_failures).where(of_latest)).scalar_one()
    columns = [fetch_failures.c[name] for name in ("plan_id", "stage", "message", "failed_at")]
    first = select(*columns).where(of_latest).order_by(fetch_failures.c.plan_id.nulls_first()).limit(FAILED_PLANS_SHOWN)
    rows = connection.execute(first).all()
    named = [row.plan_id for row in rows if row.plan_id is not None]
    is_one = fetch_failures.c.plan_id.in_(named) | fetch_failures.c.plan_id.is_(None)
    earlier = select(fetch_failures.c.run_id, fetch_failures.c.plan_id).where(
        fetch_failures.c.project_id == project_id, fetch_failures.c.run_id.in_(run_ids), is_one
    )
    failed = {(run_id, plan_id) for run_id, plan_id in connection.execute(earlier)} if rows else set()

    def in_a_row(plan_id: str | None) -> int:
        return sum(1 for _ in takewhile(lambda run_id: (run_id, plan_id) in failed, run_ids))

    return count, [
        FailedPlan(row.plan_id, row.stage, row.message, row.failed_at, in_a_row(row.plan_id)) for row in rows
    ]


def _holdings(connection: Connection, since: datetime) -> dict[str, Holdings]:
    """Count every project's rows in one pass over each table, or over an index that holds all that is asked."""

    def counted(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    snapshots = proofs(connection)
    # In a form that no index has: for the order of one, SQLite would look up every snapshot there is.
    unsorted = (snapshots.c.project_id + literal_column("''")).label("project_id")
    asked: Iterable[Select[Any]] = (
        select(
            plans.c.project_id,
            func.count().label("plans"),
            counted(plans.c.gone_at.is_not(None)).label("plans_gone"),
            counted(plans.c.settled_at.is_(None) & plans.c.gone_at.is_(None)).label("plans_unsettled"),
            counted(plans.c.first_seen_at >= since).label("plans_28_days"),
        ).group_by(plans.c.project_id),
        select(
            job_attempts.c.project_id,
            func.count().label("attempts"),
            counted(job_attempts.c.started_at >= since).label("attempts_28_days"),
        ).group_by(job_attempts.c.project_id),
        select(rollbacks.c.project_id, func.count().label("rollbacks")).group_by(rollbacks.c.project_id),
        select(snapshots.c.project_id, func.count().label("snapshots")).group_by(snapshots.c.project_id),
        select(unsorted, func.count().label("snapshots_28_days"))
        .where(snapshots.c.recorded_at >= since)
        .group_by(unsorted),
    )
    found: dict[str, dict[str, int]] = {}
    for statement in asked:
        for row in connection.execute(statement).mappings():
            counts = dict(row)
            found.setdefault(counts.pop("project_id"), {}).update({name: int(count) for name, count in counts.items()})
    return {project_id: Holdings(**counts) for project_id, counts in found.items()}


def _size_bytes(connection: Connection, url: str, schema: str) -> int:
    """Measure the SQLite file and its log, or the schema's tables with their indexes and large values."""
    parsed = parse_url(url)
    if is_sqlite(parsed):
        path = sqlite_path(parsed)
        files = (path, Path(f"{path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    tables = text(
        "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0) FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relkind IN ('r', 'm')"
    )
    return int(connection.execute(tables, {"schema": schema}).scalar_one())
