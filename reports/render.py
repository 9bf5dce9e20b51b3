"""The weekly report as files: HTML, Markdown, JSON and a CSV per table."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.comparisons import TOO_FEW
from reports.definitions import DEFINITION_VERSIONS, DEFINITIONS
from reports.dictionary import ABOUT_SQL, markdown_section
from reports.drawing import Chart
from reports.page import charts_of, weekly_pages
from reports.page_parts import MARKDOWN_ROOM, Shown, shown_table
from reports.restated import Restated
from reports.shown import break_sentences, captions
from reports.tables import (
    MINUS,
    NOTHING,
    clean,
    csv_pieces,
    in_pieces,
    markdown_text,
    percent_text,
    plain_cells,
    render_markdown,
    seconds_text,
)
from reports.verdict import AGE_DAYS, Verdict
from reports.weekly import WeeklyReport


def render_weekly(report: WeeklyReport) -> dict[str, str]:
    """Return the text of every file by name; the same report gives the same bytes."""
    return {name: "".join(pieces) for name, pieces in weekly_files(report)}


def weekly_files(report: WeeklyReport) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the same file by file, each piece by piece: they are written while they are made."""
    stem = f"weekly-{report.week.label}"
    charts = charts_of(report)
    for name, text in weekly_pages(report, charts):
        yield name, [text]
    yield f"{stem}.md", [_markdown(report, charts)]
    yield f"{stem}.json", json_pieces(report)
    for chart in charts:
        yield f"{stem}-{chart.name}.svg", [chart.svg]
    for name, table in report.tables.items():
        yield f"{stem}-{name}.csv", csv_pieces(table)


def render_json_file(report: WeeklyReport) -> str:
    """Write the JSON file: what is issued."""
    return "".join(json_pieces(report))


def json_pieces(report: WeeklyReport) -> Iterator[str]:
    """Yield the JSON file piece by piece; its tables come last."""
    told = {
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
    }
    yield _json(told, indent=1).removesuffix("\n}")
    before = ',\n "tables": {'
    for name, table in report.tables.items():
        yield f"{before}\n  {_json(name)}: ["
        yield from _json_rows(table)
        yield "\n  ]" if len(table) else "]"
        before = ","
    yield "\n }\n}\n"


def _json_rows(table: pd.DataFrame) -> Iterator[str]:
    """Write rows a column at a time, with no more said of each than its cells."""
    cells = ",".join(f"\n    {_json(name).replace('%', '%%')}: %s" for name in table.columns)
    row, before = f"\n   {{{cells}\n   }}", ""
    for rows in in_pieces(table):
        # A zero byte stands in no JSON but there: in text it is escaped.
        columns = [_json(plain_cells(rows[name]), separators=("\0", ":"))[1:-1].split("\0") for name in rows.columns]
        yield before + ",".join(map(row.__mod__, zip(*columns, strict=True)))
        before = ","


def _json(value: Any, **how: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, **how)


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


def _markdown(report: WeeklyReport, charts: Sequence[Chart]) -> str:
    """Write the Markdown file; its pictures stand beside it."""
    text: str = (
        _templates()
        .get_template("weekly.md.j2")
        .render(
            report=report,
            headline=report.headline,
            tables=[shown_table(report, name, MARKDOWN_ROOM) for name in captions(report)],
            charts=charts,
            breaks=break_sentences(report),
            too_few=TOO_FEW,
            age_days=AGE_DAYS,
            measures={measure.measure: measure for measure in report.verdict.measures},
            definitions=[markdown_section(one, report.window.zone.key, report.week.label) for one in DEFINITIONS],
            about_sql=ABOUT_SQL,
        )
    )
    return text


def _table(table: Shown) -> Markup:
    """Write a report's table; each head leads to what it means, at the end of the file."""
    links = {
        column.name: f"#{definition.name}"
        for column, definition in zip(table.columns, table.definitions, strict=True)
        if definition is not None
    }
    return Markup(render_markdown(table.columns, links.get))  # noqa: S704 - it escapes each cell


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=False,  # noqa: S701 - Markdown: each name is escaped by a filter of its own
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda value: NOTHING if value is None else percent_text(value),
        "points": lambda value: f"{value * 100:+.1f}".replace("-", MINUS),
        "seconds": lambda value: NOTHING if value is None else seconds_text(value),
        "markdown_table": _table,
        "markdown": markdown_text,
        "clean": clean,
        "instant": lambda value: f"{value:%Y-%m-%d %H:%M} UTC",
    }
    return environment
