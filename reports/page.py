"""The weekly report as one HTML page that works from disk: its sections, its tables, and the policy of its scripts."""

import base64
import gzip
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reports.behind import COUNTS, weeks_told
from reports.comparisons import TOO_FEW
from reports.definitions import DEFINITIONS
from reports.dictionary import ABOUT_SQL, INTRODUCTION, sql_of
from reports.drawing import PALETTE, Chart, can_draw, page_script
from reports.marks import TOO_FEW_TO_SAY
from reports.page_opens import HITS
from reports.page_parts import ROOMS, listed_releases
from reports.page_releases import PACK, PACK_BYTES, TELLING, Pack, Packer
from reports.page_scripts import OPENING, policy_of, script_of
from reports.page_tables import page_table
from reports.quality import CHECKS
from reports.release_lists import folder_of, named, release_lists
from reports.shown import break_sentences, has_teams
from reports.tables import MINUS, NOTHING, clean, percent_text, seconds_text
from reports.verdict import Measure
from reports.weekly import WeeklyReport
from reports.window import Week


@dataclass(frozen=True)
class Section:
    """A part of the page: what it is about, its chart (the name; empty for none), and its tables in order."""

    anchor: str
    title: str
    chart: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """Where the page stands among others: the index, and the pages of the weeks, all of them by label."""

    index: str
    weeks: Mapping[str, str]

    def beside(self, week: str, step: int) -> tuple[str, str] | None:
        """Return the label and the page of the next week that has one, or of the one before (`step` -1)."""
        labels = sorted(self.weeks)
        place = labels.index(week) + step
        return (labels[place], self.weeks[labels[place]]) if 0 <= place < len(labels) else None


# A page stays below this; a mail server or a reader's patience ends soon after.
MOST_BYTES = 1_450_000

SECTIONS = (
    Section("failures", "Failures", "failure-rate", ("release-failures",)),
    Section("rollbacks", "Rollbacks", "rollbacks", ("release-rollbacks",)),
    Section("batches", "Batches", "batch-timing", ("batch-timing-by-batch", "batch-trend")),
    Section("components", "Components", "component-weeks", ("failure-rates-by-component",)),
    Section("releases", "This week's releases", "timeline", ("releases",)),
    Section("delivery", "Delivery and recovery", "", ("delivery", "recovery", "delivery-by-team")),
    Section("where", "Where failures surface", "", ("batch-survival", "flaky-components", "slowest-components")),
    Section("weeks", "Week by week", "", ("failure-rates", "rollbacks", "batch-timing")),
)
WRONG = ("rollback-failures", "failures", "flagged-components")
NIGHTS = ("coverage-by-project", "known-failures", "nights")


def charts_of(report: WeeklyReport) -> tuple[Chart, ...]:
    """Define the report's charts; none where the extra that draws them is missing."""
    if not can_draw():
        return ()
    from reports.charts import weekly_charts  # noqa: PLC0415 - it needs the extra

    return weekly_charts(report)


def page_name(week: Week) -> str:
    """Name the file of a week's page."""
    return f"weekly-{week.label}.html"


def weekly_pages(report: WeeklyReport, charts: Sequence[Chart], site: Site | None = None) -> Iterator[tuple[str, str]]:
    """Yield the page by its file's name, and a list for each week whose releases it has no room for."""
    text, whole = _page(report, charts, site)
    page = page_name(report.week)
    yield page, text
    yield from named(page, report.lists.items())
    for week in report.older_weeks:
        yield from named(page, lists_of(report.week, report.every.of([week]), [week]))
    yield from named(page, lists_of(report.week, report.behind, [week for week in _told(report) if week not in whole]))


def lists_of(week: Week, behind: pd.DataFrame, weeks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the lists of some weeks beside the page of a week, by week."""
    return release_lists(behind, weeks, page_name(week), f"the report of {week.label}")


def render_page(report: WeeklyReport, charts: Sequence[Chart], site: Site | None = None) -> str:
    """Write the page alone. It fetches nothing, and takes only the scripts and styles that its policy names by hash."""
    return _page(report, charts, site)[0]


def _page(report: WeeklyReport, charts: Sequence[Chart], site: Site | None) -> tuple[str, Collection[str]]:
    """Return the page, and the weeks of which it has every release.

    What room is left under MOST_BYTES is filled with the releases behind the figures; where it does not hold all of
    them, the tables show fewer rows.
    """
    context, packer = _context(report, charts, site), _packer(report)
    made: list[tuple[int, str, Pack]] = []
    for room in ROOMS:
        tables = {name: page_table(report, name, room) for name in _names(report)}
        text = _templates().get_template("weekly.html.j2").render(**context, tables=tables)
        level, pack = packer.fullest(listed_releases(report, room).index, MOST_BYTES - PACK_BYTES - len(text.encode()))
        made.append((level, text, pack))
        if level == packer.most:
            break
    level, text, pack = max(made, key=lambda one: one[0])
    if level < 0:
        _, text, pack = made[-1]  # not even the tables fit: the shortest, then
    return text.replace(PACK, pack.element, 1), pack.whole


def _told(report: WeeklyReport) -> list[str]:
    """Name the weeks with releases of which the report knows every one."""
    known = {week.label for week in report.window.weeks[-report.behind_weeks :]}
    return [week for week in weeks_told(report.behind) if week in known]


def _packer(report: WeeklyReport) -> Packer:
    """Return what packs the report's releases: of its newest weeks, where there are more than a page can hold."""
    newest = [week.label for week in report.window.weeks[-report.behind_weeks :]]
    return Packer(report.behind, newest[::-1])


def _names(report: WeeklyReport) -> list[str]:
    """Name the tables that the page shows; by team only where there is a team."""
    names = {name for section in SECTIONS for name in section.tables} | {*WRONG, *NIGHTS, "verdict"}
    names -= set() if has_teams(report) else {"delivery-by-team"}
    return sorted(names if report.restated is None else names | {"restated-figures", "restated-facts"})


def _context(report: WeeklyReport, charts: Sequence[Chart], site: Site | None) -> dict[str, Any]:
    """Return all that the page's template asks for but its tables."""
    script, drawing = script_of(*OPENING, "sorting.js", "weekly.js"), page_script(charts[0].version) if charts else ""
    style = _templates().get_template("weekly.css.j2").render(palette=PALETTE)
    return {
        "report": report,
        "site": site,
        "headline": report.headline,
        "measures": {measure.measure: measure for measure in report.verdict.measures},
        "counts": COUNTS,
        "hits": HITS,
        "telling": TELLING,
        "lists": folder_of(page_name(report.week)),
        "listed": sorted({*_told(report), *report.older_weeks, *report.lists}),
        "sections": SECTIONS,
        "wrong": WRONG,
        "nights": NIGHTS,
        "breaks": break_sentences(report),
        "charts": {chart.name: chart for chart in charts},
        "stills": {chart.name: _still(chart) for chart in charts},
        "specs": _packed(json.dumps({chart.name: json.loads(chart.spec) for chart in charts}, ensure_ascii=False)),
        "definitions": DEFINITIONS,
        "named": {one.name: one for one in DEFINITIONS},
        "sql": {one.name: sql_of(one, report.window.zone.key, report.week.label) for one in DEFINITIONS},
        "introduction": INTRODUCTION,
        "about_sql": ABOUT_SQL.replace("`", ""),
        "checks": CHECKS,
        "too_few": TOO_FEW,
        "too_few_to_say": TOO_FEW_TO_SAY,
        "style": Markup(style),  # noqa: S704 - ours, and whole by policy_of
        "script": Markup(script),  # noqa: S704 - ours, and whole by policy_of
        "drawing": _packed(drawing),
        "policy": policy_of([text for text in (script, drawing) if text], style),
    }


def _still(chart: Chart) -> Markup:
    # To a screen reader the figure is one image with a name, not so many lines and letters.
    return Markup(chart.svg.replace("<svg ", '<svg aria-hidden="true" ', 1))  # noqa: S704 - drawn here, its text escaped


@lru_cache(maxsize=8)
def _packed(text: str) -> str:
    """Return a text as gzip in Base64: the drawing library is half as large so, and the page unpacks it."""
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode() if text else ""


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
        "clean": clean,
        "percent": lambda value: NOTHING if value is None else percent_text(value),
        "points": _points,
        "seconds": lambda value: NOTHING if value is None else seconds_text(value),
        "count": lambda value: f"{value:,}",
        "instant": lambda value: f"{value:%Y-%m-%d %H:%M} UTC",
        "change": _change,
    }
    return environment


def _points(value: float) -> str:
    return f"{value * 100:+.1f}".replace("-", MINUS)


def _change(measure: Measure) -> str:
    """Tell a measure's change, in percentage points, with its interval."""
    if measure.change is None or measure.change_ci_low is None or measure.change_ci_high is None:
        return "nothing to compare with"
    low, high = _points(measure.change_ci_low), _points(measure.change_ci_high)
    return f"{_points(measure.change)} points ({low} to {high})"
