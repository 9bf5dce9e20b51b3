"""The tables: what each row is and what each column means."""

from archiver.schema.books import (
    NIGHT_STATES,
    RUN_KINDS,
    RUN_OUTCOMES,
    fetch_failures,
    issued_reports,
    leases,
    nights,
    runs,
    weeks,
)
from archiver.schema.columns import metadata
from archiver.schema.facts import (
    FAILURE_KINDS,
    OUTCOMES,
    SNAPSHOT_KINDS,
    SUBJECTS,
    components,
    failures,
    job_attempts,
    plan_states,
    plans,
    rollbacks,
    sights,
    snapshots,
    status_changes,
)
from archiver.schema.labels import component_labels, label_rules

__all__ = [
    "FAILURE_KINDS",
    "NIGHT_STATES",
    "OUTCOMES",
    "RUN_KINDS",
    "RUN_OUTCOMES",
    "SNAPSHOT_KINDS",
    "SUBJECTS",
    "component_labels",
    "components",
    "failures",
    "fetch_failures",
    "issued_reports",
    "job_attempts",
    "label_rules",
    "leases",
    "metadata",
    "nights",
    "plan_states",
    "plans",
    "rollbacks",
    "runs",
    "sights",
    "snapshots",
    "status_changes",
    "weeks",
]
