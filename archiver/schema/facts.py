"""What was seen of releases: plans, components, attempts, rollbacks, status changes, and the bodies that prove them."""

from sqlalchemy import Boolean, Column, Float, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, false

from archiver.schema import columns as col
from archiver.schema.columns import metadata

OUTCOMES = ("succeeded", "failed", "aborted", "running", "pending", "unknown")
SNAPSHOT_KINDS = ("list_item", "deploy_info")
SUBJECTS = ("plan", "component", "job", "rollback")
FAILURE_KINDS = ("attempt", "rollback")

plans = Table(
    "plans",
    metadata,
    col.key("plan_key", "project and plan"),
    col.project(),
    col.plan(),
    col.text("name", "Name of the release task"),
    col.text("action", "create, upgrade or clone, as it came"),
    col.text("status", "The vendor's word, as it came; NULL for a plan never seen in a list"),
    col.text("creator", "Who created it"),
    col.instant("created_at", "When it was created, by the API"),
    col.instant("modified_at", "When it was last modified, by the API"),
    col.instant("executed_at", "When it was executed, by the API"),
    *col.sight("the plan"),
    col.instant("gone_at", "When it had left a complete list, or answered 404; NULL while it is there"),
    col.instant("settled_at", "When the archive first saw the plan settled as it now is; NULL while unsettled"),
    col.instant(
        "recheck_from_at",
        "Start of its recheck window: settled_at, or its own latest time if first seen settled",
    ),
    col.text("list_snapshot_id", "Snapshot of its current list item"),
    col.text("list_item_sha256", "Canonical hash of its current list item"),
    col.instant("listed_at", "When its current list item was first captured"),
    col.text("deploy_snapshot_id", "Snapshot of its current deployment information"),
    col.text("deploy_info_sha256", "Canonical hash of its current deployment information"),
    col.instant("fetched_at", "When its deployment information was last archived; NULL if never"),
    Index(None, "project_id", "plan_id", unique=True),
    Index(None, "project_id", "settled_at"),
    comment="A row is a release task (the vendor's release plan).",
)

components = Table(
    "components",
    metadata,
    col.key("component_key", "project, plan, component and batch"),
    col.plan_key(),
    col.project(),
    col.plan(),
    col.component(),
    col.batch(),
    col.text("name", "Component name"),
    col.text("version", "Component version"),
    col.text("status", "Component release status, the vendor's word"),
    *col.sight("the component in this place"),
    col.instant("gone_at", "When it had left this place of the plan; NULL while it is there"),
    col.of_plan(),
    Index(None, "plan_key"),
    Index(None, "project_id", "plan_id", "component_id"),
    Index(None, "project_id", "component_id"),
    comment="A row is a component's place in a plan: (project, plan, component, batch).",
)

job_attempts = Table(
    "job_attempts",
    metadata,
    col.key("attempt_key", "project, plan, component and the identity under which the attempt was first seen"),
    col.plan_key(),
    col.project(),
    col.plan(),
    col.component(),
    col.batch(),
    col.text("job_id", "Deployment job; NULL if none was sent"),
    Column(
        "attempt",
        Integer,
        nullable=False,
        comment="Rank among the known attempts of this place, 1 = first known; not a key",
    ),
    col.text("version", "Component version deployed"),
    col.text("job_status", "Job status, the vendor's word"),
    col.text("outcome", "How it ended, our word", nullable=False),
    col.instant("started_at", "When the component release started"),
    col.instant("ended_at", "When the component release ended"),
    Column(
        "duration_seconds", Float, comment="ended_at - started_at in seconds; NULL if either is missing or impossible"
    ),
    col.text("fail_message", "Why it failed, in the vendor's words"),
    *col.sight("the attempt"),
    *col.proof(),
    col.one_of("outcome", OUTCOMES),
    col.of_plan(),
    ForeignKeyConstraint(["first_snapshot_id"], ["snapshots.snapshot_id"]),
    ForeignKeyConstraint(["last_snapshot_id"], ["snapshots.snapshot_id"]),
    Index(None, "project_id", "plan_id", "component_id"),
    Index(None, "project_id", "component_id", "started_at"),
    Index(None, "project_id", "started_at"),
    Index(None, "started_at"),
    comment="A row is one deployment of a component in a plan; a redeployment adds a row, the earlier stays for ever.",
)

rollbacks = Table(
    "rollbacks",
    metadata,
    col.key("rollback_key", "project, plan, component and the identity under which the rollback was first seen"),
    col.plan_key(),
    col.project(),
    col.plan(),
    col.component(),
    col.batch(),
    col.text("rollback_job_id", "Rollback job; NULL if none was sent"),
    col.text("job_id", "The deployment job first seen beside it; never changes"),
    col.text("rollback_job_status", "Rollback job status, the vendor's word"),
    col.text("outcome", "How it ended, our word", nullable=False),
    col.instant("started_at", "When the rollback started"),
    col.instant("ended_at", "When the rollback ended"),
    Column(
        "duration_seconds", Float, comment="ended_at - started_at in seconds; NULL if either is missing or impossible"
    ),
    col.text("fail_message", "Why the rollback failed, in the vendor's words"),
    *col.sight("the rollback"),
    *col.proof(),
    col.one_of("outcome", OUTCOMES),
    col.of_plan(),
    ForeignKeyConstraint(["first_snapshot_id"], ["snapshots.snapshot_id"]),
    ForeignKeyConstraint(["last_snapshot_id"], ["snapshots.snapshot_id"]),
    Index(None, "project_id", "plan_id", "component_id"),
    Index(None, "started_at"),
    comment="A row is one rollback job of a component in a plan.",
)

status_changes = Table(
    "status_changes",
    metadata,
    col.key("status_change_key", "all that it tells"),
    col.plan_key(),
    col.project(),
    col.plan(),
    col.text("component_id", "Component; NULL for the plan's own status"),
    col.batch(),
    col.text("job_id", "Job of subject job, rollback job of subject rollback; NULL otherwise"),
    col.text("subject", "plan, component, job or rollback", nullable=False),
    col.text("old_status", "Status before; NULL at the first sighting"),
    col.text("new_status", "Status after; NULL when it left"),
    col.instant("observed_at", "When the body that showed it was captured", nullable=False),
    col.text("run_id", "Run that observed it", nullable=False),
    col.one_of("subject", SUBJECTS),
    col.of_plan(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "plan_id"),
    Index(None, "observed_at"),
    comment="A row is one observed transition of a status.",
)

snapshots = Table(
    "snapshots",
    metadata,
    col.text(
        "snapshot_id", "Hash of project, plan, kind, canonical body and captured_at", nullable=False, primary_key=True
    ),
    col.text("snapshot_key", "The same as snapshot_id", nullable=False),
    col.project(),
    col.plan(),
    col.text("kind", "list_item or deploy_info", nullable=False),
    col.instant("captured_at", "When the body was first seen in this range of sight", nullable=False),
    col.instant("last_captured_at", "When a run that fetched the plan last saw the same body", nullable=False),
    col.instant("recorded_at", "When the archive wrote the row", nullable=False),
    col.instant("gone_at", "When the plan, as the body showed it last, had left a complete list, or answered 404"),
    col.text("gone_run_id", "Run that saw the plan gone"),
    col.text("content_sha256", "SHA-256 of the body as it came, byte for byte", nullable=False),
    col.text("canonical_sha256", "SHA-256 of the body with sorted keys; decides whether a body is new", nullable=False),
    Column("body", LargeBinary, comment="The body as it came, compressed with Zstandard; NULL once pruned"),
    col.text("run_id", "Run that first saw the body", nullable=False),
    Column(
        "is_aside",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="Whether it was imported into a time whose bodies had been pruned: kept for good, but told by no fact",
    ),
    col.one_of("kind", SNAPSHOT_KINDS),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "plan_id", "kind", "captured_at"),
    Index(None, "recorded_at"),
    comment="A row is one distinct list item or deploy-info body of one plan, over one range of sight.",
)

sights = Table(
    "sights",
    metadata,
    col.key("sight_key", "project, plan, kind, canonical body and captured_at"),
    col.project(),
    col.plan(),
    col.text("kind", "list_item or deploy_info", nullable=False),
    col.text("canonical_sha256", "The body that was seen, as in `snapshots`", nullable=False),
    col.instant("captured_at", "When it was seen", nullable=False),
    col.instant("recorded_at", "When the archive learnt of it", nullable=False),
    col.text("run_id", "Import that told it, or run whose range of sight began or ended there", nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "plan_id"),
    Index(None, "run_id"),
    comment="A row is one sight of a body that an import told, or an end of a range of sight that an import moved.",
)

plan_states = Table(
    "plan_states",
    metadata,
    col.key("plan_state_key", "project and plan"),
    col.plan_key(),
    col.project(),
    col.plan(),
    col.instant("known_until", "Up to when the plan's past is told by this row", nullable=False),
    col.instant("recorded_at", "When the bodies were pruned", nullable=False),
    Column("mapping_version", Integer, nullable=False, comment="Version of the rules that made the state"),
    Column("state", LargeBinary, nullable=False, comment="Its rows as they were then: MessagePack under Zstandard"),
    col.of_plan(),
    comment="A row is one plan as it was known when older bodies of it were pruned: where a replay of it begins.",
)

# Made of the rows above, by the program: SQL can't mask a message.
failures = Table(
    "failures",
    metadata,
    col.text(
        "failure_key",
        "Stable key of the row: attempt or rollback, a slash, and job_key",
        nullable=False,
        primary_key=True,
    ),
    col.text("kind", "attempt or rollback", nullable=False),
    col.text("job_key", "attempt_key in `job_attempts`, rollback_key in `rollbacks`", nullable=False),
    col.plan_key(),
    col.project(),
    col.plan(),
    col.component(),
    col.batch(),
    col.instant(
        "started_at",
        "When it started; without a start an attempt's plan's executed_at, else when it was first seen",
        nullable=False,
    ),
    col.text("template_id", "16 hex digits, a hash of the template and masking_version", nullable=False),
    col.text(
        "template", "What its message has in common with others of its kind; (no message) without one", nullable=False
    ),
    Column("masking_version", Integer, nullable=False, comment="Version of the rules that masked the message"),
    col.one_of("kind", FAILURE_KINDS),
    col.of_plan(),
    Index(None, "project_id", "plan_id"),
    Index(None, "project_id", "started_at"),
    Index(None, "project_id", "template_id", "started_at"),
    comment="A row is one failed attempt or failed rollback, and what its message has in common with others.",
)
