"""What the archive knew at an instant: the snapshots of the runs that had ended by then, folded anew."""

from datetime import datetime

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.pool import StaticPool

from archiver.errors import DatabaseError
from archiver.instants import instant_text
from archiver.mapping import Row
from archiver.replay import FACTS, PlanId, fold, rows_of
from archiver.schema import metadata, nights, runs, snapshots


def as_known_at(engine: Engine, at: datetime) -> Engine:
    """Return an archive in memory that holds the facts, runs and nights that were known at an aware instant.

    DatabaseError where a body that was known then has been pruned since.
    """
    with engine.connect() as source:
        ended = [dict(row) for row in source.execute(select(runs).where(runs.c.ended_at <= at)).mappings()]
        known = {row["run_id"] for row in ended}
        plans: dict[PlanId, list[Row]] = {}
        for found in source.execute(select(snapshots).where(snapshots.c.captured_at <= at)).mappings():
            if found["run_id"] in known:
                row = _as_seen_by(dict(found), known, at)
                plans.setdefault((row["project_id"], row["plan_id"]), []).append(row)
        due = [dict(row) for row in source.execute(select(nights).where(nights.c.planned_at <= at)).mappings()]
    memory = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(memory)
    histories = [fold(*plan_id, rows) for plan_id, rows in plans.items()]
    with memory.begin() as target:
        facts = [(table, [row for history in histories for row in rows_of(history, table)]) for table in FACTS]
        for table, rows in ((runs, ended), (nights, _as_settled_by(due, known)), *facts):
            if rows:
                target.execute(table.insert(), rows)
    return memory


def _as_seen_by(row: Row, known: set[str], at: datetime) -> Row:
    if row["body"] is None:
        since = instant_text(row["last_captured_at"])
        raise DatabaseError(f"--as-of reaches behind the prune horizon: a body last seen at {since} was pruned")
    row["last_captured_at"] = min(row["last_captured_at"], at)
    if row["gone_run_id"] not in known:
        row["gone_at"] = row["gone_run_id"] = None
    return row


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
