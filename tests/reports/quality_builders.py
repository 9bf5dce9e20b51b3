"""Archives with something to doubt: rows beside those of `report_builders`, each showing only what matters."""

from report_builders import _plan_key, at, run, save
from sqlalchemy import update

from archiver import schema
from reports.quality import quality
from reports.quality_frames import load_quality
from reports.reading import reading


def snapshot(snapshot_id="s", captured="2026-11-16 02:15", body=b"body", run_id="run-1", project_id="p", **other):
    """Return one body."""
    return {
        "snapshot_id": snapshot_id,
        "snapshot_key": snapshot_id,
        "project_id": project_id,
        "plan_id": "plan",
        "kind": "deploy_info",
        "captured_at": at(captured),
        "last_captured_at": at(captured),
        "recorded_at": at(captured),
        "content_sha256": f"sha of {snapshot_id}",
        "canonical_sha256": f"sha of {snapshot_id}",
        "body": body,
        "run_id": run_id,
    } | other


def change(new_status, observed="2026-11-17 02:15", run_id="run-1", *, subject="plan", **other):
    """Return one change of a status: of the plan's own unless another subject is named."""
    row = {
        "project_id": "p",
        "plan_id": "plan",
        "component_id": None,
        "batch": None,
        "job_id": None,
        "subject": subject,
        "old_status": None,
        "new_status": new_status,
        "observed_at": at(observed),
        "run_id": run_id,
    } | other
    key = _plan_key(row)
    return {
        "plan_key": key,
        "status_change_key": f"{key} {subject} {row['component_id']} {row['observed_at']} {new_status}",
    } | row


def failure(plan_id="plan", failed="2026-11-17 02:16", run_id="run-1", project_id="p"):
    """Return one plan, or for None the list, that a run could not archive."""
    return {
        "fetch_failure_key": f"{run_id} {plan_id}",
        "run_id": run_id,
        "project_id": project_id,
        "plan_id": plan_id,
        "stage": "deploy_info",
        "message": "not allowed",
        "failed_at": at(failed),
    }


def night_run(started, outcome="complete", kind="scheduled", project_id="p", **other):
    """Return one run that started then, and is named by it."""
    row = run(project_id, ended=started, run_id=f"{project_id} {started} {kind}")
    return row | {"started_at": at(started), "outcome": outcome, "kind": kind} | other


def save_doubts(engine, *, snapshots=(), changes=(), failures=(), plans=(), **rows):
    """Write the rows; `plans` changes the columns of plans that the other rows speak of, by (project, plan)."""
    save(engine, **rows)
    tables = {schema.snapshots: snapshots, schema.status_changes: changes, schema.fetch_failures: failures}
    with engine.begin() as connection:
        for table, some in tables.items():
            if some:
                connection.execute(table.insert(), list(some))
        for (project_id, plan_id), columns in dict(plans).items():
            mine = (schema.plans.c.project_id == project_id, schema.plans.c.plan_id == plan_id)
            connection.execute(update(schema.plans).where(*mine).values(**columns))


def quality_of(engine, window, projects=None):
    """Return the table of an archive."""
    with reading(engine, projects) as archive:
        return quality(load_quality(archive, window), window)
