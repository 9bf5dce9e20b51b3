"""Labels."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    """Releases can be told apart by team, environment and tier, which upstream does not know."""
    op.create_table(
        "label_rules",
        sa.Column(
            "label_rule_key",
            sa.Text(),
            nullable=False,
            comment="Stable key of the row: 32 hex digits, a hash of its position",
        ),
        sa.Column("position", sa.Integer(), nullable=False, comment="Its place in labels.toml, from 1; later ones win"),
        sa.Column("project_id", sa.Text(), nullable=True, comment="Project it is for; NULL for any"),
        sa.Column(
            "plan_glob", sa.Text(), nullable=True, comment="Glob that the plan's name must match; NULL for any plan"
        ),
        sa.Column(
            "component_glob",
            sa.Text(),
            nullable=True,
            comment="Glob that the component's name must match; NULL for any component",
        ),
        sa.Column("project_name", sa.Text(), nullable=True, comment="Name of the project, for people"),
        sa.Column("team", sa.Text(), nullable=True, comment="Team it gives; NULL if none"),
        sa.Column("environment", sa.Text(), nullable=True, comment="Environment it gives; NULL if none"),
        sa.Column("tier", sa.Text(), nullable=True, comment="Tier it gives; NULL if none"),
        sa.Column(
            "applied_at",
            sa.Text().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"),
            nullable=False,
            comment="When the rules were applied",
        ),
        sa.PrimaryKeyConstraint("label_rule_key", name=op.f("pk_label_rules")),
        comment="A row is one entry of the labels.toml that was applied last.",
    )
    op.create_table(
        "component_labels",
        sa.Column("component_key", sa.Text(), nullable=False, comment="The place's row in `components`"),
        sa.Column(
            "project_name", sa.Text(), nullable=True, comment="Name of the project, for people; NULL if unlabelled"
        ),
        sa.Column("team", sa.Text(), nullable=True, comment="Team; NULL if unlabelled"),
        sa.Column("environment", sa.Text(), nullable=True, comment="Environment; NULL if unlabelled"),
        sa.Column("tier", sa.Text(), nullable=True, comment="Tier; NULL if unlabelled"),
        sa.ForeignKeyConstraint(
            ["component_key"],
            ["components.component_key"],
            name=op.f("fk_component_labels_component_key_components"),
        ),
        sa.PrimaryKeyConstraint("component_key", name=op.f("pk_component_labels")),
        comment="A row is the labels of one component's place, by its present names; a place without any has none.",
    )


def downgrade():
    """Undo it."""
    op.drop_table("component_labels")
    op.drop_table("label_rules")
