"""Issued reports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    """What was issued stays comparable with what is known later."""
    op.create_table(
        "issued_reports",
        sa.Column(
            "issued_report_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of zone, week, projects and as_of",
        ),
        sa.Column("time_zone", sa.Text(), nullable=False, comment="IANA zone the week is counted in"),
        sa.Column("week", sa.Text(), nullable=False, comment="ISO week, such as 2026-W47"),
        sa.Column("projects", sa.Text(), nullable=True, comment="Project IDs it is on, as a JSON list; NULL for all"),
        sa.Column(
            "as_of",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="What runs and imports that had ended by then knew",
        ),
        sa.Column(
            "issued_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When it was issued",
        ),
        sa.Column("archiver_version", sa.Text(), nullable=False, comment="Version of the program"),
        sa.Column(
            "definition_versions",
            sa.Text(),
            nullable=False,
            comment="Version of each definition its figures follow, as a JSON object",
        ),
        sa.Column("report", sa.Text(), nullable=False, comment="The report, as its JSON file"),
        sa.Column("report_sha256", sa.Text(), nullable=False, comment="SHA-256 of that file"),
        sa.PrimaryKeyConstraint("issued_report_key", name=op.f("pk_issued_reports")),
        comment="A row is one weekly report that was issued.",
    )
    op.create_index(op.f("ix_issued_reports_time_zone_week"), "issued_reports", ["time_zone", "week"])


def downgrade():
    """Undo it."""
    op.drop_table("issued_reports")
