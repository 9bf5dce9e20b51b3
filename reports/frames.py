"""The archive's tables as typed frames: the only reader of SQL."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    Table,
    case,
    exists,
    func,
    select,
    union,
    union_all,
)
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from archiver import schema
from reports.columns import (
    ALL_LABELS,
    ATTEMPTS,
    COMPONENTS,
    GROUPED,
    KEYS,
    LOOKS,
    NIGHTS,
    PLACE_LABELS,
    PLANS,
    PROOF,
    ROLLBACKS,
    WORDS,
    Contract,
    Frames,
    conform,
    nothing,
)
from reports.naming import load_labels, load_names
from reports.reading import Reading, reading
from reports.window import Window

_attempts, _plans = schema.job_attempts, schema.plans

_NEARLY_ALL = 0.8  # of the plans
_WIDE = 0.25  # of the archive's time


def load_frames(
    engine: Engine,
    window: Window,
    projects: Sequence[str] | None = None,
    as_of: datetime | None = None,
    *,
    groups: Collection[str] | None = None,
) -> Frames:
    """Read what a report on the window needs, of the named projects: of all for None, of none for no names.

    As it was known at `as_of`; DatabaseError where that can't be told any more. `groups` as in `frames_of`.
    """
    with reading(engine, projects, as_of) as archive:
        return frames_of(archive, window, groups=groups)


def frames_of(
    archive: Reading,
    window: Window,
    *,
    groups: Collection[str] | None = None,
    attempt_columns: Contract = ATTEMPTS,
    rollback_columns: Contract = ROLLBACKS,
) -> Frames:
    """Read what a report on the window needs from one state of the archive; with more columns where it needs them.

    Whole plans are read: every attempt, rollback and component of a plan with an attempt in the window,
    because a release's outcome, and a batch's first pass, may lie outside it. Of the columns that rows are grouped by
    only those of `groups` are read (None: all); the others are missing in every row. Of jobs those are named that a
    rollback may have undone, and all where rows are to be proven.
    """
    plans, books = touched_plans(archive, window), books_of(archive)
    facts = frames_of_plans(
        archive,
        plans,
        _few_of_all(archive, plans),
        groups=groups,
        attempt_columns=attempt_columns,
        rollback_columns=rollback_columns,
    )
    return replace(facts, nights=books.nights, last_run_ended_at=books.last_run_ended_at, looked_at=books.looked_at)


def frames_of_plans(
    archive: Reading,
    plans: pd.DataFrame,
    among: Collection[str] | None,
    *,
    groups: Collection[str] | None = None,
    attempt_columns: Contract = ATTEMPTS,
    rollback_columns: Contract = ROLLBACKS,
) -> Frames:
    """Read the facts of some PLANS; the books are left out.

    `among` are their keys; None where these are nearly all, and what is of others is rather left out afterwards.
    """
    left_out = set() if groups is None else {*GROUPED} - {*groups}
    contract = {name: dtype for name, dtype in attempt_columns.items() if name not in left_out}
    attempts = _load(archive, schema.job_attempts, contract, plans, among)
    if "component" in contract:
        attempts = _beside(attempts, load_names(archive), ["project_id", "component_id"])
    if {*ALL_LABELS} & {*contract}:
        # An attempt stays in the place it was first seen in, and has that place's labels.
        places = [name for name in PLACE_LABELS if name not in ALL_LABELS]
        attempts = _beside(attempts, load_labels(archive, among), places)
    missing = {name: nothing(len(attempts)) for name in left_out if name in attempt_columns}
    return Frames(
        attempts=conform(attempts.assign(**missing), attempt_columns),
        rollbacks=conform(_load(archive, schema.rollbacks, rollback_columns, plans, among), rollback_columns),
        components=conform(_load(archive, schema.components, COMPONENTS, plans, among), COMPONENTS),
    )


def touched_plans(archive: Reading, window: Window) -> pd.DataFrame:
    """Read the PLANS with an attempt that started, or failed without a start, in the window."""
    touched = union_all(*_touched(window, archive))
    query = select(*(_plans.c[name] for name in PLANS)).where(_plans.c.plan_key.in_(touched))
    return archive.facts(query, _plans.c.plan_key, PLANS)


def plan_keys(archive: Reading, window: Window) -> pd.DataFrame:
    """Read the keys of all plans, those of one time together, and which of them the window touches."""
    touched = union(*_touched(window, archive)).subquery()  # joined: PostgreSQL would look through a long IN each time
    query = (
        select(_plans.c.plan_key, touched.c.plan_key.is_not(None).label("is_touched"))
        .outerjoin(touched, touched.c.plan_key == _plans.c.plan_key)
        .where(archive.of_projects(_plans))
        .order_by(_plans.c.executed_at)
    )
    return archive.facts(query, _plans.c.plan_key, KEYS)


def plans_of(archive: Reading, keys: Collection[str]) -> pd.DataFrame:
    """Read the PLANS of some keys."""
    return archive.facts(select(*(_plans.c[name] for name in PLANS)), _plans.c.plan_key, PLANS, among=keys)


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


def _touched(window: Window, archive: Reading) -> tuple[Select[Any], Select[Any]]:
    inferred = func.coalesce(_plans.c.executed_at, _attempts.c.first_seen_at)
    started_at: ColumnElement[Any] = _attempts.c.started_at
    if _is_wide(window, archive):
        # A sign before it keeps SQLite from its index, by which it would go from row to row all over the table.
        started_at = UnaryExpression(started_at, operator=custom_op("+"), type_=started_at.type)
    begun = select(_attempts.c.plan_key).where(
        started_at >= window.starts_at, started_at < window.ends_at, archive.of_projects(_attempts)
    )
    failed = (
        select(_attempts.c.plan_key)
        .join(_plans, _plans.c.plan_key == _attempts.c.plan_key)
        .where(
            _attempts.c.started_at.is_(None),
            _attempts.c.outcome == "failed",
            inferred >= window.starts_at,
            inferred < window.ends_at,
            archive.of_projects(_attempts),
        )
    )
    return begun, failed


def _is_wide(window: Window, archive: Reading) -> bool:
    """Whether the window holds so much of an SQLite archive that its attempts are read faster one after the other."""
    if archive.stored.dialect.name != "sqlite" or archive.projects is not None:
        return False
    ends = (archive.stored.scalar(select(end(_attempts.c.started_at))) for end in (func.min, func.max))
    first, last = (end or window.ends_at for end in ends)
    shared = min(window.ends_at, last) - max(window.starts_at, first)
    return shared > (last - first) * _WIDE


def _few_of_all(archive: Reading, plans: pd.DataFrame) -> Collection[str] | None:
    """Return the keys of plans; None for nearly all of them: to ask for each takes longer than to drop the others."""
    known = archive.stored.scalar(select(func.count()).select_from(_plans)) or 0
    return None if len(plans) > _NEARLY_ALL * known else plans["plan_key"].cat.categories


def _load(
    archive: Reading, table: Table, contract: Contract, plans: pd.DataFrame, among: Collection[str] | None
) -> pd.DataFrame:
    """Read the facts of some plans, with what the contract asks for of the plans themselves."""
    stored = {"plan_key": WORDS} | {name: dtype for name, dtype in contract.items() if name in table.c}
    told = [name for name in contract if name in PLANS]
    columns: dict[str, ColumnElement[Any]] = {name: table.c[name] for name in stored if name not in told}
    if table is _attempts and not {*PROOF} <= {*contract}:
        columns["job_id"] = case((_is_undone(), _attempts.c.job_id)).label("job_id")
    facts = archive.facts(
        select(*columns.values()), table.c.plan_key, {name: stored[name] for name in columns}, among=among
    )
    # Each word of the facts is a plan's key: where it is told is looked up once a plan.
    place = pd.Index(plans["plan_key"]).get_indexer(facts["plan_key"].cat.categories)
    place = place[facts["plan_key"].cat.codes]
    if among is None and (place < 0).any():
        facts, place = facts[place >= 0].reset_index(drop=True), place[place >= 0]
    beside = plans[told].take(place)
    return facts.drop(columns="plan_key").assign(**{name: beside[name].array for name in told})


def _is_undone() -> ColumnElement[bool]:
    """Say which attempts a rollback may have undone: one of their component in the plan."""
    rollbacks = schema.rollbacks
    names = ("project_id", "plan_id", "component_id", "job_id")
    return exists().where(*(rollbacks.c[name] == _attempts.c[name] for name in names))


def _beside(rows: pd.DataFrame, known: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Add to rows what is known by their keys, of which each is known once; missing where it is not."""
    words = {key: rows[key].cat.categories for key in keys if isinstance(rows[key].dtype, pd.CategoricalDtype)}
    known = known.assign(**{key: known[key].cat.set_categories(words[key]) for key in words})
    return rows.merge(known, on=keys, how="left")
