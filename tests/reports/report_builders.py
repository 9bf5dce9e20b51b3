"""Small archives and frames: each builder shows only what a test cares about."""

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine

from archiver import schema
from archiver.failures import template_of
from archiver.masking import template_id
from reports.columns import ATTEMPTS, COMPONENTS, FAILURES, NIGHTS, ROLLBACKS, Frames, conform
from reports.window import Window

UTC_ZONE = ZoneInfo("UTC")


def at(text):
    """Read `2026-11-16 10:00` as UTC."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def week_47(count=1, zone=UTC_ZONE):
    """Return the weeks up to 2026-W47."""
    return Window.of_weeks(date(2026, 11, 16), count, zone)


def attempt(outcome="succeeded", start="2026-11-16 10:00", seconds=60.0, **other):
    """Return one attempt that took `seconds` (none when it has no start)."""
    started_at = at(start)
    ended_at = started_at + timedelta(seconds=seconds) if started_at and seconds is not None else None
    row = {
        "project_id": "p",
        "plan_id": "plan",
        "component_id": "api",
        "batch": 1,
        "job_id": None,
        "attempt": 1,
        "version": "1.0",
        "outcome": outcome,
        "started_at": started_at,
        "ended_at": ended_at,
        "duration_seconds": seconds if ended_at else None,
        "first_seen_at": at("2026-11-17 02:15"),
        "executed_at": None,
        "creator": "ana",
        "action": "upgrade",
        "team": None,
        "environment": None,
        "tier": None,
    }
    row |= other
    return row | {"component": row.get("component") or row["component_id"]}


def rollback(outcome="succeeded", start="2026-11-16 11:00", seconds=60.0, **other):
    """Return one rollback of the default attempt's place."""
    started_at = at(start)
    row = {
        "project_id": "p",
        "plan_id": "plan",
        "component_id": "api",
        "batch": 1,
        "rollback_job_id": "rb",
        "job_id": None,
        "outcome": outcome,
        "started_at": started_at,
        "ended_at": started_at + timedelta(seconds=seconds) if started_at and seconds is not None else None,
        "first_seen_at": at("2026-11-17 02:15"),
    }
    return row | other


def component(**other):
    """Return one component's place."""
    row = {"project_id": "p", "plan_id": "plan", "component_id": "api", "batch": 1}
    return row | {"first_seen_at": at("2026-11-17 02:15"), "gone_at": None} | other


def night(day, state="done", project_id="p"):
    """Return one night."""
    return {"project_id": project_id, "night_date": date.fromisoformat(day), "state": state}


def failure(message="exit code 1", start="2026-11-16 10:00", **other):
    """Return one failed attempt with its message."""
    row = dict.fromkeys(FAILURES) | {"kind": "attempt", "project_id": "p", "plan_id": "plan", "component_id": "api"}
    row |= {"batch": 1, "component": "api", "started_at": at(start), "message": message}
    template = template_of(message, (row | other)["component"])
    return row | {"template": template, "template_id": template_id(template)} | other


def failures(*rows):
    """Return a frame of failures."""
    return _frame(rows, FAILURES)


def frames(attempts=(), rollbacks=(), components=(), nights=(), last_run_ended_at=None, looked_at=None):
    """Return frames of row dicts; every project that has a night was looked at by the newest run, if not told."""
    if looked_at is None and last_run_ended_at is not None:
        looked_at = {row["project_id"]: last_run_ended_at for row in nights}
    return Frames(
        attempts=_frame(attempts, ATTEMPTS),
        rollbacks=_frame(rollbacks, ROLLBACKS),
        components=_frame(components, COMPONENTS),
        nights=_frame(nights, NIGHTS),
        last_run_ended_at=last_run_ended_at,
        looked_at=looked_at or {},
    )


def _frame(rows, contract):
    columns = {name: pd.Series([row[name] for row in rows], dtype="object") for name in contract}
    return conform(pd.DataFrame(columns), contract)


def save(engine: Engine, *, attempts=(), rollbacks=(), components=(), nights=(), runs=()):
    """Write row dicts into the archive's own tables, and the plans and component names they speak of."""
    number = itertools.count()
    seen = {"last_seen_at": at("2026-11-24 02:15")}
    proof = {"first_snapshot_id": "s", "last_snapshot_id": "s"}
    plans, places = {}, {}
    for row in [*attempts, *rollbacks, *components]:
        key = _plan_key(row)
        plans.setdefault(key, {"creator": None, "action": None, "executed_at": None})
        plans[key] |= {name: row[name] for name in ("creator", "action", "executed_at") if name in row}
        plans[key] |= {"plan_key": key, "project_id": row["project_id"], "plan_id": row["plan_id"]}
        plans[key] |= seen | {"first_seen_at": row["first_seen_at"]}
    for row in components:
        places[_place(row)] = row | seen | {"name": row.get("name")}
    for row in attempts:
        if (known := places.get(_place(row))) and known["name"] is None:
            known["name"] = row["component"]
    tables = {
        schema.plans: list(plans.values()),
        schema.components: [{"component_key": f"c{next(number)}"} | row for row in places.values()],
        schema.job_attempts: [{"attempt_key": f"a{next(number)}"} | seen | proof | row for row in attempts],
        schema.rollbacks: [{"rollback_key": f"r{next(number)}"} | seen | proof | row for row in rollbacks],
        schema.nights: [
            {"night_key": f"n{next(number)}", "planned_at": at("2026-11-17 02:15")} | row for row in nights
        ],
        schema.runs: list(runs),
    }
    with engine.begin() as connection:
        for table, rows in tables.items():
            kept = [
                {
                    column.name: value
                    for column in table.c
                    if (value := row.get(column.name)) is not None or column.nullable
                }
                | ({"plan_key": _plan_key(row)} if "plan_key" in table.c else {})
                for row in rows
            ]
            if kept:
                connection.execute(table.insert(), [{k: v for k, v in row.items() if k in table.c} for row in kept])


def run(project_id="p", ended="2026-11-24 02:20", run_id="run-1"):
    """Return one complete run."""
    return {
        "run_id": run_id,
        "run_key": run_id,
        "project_id": project_id,
        "kind": "scheduled",
        "started_at": at("2026-11-24 02:15"),
        "ended_at": at(ended),
        "outcome": "complete",
        "archiver_version": "0.1.0",
        "schema_revision": "1",
        "mapping_version": 1,
    }


def _plan_key(row):
    return json.dumps([row["project_id"], row["plan_id"]])


def _place(row):
    return (row["project_id"], row["plan_id"], row["component_id"], row["batch"])
