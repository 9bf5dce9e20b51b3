"""The archive again from its bodies: snapshots folded anew by the rules of today, in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import zstandard
from sqlalchemy import Connection, Table, select, tuple_

from archiver.api.payloads import DeployInfo, PlanItem, decode
from archiver.attempts import Sighting
from archiver.history import PlanHistory
from archiver.mapping import Row
from archiver.schema import components, job_attempts, plans, rollbacks, snapshots, status_changes
from archiver.writing import upsert

FACTS = (plans, components, job_attempts, rollbacks, status_changes)
_PLANS_AT_ONCE = 500

PlanId = tuple[str, str]


@dataclass(slots=True)
class Replayed:
    """What a replay found: plans rebuilt, plans kept as they are (a body was pruned), and rows that differed."""

    plans_rebuilt: int = 0
    plans_kept: int = 0
    rows_written: int = 0
    rows_removed: int = 0


def replay(connection: Connection, *, writes: bool = True) -> Replayed:
    """Fold every plan's snapshots and make its rows equal to what comes of it, within the caller's transaction.

    A plan with a pruned body is left as it is, and counted. Without `writes` it only counts what differs.
    Raises zstandard.ZstdError or ValueError where a stored body can't be read; nothing is written then.
    """
    found = Replayed()
    plan_ids = _plan_ids(connection)
    for start in range(0, len(plan_ids), _PLANS_AT_ONCE):
        rows = load_snapshots(connection, plan_ids[start : start + _PLANS_AT_ONCE])
        rebuild(connection, rows, found, writes=writes)
    return found


def rebuild(
    connection: Connection, snapshots_of: dict[PlanId, list[Row]], found: Replayed | None = None, *, writes: bool = True
) -> None:
    """Do for some plans, given all their snapshots, what `replay` does for all."""
    found = found or Replayed()
    histories = {}
    for plan_id, rows in snapshots_of.items():
        if any(row["body"] is None for row in rows):
            found.plans_kept += 1
        else:
            histories[plan_id] = fold(*plan_id, rows)
    found.plans_rebuilt += len(histories)
    if histories:
        _reconcile(connection, histories, found, writes=writes)


def fold(project_id: str, plan_id: str, rows: Iterable[Row]) -> PlanHistory:
    """Fold one plan's snapshots in the order of what they tell; of equal times a list item comes first."""
    history = PlanHistory(project_id, plan_id)
    ranked = sorted(rows, key=lambda row: (row["captured_at"], row["kind"] != "list_item", row["snapshot_id"]))
    told: list[tuple[datetime, int, str]] = []
    for rank, row in enumerate(ranked):
        told.append((row["captured_at"], rank, "first"))
        if row["gone_at"] is not None:
            told.append((row["gone_at"], rank, "gone"))
        if row["kind"] == "deploy_info" and row["last_captured_at"] > row["captured_at"]:
            told.append((row["last_captured_at"], rank, "last"))
    for at, rank, what in sorted(told):
        row = ranked[rank]
        if what == "gone":
            history.see_gone(at, row["gone_run_id"])
        elif what == "last":
            history.see_again(at)
        else:
            _see_first(history, row)
    return history


def _see_first(history: PlanHistory, row: Row) -> None:
    content = zstandard.decompress(row["body"])
    sighting = Sighting(row["snapshot_id"], row["canonical_sha256"], row["captured_at"], row["run_id"])
    if row["kind"] == "list_item":
        history.see_item(decode(content, PlanItem), sighting)
    else:
        history.see_deploy_info(decode(content, DeployInfo), sighting)


def _plan_ids(connection: Connection) -> list[PlanId]:
    known = select(snapshots.c.project_id, snapshots.c.plan_id).distinct().order_by("project_id", "plan_id")
    return [(row[0], row[1]) for row in connection.execute(known)]


def load_snapshots(connection: Connection, plan_ids: Sequence[PlanId]) -> dict[PlanId, list[Row]]:
    """Load all snapshots of some plans, bodies included."""
    found: dict[PlanId, list[Row]] = {plan_id: [] for plan_id in plan_ids}
    for row in connection.execute(select(snapshots).where(_of(snapshots, plan_ids))).mappings():
        found[row["project_id"], row["plan_id"]].append(dict(row))
    return found


def _of(table: Table, plan_ids: Iterable[PlanId]) -> Any:
    return tuple_(table.c.project_id, table.c.plan_id).in_(list(plan_ids))


def _reconcile(connection: Connection, histories: dict[PlanId, PlanHistory], found: Replayed, *, writes: bool) -> None:
    """Make the rows of these plans equal to their histories; what comes first in FACTS is pointed to by the rest."""
    stale: list[tuple[Table, list[str]]] = []
    for table in FACTS:
        key = table.primary_key.columns.keys()[0]
        wanted = {row[key]: row for history in histories.values() for row in rows_of(history, table)}
        stored = connection.execute(select(table).where(_of(table, histories))).mappings()
        there = {row[key]: dict(row) for row in stored}
        changed = [row for row_key, row in wanted.items() if there.get(row_key) != row]
        found.rows_written += len(changed)
        stale.append((table, [row_key for row_key in there if row_key not in wanted]))
        if writes:
            upsert(connection, table, changed)
    for table, keys in reversed(stale):
        found.rows_removed += len(keys)
        if writes and keys:
            connection.execute(table.delete().where(table.primary_key.columns[0].in_(keys)))


def rows_of(history: PlanHistory, table: Table) -> Iterable[Row]:
    """Return the rows of one table of FACTS that a history comes to."""
    if table is plans:
        return [] if history.plan is None else [history.plan]
    if table is components:
        return history.components.values()
    if table is status_changes:
        return history.changes
    return history.attempts.rows() if table is job_attempts else history.rollbacks.rows()
