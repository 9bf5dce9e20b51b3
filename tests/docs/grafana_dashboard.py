"""Write the Grafana dashboard anew: `python tests/docs/grafana_dashboard.py`. Its panels and their SQL stand here."""

import json
from typing import Any

from fenced import ROOT
from grafana_queries import QUERIES

DASHBOARD = ROOT / "docs" / "grafana" / "release-archive.json"
_SOURCE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
_RATE = {"unit": "percentunit", "min": 0, "decimals": 1}


def _band(low: str, high: str) -> list[dict[str, Any]]:
    """Draw two series as the edges of a band."""
    edge = [{"id": "custom.lineWidth", "value": 0}, {"id": "custom.showPoints", "value": "never"}]
    fill = [{"id": "custom.fillBelowTo", "value": low}, {"id": "custom.fillOpacity", "value": 15}]
    grey = [{"id": "color", "value": {"mode": "fixed", "fixedColor": "text"}}]
    return [
        {"matcher": {"id": "byName", "options": low}, "properties": edge + grey},
        {"matcher": {"id": "byName", "options": high}, "properties": edge + grey + fill},
    ]


def _unit(name: str, unit: str) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}


# A step in SQL's own table; each of: title, kind of panel, query, width, what it shows and how.
_PANELS: tuple[dict[str, Any], ...] = (
    {
        "title": "Last saved",
        "kind": "table",
        "query": "freshness",
        "width": 12,
        "said": "The newest complete or partial run of each project. More than 26 hours: a night is missing.",
        "overrides": [
            {
                "matcher": {"id": "byName", "options": "hours_ago"},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
                    {"id": "decimals", "value": 1},
                    {
                        "id": "thresholds",
                        "value": {
                            "mode": "absolute",
                            "steps": [{"color": "green", "value": None}, {"color": "red", "value": 26}],
                        },
                    },
                ],
            }
        ],
    },
    {
        "title": "Coverage: nights of each week",
        "kind": "bars",
        "query": "coverage",
        "width": 12,
        "said": "What was not looked at was not seen: figures of a week with missed nights are lower bounds.",
        "defaults": {"unit": "short", "decimals": 0},
    },
    {
        "title": "Failure rate of attempts",
        "kind": "lines",
        "query": "failure_rate",
        "width": 12,
        "said": "Failed of finished attempts that started in the week, with Wilson's 95 percent interval.",
        "defaults": _RATE,
        "overrides": _band("ci_low", "ci_high"),
    },
    {
        "title": "Finished and failed attempts",
        "kind": "bars",
        "query": "attempts",
        "width": 12,
        "said": "The counts behind the failure rate.",
        "defaults": {"unit": "short", "decimals": 0},
    },
    {
        "title": "Rollback rate of releases",
        "kind": "lines",
        "query": "rollback_rate",
        "width": 12,
        "said": "Rolled back of finished component releases, in the week the release started, with Wilson's 95 percent "
        "interval. Rollbacks come late: the newest weeks may still rise.",
        "defaults": _RATE,
        "overrides": _band("ci_low", "ci_high"),
    },
    {
        "title": "Rollbacks",
        "kind": "bars",
        "query": "rollbacks",
        "width": 12,
        "said": "Rollback jobs of the releases that started in the week; failed: the release is still there.",
        "defaults": {"unit": "short", "decimals": 0},
    },
    {
        "title": "Duration of batches: median",
        "kind": "lines",
        "query": "batch_p50",
        "width": 12,
        "said": "First passes of the chosen batches. Medians don't add up: a line for each project and batch.",
        "defaults": {"unit": "s", "min": 0},
    },
    {
        "title": "Duration of batches: 90th percentile",
        "kind": "lines",
        "query": "batch_p90",
        "width": 12,
        "said": "One in ten first passes took longer.",
        "defaults": {"unit": "s", "min": 0},
    },
    {
        "title": "Components that failed most",
        "kind": "table",
        "query": "components",
        "width": 12,
        "said": "Over the weeks shown. On few attempts a rate says little: look at finished.",
        "overrides": [_unit("failure_rate", "percentunit")],
    },
    {
        "title": "What failures say",
        "kind": "table",
        "query": "failure_templates",
        "width": 12,
        "said": "Messages with their numbers, ids, hosts and names masked. New: never seen before the weeks shown.",
    },
    {
        "title": "Plans that could not be archived",
        "kind": "table",
        "query": "fetch_failures",
        "width": 24,
        "said": "By the time at which a run gave them up. Empty is good.",
    },
)


def _panel(number: int, panel: dict[str, Any], x: int, y: int) -> dict[str, Any]:
    is_table = panel["kind"] == "table"
    custom: dict[str, Any] = {}
    if panel["kind"] == "bars":
        custom = {"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0, "barAlignment": 1}
    elif panel["kind"] == "lines":
        custom = {"drawStyle": "line", "lineWidth": 2, "showPoints": "always", "pointSize": 6, "spanNulls": False}
    if panel["query"] == "coverage":
        custom["stacking"] = {"mode": "normal", "group": "A"}
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom"}
    options = {"showHeader": True} if is_table else {"legend": legend, "tooltip": {"mode": "multi", "sort": "none"}}
    return {
        "id": number,
        "title": panel["title"],
        "description": panel["said"],
        "type": "table" if is_table else "timeseries",
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel["width"], "h": 8},
        "fieldConfig": {
            "defaults": panel.get("defaults", {}) | ({"custom": custom} if custom else {}),
            "overrides": panel.get("overrides", []),
        },
        "options": options,
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "editorMode": "code",
                "rawQuery": True,
                "format": "table" if is_table else "time_series",
                "rawSql": QUERIES[panel["query"]],
            }
        ],
    }


def _variable(name: str, label: str, query: str, *, has_several: bool, current: Any) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 1,
        "sort": 0,
        "multi": has_several,
        "includeAll": has_several,
        "current": current,
        "options": [],
    }


def _variables() -> list[dict[str, Any]]:
    every = {"text": ["All"], "value": ["$__all"]}
    utc = {"text": "UTC", "value": "UTC"}
    return [
        {
            "name": "datasource",
            "label": "Archive",
            "type": "datasource",
            "query": "grafana-postgresql-datasource",
            "refresh": 1,
            "options": [],
            "current": {},
        },
        {"name": "schema", "type": "constant", "hide": 2, "query": "release_archive", "skipUrlSync": True},
        _variable("project", "Project", QUERIES["variable_project"], has_several=True, current=every),
        _variable("time_zone", "Weeks of", QUERIES["variable_time_zone"], has_several=False, current=utc),
        _variable(
            "batch", "Batch", QUERIES["variable_batch"], has_several=True, current={"text": ["1"], "value": ["1"]}
        ),
    ]


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(_PANELS, 1):
        if x + panel["width"] > 24:
            x, y = 0, y + 8
        panels.append(_panel(number, panel, x, y))
        x += panel["width"]
    return {
        "uid": "release-archive",
        "title": "Release archive",
        "description": "What release-archiver saw, from its views: a point is a week, at the week's first instant.",
        "tags": ["release-archiver"],
        "schemaVersion": 39,
        "editable": True,
        "timezone": "browser",
        "time": {"from": "now-13w", "to": "now"},
        "refresh": "",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": panels,
    }


def written() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(written(), "utf-8")
