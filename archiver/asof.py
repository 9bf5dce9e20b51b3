"""What the archive knew at an instant: the snapshots of the runs that had ended by then, folded where it matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, create_engine, func, or_, select, text, true
from sqlalchemy.pool import StaticPool

from archiver.errors import DatabaseError
from archiver.instants import instant_text
from archiver.mapping import Row, key_of
from archiver.ranges import as_told_by
from archiver.replay import FACTS, PlanId, fold, load_sights, load_snapshots, load_states, rows_of
from archiver.schema import (
    component_labels,
    components,
    fetch_failures,
    metadata,
    nights,
    plan_states,
    plans,
    runs,
    sights,
    snapshots,
)
from archiver.states import State

_PLANS_AT_ONCE = 500
_CLOCK_SET_BACK = timedelta(days=1)  # as much as a clock may have been wrong between two runs


@dataclass(frozen=True, slots=True)
class Known:
    """What was known at `at`.

    The archive in `memory` holds the runs, failures and nights of then, and the facts and snapshots of those plans of
    which something was learnt since: `refolded`, by plan key. The facts of all other plans are those that are stored.
    Labels are those of today everywhere: they say how we sort releases now, not what was seen of them.
    """

    at: datetime
    memory: Engine
    refolded: frozenset[str]


def as_known_at(connection: Connection, at: datetime, projects: Sequence[str] | None = None) -> Known:
    """Tell what was known at an aware instant, of the named projects, of all for None.

    DatabaseError where bodies that were known then have been pruned since (it names how far back this reaches), or
    where this role may not read them.
    """
    _refuse_without_bodies(connection)
    _refuse_before_horizon(connection, at, projects)
    is_known = (runs.c.ended_at <= at, _of(runs, projects))
    ended = _rows(connection, runs, *is_known)
    known = {row["run_id"] for row in ended}
    changed = _changed_since(connection, at, projects)
    memory = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(memory)
    with memory.begin() as target:
        for table, rows in (
            (runs, ended),
            (fetch_failures, _rows(connection, fetch_failures, fetch_failures.c.run_id.in_(_ids_of(is_known)))),
            (
                nights,
                _as_settled_by(_nights_written(connection, at, projects), known),
            ),
        ):
            _insert(target, table, rows)
        for start in range(0, len(changed), _PLANS_AT_ONCE):
            _refold(connection, target, changed[start : start + _PLANS_AT_ONCE], known, at)
    return Known(at, memory, frozenset(key_of(*plan_id) for plan_id in changed))


def _of(table: Table, projects: Sequence[str] | None) -> ColumnElement[bool]:
    return true() if projects is None else table.c.project_id.in_(projects)


def _ids_of(is_known: tuple[ColumnElement[bool], ...]) -> Any:
    return select(runs.c.run_id).where(*is_known)


def _rows(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> list[Row]:
    return [dict(row) for row in connection.execute(select(table).where(*conditions)).mappings()]


def _insert(target: Connection, table: Table, rows: list[Row]) -> None:
    if rows:
        target.execute(table.insert(), rows)


def _refuse_without_bodies(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        query = text("SELECT has_table_privilege('snapshots', 'SELECT')")
        if not connection.execute(query).scalar_one():
            raise DatabaseError(
                "what was known at an instant is told by the bodies in `snapshots`, and this role may not read them: "
                "ask as a role that archives"
            )


def _refuse_before_horizon(connection: Connection, at: datetime, projects: Sequence[str] | None) -> None:
    horizon = connection.execute(select(func.max(plan_states.c.known_until)).where(_of(plan_states, projects))).scalar()
    if horizon is not None and at < horizon:
        raise DatabaseError(
            f"--as-of {instant_text(at)} lies before the prune horizon: bodies were pruned up to "
            f"{instant_text(horizon)}, and it reaches back no further"
        )


def _changed_since(connection: Connection, at: datetime, projects: Sequence[str] | None) -> list[PlanId]:
    """Return the plans of which a run or import that had not ended by then recorded a body, or that they are gone."""
    not_ended = or_(runs.c.ended_at.is_(None), runs.c.ended_at > at)
    since = connection.execute(select(func.min(runs.c.started_at)).where(not_ended, _of(runs, projects))).scalar()
    if since is None:
        return []
    since -= _CLOCK_SET_BACK
    later = select(runs.c.run_id).where(not_ended, _of(runs, projects))
    recorded = select(snapshots.c.project_id, snapshots.c.plan_id).where(
        snapshots.c.recorded_at >= since, snapshots.c.run_id.in_(later)
    )
    gone = (
        select(snapshots.c.project_id, snapshots.c.plan_id)
        .join(plans, (plans.c.project_id == snapshots.c.project_id) & (plans.c.plan_id == snapshots.c.plan_id))
        .where(plans.c.gone_at >= since, snapshots.c.gone_run_id.in_(later))
    )
    told = select(sights.c.project_id, sights.c.plan_id).where(sights.c.run_id.in_(later))
    return sorted({(row[0], row[1]) for query in (recorded, gone, told) for row in connection.execute(query)})


def _refold(connection: Connection, target: Connection, plan_ids: list[PlanId], known: set[str], at: datetime) -> None:
    states = load_states(connection, plan_ids)
    folded = []
    seen = load_sights(connection, plan_ids)
    for plan_id, found in load_snapshots(connection, plan_ids).items():
        state = states.get(plan_id)
        rows = as_told_by((row for row in found if not row["is_aside"]), seen[plan_id].values(), known, at)
        for row in rows:
            _refuse_unless_told(row, state)
        _insert(target, snapshots, rows)
        folded.append(fold(*plan_id, rows, state))
    for table in FACTS:
        key = table.primary_key.columns.keys()[0]
        # The same change twice in one instant is one, as everywhere.
        rows_by_key = {row[key]: row for history in folded for row in rows_of(history, table)}
        _insert(target, table, list(rows_by_key.values()))
    is_of_them = components.c.plan_key.in_([key_of(*plan_id) for plan_id in plan_ids])
    labelled = select(components.c.component_key).where(is_of_them)
    _insert(
        target, component_labels, _rows(connection, component_labels, component_labels.c.component_key.in_(labelled))
    )


def _refuse_unless_told(row: Row, state: State | None) -> None:
    if row["body"] is None and (state is None or row["captured_at"] > state.known_until):
        since = instant_text(row["last_captured_at"])
        raise DatabaseError(
            f"--as-of lies before the prune horizon: a body of plan {row['plan_id']} last seen at {since} was pruned"
        )


def _nights_written(connection: Connection, at: datetime, projects: Sequence[str] | None) -> list[Row]:
    """Return the nights that stood in the books then: a run writes those that have fallen due when it starts."""
    is_writer = (runs.c.kind != "import", runs.c.started_at <= at, _of(runs, projects))
    query = select(runs.c.project_id, func.max(runs.c.started_at)).where(*is_writer).group_by(runs.c.project_id)
    written = {row[0]: row[1] for row in connection.execute(query)}
    found = _rows(connection, nights, nights.c.planned_at <= at, _of(nights, projects))
    return [row for row in found if row["project_id"] in written and row["planned_at"] <= written[row["project_id"]]]


def _as_settled_by(due: list[Row], known: set[str]) -> list[Row]:
    """Take back what later runs made of the nights; of those without a run by then, only the newest is still due."""
    newest: dict[str, Row] = {}
    for row in sorted(due, key=lambda row: row["planned_at"]):
        if row["run_id"] not in known:
            row["state"], row["run_id"] = "missed", None
        newest[row["project_id"]] = row
    for row in newest.values():
        if row["run_id"] is None:
            row["state"] = "due"
    return due
