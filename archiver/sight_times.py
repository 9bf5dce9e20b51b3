"""The statements that move times of sight, and nothing else: what a quiet night writes."""

from sqlalchemy import Table, Text, update

from archiver.instants import UtcDateTime
from archiver.schema import components, job_attempts, plans, rollbacks, snapshots
from archiver.writing import ForEach

EXTEND = ForEach(
    {"id": Text(), "at": UtcDateTime()},
    lambda row: (
        update(snapshots)
        .where(snapshots.c.snapshot_id == row["id"], snapshots.c.last_captured_at < row["at"])
        .values(last_captured_at=row["at"])
    ),
)
CLOSE = ForEach(
    {"id": Text(), "at": UtcDateTime(), "run": Text()},
    lambda row: (
        update(snapshots).where(snapshots.c.snapshot_id == row["id"]).values(gone_at=row["at"], gone_run_id=row["run"])
    ),
)
_MOVE_PLAN = ForEach(
    {"plan": Text(), "at": UtcDateTime()},
    lambda row: (
        update(plans).where(plans.c.plan_key == row["plan"]).values(last_seen_at=row["at"], fetched_at=row["at"])
    ),
)
_MOVE_COMPONENTS = ForEach(
    {"plan": Text(), "at": UtcDateTime()},
    lambda row: (
        update(components)
        .where(components.c.plan_key == row["plan"], components.c.gone_at.is_(None))
        .values(last_seen_at=row["at"])
    ),
)


def _move_jobs(table: Table) -> ForEach:
    return ForEach(
        {"of_project": Text(), "of_plan": Text(), "id": Text(), "at": UtcDateTime()},
        lambda row: (
            update(table)
            .where(
                table.c.project_id == row["of_project"],
                table.c.plan_id == row["of_plan"],
                table.c.last_snapshot_id == row["id"],
            )
            .values(last_seen_at=row["at"])
        ),
    )


MOVES = (_MOVE_PLAN, _MOVE_COMPONENTS, _move_jobs(job_attempts), _move_jobs(rollbacks))
