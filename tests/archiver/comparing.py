"""How an archive is compared: with the model in the contract's columns, and with its own snapshots in all columns."""

import zstandard
from sqlalchemy import select

from archiver.api.payloads import DeployInfo, PlanItem, decode
from archiver.history import PlanHistory, Sighting
from archiver.schema import components, job_attempts, plans, rollbacks, snapshots, status_changes

SIGHT = ("first_seen_at", "last_seen_at")
JOB = ("outcome", "started_at", "ended_at", "duration_seconds", "fail_message", *SIGHT)
PLACE = ("plan_id", "component_id", "batch")
# The contract's columns, less project, keys, run and snapshots.
COLUMNS = {
    plans: (
        *("plan_id", "name", "action", "status", "creator", "created_at", "modified_at", "executed_at"),
        *("gone_at", "settled_at", *SIGHT),
    ),
    components: (*PLACE, "name", "version", "status", "gone_at", *SIGHT),
    job_attempts: (*PLACE, "job_id", "attempt", "version", "job_status", *JOB),
    rollbacks: (*PLACE, "rollback_job_id", "job_id", "rollback_job_status", *JOB),
    status_changes: ("plan_id", "component_id", "job_id", "subject", "old_status", "new_status", "observed_at"),
}


def in_columns(rows, columns):
    """Return rows as sorted text, each value named, so that a difference can be read."""
    return sorted(", ".join(f"{name}={row[name]}" for name in columns) for row in rows)


def expected(model):
    tables = (model.plans.values(), model.components, model.job_attempts, model.rollbacks, model.status_changes)
    return {
        table.name: in_columns(rows, columns) for rows, (table, columns) in zip(tables, COLUMNS.items(), strict=True)
    }


def archived(connection, project_id):
    return {
        table.name: in_columns(rows_of(connection, table, project_id), columns) for table, columns in COLUMNS.items()
    }


def rows_of(connection, table, project_id):
    return connection.execute(select(table).where(table.c.project_id == project_id)).mappings().all()


def whole_tables(connection, project_id):
    """Return the five fact tables with every column, keys, runs and snapshots included."""
    return {table.name: in_columns(rows_of(connection, table, project_id), table.columns.keys()) for table in COLUMNS}


def replayed(connection, project_id):
    """Fold the stored snapshots alone into new histories; return the fact tables with every column."""
    events = []
    for row in rows_of(connection, snapshots, project_id):
        sighting = Sighting(row["snapshot_id"], row["canonical_sha256"], row["captured_at"], row["run_id"])
        is_item = row["kind"] == "list_item"
        payload = decode(zstandard.decompress(row["body"]), PlanItem if is_item else DeployInfo)
        name = "see_item" if is_item else "see_deploy_info"
        events.append((row["captured_at"], 0 if is_item else 1, row["plan_id"], name, (payload, sighting)))
        if not is_item and row["last_captured_at"] > row["captured_at"]:
            at = row["last_captured_at"]
            events.append((at, 2, row["plan_id"], "see_again", (at,)))
        if row["gone_at"] is not None:
            gone = (row["gone_at"], row["gone_run_id"])
            events.append((row["gone_at"], 3, row["plan_id"], "see_gone", gone))
    histories = {}
    for _, _, plan_id, name, arguments in sorted(events, key=lambda event: event[:2]):
        history = histories.setdefault(plan_id, PlanHistory(project_id, plan_id))
        getattr(history, name)(*arguments)
    return {
        table.name: in_columns(rows, table.columns.keys())
        for table, rows in zip(COLUMNS, rows_of_histories(histories.values()), strict=True)
    }


def rows_of_histories(histories):
    histories = list(histories)
    return (
        [history.plan for history in histories],
        [row for history in histories for row in history.components.values()],
        [row for history in histories for row in history.attempts.rows()],
        [row for history in histories for row in history.rollbacks.rows()],
        [row for history in histories for row in history.changes],
    )
