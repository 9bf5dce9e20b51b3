"""The pages of the site: what all have in common, the index of weeks and components, and the metric dictionary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.comparisons import TOO_FEW
from reports.components import ComponentStory
from reports.definitions import DEFINITIONS
from reports.dictionary import ABOUT_SQL, INTRODUCTION, columns_of, shown_in, sql_of
from reports.marks import TOO_FEW_TO_SAY
from reports.page_scripts import policy_of
from reports.quality import CHECKS
from reports.tables import NOTHING, clean, percent_text, seconds_text

_POLICY = "policy-of-the-page"  # what stands in the template


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
    return site_page("site_index.html.j2", about=about, root="", lines=lines, stories=stories)


def render_metrics(about: About) -> str:
    """Write the metric dictionary, its SQL for the site's zone and last week."""
    asked = (about.zone,) if about.last_week is None else (about.zone, about.last_week)
    return site_page(
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


def site_page(template: str, *, scripts: Sequence[str] = (), **context: Any) -> str:
    """Write a page; its policy allows the scripts and its own style sheet, that of all pages with the template's."""
    text: str = _templates().get_template(template).render(**context)
    sheet = text.split("<style>", 1)[1].split("</style>", 1)[0]
    return text.replace(_POLICY, policy_of(scripts, sheet), 1)


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
        "script": Markup,  # ours alone, and whole by policy_of
        "instant": lambda value: f"{value:%Y-%m-%d %H:%M} UTC",
    }
    return environment
