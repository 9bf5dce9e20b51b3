"""The books of the runs: runs, what each could not archive, the nights that fell due, and the weeks."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select, update

from archiver import __version__
from archiver.errors import ApiError
from archiver.instants import instant_text
from archiver.mapping import MAPPING_VERSION, Row, key_of
from archiver.nights import due_between, last_due
from archiver.schema import fetch_failures, nights, runs, weeks
from archiver.writing import upsert

_FIRST_WEEK = date(2015, 1, 5)
_MAX_BODY_BYTES = 64 * 2**20


@dataclass(slots=True)
class RunCounts:
    """What a run counts. listed = fetched + skipped + failed + listed plans that answered 404."""

    plans_listed: int = 0
    plans_fetched: int = 0
    plans_changed: int = 0
    plans_unchanged: int = 0
    plans_skipped: int = 0
    plans_gone: int = 0
    plans_failed: int = 0
    requests: int = 0
    retries: int = 0


@dataclass(slots=True)
class RunResult:
    """How a run went."""

    run_id: str
    project_id: str
    started_at: datetime
    outcome: str = "running"
    ended_at: datetime | None = None
    counts: RunCounts = field(default_factory=RunCounts)
    error: str | None = None
    # Whether nothing but the plans named in fetch_failures keeps it from being complete.
    has_only_failed_plans: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what `run --json` prints."""
        return {
            "run_id": self.run_id,
            "project_id": self.project_id,
            "outcome": self.outcome,
            "started_at": instant_text(self.started_at),
            "ended_at": None if self.ended_at is None else instant_text(self.ended_at),
            **asdict(self.counts),
            "error": self.error,
        }


def without_run_json(project_id: str, error: str) -> dict[str, Any]:
    """Return the same of a project of which no run could begin: that it failed, and nothing else is known."""
    unknown = dict.fromkeys(("started_at", "ended_at", *asdict(RunCounts())))
    return {"run_id": None, "project_id": project_id, "outcome": "failed", **unknown, "error": error}


@dataclass(frozen=True, slots=True)
class Night:
    """When nights fall due."""

    schedule: str
    zone: ZoneInfo


def open_run(
    connection: Connection, project_id: str, kind: str, started_at: datetime, revision: str, night_date: date | None
) -> str:
    """Write the row of a run that begins, and mark those that never ended as interrupted. Needs the project's lease."""
    connection.execute(
        update(runs)
        .where(runs.c.project_id == project_id, runs.c.outcome == "running")
        .values(outcome="interrupted", ended_at=started_at, error="the process ended before it wrote how the run did")
    )
    stamp = instant_text(started_at).translate({ord(mark): None for mark in "-:."})
    run_id = f"{stamp}-{secrets.token_hex(3)}"
    row: Row = {
        "run_id": run_id,
        "run_key": run_id,
        "project_id": project_id,
        "kind": kind,
        "night_date": night_date,
        "started_at": started_at,
        "ended_at": None,
        "outcome": "running",
        **asdict(RunCounts()),
        "error": None,
        "archiver_version": __version__,
        "schema_revision": revision,
        "mapping_version": MAPPING_VERSION,
    }
    upsert(connection, runs, [row])
    return run_id


def close_run(
    connection: Connection, run_id: str, outcome: str, ended_at: datetime, counts: RunCounts, error: str | None
) -> None:
    """Write how a run ended."""
    connection.execute(
        update(runs)
        .where(runs.c.run_id == run_id)
        .values(outcome=outcome, ended_at=ended_at, error=error, **asdict(counts))
    )


def save_failures(
    connection: Connection,
    project_id: str,
    run_id: str,
    failures: Sequence[tuple[str | None, ApiError]],
    failed_at: datetime,
) -> None:
    """Write what a run could not archive: (plan id, why); the plan id is None where the list itself failed."""
    rows = [
        {
            "fetch_failure_key": key_of(run_id, plan_id),
            "run_id": run_id,
            "project_id": project_id,
            "plan_id": plan_id,
            "stage": error.stage,
            "error_code": error.error_code or (None if error.status is None else str(error.status)),
            "message": str(error).replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "body": None if error.body is None else error.body[:_MAX_BODY_BYTES],
            "failed_at": failed_at,
        }
        for plan_id, error in failures
    ]
    upsert(connection, fetch_failures, list({row["fetch_failure_key"]: row for row in rows}.values()))


def open_nights(connection: Connection, project_id: str, night: Night, now: datetime) -> date | None:
    """Write the nights that fell due since the last one known, and return the one that is due now.

    The first night of a project is the one of its first run. Those that no run served are missed.
    """
    last = connection.execute(
        select(nights.c.night_date, nights.c.planned_at)
        .where(nights.c.project_id == project_id)
        .order_by(nights.c.night_date.desc())
        .limit(1)
    ).first()
    if last is None:
        first = last_due(night.schedule, night.zone, now)
        fallen_due = [] if first is None else [first]
    else:
        fallen_due = [
            due for due in due_between(night.schedule, night.zone, last.planned_at, now) if due[0] > last.night_date
        ]
    if not fallen_due:
        return None if last is None else last.night_date
    connection.execute(
        update(nights).where(nights.c.project_id == project_id, nights.c.state == "due").values(state="missed")
    )
    rows = [
        {
            "night_key": key_of(project_id, night_date.isoformat()),
            "project_id": project_id,
            "night_date": night_date,
            "planned_at": planned_at,
            "state": "missed",
            "run_id": None,
        }
        for night_date, planned_at in fallen_due
    ]
    rows[-1]["state"] = "due"
    upsert(connection, nights, rows, replaces=False)
    return fallen_due[-1][0]


def is_served(connection: Connection, project_id: str, night_date: date) -> bool:
    """Whether a run has done a night, in full or in part."""
    state = select(nights.c.state).where(nights.c.project_id == project_id, nights.c.night_date == night_date)
    return connection.execute(state).scalar() in ("done", "partial")


def settle_night(connection: Connection, project_id: str, night_date: date, run_id: str, outcome: str) -> None:
    """Note on a night how a run served it; a better run is never overwritten by a worse one."""
    state = {"complete": "done", "partial": "partial"}.get(outcome)
    if state is None:
        return
    worse = ("due", "missed", "partial", "done") if state == "done" else ("due", "missed", "partial")
    connection.execute(
        update(nights)
        .where(nights.c.project_id == project_id, nights.c.night_date == night_date, nights.c.state.in_(worse))
        .values(state=state, run_id=run_id)
    )


def write_weeks(connection: Connection, zones: Sequence[str], now: datetime) -> None:
    """Write the ISO weeks of the zones, from 2015 to the end of next year, where they are not there yet."""
    last = date(now.year + 1, 12, 28)
    for zone_name in dict.fromkeys(zones):
        newest = connection.execute(
            select(func.max(weeks.c.week_start_date)).where(weeks.c.time_zone == zone_name)
        ).scalar()
        monday = _FIRST_WEEK if newest is None else newest + timedelta(days=7)
        zone = ZoneInfo(zone_name)
        rows = []
        while monday <= last:
            year, week, _ = monday.isocalendar()
            name = f"{year}-W{week:02d}"
            rows.append(
                {
                    "week_key": key_of(zone_name, name),
                    "time_zone": zone_name,
                    "week": name,
                    "week_start_date": monday,
                    "starts_at": datetime.combine(monday, time(), zone),
                    "ends_at": datetime.combine(monday + timedelta(days=7), time(), zone),
                }
            )
            monday += timedelta(days=7)
        upsert(connection, weeks, rows, replaces=False)
