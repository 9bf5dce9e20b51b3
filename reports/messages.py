"""What failed and what it said, over the whole history that the archive holds."""

from typing import Any

import pandas as pd
from sqlalchemy import Select, func, literal, null, select

from archiver import schema
from reports.columns import FAILURES, LABELS, PLACE_LABELS, conform
from reports.frames import load_labels, load_names
from reports.masking import LONGEST
from reports.reading import Reading
from reports.window import Window

_STORED = {name: dtype for name, dtype in FAILURES.items() if name not in {"component", *LABELS}}


def load_failures(archive: Reading, window: Window) -> pd.DataFrame:
    """Read FAILURES from one state of the archive: every failure that started before the window's end.

    All of history is read, because whether a message is new can't be told from a window. Of a message only so much
    is read as masking looks at: one can be 10 MB long.
    """
    attempts, rollbacks = _attempts(archive, window), _rollbacks(archive, window)
    parts = [
        archive.facts(attempts, schema.job_attempts.c.plan_key, _STORED),
        archive.facts(rollbacks, schema.rollbacks.c.plan_key, _STORED),
    ]
    failures = pd.concat(parts, ignore_index=True)
    failures = failures.merge(load_names(archive), on=["project_id", "component_id"], how="left")
    place = [name for name in PLACE_LABELS if name not in LABELS]
    labels = load_labels(archive, select(schema.plans.c.plan_key))
    return conform(failures.merge(labels, on=place, how="left"), FAILURES)


def _attempts(archive: Reading, window: Window) -> Select[Any]:
    table = schema.job_attempts
    started_at = func.coalesce(table.c.started_at, schema.plans.c.executed_at, table.c.first_seen_at)
    return _failed("attempt", table, table.c.job_id, table.c.version, started_at, archive, window)


def _rollbacks(archive: Reading, window: Window) -> Select[Any]:
    table = schema.rollbacks
    started_at = func.coalesce(table.c.started_at, table.c.first_seen_at)
    return _failed("rollback", table, table.c.rollback_job_id, null(), started_at, archive, window)


def _failed(
    kind: str, table: Any, job_id: Any, version: Any, started_at: Any, archive: Reading, window: Window
) -> Select[Any]:
    columns = {
        "kind": literal(kind),
        "job_id": job_id,
        "version": version,
        "started_at": started_at,
        "message": func.substr(table.c.fail_message, 1, LONGEST),
        "creator": schema.plans.c.creator,
        "action": schema.plans.c.action,
    }
    return (
        select(*(columns.get(name, table.c.get(name)).label(name) for name in _STORED))
        .join(schema.plans, schema.plans.c.plan_key == table.c.plan_key)
        .where(table.c.outcome == "failed", started_at < window.ends_at, archive.of_projects(table))
    )
