"""Failures with their templates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    """Views group failures by what their messages have in common, which SQL can't tell from a message."""
    op.create_table(
        "failures",
        sa.Column(
            "failure_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: attempt or rollback, a slash, and job_key",
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="attempt or rollback"),
        sa.Column(
            "job_key",
            sa.Text(),
            nullable=False,
            comment="attempt_key in `job_attempts`, rollback_key in `rollbacks`",
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
        sa.Column(
            "started_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When it started; without a start an attempt's plan's executed_at, else when it was first seen",
        ),
        sa.Column(
            "template_id",
            sa.Text(),
            nullable=False,
            comment="16 hex digits, a hash of the template and masking_version",
        ),
        sa.Column(
            "template",
            sa.Text(),
            nullable=False,
            comment="What its message has in common with others of its kind; (no message) without one",
        ),
        sa.Column(
            "masking_version", sa.Integer(), nullable=False, comment="Version of the rules that masked the message"
        ),
        sa.CheckConstraint("kind IN ('attempt', 'rollback')", name=op.f("ck_failures_kind")),
        sa.ForeignKeyConstraint(["plan_key"], ["plans.plan_key"], name=op.f("fk_failures_plan_key_plans")),
        sa.PrimaryKeyConstraint("failure_key", name=op.f("pk_failures")),
        comment="A row is one failed attempt or failed rollback, and what its message has in common with others.",
    )
    # What a week of one project asks for, however many other projects there are.
    op.create_index(op.f("ix_job_attempts_project_id_started_at"), "job_attempts", ["project_id", "started_at"])
    op.create_index(op.f("ix_failures_project_id_plan_id"), "failures", ["project_id", "plan_id"])
    op.create_index(op.f("ix_failures_project_id_started_at"), "failures", ["project_id", "started_at"])
    op.create_index(
        op.f("ix_failures_project_id_template_id_started_at"), "failures", ["project_id", "template_id", "started_at"]
    )


def downgrade():
    """Undo it."""
    op.drop_index(op.f("ix_job_attempts_project_id_started_at"), "job_attempts")
    op.drop_table("failures")
