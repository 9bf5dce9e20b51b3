"""The archive's tables as typed frames: the only reader of SQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, func, or_, select, true

from archiver import schema
from reports.columns import ATTEMPTS, COMPONENTS, LABELS, NIGHTS, ROLLBACKS, Contract, Frames, conform
from reports.window import Window

_ROWS_AT_ONCE = 50_000
_ATTEMPTS_STORED = {name: dtype for name, dtype in ATTEMPTS.items() if name not in {"component", *LABELS}}
_NAMES = {"project_id": "str", "component_id": "str", "component": "str"}

_attempts, _plans = schema.job_attempts, schema.plans


def load_frames(engine: Engine, window: Window, projects: Sequence[str] | None = None) -> Frames:
    """Read what a report on the window needs, of the named projects: of all for None, of none for no names.

    Whole plans are read: every attempt, rollback and component of a plan with an attempt in the window,
    because a release's outcome, and a batch's first pass, may lie outside it. One state of the archive is read.
    """
    touched = _touched_plans(window, projects)
    with _one_state(engine) as connection:
        attempts = _read(connection, _select_attempts(touched), _ATTEMPTS_STORED)
        names = _read(connection, _select_names(projects), _NAMES)
        attempts = attempts.merge(names, on=["project_id", "component_id"], how="left")
        return Frames(
            attempts=conform(attempts.assign(**dict.fromkeys(LABELS)), ATTEMPTS),
            rollbacks=_load(connection, schema.rollbacks, ROLLBACKS, schema.rollbacks.c.plan_key.in_(touched)),
            components=_load(connection, schema.components, COMPONENTS, schema.components.c.plan_key.in_(touched)),
            nights=_load(connection, schema.nights, NIGHTS, _of_projects(schema.nights, projects)),
            last_run_ended_at=connection.scalar(
                select(schema.runs.c.ended_at)
                .where(schema.runs.c.ended_at.is_not(None), _of_projects(schema.runs, projects))
                .order_by(schema.runs.c.ended_at.desc())
                .limit(1)
            ),
        )


@contextmanager
def _one_state(engine: Engine) -> Iterator[Connection]:
    """Read every frame from the same state, while a run may be writing."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901 - the same one
        else:
            # The driver may leave reads outside a transaction, where each query would see its own state.
            connection.begin()
            raw: Any = connection.connection.dbapi_connection
            if not raw.in_transaction:
                connection.exec_driver_sql("BEGIN")
        yield connection


def _of_projects(table: Any, projects: Sequence[str] | None) -> ColumnElement[bool]:
    if projects is None:
        return true()
    condition: ColumnElement[bool] = table.c.project_id.in_(projects)
    return condition


def _touched_plans(window: Window, projects: Sequence[str] | None) -> Select[Any]:
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
            _of_projects(_attempts, projects),
        )
    )


def _select_attempts(touched: Select[Any]) -> Select[Any]:
    columns = [_attempts.c[name] if name in _attempts.c else _plans.c[name] for name in _ATTEMPTS_STORED]
    return (
        select(*columns)
        .join(_plans, _plans.c.plan_key == _attempts.c.plan_key)
        .where(_attempts.c.plan_key.in_(touched))
    )


def _select_names(projects: Sequence[str] | None) -> Select[Any]:
    """Select the latest name of each component: the one it has in the plan where it started last.

    The latest look would not do: a plan of last week that is fetched again tonight still shows its old name.
    """
    places = schema.components
    started = (
        select(
            _attempts.c.plan_key,
            _attempts.c.component_id,
            func.max(_attempts.c.started_at).label("started_at"),
        )
        .where(_of_projects(_attempts, projects))
        .group_by(_attempts.c.plan_key, _attempts.c.component_id)
        .subquery()
    )
    order = (
        started.c.started_at.desc().nulls_last(),
        places.c.last_seen_at.desc(),
        places.c.first_seen_at.desc(),
        places.c.component_key,
    )
    rank = func.row_number().over(partition_by=(places.c.project_id, places.c.component_id), order_by=order)
    ranked = (
        select(places.c.project_id, places.c.component_id, places.c.name.label("component"), rank.label("rank"))
        .join(
            started,
            and_(started.c.plan_key == places.c.plan_key, started.c.component_id == places.c.component_id),
        )
        .where(places.c.name.is_not(None), _of_projects(places, projects))
        .subquery()
    )
    return select(ranked.c.project_id, ranked.c.component_id, ranked.c.component).where(ranked.c.rank == 1)


def _load(connection: Connection, table: Any, contract: Contract, where: ColumnElement[bool]) -> pd.DataFrame:
    return _read(connection, select(*(table.c[name] for name in contract)).where(where), contract)


def _read(connection: Connection, query: Select[Any], contract: Contract) -> pd.DataFrame:
    """Read in portions, so that the rows never stand in memory as Python objects all at once."""
    parts = [conform(pd.DataFrame(columns=list(contract), dtype="object"), contract)]
    result = connection.execute(query, execution_options={"stream_results": True})
    for rows in result.partitions(_ROWS_AT_ONCE):
        values = zip(*rows, strict=True)
        columns = {name: pd.Series(column, dtype="object") for name, column in zip(contract, values, strict=True)}
        parts.append(conform(pd.DataFrame(columns), contract))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
