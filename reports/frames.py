"""The archive's tables as typed frames: the only reader of SQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Engine, Select, and_, case, func, or_, select

from archiver import schema
from reports.columns import (
    ALL_LABELS,
    ATTEMPTS,
    COMPONENTS,
    INSTANT,
    LOOKS,
    NIGHTS,
    PLACE_LABELS,
    ROLLBACKS,
    Contract,
    Frames,
    conform,
)
from reports.reading import Reading, reading
from reports.window import Window

_NAMES = {
    "project_id": "str",
    "component_id": "str",
    "component": "str",
    "started_at": INSTANT,
    "last_seen_at": INSTANT,
    "first_seen_at": INSTANT,
    "component_key": "str",
}

_attempts, _plans = schema.job_attempts, schema.plans


def load_frames(
    engine: Engine, window: Window, projects: Sequence[str] | None = None, as_of: datetime | None = None
) -> Frames:
    """Read what a report on the window needs, of the named projects: of all for None, of none for no names.

    As it was known at `as_of`; DatabaseError where that can't be told any more.
    """
    with reading(engine, projects, as_of) as archive:
        return frames_of(archive, window)


def frames_of(
    archive: Reading, window: Window, *, attempt_columns: Contract = ATTEMPTS, rollback_columns: Contract = ROLLBACKS
) -> Frames:
    """Read what a report on the window needs from one state of the archive; with more columns where it needs them.

    Whole plans are read: every attempt, rollback and component of a plan with an attempt in the window,
    because a release's outcome, and a batch's first pass, may lie outside it.
    """
    touched = _touched_plans(window, archive)
    stored = {name: dtype for name, dtype in attempt_columns.items() if name not in {"component", *ALL_LABELS}}
    attempts = archive.facts(_select_attempts(touched, stored), _attempts.c.plan_key, stored)
    attempts = attempts.merge(load_names(archive), on=["project_id", "component_id"], how="left")
    # An attempt stays in the place it was first seen in, and has that place's labels.
    place = [name for name in PLACE_LABELS if name not in ALL_LABELS]
    attempts = attempts.merge(load_labels(archive, touched), on=place, how="left")
    return replace(
        books_of(archive),
        attempts=conform(attempts, attempt_columns),
        rollbacks=_load(archive, schema.rollbacks, rollback_columns, touched),
        components=_load(archive, schema.components, COMPONENTS, touched),
    )


def books_of(archive: Reading) -> Frames:
    """Read what is known of nights and runs; the facts are left out."""
    return Frames(
        nights=archive.books(
            select(*(schema.nights.c[name] for name in NIGHTS)).where(archive.of_projects(schema.nights)), NIGHTS
        ),
        last_run_ended_at=archive.book_scalar(
            select(schema.runs.c.ended_at)
            .where(schema.runs.c.ended_at.is_not(None), archive.of_projects(schema.runs))
            .order_by(schema.runs.c.ended_at.desc())
            .limit(1)
        ),
        looked_at=_load_looks(archive),
    )


def _load_looks(archive: Reading) -> dict[str, datetime]:
    runs = schema.runs
    query = (
        select(runs.c.project_id, func.max(runs.c.ended_at).label("ended_at"))
        .where(runs.c.outcome.in_(("complete", "partial")), runs.c.kind != "import", archive.of_projects(runs))
        .group_by(runs.c.project_id)
    )
    looks = archive.books(query, LOOKS).dropna()
    return dict(zip(looks["project_id"], looks["ended_at"], strict=True))


def _touched_plans(window: Window, archive: Reading) -> Select[Any]:
    """Select the plans with an attempt that started, or failed without a start, in the window."""
    inferred = func.coalesce(_plans.c.executed_at, _attempts.c.first_seen_at)
    is_inferred = and_(_attempts.c.started_at.is_(None), _attempts.c.outcome == "failed")
    return (
        select(_attempts.c.plan_key)
        .join(_plans, _plans.c.plan_key == _attempts.c.plan_key)
        .where(
            or_(
                and_(_attempts.c.started_at >= window.starts_at, _attempts.c.started_at < window.ends_at),
                and_(is_inferred, inferred >= window.starts_at, inferred < window.ends_at),
            ),
            archive.of_projects(_attempts),
        )
    )


def _select_attempts(touched: Select[Any], stored: Contract) -> Select[Any]:
    columns = [_attempts.c[name] if name in _attempts.c else _plans.c[name] for name in stored]
    return (
        select(*columns)
        .join(_plans, _plans.c.plan_key == _attempts.c.plan_key)
        .where(_attempts.c.plan_key.in_(touched))
    )


def load_names(archive: Reading) -> pd.DataFrame:
    """Load the latest name of each component: the one it has in the plan where it started last.

    The latest look would not do: a plan of last week that is fetched again tonight still shows its old name.
    """
    places = schema.components
    started = (
        select(
            _attempts.c.plan_key,
            _attempts.c.component_id,
            func.max(_attempts.c.started_at).label("started_at"),
        )
        .where(archive.of_projects(_attempts))
        .group_by(_attempts.c.plan_key, _attempts.c.component_id)
        .subquery()
    )
    last_seen_at: ColumnElement[Any] = places.c.last_seen_at
    if archive.as_of is not None:
        last_seen_at = case((last_seen_at > archive.as_of, archive.as_of), else_=last_seen_at)
    columns = {
        "project_id": places.c.project_id,
        "component_id": places.c.component_id,
        "component": places.c.name,
        "started_at": started.c.started_at,
        "last_seen_at": last_seen_at,
        "first_seen_at": places.c.first_seen_at,
        "component_key": places.c.component_key,
    }
    latest = (columns["started_at"].desc().nulls_last(), last_seen_at.desc(), places.c.first_seen_at.desc())
    rank = func.row_number().over(
        partition_by=(places.c.project_id, places.c.component_id), order_by=(*latest, places.c.component_key)
    )
    ranked = (
        select(*(column.label(name) for name, column in columns.items()), rank.label("rank"))
        .join(started, and_(started.c.plan_key == places.c.plan_key, started.c.component_id == places.c.component_id))
        .where(places.c.name.is_not(None), archive.of_projects(places))
    )
    names = archive.first_ranked(ranked, places.c.plan_key, _NAMES)
    # Of a component that is both stored and remembered, the same order decides.
    ascending = [True, True, False, False, False, True]
    order = ["project_id", "component_id", "started_at", "last_seen_at", "first_seen_at", "component_key"]
    names = names.sort_values(order, ascending=ascending, na_position="last")
    return names.drop_duplicates(["project_id", "component_id"])[["project_id", "component_id", "component"]]


def load_labels(archive: Reading, touched: Select[Any]) -> pd.DataFrame:
    places, labels = schema.components, schema.component_labels
    columns = [(labels if name in ALL_LABELS else places).c[name] for name in PLACE_LABELS]
    query = select(*columns).join(labels, labels.c.component_key == places.c.component_key)
    return archive.facts(query.where(places.c.plan_key.in_(touched)), places.c.plan_key, PLACE_LABELS)


def _load(archive: Reading, table: Any, contract: Contract, touched: Select[Any]) -> pd.DataFrame:
    query = select(*(table.c[name] for name in contract)).where(table.c.plan_key.in_(touched))
    return archive.facts(query, table.c.plan_key, contract)
