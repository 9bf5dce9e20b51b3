"""States of pruned plans."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    """A replay begins where bodies were pruned; what was recorded since an instant is found without a scan."""
    op.create_table(
        "plan_states",
        sa.Column(
            "plan_state_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project and plan",
        ),
        sa.Column("plan_key", sa.Text(), nullable=False, comment="The plan's row in `plans`"),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column(
            "known_until",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="Up to when the plan's past is told by this row",
        ),
        sa.Column(
            "recorded_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the bodies were pruned",
        ),
        sa.Column("mapping_version", sa.Integer(), nullable=False, comment="Version of the rules that made the state"),
        sa.Column(
            "state", sa.LargeBinary(), nullable=False, comment="Its rows as they were then: MessagePack under Zstandard"
        ),
        sa.ForeignKeyConstraint(["plan_key"], ["plans.plan_key"], name=op.f("fk_plan_states_plan_key_plans")),
        sa.PrimaryKeyConstraint("plan_state_key", name=op.f("pk_plan_states")),
        comment="A row is one plan as it was known when older bodies of it were pruned: where a replay of it begins.",
    )
    op.create_index(op.f("ix_snapshots_recorded_at"), "snapshots", ["recorded_at"])


def downgrade():
    """Undo it."""
    op.drop_index(op.f("ix_snapshots_recorded_at"), "snapshots")
    op.drop_table("plan_states")
