"""The facts of the plans of which something was learnt since an instant: as known then, and as known now."""

from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Select, and_, case, func, literal, select

from archiver import schema
from reports.columns import CHANGED_FACTS
from reports.reading import Reading, read

_attempts, _rollbacks = schema.job_attempts, schema.rollbacks


def load_changes(then: Reading, now: Reading) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return CHANGED_FACTS as `then` knew them and as `now` does, of the plans that `then` remembers otherwise."""
    queries = ((_select_attempts(), _attempts.c.plan_key), (_select_rollbacks(), _rollbacks.c.plan_key))
    known_then = (
        [] if then.remembered is None else [read(then.remembered, query, CHANGED_FACTS) for query, _ in queries]
    )
    known_now = [now.facts(query, plan_key, CHANGED_FACTS, among=then.refolded) for query, plan_key in queries]
    return pd.concat(known_then, ignore_index=True), pd.concat(known_now, ignore_index=True)


def _select_attempts() -> Select[Any]:
    plans = schema.plans
    is_inferred = and_(_attempts.c.started_at.is_(None), _attempts.c.outcome == "failed")
    inferred = func.coalesce(plans.c.executed_at, _attempts.c.first_seen_at)
    week_at = case((is_inferred, inferred), else_=_attempts.c.started_at)
    return _select(_attempts, "attempt", "attempt_key", _attempts.c.job_id, _attempts.c.version, week_at).join(
        plans, plans.c.plan_key == _attempts.c.plan_key
    )


def _select_rollbacks() -> Select[Any]:
    undone = _attempts.alias()
    of_component = and_(undone.c.plan_key == _rollbacks.c.plan_key, undone.c.component_id == _rollbacks.c.component_id)
    in_place = and_(of_component, undone.c.batch.is_not_distinct_from(_rollbacks.c.batch))
    starts = [
        select(func.min(undone.c.started_at)).where(where).scalar_subquery() for where in (in_place, of_component)
    ]
    week_at = func.coalesce(*starts, _rollbacks.c.started_at)
    job_id = func.coalesce(_rollbacks.c.rollback_job_id, _rollbacks.c.job_id)
    return _select(_rollbacks, "rollback", "rollback_key", job_id, literal(None), week_at)


def _select(
    facts: Any,
    subject: str,
    key: str,
    job_id: ColumnElement[Any],
    version: ColumnElement[Any],
    week_at: ColumnElement[Any],
) -> Select[Any]:
    places = schema.components
    columns = {
        "subject": literal(subject),
        "fact_key": facts.c[key],
        **{name: facts.c[name] for name in ("project_id", "plan_id", "component_id")},
        "component": places.c.name,
        "batch": facts.c.batch,
        "job_id": job_id,
        "version": version,
        **{name: facts.c[name] for name in ("outcome", "started_at", "ended_at")},
        "week_at": week_at,
        "first_run_kind": _run_kind(facts.c.first_snapshot_id),
        "last_run_kind": _run_kind(facts.c.last_snapshot_id),
    }
    in_place = and_(
        places.c.plan_key == facts.c.plan_key,
        places.c.component_id == facts.c.component_id,
        places.c.batch.is_not_distinct_from(facts.c.batch),
    )
    chosen = [columns[name].label(name) for name in CHANGED_FACTS]
    return select(*chosen).select_from(facts).join(places, in_place, isouter=True)


def _run_kind(snapshot_id: ColumnElement[Any]) -> ColumnElement[Any]:
    snapshots, runs = schema.snapshots, schema.runs
    query = select(runs.c.kind).join(snapshots, snapshots.c.run_id == runs.c.run_id)
    return query.where(snapshots.c.snapshot_id == snapshot_id).scalar_subquery()
