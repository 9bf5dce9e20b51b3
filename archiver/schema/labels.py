"""Labels: the rules as they were applied, and what they come to for each component's place."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, Table

from archiver.schema import columns as col
from archiver.schema.columns import metadata

label_rules = Table(
    "label_rules",
    metadata,
    col.key("label_rule_key", "its position"),
    Column("position", Integer, nullable=False, comment="Its place in labels.toml, from 1; later ones win"),
    col.text("project_id", "Project it is for; NULL for any"),
    col.text("plan_glob", "Glob that the plan's name must match; NULL for any plan"),
    col.text("component_glob", "Glob that the component's name must match; NULL for any component"),
    col.text("project_name", "Name of the project, for people"),
    col.text("team", "Team it gives; NULL if none"),
    col.text("environment", "Environment it gives; NULL if none"),
    col.text("tier", "Tier it gives; NULL if none"),
    col.instant("applied_at", "When the rules were applied", nullable=False),
    comment="A row is one entry of the labels.toml that was applied last.",
)

# No ON DELETE CASCADE: rebuilding `components` in a migration of SQLite would take all labels away without a word.
component_labels = Table(
    "component_labels",
    metadata,
    col.text("component_key", "The place's row in `components`", nullable=False, primary_key=True),
    col.text("project_name", "Name of the project, for people; NULL if unlabelled"),
    col.text("team", "Team; NULL if unlabelled"),
    col.text("environment", "Environment; NULL if unlabelled"),
    col.text("tier", "Tier; NULL if unlabelled"),
    ForeignKeyConstraint(["component_key"], ["components.component_key"]),
    comment="A row is the labels of one component's place, by its present names; a place without any has none.",
)
