"""Pruning: bodies that others have followed are dropped, and what they came to is kept as a state. Facts stay."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from archiver.mapping import MAPPING_VERSION, Row, key_of
from archiver.replay import PlanId, fold, is_foldable, load_snapshots, load_states
from archiver.schema import issued_reports, job_attempts, plan_states, rollbacks, runs, snapshots
from archiver.states import content_of
from archiver.writing import upsert

_PLANS_AT_ONCE = 500


@dataclass(slots=True)
class Pruned:
    """What pruning drops: bodies, of plans, in stored bytes; and what rests on them.

    `horizon` is how far back as-of of all projects reaches then, None if nothing was ever pruned; `facts` are the
    attempts and rollbacks that no replay can rebuild any more; `plans_left` the plans that were left, since something
    of before that instant was recorded after it.
    """

    horizon: datetime | None = None
    bodies: int = 0
    plans: int = 0
    size_bytes: int = 0
    facts: int = 0
    plans_left: int = 0


def horizons(connection: Connection, until: datetime, *, heeds_issued: bool = True) -> dict[str, datetime]:
    """Return up to when the bodies of each project may go: `until`, or what the last report issued of it knew.

    A report of all projects is one of each. A project of which none was issued goes by `until` alone.
    """
    known = connection.execute(select(snapshots.c.project_id).distinct().order_by(snapshots.c.project_id)).scalars()
    found = dict.fromkeys(known, until)
    if not heeds_issued:
        return found
    as_of: Any = func.max(issued_reports.c.as_of)
    issued: dict[str, datetime] = {}
    for scope, newest in connection.execute(
        select(issued_reports.c.projects, as_of).group_by(issued_reports.c.projects)
    ):
        for project_id in found if scope is None else json.loads(scope):
            issued[project_id] = max(newest, issued.get(project_id, newest))
    return {project_id: min(until, issued.get(project_id, until)) for project_id in found}


def prune(connection: Connection, until: Mapping[str, datetime], now: datetime, *, writes: bool = True) -> Pruned:
    """Drop the bodies last seen before each project's `until` that others have followed, in the caller's transaction.

    Each plan's state at that instant is kept, so that a replay goes on from there. Without `writes` it only counts.
    Raises zstandard.ZstdError or ValueError where a stored body can't be read; nothing is dropped then.
    """
    found = Pruned(connection.execute(select(func.max(plan_states.c.known_until))).scalar())
    for project_id, project_until in until.items():
        _prune_project(connection, project_id, project_until, now, found, writes=writes)
    return found


def _prune_project(
    connection: Connection, project_id: str, until: datetime, now: datetime, found: Pruned, *, writes: bool
) -> None:
    ended = {row[0] for row in connection.execute(select(runs.c.run_id).where(runs.c.ended_at <= until))}
    plan_ids = _with_old_bodies(connection, project_id, until)
    for start in range(0, len(plan_ids), _PLANS_AT_ONCE):
        chosen = plan_ids[start : start + _PLANS_AT_ONCE]
        dropped: list[str] = []
        kept_states: list[Row] = []
        states = load_states(connection, chosen)
        for plan_id, rows in load_snapshots(connection, chosen).items():
            state = states.get(plan_id)
            old = list(_superseded(rows, until))
            if not old or (state is not None and until <= state.known_until):
                continue  # a state never goes back
            if not is_foldable(rows, state) or _is_told_late(rows, until, ended):
                found.plans_left += 1
                continue
            history = fold(*plan_id, rows, state, until=until)
            kept_states.append(_state(plan_id, history.plan_key, until, now, content_of(history)))
            dropped += [row["snapshot_id"] for row in old]
            found.size_bytes += sum(len(row["body"]) for row in old)
        found.plans += len(kept_states)
        found.bodies += len(dropped)
        found.facts += _facts_on(connection, chosen, set(dropped))
        if dropped:
            found.horizon = max(until, found.horizon or until)
        if writes and dropped:
            upsert(connection, plan_states, kept_states)
            connection.execute(_DROP, [{"id": snapshot_id} for snapshot_id in dropped])


_DROP = update(snapshots).where(snapshots.c.snapshot_id == bindparam("id")).values(body=None)


def _with_old_bodies(connection: Connection, project_id: str, until: datetime) -> list[PlanId]:
    is_old = (snapshots.c.body.is_not(None), snapshots.c.last_captured_at < until)
    query = select(snapshots.c.plan_id).where(snapshots.c.project_id == project_id, *is_old)
    return [(project_id, row[0]) for row in connection.execute(query.distinct().order_by(snapshots.c.plan_id))]


def _superseded(rows: list[Row], until: datetime) -> Iterator[Row]:
    """Yield the ranges with a body that ended before `until` and that another body of their kind has followed."""
    told = [row for row in rows if not row["is_aside"]]  # what stays aside is in no fact: its body is all there is
    newest = {
        kind: max(row["captured_at"] for row in told if row["kind"] == kind) for kind in {r["kind"] for r in told}
    }
    for row in told:
        is_followed = row["captured_at"] < newest[row["kind"]]
        if row["body"] is not None and row["last_captured_at"] < until and is_followed:
            yield row


def _is_told_late(rows: list[Row], until: datetime, ended: set[str]) -> bool:
    """Whether something of before `until` was recorded by a run or an import that had not ended by then."""
    return any(
        row["captured_at"] <= until
        and not row["is_aside"]
        and (row["run_id"] not in ended or (row["gone_run_id"] not in ended and (row["gone_at"] or until) < until))
        for row in rows
    )


def _state(plan_id: PlanId, plan_key: str, until: datetime, now: datetime, content: bytes) -> Row:
    return {
        "plan_state_key": key_of(*plan_id),
        "plan_key": plan_key,
        "project_id": plan_id[0],
        "plan_id": plan_id[1],
        "known_until": until,
        "recorded_at": now,
        "mapping_version": MAPPING_VERSION,
        "state": content,
    }


def _facts_on(connection: Connection, plan_ids: list[PlanId], dropped: set[str]) -> int:
    """Count the attempts and rollbacks of these plans that rest on dropped bodies."""
    by_project: dict[str, list[str]] = {}
    for project_id, plan_id in plan_ids:
        by_project.setdefault(project_id, []).append(plan_id)
    count = 0
    for table in (job_attempts, rollbacks):
        for project_id, ids in by_project.items():
            query = select(table.c.first_snapshot_id, table.c.last_snapshot_id).where(
                table.c.project_id == project_id, table.c.plan_id.in_(ids)
            )
            count += sum(not dropped.isdisjoint(row) for row in connection.execute(query))
    return count
