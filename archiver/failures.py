"""Failures beside the facts: each failed attempt and rollback with what its message has in common with others.

SQL can't mask a message, so its template is written down with the plan that it is of.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, func, literal, select, union

from archiver.database import of_plans
from archiver.mapping import Row
from archiver.masking import LONGEST, MASKING_VERSION, NO_MESSAGE, mask, template_id
from archiver.schema import components, failures, job_attempts, plans, rollbacks, runs
from archiver.writing import upsert

PlanId = tuple[str, str]

_PLANS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class FailureKind:
    """What can fail: its name, its table, and when one of it started, or must have."""

    name: str
    table: Table
    started_at: ColumnElement[Any]


KINDS = (
    FailureKind(
        "attempt",
        job_attempts,
        func.coalesce(job_attempts.c.started_at, plans.c.executed_at, job_attempts.c.first_seen_at),
    ),
    FailureKind("rollback", rollbacks, func.coalesce(rollbacks.c.started_at, rollbacks.c.first_seen_at)),
)


def failed_rows(kind: FailureKind, columns: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
    """Return a query for the failures of a kind: the columns asked for, and the message beside the name in its place.

    Of a message only so much is read as masking looks at: one can be 10 MB long. The name is the component's in this
    place of this plan, so that a template never depends on what else was archived.
    """
    table = kind.table
    is_its_place = (
        (components.c.project_id == table.c.project_id)
        & (components.c.plan_id == table.c.plan_id)
        & (components.c.component_id == table.c.component_id)
        & components.c.batch.is_not_distinct_from(table.c.batch)
    )
    return (
        select(
            *(column.label(name) for name, column in columns.items()),
            func.substr(table.c.fail_message, 1, LONGEST).label("message"),
            components.c.name.label("name_in_place"),
        )
        .join_from(table, plans, plans.c.plan_key == table.c.plan_key)
        .outerjoin(components, is_its_place)
        .where(table.c.outcome == "failed")
    )


@lru_cache(maxsize=10_000)
def template_of(message: str | None, name: str | None) -> str:
    """Return what a message has in common with others; one that is missing, or blank, is a template too."""
    return (mask(message, name) if message else "") or NO_MESSAGE


def write_failures(connection: Connection, plan_ids: Iterable[PlanId]) -> None:
    """Make the failures of some plans what their attempts and rollbacks say; writes what differs alone."""
    for some in _portions(plan_ids):
        changed, removed = _differences(connection, some)
        upsert(connection, failures, changed)
        if removed:
            connection.execute(delete(failures).where(failures.c.failure_key.in_(removed)))


def write_all_failures(connection: Connection) -> None:
    """Do it for every plan that has failures, or had."""
    write_failures(connection, _plans_with_failures(connection))


def catch_up(connection: Connection, project_id: str, revision: str) -> None:
    """Write a project's failures where an earlier program did not, or masked otherwise.

    A program of this schema's revision wrote them, or found none, before its run began.
    """
    of_project = failures.c.project_id == project_id
    versions = set(connection.execute(select(failures.c.masking_version).where(of_project).distinct()).scalars())
    if versions == {MASKING_VERSION}:
        return
    newest = select(runs.c.schema_revision).where(runs.c.project_id == project_id).order_by(runs.c.started_at.desc())
    if not versions and connection.execute(newest.limit(1)).scalar() == revision:
        return
    write_failures(connection, _plans_with_failures(connection, project_id))


def unlike_messages(connection: Connection) -> int:
    """Count the failures that are not what their attempts and rollbacks say."""
    found = (_differences(connection, some) for some in _portions(_plans_with_failures(connection)))
    return sum(len(changed) + len(removed) for changed, removed in found)


def _differences(connection: Connection, plan_ids: Sequence[PlanId]) -> tuple[list[Row], list[str]]:
    """Return the rows that are missing or other than they should be, and the keys of those that should not be."""
    stored = connection.execute(select(failures).where(of_plans(failures, plan_ids))).mappings()
    there = {row["failure_key"]: dict(row) for row in stored}
    wanted = {row["failure_key"]: row for row in _wanted(connection, plan_ids)}
    changed = [row for key, row in wanted.items() if there.get(key) != row]
    return changed, [key for key in there if key not in wanted]


def _wanted(connection: Connection, plan_ids: Sequence[PlanId]) -> Iterator[Row]:
    for kind in KINDS:
        table = kind.table
        columns = {
            "kind": literal(kind.name),
            "job_key": table.primary_key.columns[0],
            **{name: table.c[name] for name in ("plan_key", "project_id", "plan_id", "component_id", "batch")},
            "started_at": kind.started_at,
        }
        query = failed_rows(kind, columns)
        for found in connection.execute(query.where(of_plans(table, plan_ids))).mappings():
            row = dict(found)
            template = template_of(row.pop("message"), row.pop("name_in_place"))
            said = {"template_id": template_id(template), "template": template, "masking_version": MASKING_VERSION}
            yield {"failure_key": f"{kind.name}/{row['job_key']}", **row, **said}


def _plans_with_failures(connection: Connection, project_id: str | None = None) -> list[PlanId]:
    queries = [
        *(
            select(kind.table.c.project_id, kind.table.c.plan_id).where(kind.table.c.outcome == "failed")
            for kind in KINDS
        ),
        select(failures.c.project_id, failures.c.plan_id),
    ]
    if project_id is not None:
        queries = [query.where(query.selected_columns.project_id == project_id) for query in queries]
    return [(row[0], row[1]) for row in connection.execute(union(*queries))]


def _portions(plan_ids: Iterable[PlanId]) -> Iterator[list[PlanId]]:
    remaining = iter(plan_ids)
    while some := list(islice(remaining, _PLANS_AT_ONCE)):
        yield some
