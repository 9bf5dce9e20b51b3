"""What failures said: messages grouped by template, new ones first; and failed rollbacks, one by one."""

import pandas as pd

from reports.groups import Selection, Where, matching, passing
from reports.releases import PLAN
from reports.spread import at_last, by_plan, together

_COLUMNS = ["template_id", "template", "count", "components", "first_seen_at", "last_seen_at", "is_new"]


def failure_templates(failures: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Group the messages of failed attempts and failed rollbacks that started in the window by template.

    Needs FAILURES over all of history up to the window's end: `first_seen_at` is when a failure of the template, that
    passes the filter, first started at all; `is_new` says that this was in the window's last week. `count` counts
    failures, `components` (project, component), and `last_seen_at` is the last start, of those in the window. A failure
    without a message is one of the template `(no message)`. The selection's groups are not used. New ones first, then
    the most frequent.

    >>> from datetime import date
    >>> from zoneinfo import ZoneInfo
    >>> from reports.columns import FAILURES, empty
    >>> from reports.window import Window
    >>> week = Window.of_weeks(date(2026, 11, 16), 1, ZoneInfo("UTC"))
    >>> failure_templates(empty(FAILURES), Selection(week)).columns.to_list()[:3]
    ['template_id', 'template', 'count']
    """
    where = {key: values for key, values in selection.where.items() if key != "week"}
    return _templates(together(_by_component(failures, selection, where)), selection)


@by_plan
def _by_component(failures: pd.DataFrame, selection: Selection, where: Where) -> pd.DataFrame:
    """Return a row per template and component: the first of all, and how many and which the last of the window."""
    history = failures[passing(failures, where)]
    weeks = selection.window.week_of(history["started_at"])
    is_inside = weeks.isin([week.label for week in selection.weeks])
    history = history.assign(count=is_inside.astype("int64"), last_seen_at=history["started_at"].where(is_inside))
    return (
        history.groupby(["template_id", "template", "project_id", "component_id"])
        .agg(count=("count", "sum"), first_seen_at=("started_at", "min"), last_seen_at=("last_seen_at", "max"))
        .reset_index()
    )


@at_last
def _templates(rows: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    shown = rows[rows["count"] > 0].drop_duplicates(["template_id", "project_id", "component_id"])
    by_template = rows.groupby("template_id")
    table = pd.DataFrame(
        {
            "template": by_template["template"].first(),
            "count": by_template["count"].sum(),
            "components": shown.groupby("template_id").size(),
            "last_seen_at": by_template["last_seen_at"].max(),
            "first_seen_at": by_template["first_seen_at"].min(),
        }
    )
    table = table[table["count"] > 0].astype({"components": "int64"}).reset_index()
    weeks = selection.window.weeks
    table["is_new"] = (table["first_seen_at"] >= weeks[-1].starts_at) if weeks else False
    order = ["is_new", "count", "last_seen_at", "template_id"]
    table = table.sort_values(order, ascending=[False, False, False, True], ignore_index=True)
    return table[_COLUMNS]


def rollback_failures(failures: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """List the failed rollbacks that started in the window, the worst that can happen, one by one, the latest first.

    Columns: `week, started_at, project_id, plan_id, batch, component_id, component, rollback_job_id, ended_at,
    template_id, message`; the message is as it came (its first 2,000 characters), missing where there was none.
    """
    return _latest_first(together(_failed_rollbacks(failures, selection)))


@by_plan
def _failed_rollbacks(failures: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    rows = matching(failures[failures["kind"] == "rollback"], selection)
    return rows.rename(columns={"job_id": "rollback_job_id"})


@at_last
def _latest_first(rows: pd.DataFrame) -> pd.DataFrame:
    order = ["started_at", *PLAN, "batch", "component_id", "rollback_job_id"]
    rows = rows.sort_values(order, ascending=[False, *[True] * (len(order) - 1)], kind="stable", ignore_index=True)
    return rows[
        [
            *("week", "started_at", *PLAN, "batch", "component_id", "component"),
            *("rollback_job_id", "ended_at", "template_id", "message"),
        ]
    ]
