"""Troubles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _instant(name, comment, *, nullable=True):
    kind = sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def upgrade():
    """What was told of a trouble is remembered, so that it is told once."""
    op.create_table(
        "troubles",
        sa.Column(
            "trouble_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of project, kind, subject and run",
        ),
        sa.Column("project_id", sa.Text(), nullable=False, comment="Project the release belongs to"),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="failed (nothing was archived), incomplete (in part), plan (one was not archived) or gap",
        ),
        sa.Column("subject", sa.Text(), nullable=False, comment="The plan, or a gap's first night; else empty"),
        sa.Column("message", sa.Text(), nullable=False, comment="Why, in one line, as it was first seen"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Run that first showed it"),
        _instant("began_at", "When that run ended", nullable=False),
        _instant("ended_at", "When a run no longer showed it; NULL while it lasts"),
        _instant("told_at", "When someone was told; NULL if nobody was"),
        _instant("end_told_at", "When someone was told that it is over"),
        sa.CheckConstraint("kind IN ('failed', 'incomplete', 'plan', 'gap')", name=op.f("ck_troubles_kind")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_troubles_run_id_runs")),
        sa.PrimaryKeyConstraint("trouble_key", name=op.f("pk_troubles")),
        comment="A row is one trouble of a project, from the run that first showed it to the one that no longer did.",
    )
    op.create_index(op.f("ix_troubles_project_id_ended_at"), "troubles", ["project_id", "ended_at"])


def downgrade():
    """Undo it."""
    op.drop_table("troubles")
