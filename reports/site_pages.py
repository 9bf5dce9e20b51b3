"""The pages of the site: an index of weeks and components, a page a component, and the metric dictionary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.comparisons import TOO_FEW
from reports.components import ComponentStory
from reports.definitions import DEFINITIONS
from reports.dictionary import ABOUT_SQL, INTRODUCTION, columns_of, shown_in, sql_of
from reports.marks import TOO_FEW_TO_SAY
from reports.page import hash_of
from reports.page_opens import key_of, query
from reports.quality import CHECKS
from reports.tables import NOTHING, clean, for_people, percent_text, seconds_text
from reports.week_bars import week_bars
from reports.window import Week, Window

_STYLE_HASH = "'sha256-of-the-style'"  # what stands in the template

SHOWN_RELEASES, SHOWN_ROLLBACKS, SHOWN_TEMPLATES, CHARTED_WEEKS = 100, 100, 20, 26


@dataclass(frozen=True)
class WeekLine:
    """One line of the index: a week with its page, or a stretch of weeks of which nothing is known.

    The rows are those of the metrics of the same names, by column.
    """

    label: str
    start_date: date
    last_date: date
    result: str = "nothing known"
    verdict: str = ""
    is_provisional: bool = False
    failures: Mapping[str, Any] | None = None
    rollbacks: Mapping[str, Any] | None = None
    delivery: Mapping[str, Any] | None = None
    issued_at: datetime | None = None

    @property
    def href(self) -> str | None:
        """Its page, from the index; None for a stretch."""
        return None if self.failures is None else f"weeks/weekly-{self.label}.html"


@dataclass(frozen=True)
class About:
    """What every page of a site says of itself."""

    zone: str
    projects: Sequence[str] | None
    last_run_ended_at: datetime | None
    last_week: str | None


def render_index(about: About, lines: Sequence[WeekLine], stories: Sequence[ComponentStory]) -> str:
    """Write the index: the newest week first, then the components by name."""
    return _page("site_index.html.j2", about=about, root="", lines=lines, stories=stories)


def render_component(about: About, story: ComponentStory, window: Window, pages: Mapping[str, str]) -> str:
    """Write a component's page; `pages` are the weeks that have one, with their links from here."""
    # A week's page opens this component's releases.
    mine = query({"component": key_of(story.component_id), "project": key_of(story.project_id)})
    pages = {week: f"{page}#releases&{mine}" for week, page in pages.items()}
    tables = {
        "rates": _table(story.rates.drop(columns=["project_id", "component_id", "component"])[::-1], pages),
        "releases": _table(_releases(story.releases).head(SHOWN_RELEASES), pages),
        "rollbacks": _table(_rollbacks(story.rollbacks).head(SHOWN_ROLLBACKS), pages),
        "templates": _table(story.templates.drop(columns=["template_id", "components"]).head(SHOWN_TEMPLATES), pages),
    }
    bars = week_bars(story.rates, _charted(window), story.unarchived)
    return _page("site_component.html.j2", about=about, root="../", story=story, tables=tables, bars=bars)


def render_metrics(about: About) -> str:
    """Write the metric dictionary, its SQL for the site's zone and last week."""
    asked = (about.zone,) if about.last_week is None else (about.zone, about.last_week)
    return _page(
        "site_metrics.html.j2",
        about=about,
        root="",
        definitions=DEFINITIONS,
        titles={definition.name: definition.title for definition in DEFINITIONS},
        sql={definition.name: sql_of(definition, *asked) for definition in DEFINITIONS},
        shown={
            definition.name: [place.replace("`", "") for place in shown_in(definition)] for definition in DEFINITIONS
        },
        columns={definition.name: columns_of(definition) for definition in DEFINITIONS},
        checks=CHECKS,
        introduction=INTRODUCTION,
        about_sql=ABOUT_SQL.replace("`", ""),
    )


@dataclass(frozen=True)
class _Table:
    heads: list[str]
    rows: list[list[str]]
    is_number: list[bool]
    links: list[str | None]  # of the first cell of each row


def _table(frame: pd.DataFrame, pages: Mapping[str, str]) -> _Table:
    heads, rows, is_number = for_people(frame)
    links = [pages.get(row[0]) if heads[0] == "week" else None for row in rows]
    return _Table(heads, rows, is_number, links)


def _releases(releases: pd.DataFrame) -> pd.DataFrame:
    inferred = releases["is_start_inferred"].map({True: " *", False: ""})
    return pd.DataFrame(
        {
            "week": releases["week"],
            "started (UTC)": _minutes(releases["started_at"]) + inferred.astype("str"),
            "plan": releases["plan_id"],
            "batch": releases["batch"],
            "version": releases["version"],
            "outcome": releases["outcome"],
            "attempts": releases["attempts"],
            "rollbacks": releases["rollbacks"],
            "recovery_seconds": releases["recovery_seconds"],
        }
    )


def _rollbacks(rollbacks: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "started (UTC)": _minutes(rollbacks["started_at"]),
            "plan": rollbacks["plan_id"],
            "batch": rollbacks["batch"],
            "outcome": rollbacks["outcome"],
            "rollback": rollbacks["rollback_job_id"],
            "ended_at": rollbacks["ended_at"],
        }
    )


def _minutes(instants: "pd.Series[pd.Timestamp]") -> "pd.Series[str]":
    return instants.dt.strftime("%Y-%m-%d %H:%M").astype("str").fillna(NOTHING)


def _charted(window: Window) -> tuple[Week, ...]:
    return window.weeks[-CHARTED_WEEKS:]


def _rate(part: int, whole: int, row: Mapping[str, Any], rate: str) -> list[str]:
    """Write a rate in parts that stay whole: `3 of 120`, `2.5 % (0.9-7.1)`; of few, `too few to say`."""
    if not whole:
        return ["none finished"]
    low, high = (f"{row[name] * 100:.1f}" for name in ("ci_low", "ci_high"))
    few = [TOO_FEW_TO_SAY] * (whole < TOO_FEW)
    return [f"{part:,} of {whole:,}", f"{percent_text(row[rate])} ({low}{NOTHING}{high})", *few]


def _beside(part: int, whole: int, row: Mapping[str, Any]) -> list[str]:
    """Write what stands below a rate: `3 of 120`, `95 % interval 0.9-7.1 %`; of few, `too few to say`."""
    if not whole:
        return ["none finished"]
    few = [TOO_FEW_TO_SAY] * (whole < TOO_FEW)
    interval = f"{row['ci_low'] * 100:.1f}{NOTHING}{row['ci_high'] * 100:.1f} %"
    return [f"{part:,} of {whole:,}", f"95 % interval {interval}", *few]


def _page(template: str, **context: Any) -> str:
    """Write a page, whose policy allows its own style sheet alone: that of all pages, with what the template adds."""
    text: str = _templates().get_template(template).render(**context)
    sheet = text.split("<style>", 1)[1].split("</style>", 1)[0]
    return text.replace(_STYLE_HASH, hash_of(sheet), 1)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "clean": clean,
        "percent": lambda value: NOTHING if value is None else percent_text(value),
        "seconds": lambda value: NOTHING if value is None else seconds_text(value),
        "failed": lambda row: _rate(row["failed"], row["finished"], row, "failure_rate"),
        "failed_beside": lambda row: _beside(row["failed"], row["finished"], row),
        "rolled_back_beside": lambda row: _beside(row["rolled_back"], row["finished"], row),
        "rolled_back": lambda row: _rate(row["rolled_back"], row["finished"], row, "rollback_rate"),
        "instant": lambda value: f"{value:%Y-%m-%d %H:%M} UTC",
    }
    return environment
