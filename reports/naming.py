"""What components are called: the latest name of each, and the labels of its places."""

from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd
from sqlalchemy import ColumnElement, Select, Subquery, and_, case, exists, func, select, union_all

from archiver import schema
from reports.columns import ALL_LABELS, INSTANT, PLACE_LABELS, WORDS
from reports.reading import KnownPlans, Reading

_NAMES = {
    "project_id": WORDS,
    "component_id": WORDS,
    "component": WORDS,
    "started_at": INSTANT,
    "last_seen_at": INSTANT,
    "first_seen_at": INSTANT,
    "component_key": "str",
}

_attempts = schema.job_attempts
_loaded: WeakKeyDictionary[Reading, pd.DataFrame] = WeakKeyDictionary()


def load_names(archive: Reading) -> pd.DataFrame:
    """Load the latest name of each component: the one it has in the plan where it started last.

    The latest look would not do: a plan of last week that is fetched again tonight still shows its old name.
    Of one state of the archive they are read once.
    """
    if archive not in _loaded:
        _loaded[archive] = _latest_names(archive)
    return _loaded[archive]


def _latest_names(archive: Reading) -> pd.DataFrame:
    names = archive.first_ranked(lambda is_known: _ranked_names(archive, is_known), _NAMES)
    # Of a component that is both stored and remembered, the same order decides.
    ascending = [True, True, False, False, False, True]
    order = ["project_id", "component_id", "started_at", "last_seen_at", "first_seen_at", "component_key"]
    names = names.sort_values(order, ascending=ascending, na_position="last")
    return names.drop_duplicates(["project_id", "component_id"])[["project_id", "component_id", "component"]]


def _ranked_names(archive: Reading, is_known: KnownPlans) -> Select[Any]:
    places, started = schema.components, _last_started(archive, is_known)
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
    return (
        select(*(column.label(name) for name, column in columns.items()), rank.label("rank"))
        .join(started, and_(started.c.plan_key == places.c.plan_key, started.c.component_id == places.c.component_id))
        .where(places.c.name.is_not(None), archive.of_projects(places))
    )


def _last_started(archive: Reading, is_known: KnownPlans) -> Subquery:
    """Select where each component started last, and when; everywhere it did, if it has no name there."""
    other, places = _attempts.alias(), schema.components
    known = is_known(_attempts.c.plan_key)
    last = (
        select(_attempts.c.project_id, _attempts.c.component_id, func.max(_attempts.c.started_at).label("started_at"))
        .where(archive.of_projects(_attempts), known)
        .group_by(_attempts.c.project_id, _attempts.c.component_id)
        .cte("last_started")
    )
    is_named = exists().where(
        *(other.c[name] == last.c[name] for name in ("project_id", "component_id", "started_at")),
        *(places.c[name] == other.c[name] for name in ("plan_key", "component_id")),
        places.c.name.is_not(None),
        is_known(other.c.plan_key),
    )
    columns = [_attempts.c[name] for name in ("plan_key", "component_id", "started_at")]
    is_last = and_(*(_attempts.c[name] == last.c[name] for name in ("project_id", "component_id", "started_at")))
    there = select(*columns).join(last, is_last).where(known)
    # By its id alone, which databases find faster: where another project has the same id, some are selected in vain.
    anywhere = select(*columns).where(_attempts.c.component_id.in_(select(last.c.component_id).where(~is_named)), known)
    found = union_all(there, anywhere).subquery()
    return (
        select(found.c.plan_key, found.c.component_id, func.max(found.c.started_at).label("started_at"))
        .group_by(found.c.plan_key, found.c.component_id)
        .subquery()
    )


def load_labels(archive: Reading, plan_keys: Collection[str] | None = None) -> pd.DataFrame:
    """Load the labels of the places of some plans, by default of all."""
    places, labels = schema.components, schema.component_labels
    columns = [(labels if name in ALL_LABELS else places).c[name] for name in PLACE_LABELS]
    query = select(*columns).join(labels, labels.c.component_key == places.c.component_key)
    if not archive.has(labels):
        plan_keys = ()
    return archive.facts(query, places.c.plan_key, PLACE_LABELS, among=plan_keys)
