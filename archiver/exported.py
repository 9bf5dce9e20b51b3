"""The tables of the data set that `export` writes: which there are, and in which week each of their rows lies."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, case, func, select

from archiver.schema import (
    components,
    failures,
    fetch_failures,
    job_attempts,
    nights,
    plans,
    rollbacks,
    runs,
    status_changes,
)
from archiver.views import TABLES

NO_WEEK = "__HIVE_DEFAULT_PARTITION__"  # Hive's name for NULL, which Spark, Trino and DuckDB read back as such


@dataclass(frozen=True)
class Exported:
    """A table or view, what tells the week of a row (an instant, or a day), and that in words."""

    table: Table
    moment: ColumnElement[Any]
    said: str
    left_out: tuple[str, ...] = ()

    @property
    def columns(self) -> list[Column[Any]]:
        """The columns of its files. The project stands in their path, as Hive has it."""
        return [column for column in self.table.columns if column.name not in ("project_id", *self.left_out)]


def _by(table: Table, column: str, said: str, *left_out: str) -> Exported:
    return Exported(table, table.c[column], f"{said} (`{column}`)", left_out)


def _start_of_attempt() -> ColumnElement[Any]:
    """Return the start by which the reports count an attempt: real, or inferred for one that failed without."""
    executed_at = select(plans.c.executed_at).where(plans.c.plan_key == job_attempts.c.plan_key).scalar_subquery()
    inferred = func.coalesce(executed_at, job_attempts.c.first_seen_at)
    attempt = job_attempts.c
    return case((attempt.started_at.is_not(None), attempt.started_at), (attempt.outcome == "failed", inferred))


EXPORTED = (
    _by(TABLES["component_releases"], "started_at", "its start, real or inferred"),
    _by(TABLES["rollback_releases"], "started_at", "the rollback's start"),
    _by(TABLES["batch_runs"], "started_at", "its start"),
    _by(plans, "created_at", "its creation"),
    _by(components, "first_seen_at", "when it was first seen"),
    Exported(
        job_attempts,
        _start_of_attempt(),
        "its start (`started_at`); for a failed attempt without one the plan's `executed_at`, else `first_seen_at`, "
        "as in the reports",
    ),
    _by(rollbacks, "started_at", "its start"),
    _by(failures, "started_at", "the start of what failed"),
    _by(status_changes, "observed_at", "when it was observed"),
    _by(runs, "started_at", "its start"),
    _by(nights, "night_date", "the night"),
    _by(fetch_failures, "failed_at", "when it was given up", "body"),
)
