"""The weekly report as files: HTML, Markdown, JSON and a CSV per table."""

import json
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reports.charts import Chart, Point, week_chart
from reports.comparisons import TOO_FEW
from reports.definitions import DEFINITION_VERSIONS
from reports.restated import Restated
from reports.tables import (
    MINUS,
    NOTHING,
    cell_text,
    clean,
    for_people,
    markdown_text,
    percent_text,
    plain,
    records,
    render_csv,
    render_markdown,
    seconds_text,
)
from reports.verdict import Verdict
from reports.weekly import WeeklyReport

SHOWN_COMPONENTS = 25
SHOWN_CHANGES = 100

# Which tables stand in the page, under which words. The CSV and JSON files hold them all, and whole.
_CAPTIONS = {
    "verdict": "Rolled back and change failures of finished releases, at equal age, with plan-clustered intervals",
    "rollback-failures": "Failed rollbacks, this week, one by one",
    "failures": "What failures said this week, new ones first",
    "flagged-components": "Components that changed against the weeks before, in plans that failed",
    "failure-rates-by-component": "Attempts by component, this week, most failures first",
    "failure-rates": "Attempts by week",
    "release-rates": "Finished component releases by week, with plan-clustered intervals",
    "rollbacks": "Finished component releases by week, and those rolled back",
    "recovery": "Change failures by week: recovered, and still open",
    "batch-timing-by-batch": "How long a batch's first pass took, by batch, this week",
    "slowest-components": "The component that most often took longest, by batch, this week",
    "batch-timing": "How long a batch's first pass took, by week",
    "batch-trend": "How the median of each batch moves, over the weeks",
    "batch-survival": "In which batch failures surface, and how much had shipped by then, over the weeks",
    "delivery": "Component releases by week, with change failures and rework",
    "flaky-components": "Components that failed and then succeeded unchanged, over the weeks",
    "releases": "This week's component releases",
    "coverage-by-project": "Nights archived by project, this week",
}
_RESTATED_CAPTIONS = {
    "restated-figures": "Figures that are told otherwise now",
    "restated-facts": "Attempts and rollbacks that are known otherwise now, and why",
}


def render_weekly(report: WeeklyReport) -> dict[str, str]:
    """Return the text of every file by name; the same report gives the same bytes."""
    stem = f"weekly-{report.week.label}"
    files = {
        f"{stem}.html": _page("weekly.html.j2", report),
        f"{stem}.md": _page("weekly.md.j2", report),
        f"{stem}.json": render_json_file(report),
    }
    return files | {f"{stem}-{name}.csv": render_csv(table) for name, table in report.tables.items()}


def render_json_file(report: WeeklyReport) -> str:
    """Write the JSON file: what is issued."""
    whole = {
        "week": report.week.label,
        "time_zone": report.window.zone.key,
        "week_start_date": report.week.start_date.isoformat(),
        "starts_at": instant_text(report.week.starts_at),
        "ends_at": instant_text(report.week.ends_at),
        "as_of": None if report.as_of is None else instant_text(report.as_of),
        "definition_versions": dict(DEFINITION_VERSIONS),
        "result": report.result,
        "verdict": _verdict(report.verdict),
        "settled_verdict": None if report.settled is None else _verdict(report.settled),
        "headline": dict(report.headline),
        "sentences": dict(report.sentences),
        "unknowns": list(report.unknowns),
        "restated": _restated(report.restated),
        "tables": {name: records(table) for name, table in report.tables.items()},
    }
    return json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _verdict(judged: Verdict) -> dict[str, Any]:
    told = asdict(judged)
    return told | {"weeks_before": list(told["weeks_before"]), "weeks_with_gaps": list(told["weeks_with_gaps"])}


def _restated(restated: Restated | None) -> dict[str, Any] | None:
    """Say what the tables restated-figures and restated-facts compare with."""
    if restated is None:
        return None
    return {
        "week": restated.week,
        "as_of": instant_text(restated.as_of),
        "issued_at": instant_text(restated.issued_at),
        "report_sha256": restated.report_sha256,
        "is_told_by_facts": restated.is_told_by_facts,
        "redefined": list(restated.redefined),
        "figures": len(restated.figures),
        "facts": len(restated.changes),
    }


def instant_text(instant: datetime) -> str:
    """Write an instant as the archive does."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03}Z"


def _page(template: str, report: WeeklyReport) -> str:
    captions = _CAPTIONS if report.restated is None else _CAPTIONS | _RESTATED_CAPTIONS
    tables = {name: _shown(report, name) for name in captions}
    text: str = (
        _templates()
        .get_template(template)
        .render(
            report=report,
            headline=report.headline,
            tables=tables,
            captions=captions,
            charts=_charts(report),
            too_few=TOO_FEW,
            shown_components=SHOWN_COMPONENTS,
            component_count=len(report.tables["failure-rates-by-component"]),
        )
    )
    return text


def _shown(report: WeeklyReport, name: str) -> pd.DataFrame:
    table = report.tables[name]
    if name in _RESTATED_CAPTIONS:
        return _readable(table.head(SHOWN_CHANGES))
    if name != "failure-rates-by-component":
        return table
    # The name first, for people; identifiers last, where a narrow screen may leave them out of sight.
    identifiers = ["project_id", "component_id"]
    return table[[*table.columns.drop(identifiers), *identifiers]].head(SHOWN_COMPONENTS)


def _readable(changes: pd.DataFrame) -> pd.DataFrame:
    """Write figures by the unit of their name; leave identifiers to the CSV file."""
    if "figure" not in changes:
        return changes.drop(columns=["project_id", "component_id"])
    units = [str(name) for name in changes["figure"]]
    told = {
        side: [cell_text(plain(value), unit) for value, unit in zip(changes[side], units, strict=True)]
        for side in ("issued", "now")
    }
    return changes.assign(**told, figure=[unit.replace("_", " ") for unit in units])


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda value: NOTHING if value is None else percent_text(value),
        "points": lambda value: f"{value * 100:+.1f}".replace("-", MINUS),
        "seconds": lambda value: NOTHING if value is None else seconds_text(value),
        "for_people": for_people,
        "markdown_table": lambda table: Markup(render_markdown(table)),  # noqa: S704 - it escapes each cell
        "markdown": markdown_text,
        "clean": clean,
        "instant": lambda value: f"{value:%Y-%m-%d %H:%M} UTC",
    }
    return environment


def _charts(report: WeeklyReport) -> list[Chart]:
    rates = [
        Point(row["week"], row["failure_rate"], row["ci_low"], row["ci_high"], row["coverage"] != "none")
        for row in records(report.tables["failure-rates"])
    ]
    times = [
        Point(row["week"], row["p50_seconds"], row["p50_seconds"], row["p90_seconds"], row["coverage"] != "none")
        for row in records(report.tables["batch-timing"])
    ]
    return [
        week_chart("Failure rate by week, with its 95 % interval", rates, percent_text, at_most=1.0),
        week_chart(
            "A batch's first pass by week: median, up to the 90th percentile",
            times,
            seconds_text,
            at_most=1e12,
        ),
    ]
