"""The tables: what each row is and what each column means."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from archiver.instants import UtcDateTime

RUN_KINDS = ("scheduled", "manual", "watch", "import")
RUN_OUTCOMES = ("running", "complete", "partial", "failed", "interrupted")
OUTCOMES = ("succeeded", "failed", "aborted", "running", "pending", "unknown")
SNAPSHOT_KINDS = ("list_item", "deploy_info")
NIGHT_STATES = ("due", "done", "partial", "missed")
SUBJECTS = ("plan", "component", "job", "rollback")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _text(name: str, comment: str, *, nullable: bool = True, **options: Any) -> Column[Any]:
    return Column(name, Text, nullable=nullable, comment=comment, **options)


def _instant(name: str, comment: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, UtcDateTime, nullable=nullable, comment=comment)


def _key(name: str, of: str) -> Column[Any]:
    return Column(name, Text, primary_key=True, comment=f"Stable key of the row: 32 hex digits, a hash of {of}")


def _count(name: str, comment: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


def _project() -> Column[Any]:
    return _text("project_id", "Project the release belongs to", nullable=False)


def _plan() -> Column[Any]:
    return _text("plan_id", "Release task (the vendor's release plan)", nullable=False)


def _component() -> Column[Any]:
    return _text("component_id", "Component; `missing:<name or position>` when none was sent", nullable=False)


def _batch() -> Column[Any]:
    return Column("batch", BigInteger, comment="Release batch (`seq`); NULL when it was no number")


def _sight(what: str) -> tuple[Column[Any], Column[Any]]:
    return (
        _instant("first_seen_at", f"When the archive first saw {what}", nullable=False),
        _instant("last_seen_at", f"When a body that was fetched last showed {what}", nullable=False),
    )


def _proof() -> tuple[Column[Any], Column[Any]]:
    return (
        _text("first_snapshot_id", "Snapshot that first showed the row", nullable=False),
        _text("last_snapshot_id", "Snapshot that last showed the row", nullable=False),
    )


def _of_plan() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["plan_key"], ["plans.plan_key"])


def _plan_key() -> Column[Any]:
    return _text("plan_key", "The plan's row in `plans`", nullable=False)


plans = Table(
    "plans",
    metadata,
    _key("plan_key", "project and plan"),
    _project(),
    _plan(),
    _text("name", "Name of the release task"),
    _text("action", "create, upgrade or clone, as it came"),
    _text("status", "The vendor's word, as it came; NULL for a plan never seen in a list"),
    _text("creator", "Who created it"),
    _instant("created_at", "When it was created, by the API"),
    _instant("modified_at", "When it was last modified, by the API"),
    _instant("executed_at", "When it was executed, by the API"),
    *_sight("the plan"),
    _instant("gone_at", "When it had left a complete list, or answered 404; NULL while it is there"),
    _instant("settled_at", "When the archive first saw the plan settled as it now is; NULL while unsettled"),
    _instant(
        "recheck_from_at",
        "Start of its recheck window: settled_at, or its own latest time if first seen settled",
    ),
    _text("list_snapshot_id", "Snapshot of its current list item"),
    _text("list_item_sha256", "Canonical hash of its current list item"),
    _instant("listed_at", "When its current list item was first captured"),
    _text("deploy_snapshot_id", "Snapshot of its current deployment information"),
    _text("deploy_info_sha256", "Canonical hash of its current deployment information"),
    _instant("fetched_at", "When its deployment information was last archived; NULL if never"),
    Index(None, "project_id", "plan_id", unique=True),
    Index(None, "project_id", "settled_at"),
    comment="A row is a release task (the vendor's release plan).",
)

components = Table(
    "components",
    metadata,
    _key("component_key", "project, plan, component and batch"),
    _plan_key(),
    _project(),
    _plan(),
    _component(),
    _batch(),
    _text("name", "Component name"),
    _text("version", "Component version"),
    _text("status", "Component release status, the vendor's word"),
    *_sight("the component in this place"),
    _instant("gone_at", "When it had left this place of the plan; NULL while it is there"),
    _of_plan(),
    Index(None, "plan_key"),
    Index(None, "project_id", "plan_id", "component_id"),
    Index(None, "project_id", "component_id"),
    comment="A row is a component's place in a plan: (project, plan, component, batch).",
)

job_attempts = Table(
    "job_attempts",
    metadata,
    _key("attempt_key", "project, plan, component and the identity under which the attempt was first seen"),
    _plan_key(),
    _project(),
    _plan(),
    _component(),
    _batch(),
    _text("job_id", "Deployment job; NULL if none was sent"),
    Column(
        "attempt",
        Integer,
        nullable=False,
        comment="Rank among the known attempts of this place, 1 = first known; not a key",
    ),
    _text("version", "Component version deployed"),
    _text("job_status", "Job status, the vendor's word"),
    _text("outcome", "How it ended, our word", nullable=False),
    _instant("started_at", "When the component release started"),
    _instant("ended_at", "When the component release ended"),
    Column(
        "duration_seconds", Float, comment="ended_at - started_at in seconds; NULL if either is missing or impossible"
    ),
    _text("fail_message", "Why it failed, in the vendor's words"),
    *_sight("the attempt"),
    *_proof(),
    _one_of("outcome", OUTCOMES),
    _of_plan(),
    ForeignKeyConstraint(["first_snapshot_id"], ["snapshots.snapshot_id"]),
    ForeignKeyConstraint(["last_snapshot_id"], ["snapshots.snapshot_id"]),
    Index(None, "project_id", "plan_id", "component_id"),
    Index(None, "project_id", "component_id", "started_at"),
    Index(None, "started_at"),
    comment="A row is one deployment of a component in a plan; a redeployment adds a row, the earlier stays for ever.",
)

rollbacks = Table(
    "rollbacks",
    metadata,
    _key("rollback_key", "project, plan, component and the identity under which the rollback was first seen"),
    _plan_key(),
    _project(),
    _plan(),
    _component(),
    _batch(),
    _text("rollback_job_id", "Rollback job; NULL if none was sent"),
    _text("job_id", "The deployment job first seen beside it; never changes"),
    _text("rollback_job_status", "Rollback job status, the vendor's word"),
    _text("outcome", "How it ended, our word", nullable=False),
    _instant("started_at", "When the rollback started"),
    _instant("ended_at", "When the rollback ended"),
    Column(
        "duration_seconds", Float, comment="ended_at - started_at in seconds; NULL if either is missing or impossible"
    ),
    _text("fail_message", "Why the rollback failed, in the vendor's words"),
    *_sight("the rollback"),
    *_proof(),
    _one_of("outcome", OUTCOMES),
    _of_plan(),
    ForeignKeyConstraint(["first_snapshot_id"], ["snapshots.snapshot_id"]),
    ForeignKeyConstraint(["last_snapshot_id"], ["snapshots.snapshot_id"]),
    Index(None, "project_id", "plan_id", "component_id"),
    Index(None, "started_at"),
    comment="A row is one rollback job of a component in a plan.",
)

status_changes = Table(
    "status_changes",
    metadata,
    _key("status_change_key", "all that it tells"),
    _plan_key(),
    _project(),
    _plan(),
    _text("component_id", "Component; NULL for the plan's own status"),
    _batch(),
    _text("job_id", "Job of subject job, rollback job of subject rollback; NULL otherwise"),
    _text("subject", "plan, component, job or rollback", nullable=False),
    _text("old_status", "Status before; NULL at the first sighting"),
    _text("new_status", "Status after; NULL when it left"),
    _instant("observed_at", "When the body that showed it was captured", nullable=False),
    _text("run_id", "Run that observed it", nullable=False),
    _one_of("subject", SUBJECTS),
    _of_plan(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "plan_id"),
    Index(None, "observed_at"),
    comment="A row is one observed transition of a status.",
)

snapshots = Table(
    "snapshots",
    metadata,
    _text(
        "snapshot_id", "Hash of project, plan, kind, canonical body and captured_at", nullable=False, primary_key=True
    ),
    _text("snapshot_key", "The same as snapshot_id", nullable=False),
    _project(),
    _plan(),
    _text("kind", "list_item or deploy_info", nullable=False),
    _instant("captured_at", "When the body was first seen in this range of sight", nullable=False),
    _instant("last_captured_at", "When a run that fetched the plan last saw the same body", nullable=False),
    _instant("recorded_at", "When the archive wrote the row", nullable=False),
    _instant("gone_at", "For a list item: when the plan had left a complete list, or answered 404"),
    _text("gone_run_id", "Run that saw the plan gone"),
    _text("content_sha256", "SHA-256 of the body as it came, byte for byte", nullable=False),
    _text("canonical_sha256", "SHA-256 of the body with sorted keys; decides whether a body is new", nullable=False),
    Column("body", LargeBinary, comment="The body as it came, compressed with Zstandard; NULL once pruned"),
    _text("run_id", "Run that first saw the body", nullable=False),
    _one_of("kind", SNAPSHOT_KINDS),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "plan_id", "kind", "captured_at"),
    comment="A row is one distinct list item or deploy-info body of one plan, over one range of sight.",
)

runs = Table(
    "runs",
    metadata,
    _text("run_id", "Start time and six random hex digits", nullable=False, primary_key=True),
    _text("run_key", "The same as run_id", nullable=False),
    _project(),
    _text("kind", "scheduled, manual, watch or import", nullable=False),
    Column(
        "night_date", Date, comment="Night that the run serves, a date in ARCHIVER_TIMEZONE; NULL for watch and import"
    ),
    _instant("started_at", "When the run started", nullable=False),
    _instant("ended_at", "When it ended; for an interrupted run when that was noticed"),
    _text("outcome", "running, complete, partial, failed or interrupted", nullable=False),
    _count("plans_listed", "Distinct plans in the list"),
    _count("plans_fetched", "Plans whose deployment information came: changed + unchanged"),
    _count("plans_changed", "Fetched plans with a new list item or body"),
    _count("plans_unchanged", "Fetched plans with nothing new"),
    _count("plans_skipped", "Listed plans not due"),
    _count("plans_gone", "Plans newly found gone"),
    _count("plans_failed", "Listed plans that could not be archived"),
    _count("requests", "Requests sent, retries included"),
    _count("retries", "Requests sent again"),
    _text("error", "Why the run is not complete, in one line"),
    _text("archiver_version", "Version of the program", nullable=False),
    _text("schema_revision", "Migration the database was at", nullable=False),
    Column("mapping_version", Integer, nullable=False, comment="Version of the rules that made rows of bodies"),
    _one_of("kind", RUN_KINDS),
    _one_of("outcome", RUN_OUTCOMES),
    Index(None, "project_id", "started_at"),
    comment="A row is one run of one project.",
)

fetch_failures = Table(
    "fetch_failures",
    metadata,
    _key("fetch_failure_key", "run and plan"),
    _text("run_id", "Run that failed to archive it", nullable=False),
    _project(),
    _text("plan_id", "Plan; NULL when the list itself failed"),
    _text("stage", "Last stage tried: list, token, deploy_info, mapping, not_tried", nullable=False),
    _text("error_code", "The vendor's error code, else the HTTP status"),
    _text("message", "What happened, in one line", nullable=False),
    Column("body", LargeBinary, comment="The body that proves it, as it came; its first 64 MiB"),
    _instant("failed_at", "When the run gave it up", nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "run_id"),
    Index(None, "project_id", "plan_id"),
    comment="A row is one plan that a run could not archive, at the last stage tried.",
)

nights = Table(
    "nights",
    metadata,
    _key("night_key", "project and night"),
    _project(),
    Column("night_date", Date, nullable=False, comment="The night, a date in ARCHIVER_TIMEZONE"),
    _instant("planned_at", "When it fell due", nullable=False),
    _text("state", "due, done, partial or missed", nullable=False),
    _text("run_id", "Run that served it best; NULL if none did"),
    _one_of("state", NIGHT_STATES),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "night_date", unique=True),
    comment="A row is one night that fell due for one project, written then and never recomputed.",
)

weeks = Table(
    "weeks",
    metadata,
    _key("week_key", "zone and week"),
    _text("time_zone", "IANA zone the week is counted in", nullable=False),
    _text("week", "ISO week, such as 2026-W47", nullable=False),
    Column("week_start_date", Date, nullable=False, comment="Its Monday"),
    _instant("starts_at", "Its first instant", nullable=False),
    _instant("ends_at", "The first instant after it", nullable=False),
    Index(None, "time_zone", "week", unique=True),
    Index(None, "time_zone", "starts_at"),
    comment="A row is one ISO week of one zone.",
)

leases = Table(
    "leases",
    metadata,
    _text("lease_name", "project:<id>, or archive for the whole", nullable=False, primary_key=True),
    _text("holder", "Random name of the process that holds it", nullable=False),
    _text("host", "Its host", nullable=False),
    Column("pid", Integer, nullable=False, comment="Its process"),
    _text("process_started", "When that process started, in the host's own measure", nullable=False),
    Column("fence", BigInteger, nullable=False, comment="Rises with each holder; every commit checks it"),
    Column("is_released", Boolean, nullable=False, comment="Whether the holder gave it back"),
    _instant("acquired_at", "When it was taken", nullable=False),
    _instant("heartbeat_at", "When the holder was last known alive, by the database's clock", nullable=False),
    _instant("expires_at", "When it may be taken over, by the database's clock", nullable=False),
    comment="A row is the right of one process to write one project (or the whole archive).",
)
