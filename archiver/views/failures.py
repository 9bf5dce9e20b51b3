"""Failures by week and by what their messages have in common: the same rules as `reports/failures.py`."""

from archiver.views.joins import in_week
from archiver.views.weekly import COVERAGE_COLUMN, NIGHT_COLUMNS, week_columns, weekly_query
from archiver.views.words import BOOLEAN, INSTANT, INTEGER, TEXT, Dialect, View, ViewColumn


def _failure_templates(dialect: Dialect) -> str:
    first_seen_at = """(
    SELECT min(f.started_at) FROM failures AS f WHERE f.project_id = v.project_id AND f.template_id = v.template_id)"""
    events = f"""SELECT f.template_id, f.template, f.component_id, f.started_at FROM failures AS f
WHERE f.project_id = w.project_id AND {in_week("f.started_at")}"""
    return weekly_query(
        dialect,
        row_key="failure_template_key",
        group="template_id",
        events=events,
        counts={"count": "count(*)", "components": "count(DISTINCT component_id)"},
        measures={"template": "min(template)", "last_seen_at": "max(started_at)"},
        said={
            "template": "v.template",
            "count": "v.count",
            "components": "v.components",
            "first_seen_at": first_seen_at,
            "last_seen_at": "v.last_seen_at",
            "is_new": f"{first_seen_at} >= v.starts_at",
        },
    )


FAILURE_TEMPLATES = View(
    name="failure_templates",
    grain="A row is one template in one week of one zone and project, over the failed attempts and rollbacks that "
    "started in it: what their messages have in common; a week in which none failed is one row without template.",
    columns=(
        *week_columns("failure_template_key", "zone, week, project and template"),
        ViewColumn("template_id", TEXT, "Template, 16 hex digits; NULL in the one row of a week in which none failed"),
        ViewColumn("template", TEXT, "The message with its numbers, ids, hosts, paths, times, quotes and name masked"),
        ViewColumn("count", INTEGER, "Failures of the week with such a message; (no message) is one too"),
        ViewColumn("components", INTEGER, "Components that failed with it in the week; not additive"),
        ViewColumn("first_seen_at", INSTANT, "Start of the first failure of the project with it, in all history"),
        ViewColumn("last_seen_at", INSTANT, "Start of the last one in the week"),
        ViewColumn("is_new", BOOLEAN, "Whether the first one was in this week; NULL without template"),
        *NIGHT_COLUMNS,
        COVERAGE_COLUMN,
    ),
    question="Which failures were new in one week, and how many components had them?",
    example="SELECT template, count, components, first_seen_at FROM failure_templates "
    "WHERE time_zone = 'UTC' AND week = '2026-W47' AND is_new ORDER BY count DESC, template_id",
    query=_failure_templates,
)
