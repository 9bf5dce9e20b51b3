"""Sights that imports told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    """Imports come to the same ranges in any order, and as-of still tells which of them was known when."""
    instant = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.create_table(
        "sights",
        sa.Column(
            "sight_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project, plan, kind, canonical body and captured_at",
        ),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column("plan_id", sa.Text(), nullable=False, comment="Release task (the vendor's release plan)"),
        sa.Column("kind", sa.Text(), nullable=False, comment="list_item or deploy_info"),
        sa.Column("canonical_sha256", sa.Text(), nullable=False, comment="The body that was seen, as in `snapshots`"),
        sa.Column("captured_at", instant, nullable=False, comment="When it was seen"),
        sa.Column("recorded_at", instant, nullable=False, comment="When the archive learnt of it"),
        sa.Column(
            "run_id",
            sa.Text(),
            nullable=False,
            comment="Import that told it, or run whose range of sight began or ended there",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_sights_run_id_runs")),
        sa.PrimaryKeyConstraint("sight_key", name=op.f("pk_sights")),
        comment="A row is one sight of a body that an import told, or an end of a range of sight that an import moved.",
    )
    op.create_index(op.f("ix_sights_project_id_plan_id"), "sights", ["project_id", "plan_id"])
    op.create_index(op.f("ix_sights_run_id"), "sights", ["run_id"])
    op.execute(
        "INSERT INTO sights (sight_key, project_id, plan_id, kind, canonical_sha256, captured_at, recorded_at, run_id) "
        "SELECT s.snapshot_id, s.project_id, s.plan_id, s.kind, s.canonical_sha256, s.captured_at, s.recorded_at, "
        "s.run_id FROM snapshots s JOIN runs r ON r.run_id = s.run_id WHERE r.kind = 'import'"
    )
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(
            "snapshots",
            "gone_at",
            existing_type=instant,
            existing_comment="For a list item: when the plan had left a complete list, or answered 404",
            comment="When the plan, as the body showed it last, had left a complete list, or answered 404",
        )
    op.add_column(
        "snapshots",
        sa.Column(
            "is_aside",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="Whether it was imported into a time whose bodies had been pruned: kept for good, but told by no fact",
        ),
    )


def downgrade():
    """Undo it."""
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(
            "snapshots",
            "gone_at",
            existing_type=sa.TIMESTAMP(timezone=True),
            existing_comment="When the plan, as the body showed it last, had left a complete list, or answered 404",
            comment="For a list item: when the plan had left a complete list, or answered 404",
        )
    op.drop_column("snapshots", "is_aside")
    op.drop_table("sights")
