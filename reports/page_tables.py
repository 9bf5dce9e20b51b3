"""A table of the page: its cells in words, what each row is about, and which figures open the releases behind them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from reports.chart_rows import release_outcome
from reports.definitions import Definition, definition_of
from reports.shown import CAPTIONS, RESTATED_CAPTIONS, SHOWN_CHANGES, identifiers_last, readable
from reports.tables import clean, for_people, records
from reports.weekly import WeeklyReport

MOST_ROWS = 200
MOST_RELEASES = 500
MESSAGE_LENGTH = 300


@dataclass(frozen=True)
class Line:
    """A row: its cells, the filter that each opens (None: no link), and what it is about, for the page's filter."""

    cells: tuple[tuple[str, str | None], ...]
    about: Mapping[str, str]


@dataclass(frozen=True)
class PageTable:
    """A table as the page shows it. `more` says what is left to the CSV file, empty where nothing is."""

    name: str
    caption: str
    definitions: tuple[Definition, ...]
    heads: tuple[tuple[str, bool], ...]
    lines: tuple[Line, ...]
    more: str
    nothing: str


def page_table(report: WeeklyReport, name: str) -> PageTable:
    """Make a table of the page from the report's table of that name, or a part of one."""
    part = _PARTS.get(name)
    source = part.source if part else name
    whole = report.tables[source]
    kept = _kept(name, whole)
    raw = records(kept)
    table = (part.columns(kept) if part else _readable(name, kept)).reset_index(drop=True)
    heads, rows, is_number = for_people(table)
    week = report.week.label
    lines = tuple(
        Line(
            cells=tuple((cell, _opens(name, head, row, week)) for head, cell in zip(heads, cells, strict=True)),
            about=_about(name, row),
        )
        for row, cells in zip(raw, rows, strict=True)
    )
    return PageTable(
        name=name,
        caption=part.caption if part else {**CAPTIONS, **RESTATED_CAPTIONS}[name],
        definitions=_definitions(source, table),
        heads=tuple(zip(heads, is_number, strict=True)),
        lines=lines,
        more="" if len(kept) == len(whole) else _more(name, len(kept), len(whole)),
        nothing=_nothing(report, name),
    )


def _definitions(source: str, table: pd.DataFrame) -> tuple[Definition, ...]:
    """Return the definitions of the columns that are shown, each once; of the nights only where there is no other."""
    found = [definition_of(source, column) for column in table.columns]
    known = tuple({one.name: one for one in found if one is not None}.values())
    return tuple(one for one in known if one.name != "coverage") or known


def _nothing(report: WeeklyReport, name: str) -> str:
    """Say why a table is empty: that nothing happened is said only of a week that was looked at."""
    if report.result == "not collected" and name in _NOTHING:
        return "Not known: this week was not collected."
    return _NOTHING.get(name, "Nothing to show.")


# --- what is shown of a table -----------------------------------------------------------------------------------


def _kept(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the page has room for, those with failures first where there are too many."""
    if name == "flagged-components":
        return table[table["is_flagged"]].head(MOST_ROWS)
    if name in _NEWEST_FIRST:
        return table.iloc[::-1]
    if name == "releases":
        if len(table) <= MOST_RELEASES:
            return table
        words = pd.Series([release_outcome(row) for row in records(table)], index=table.index)
        order = (words == "succeeded").sort_values(kind="stable").index[:MOST_RELEASES]
        return table.loc[order.sort_values()]
    return table.head(SHOWN_CHANGES if name in RESTATED_CAPTIONS else MOST_ROWS)


def _more(name: str, shown: int, count: int) -> str:
    if name == "flagged-components":
        return f"Tested: {count:,} components with releases this week; all are in the CSV file."
    if name == "releases":
        return f"{shown:,} of {count:,} releases: what did not simply succeed comes first. All are in the CSV file."
    return f"The first {shown:,} of {count:,}; all are in the CSV file."


def _readable(name: str, table: pd.DataFrame) -> pd.DataFrame:
    if name in RESTATED_CAPTIONS:
        return readable(table)
    for column in ("message", "template"):
        if column in table:
            table = table.assign(**{column: pd.Series(map(_cut, table[column]), index=table.index, dtype="str")})
    if name == "flagged-components":
        table = table.drop(columns=["is_flagged", "is_too_few"])
    if name == "rollback-failures":
        first = ["component", "started_at", "message", "batch", "plan_id"]
        return table[[*first, *table.columns.drop([*first, "week"])]]
    return identifiers_last(table)


def _cut(text: object) -> object:
    return f"{text[:MESSAGE_LENGTH]}…" if isinstance(text, str) and len(text) > MESSAGE_LENGTH else text


@dataclass(frozen=True)
class _Part:
    source: str
    caption: str
    columns: Callable[[pd.DataFrame], pd.DataFrame]


def _rate_part(hits: str, rate: str, stem: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def columns(table: pd.DataFrame) -> pd.DataFrame:
        names = ["week", hits, "finished", "plans", rate, f"{stem}_ci_low", f"{stem}_ci_high"]
        nights = ["nights_planned", "nights_done", "coverage"]
        return table[[*names, *nights]].rename(columns={f"{stem}_ci_low": "ci_low", f"{stem}_ci_high": "ci_high"})

    return columns


_MEASURES = {
    "change_failure_rate": "failed or rolled back within 7 days",
    "rollback_rate": "rolled back within 7 days",
}


def _verdict(table: pd.DataFrame) -> pd.DataFrame:
    names = ["hits", "finished", "plans", "rate", "ci_low", "ci_high"]
    names += ["hits_before", "finished_before", "plans_before", "rate_before", "p_value"]
    return table.assign(measure=table["measure"].map(_MEASURES))[["measure", *names]]


def _releases(table: pd.DataFrame) -> pd.DataFrame:
    words = [release_outcome(row) for row in records(table)]
    names = ["started_at", "component", "version", "outcome", "plan_id", "batch", "attempts", "recovery_seconds"]
    return table.assign(outcome=words)[[*names, "ended_at", "project_id"]]


_PARTS = {
    "release-failures": _Part(
        "release-rates",
        "Finished component releases that failed in the end, by week",
        _rate_part("failed", "failure_rate", "failure"),
    ),
    "release-rollbacks": _Part(
        "release-rates",
        "Finished component releases that were rolled back, by week",
        _rate_part("rolled_back", "rollback_rate", "rollback"),
    ),
    "verdict": _Part(
        "verdict", "This week and the weeks before, at equal age, with plan-clustered intervals", _verdict
    ),
    "releases": _Part("releases", CAPTIONS["releases"], _releases),
}
_NOTHING = {
    "rollback-failures": "No rollback of this week failed.",
    "failures": "Nothing failed this week.",
    "flagged-components": "No component changed by more than chance would explain.",
    "failure-rates-by-component": "No attempt of this week is known.",
    "batch-timing-by-batch": "No batch of this week finished.",
    "releases": "No release of this week is known.",
}


# --- what a row is about, and what its figures open -------------------------------------------------------------

_OPENS = {
    "releases": "",
    "finished": "is=finished",
    "failed": "is=failed",
    "rolled back": "is=rolled-back",
    "change failures": "is=change-failure",
    "rework attempts": "is=retried",
    "component": "",
    "batch": "",
}
# A failed attempt is its release's last or was tried again: so the releases that hold what such a table counts.
_OPENS_FOR_ATTEMPTS = {"finished": "", "failed": "is=failed-or-retried", "component": ""}
_OF_ATTEMPTS = {"failure-rates", "failure-rates-by-component"}
# Tables of which a row of this week, or every row, counts what the list of this week's releases holds.
_BY_WEEK = {"failure-rates", "release-failures", "release-rollbacks", "rollbacks", "delivery"}
_NEWEST_FIRST = _BY_WEEK | {"recovery", "batch-timing"}
_OF_WEEK = {"failure-rates-by-component", "rollback-failures", "flagged-components", "slowest-components"}


def _opens(name: str, head: str, row: Mapping[str, Any], week: str) -> str | None:
    """Return the filter under which the list of releases holds what a cell counts."""
    filters = _OPENS_FOR_ATTEMPTS if name in _OF_ATTEMPTS else _OPENS
    if head not in filters or not (name in _OF_WEEK or (name in _BY_WEEK and row["week"] == week)):
        return None
    places = [(key, row.get(column)) for key, column in _PLACES.items() if column in row]
    about = [f"{key}={quote(str(value), safe='')}" for key, value in places if value is not None]
    return "&".join(filter(None, [filters[head], *about]))


_PLACES = {"component": "component_id", "plan": "plan_id", "batch": "batch"}


def _about(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    about = {key: str(row[column]) for key, column in _PLACES.items() if row.get(column) is not None}
    if row.get("component") is not None:
        about["name"] = clean(str(row["component"]))
    if name == "releases":
        about["is"] = " ".join(_is(row))
    return about


def _is(row: Mapping[str, Any]) -> list[str]:
    """Name the counts in which a release stands."""
    finished, rolled_back = row["outcome"] in {"succeeded", "failed"}, bool(row["rolled_back"])
    told = {
        "finished": finished,
        "failed": row["outcome"] == "failed",
        "rolled-back": finished and rolled_back,
        "rollback-failed": bool(row["rollbacks_failed"]),
        "change-failure": row["outcome"] == "failed" or (finished and rolled_back),
        "retried": row["attempts"] > 1,
        "failed-or-retried": row["outcome"] == "failed" or row["attempts"] > 1,
        "open": not finished,
    }
    return [word for word, is_so in told.items() if is_so]
