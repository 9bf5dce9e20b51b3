"""The first schema: plans, components, attempts, rollbacks, and the books of the runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    """Make every table."""
    op.create_table(
        "leases",
        sa.Column("lease_name", sa.Text(), nullable=False, comment="project:<id>, or archive for the whole"),
        sa.Column("holder", sa.Text(), nullable=False, comment="Random name of the process that holds it"),
        sa.Column("host", sa.Text(), nullable=False, comment="Its host"),
        sa.Column("pid", sa.Integer(), nullable=False, comment="Its process"),
        sa.Column(
            "process_started", sa.Text(), nullable=False, comment="When that process started, in the host's own measure"
        ),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="Rises with each holder; every commit checks it"),
        sa.Column("is_released", sa.Boolean(), nullable=False, comment="Whether the holder gave it back"),
        sa.Column(
            "acquired_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When it was taken",
        ),
        sa.Column(
            "heartbeat_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the holder was last known alive, by the database's clock",
        ),
        sa.Column(
            "expires_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When it may be taken over, by the database's clock",
        ),
        sa.PrimaryKeyConstraint("lease_name", name=op.f("pk_leases")),
        comment="A row is the right of one process to write one project (or the whole archive).",
    )
    op.create_table(
        "plans",
        sa.Column(
            "plan_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project and plan",
        ),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column("name", sa.Text(), nullable=True, comment="Name of the release task"),
        sa.Column("action", sa.Text(), nullable=True, comment="create, upgrade or clone, as it came"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=True,
            comment="The vendor's word, as it came; NULL for a plan never seen in a list",
        ),
        sa.Column("creator", sa.Text(), nullable=True, comment="Who created it"),
        sa.Column(
            "created_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When it was created, by the API",
        ),
        sa.Column(
            "modified_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When it was last modified, by the API",
        ),
        sa.Column(
            "executed_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When it was executed, by the API",
        ),
        sa.Column(
            "first_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the archive first saw the plan",
        ),
        sa.Column(
            "last_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When a body that was fetched last showed the plan",
        ),
        sa.Column(
            "gone_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When it had left a complete list, or answered 404; NULL while it is there",
        ),
        sa.Column(
            "settled_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When the archive first saw the plan settled as it now is; NULL while unsettled",
        ),
        sa.Column(
            "recheck_from_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="Start of its recheck window: settled_at, or its own latest time if first seen settled",
        ),
        sa.Column("list_snapshot_id", sa.Text(), nullable=True, comment="Snapshot of its current list item"),
        sa.Column("list_item_sha256", sa.Text(), nullable=True, comment="Canonical hash of its current list item"),
        sa.Column(
            "listed_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When its current list item was first captured",
        ),
        sa.Column(
            "deploy_snapshot_id", sa.Text(), nullable=True, comment="Snapshot of its current deployment information"
        ),
        sa.Column(
            "deploy_info_sha256",
            sa.Text(),
            nullable=True,
            comment="Canonical hash of its current deployment information",
        ),
        sa.Column(
            "fetched_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When its deployment information was last archived; NULL if never",
        ),
        sa.PrimaryKeyConstraint("plan_key", name=op.f("pk_plans")),
        comment="A row is a release task (the vendor's release plan).",
    )
    with op.batch_alter_table("plans", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plans_project_id_plan_id"), ["project_id", "plan_id"], unique=True)
        batch_op.create_index(batch_op.f("ix_plans_project_id_settled_at"), ["project_id", "settled_at"], unique=False)

    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Start time and six random hex digits"),
        sa.Column("run_key", sa.Text(), nullable=False, comment="The same as run_id"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("kind", sa.Text(), nullable=False, comment="scheduled, manual, watch or import"),
        sa.Column(
            "night_date",
            sa.Date(),
            nullable=True,
            comment="Night that the run serves, a date in ARCHIVER_TIMEZONE; NULL for watch and import",
        ),
        sa.Column(
            "started_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the run started",
        ),
        sa.Column(
            "ended_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When it ended; for an interrupted run when that was noticed",
        ),
        sa.Column("outcome", sa.Text(), nullable=False, comment="running, complete, partial, failed or interrupted"),
        sa.Column(
            "plans_listed", sa.BigInteger(), server_default="0", nullable=False, comment="Distinct plans in the list"
        ),
        sa.Column(
            "plans_fetched",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Plans whose deployment information came: changed + unchanged",
        ),
        sa.Column(
            "plans_changed",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Fetched plans with a new list item or body",
        ),
        sa.Column(
            "plans_unchanged",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Fetched plans with nothing new",
        ),
        sa.Column("plans_skipped", sa.BigInteger(), server_default="0", nullable=False, comment="Listed plans not due"),
        sa.Column("plans_gone", sa.BigInteger(), server_default="0", nullable=False, comment="Plans newly found gone"),
        sa.Column(
            "plans_failed",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Listed plans that could not be archived",
        ),
        sa.Column(
            "requests", sa.BigInteger(), server_default="0", nullable=False, comment="Requests sent, retries included"
        ),
        sa.Column("retries", sa.BigInteger(), server_default="0", nullable=False, comment="Requests sent again"),
        sa.Column("error", sa.Text(), nullable=True, comment="Why the run is not complete, in one line"),
        sa.Column("archiver_version", sa.Text(), nullable=False, comment="Version of the program"),
        sa.Column("schema_revision", sa.Text(), nullable=False, comment="Migration the database was at"),
        sa.Column(
            "mapping_version", sa.Integer(), nullable=False, comment="Version of the rules that made rows of bodies"
        ),
        sa.CheckConstraint("kind IN ('scheduled', 'manual', 'watch', 'import')", name=op.f("ck_runs_kind")),
        sa.CheckConstraint(
            "outcome IN ('running', 'complete', 'partial', 'failed', 'interrupted')", name=op.f("ck_runs_outcome")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        comment="A row is one run of one project.",
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_project_id_started_at"), ["project_id", "started_at"], unique=False)

    op.create_table(
        "weeks",
        sa.Column(
            "week_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of zone and week",
        ),
        sa.Column("time_zone", sa.Text(), nullable=False, comment="IANA zone the week is counted in"),
        sa.Column("week", sa.Text(), nullable=False, comment="ISO week, such as 2026-W47"),
        sa.Column("week_start_date", sa.Date(), nullable=False, comment="Its Monday"),
        sa.Column(
            "starts_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="Its first instant",
        ),
        sa.Column(
            "ends_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="The first instant after it",
        ),
        sa.PrimaryKeyConstraint("week_key", name=op.f("pk_weeks")),
        comment="A row is one ISO week of one zone.",
    )
    with op.batch_alter_table("weeks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_weeks_time_zone_starts_at"), ["time_zone", "starts_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_weeks_time_zone_week"), ["time_zone", "week"], unique=True)

    op.create_table(
        "components",
        sa.Column(
            "component_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project, plan, component and batch",
        ),
        sa.Column("plan_key", sa.Text(), nullable=False, comment="The plan's row in `plans`"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column(
            "component_id",
            sa.Text(),
            nullable=False,
            comment="Component; `missing:<name or position>` when none was sent",
        ),
        sa.Column("batch", sa.BigInteger(), nullable=True, comment="Release batch (`seq`); NULL when it was no number"),
        sa.Column("name", sa.Text(), nullable=True, comment="Component name"),
        sa.Column("version", sa.Text(), nullable=True, comment="Component version"),
        sa.Column("status", sa.Text(), nullable=True, comment="Component release status, the vendor's word"),
        sa.Column(
            "first_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the archive first saw the component in this place",
        ),
        sa.Column(
            "last_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When a body that was fetched last showed the component in this place",
        ),
        sa.Column(
            "gone_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When it had left this place of the plan; NULL while it is there",
        ),
        sa.ForeignKeyConstraint(["plan_key"], ["plans.plan_key"], name=op.f("fk_components_plan_key_plans")),
        sa.PrimaryKeyConstraint("component_key", name=op.f("pk_components")),
        comment="A row is a component's place in a plan: (project, plan, component, batch).",
    )
    with op.batch_alter_table("components", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_components_plan_key"), ["plan_key"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_components_project_id_component_id"), ["project_id", "component_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_components_project_id_plan_id_component_id"),
            ["project_id", "plan_id", "component_id"],
            unique=False,
        )

    op.create_table(
        "fetch_failures",
        sa.Column(
            "fetch_failure_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of run and plan",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run that failed to archive it"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=True, comment="Plan; NULL when the list itself failed"),
        sa.Column(
            "stage", sa.Text(), nullable=False, comment="Last stage tried: list, token, deploy_info, mapping, not_tried"
        ),
        sa.Column("error_code", sa.Text(), nullable=True, comment="The vendor's error code, else the HTTP status"),
        sa.Column("message", sa.Text(), nullable=False, comment="What happened, in one line"),
        sa.Column(
            "body", sa.LargeBinary(), nullable=True, comment="The body that proves it, as it came; its first 64 MiB"
        ),
        sa.Column(
            "failed_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the run gave it up",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_fetch_failures_run_id_runs")),
        sa.PrimaryKeyConstraint("fetch_failure_key", name=op.f("pk_fetch_failures")),
        comment="A row is one plan that a run could not archive, at the last stage tried.",
    )
    with op.batch_alter_table("fetch_failures", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_fetch_failures_project_id_plan_id"), ["project_id", "plan_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_fetch_failures_run_id"), ["run_id"], unique=False)

    op.create_table(
        "nights",
        sa.Column(
            "night_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project and night",
        ),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("night_date", sa.Date(), nullable=False, comment="The night, a date in ARCHIVER_TIMEZONE"),
        sa.Column(
            "planned_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When it fell due",
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="due, done, partial or missed"),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Run that served it best; NULL if none did"),
        sa.CheckConstraint("state IN ('due', 'done', 'partial', 'missed')", name=op.f("ck_nights_state")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_nights_run_id_runs")),
        sa.PrimaryKeyConstraint("night_key", name=op.f("pk_nights")),
        comment="A row is one night that fell due for one project, written then and never recomputed.",
    )
    with op.batch_alter_table("nights", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_nights_project_id_night_date"), ["project_id", "night_date"], unique=True)

    op.create_table(
        "snapshots",
        sa.Column(
            "snapshot_id",
            sa.Text(),
            nullable=False,
            comment="Hash of project, plan, kind, canonical body and captured_at",
        ),
        sa.Column("snapshot_key", sa.Text(), nullable=False, comment="The same as snapshot_id"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column("kind", sa.Text(), nullable=False, comment="list_item or deploy_info"),
        sa.Column(
            "captured_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the body was first seen in this range of sight",
        ),
        sa.Column(
            "last_captured_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When a run that fetched the plan last saw the same body",
        ),
        sa.Column(
            "recorded_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the archive wrote the row",
        ),
        sa.Column(
            "gone_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="For a list item: when the plan had left a complete list, or answered 404",
        ),
        sa.Column("gone_run_id", sa.Text(), nullable=True, comment="Run that saw the plan gone"),
        sa.Column("content_sha256", sa.Text(), nullable=False, comment="SHA-256 of the body as it came, byte for byte"),
        sa.Column(
            "canonical_sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the body with sorted keys; decides whether a body is new",
        ),
        sa.Column(
            "body",
            sa.LargeBinary(),
            nullable=True,
            comment="The body as it came, compressed with Zstandard; NULL once pruned",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run that first saw the body"),
        sa.CheckConstraint("kind IN ('list_item', 'deploy_info')", name=op.f("ck_snapshots_kind")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_snapshots_run_id_runs")),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_snapshots")),
        comment="A row is one distinct list item or deploy-info body of one plan, over one range of sight.",
    )
    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_snapshots_project_id_plan_id_kind_captured_at"),
            ["project_id", "plan_id", "kind", "captured_at"],
            unique=False,
        )

    op.create_table(
        "status_changes",
        sa.Column(
            "status_change_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of all that it tells",
        ),
        sa.Column("plan_key", sa.Text(), nullable=False, comment="The plan's row in `plans`"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column("component_id", sa.Text(), nullable=True, comment="Component; NULL for the plan's own status"),
        sa.Column("batch", sa.BigInteger(), nullable=True, comment="Release batch (`seq`); NULL when it was no number"),
        sa.Column(
            "job_id",
            sa.Text(),
            nullable=True,
            comment="Job of subject job, rollback job of subject rollback; NULL otherwise",
        ),
        sa.Column("subject", sa.Text(), nullable=False, comment="plan, component, job or rollback"),
        sa.Column("old_status", sa.Text(), nullable=True, comment="Status before; NULL at the first sighting"),
        sa.Column("new_status", sa.Text(), nullable=True, comment="Status after; NULL when it left"),
        sa.Column(
            "observed_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the body that showed it was captured",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run that observed it"),
        sa.CheckConstraint(
            "subject IN ('plan', 'component', 'job', 'rollback')", name=op.f("ck_status_changes_subject")
        ),
        sa.ForeignKeyConstraint(["plan_key"], ["plans.plan_key"], name=op.f("fk_status_changes_plan_key_plans")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_status_changes_run_id_runs")),
        sa.PrimaryKeyConstraint("status_change_key", name=op.f("pk_status_changes")),
        comment="A row is one observed transition of a status.",
    )
    with op.batch_alter_table("status_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_status_changes_observed_at"), ["observed_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_status_changes_project_id_plan_id"), ["project_id", "plan_id"], unique=False
        )

    op.create_table(
        "job_attempts",
        sa.Column(
            "attempt_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project, plan, component and the identity under which the attempt was first seen",
        ),
        sa.Column("plan_key", sa.Text(), nullable=False, comment="The plan's row in `plans`"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column(
            "component_id",
            sa.Text(),
            nullable=False,
            comment="Component; `missing:<name or position>` when none was sent",
        ),
        sa.Column("batch", sa.BigInteger(), nullable=True, comment="Release batch (`seq`); NULL when it was no number"),
        sa.Column("job_id", sa.Text(), nullable=True, comment="Deployment job; NULL if none was sent"),
        sa.Column(
            "attempt",
            sa.Integer(),
            nullable=False,
            comment="Rank among the known attempts of this place, 1 = first known; not a key",
        ),
        sa.Column("version", sa.Text(), nullable=True, comment="Component version deployed"),
        sa.Column("job_status", sa.Text(), nullable=True, comment="Job status, the vendor's word"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="How it ended, our word"),
        sa.Column(
            "started_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When the component release started",
        ),
        sa.Column(
            "ended_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When the component release ended",
        ),
        sa.Column(
            "duration_seconds",
            sa.Float(),
            nullable=True,
            comment="ended_at - started_at in seconds; NULL if either is missing or impossible",
        ),
        sa.Column("fail_message", sa.Text(), nullable=True, comment="Why it failed, in the vendor's words"),
        sa.Column(
            "first_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the archive first saw the attempt",
        ),
        sa.Column(
            "last_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When a body that was fetched last showed the attempt",
        ),
        sa.Column("first_snapshot_id", sa.Text(), nullable=False, comment="Snapshot that first showed the row"),
        sa.Column("last_snapshot_id", sa.Text(), nullable=False, comment="Snapshot that last showed the row"),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'aborted', 'running', 'pending', 'unknown')",
            name=op.f("ck_job_attempts_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["first_snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_job_attempts_first_snapshot_id_snapshots")
        ),
        sa.ForeignKeyConstraint(
            ["last_snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_job_attempts_last_snapshot_id_snapshots")
        ),
        sa.ForeignKeyConstraint(["plan_key"], ["plans.plan_key"], name=op.f("fk_job_attempts_plan_key_plans")),
        sa.PrimaryKeyConstraint("attempt_key", name=op.f("pk_job_attempts")),
        comment="A row is one deployment of a component in a plan; a redeployment adds a row, the earlier stays for ever.",
    )
    with op.batch_alter_table("job_attempts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_job_attempts_project_id_component_id_started_at"),
            ["project_id", "component_id", "started_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_job_attempts_project_id_plan_id_component_id"),
            ["project_id", "plan_id", "component_id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_job_attempts_started_at"), ["started_at"], unique=False)

    op.create_table(
        "rollbacks",
        sa.Column(
            "rollback_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project, plan, component and the identity under which the rollback was first seen",
        ),
        sa.Column("plan_key", sa.Text(), nullable=False, comment="The plan's row in `plans`"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column(
            "component_id",
            sa.Text(),
            nullable=False,
            comment="Component; `missing:<name or position>` when none was sent",
        ),
        sa.Column("batch", sa.BigInteger(), nullable=True, comment="Release batch (`seq`); NULL when it was no number"),
        sa.Column("rollback_job_id", sa.Text(), nullable=True, comment="Rollback job; NULL if none was sent"),
        sa.Column("job_id", sa.Text(), nullable=True, comment="The deployment job first seen beside it; never changes"),
        sa.Column("rollback_job_status", sa.Text(), nullable=True, comment="Rollback job status, the vendor's word"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="How it ended, our word"),
        sa.Column(
            "started_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When the rollback started",
        ),
        sa.Column(
            "ended_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=True,
            comment="When the rollback ended",
        ),
        sa.Column(
            "duration_seconds",
            sa.Float(),
            nullable=True,
            comment="ended_at - started_at in seconds; NULL if either is missing or impossible",
        ),
        sa.Column("fail_message", sa.Text(), nullable=True, comment="Why the rollback failed, in the vendor's words"),
        sa.Column(
            "first_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the archive first saw the rollback",
        ),
        sa.Column(
            "last_seen_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When a body that was fetched last showed the rollback",
        ),
        sa.Column("first_snapshot_id", sa.Text(), nullable=False, comment="Snapshot that first showed the row"),
        sa.Column("last_snapshot_id", sa.Text(), nullable=False, comment="Snapshot that last showed the row"),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'aborted', 'running', 'pending', 'unknown')",
            name=op.f("ck_rollbacks_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["first_snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_rollbacks_first_snapshot_id_snapshots")
        ),
        sa.ForeignKeyConstraint(
            ["last_snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_rollbacks_last_snapshot_id_snapshots")
        ),
        sa.ForeignKeyConstraint(["plan_key"], ["plans.plan_key"], name=op.f("fk_rollbacks_plan_key_plans")),
        sa.PrimaryKeyConstraint("rollback_key", name=op.f("pk_rollbacks")),
        comment="A row is one rollback job of a component in a plan.",
    )
    with op.batch_alter_table("rollbacks", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_rollbacks_project_id_plan_id_component_id"),
            ["project_id", "plan_id", "component_id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_rollbacks_started_at"), ["started_at"], unique=False)


def downgrade():
    """Drop every table."""
    with op.batch_alter_table("rollbacks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rollbacks_started_at"))
        batch_op.drop_index(batch_op.f("ix_rollbacks_project_id_plan_id_component_id"))

    op.drop_table("rollbacks")
    with op.batch_alter_table("job_attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_attempts_started_at"))
        batch_op.drop_index(batch_op.f("ix_job_attempts_project_id_plan_id_component_id"))
        batch_op.drop_index(batch_op.f("ix_job_attempts_project_id_component_id_started_at"))

    op.drop_table("job_attempts")
    with op.batch_alter_table("status_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_status_changes_project_id_plan_id"))
        batch_op.drop_index(batch_op.f("ix_status_changes_observed_at"))

    op.drop_table("status_changes")
    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_snapshots_project_id_plan_id_kind_captured_at"))

    op.drop_table("snapshots")
    with op.batch_alter_table("nights", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_nights_project_id_night_date"))

    op.drop_table("nights")
    with op.batch_alter_table("fetch_failures", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fetch_failures_run_id"))
        batch_op.drop_index(batch_op.f("ix_fetch_failures_project_id_plan_id"))

    op.drop_table("fetch_failures")
    with op.batch_alter_table("components", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_components_project_id_plan_id_component_id"))
        batch_op.drop_index(batch_op.f("ix_components_project_id_component_id"))
        batch_op.drop_index(batch_op.f("ix_components_plan_key"))

    op.drop_table("components")
    with op.batch_alter_table("weeks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_weeks_time_zone_week"))
        batch_op.drop_index(batch_op.f("ix_weeks_time_zone_starts_at"))

    op.drop_table("weeks")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_project_id_started_at"))

    op.drop_table("runs")
    with op.batch_alter_table("plans", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_plans_project_id_settled_at"))
        batch_op.drop_index(batch_op.f("ix_plans_project_id_plan_id"))

    op.drop_table("plans")
    op.drop_table("leases")
