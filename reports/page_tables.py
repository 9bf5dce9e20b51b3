"""A table of the page: its cells in words, what each row is about, and which figures open the releases behind them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports.chart_rows import release_outcome
from reports.definitions import Definition, definition_of
from reports.flagged import BASELINE_WEEKS
from reports.page_opens import Filter, cell_filter, key_of, query, row_filter
from reports.shown import CAPTIONS, RESTATED_CAPTIONS, SHOWN_CHANGES, identifiers_last, readable
from reports.tables import NOTHING, Told, clean, records, told_columns
from reports.weekly import WeeklyReport

MESSAGE_LENGTH = 300
# A name is shown so far; one that is not much longer stands whole in a tip, and every one in the CSV and JSON files.
NAME_LENGTH, TIP_LENGTH = 60, 200


@dataclass(frozen=True)
class Room:
    """How much of each table a page shows: rows, of the list of releases more, and tips with what was cut short."""

    rows: int = 200
    releases: int = 300
    has_tips: bool = True


# The first that fits into a page is taken.
ROOMS = (Room(), Room(has_tips=False), Room(rows=80, releases=120, has_tips=False))


@dataclass(frozen=True)
class Head:
    """A column: its words, if it holds numbers, what its figures add to the row's filter, and its definition."""

    text: str
    is_number: bool
    opens: str | None
    definition: Definition | None


@dataclass(frozen=True)
class Cell:
    """One cell: its words, the whole of them where they are cut short, and what it opens (None: nothing).

    `own` is that where it isn't its row's and its head's filter put together.
    """

    text: str
    tip: str | None = None
    opens: str | None = None
    own: str | None = None


@dataclass(frozen=True)
class Line:
    """A row: its cells, the filter that its figures share, if they are of this week, and what it is about."""

    cells: tuple[Cell, ...]
    opens: str
    is_here: bool
    about: Mapping[str, str]


@dataclass(frozen=True)
class PageTable:
    """A table as the page shows it. `more` says what is left to the CSV file, empty where nothing is."""

    name: str
    caption: str
    definitions: tuple[Definition, ...]
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    more: str
    nothing: str


def page_table(report: WeeklyReport, name: str, room: Room = ROOMS[0]) -> PageTable:
    """Make a table of the page from the report's table of that name, or a part of one."""
    part = _PARTS.get(name)
    source = part.source if part else name
    whole = releases_of(report) if name == "releases" else report.tables[source]
    kept = _kept(name, whole, room)
    raw = records(kept)
    table = (part.columns(kept) if part else _readable(name, kept)).reset_index(drop=True)
    columns, renamed = told_columns(table), part.renamed if part else {}
    filters = [_filters(report, name, row, columns) for row in raw]
    heads = tuple(
        Head(
            column.head,
            column.is_number,
            _shared(cells[place] for _, cells in filters),
            definition_of(source, renamed.get(column.name, column.name)),
        )
        for place, column in enumerate(columns)
    )
    return PageTable(
        name=name,
        caption=part.caption if part else {**CAPTIONS, **RESTATED_CAPTIONS}[name],
        definitions=_definitions(heads),
        heads=heads,
        lines=tuple(
            _line(name, row, tuple(column.cells[place] for column in columns), filters[place], heads, room)
            for place, row in enumerate(raw)
        ),
        more="" if len(kept) == len(whole) else _more(name, len(kept), len(whole)),
        nothing=_nothing(report, name),
    )


def _line(
    name: str,
    row: Mapping[str, Any],
    words: Sequence[str],
    filters: tuple[Filter, Sequence[Filter | None]],
    heads: Sequence[Head],
    room: Room,
) -> Line:
    about, of_cells = filters
    cells = []
    for text, more, head in zip(words, of_cells, heads, strict=True):
        shown = text if head.text in _LONG_TEXTS else shortened(text)
        tip = text if room.has_tips and len(shown) < len(text) <= TIP_LENGTH else None
        if more is None or text in {NOTHING, "0"}:
            cells.append(Cell(shown, tip))
        else:
            opens = query(about, more)
            cells.append(Cell(shown, tip, opens, None if query(more) == head.opens else opens))
    return Line(tuple(cells), query(about), "week" not in about, _about(name, row))


_LONG_TEXTS = {"message", "template"}


def shortened(text: str) -> str:
    """Return a text that fits into a table."""
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"


def _filters(
    report: WeeklyReport, name: str, row: Mapping[str, Any], columns: Sequence[Told]
) -> tuple[Filter, list[Filter | None]]:
    week, labels = report.week.label, [week.label for week in report.window.weeks]
    before = report.verdict.weeks_before if name == "verdict" else labels[:-1][-BASELINE_WEEKS:]
    of_cells = [cell_filter(name, column.name, row, before, week) for column in columns]
    return row_filter(name, row, week), of_cells


def _shared(filters: Iterable[Filter | None]) -> str | None:
    """Return the filter that most cells of a column add; None if they add none."""
    told = Counter(query(one) for one in filters if one is not None)
    return told.most_common(1)[0][0] if told else None


def _definitions(heads: Sequence[Head]) -> tuple[Definition, ...]:
    """Return the definitions of the columns that are shown, each once; of the nights only where there is no other."""
    known = tuple({head.definition.name: head.definition for head in heads if head.definition is not None}.values())
    return tuple(one for one in known if one.name != "coverage") or known


def releases_of(report: WeeklyReport) -> pd.DataFrame:
    """Return this week's releases, with the counts in which each stands."""
    return report.behind[report.behind["week"] == report.week.label]


def listed_releases(report: WeeklyReport, room: Room) -> pd.DataFrame:
    """Return those of them that the page has room to list."""
    return _kept("releases", releases_of(report), room)


def _nothing(report: WeeklyReport, name: str) -> str:
    """Say why a table is empty: that nothing happened is said only of a week that was looked at."""
    if report.result == "not collected" and name in _NOTHING:
        return "Not known: this week was not collected."
    return _NOTHING.get(name, "Nothing to show.")


# --- what is shown of a table -----------------------------------------------------------------------------------


_BY_WEEK = {
    *("failure-rates", "release-failures", "release-rollbacks", "rollbacks", "delivery", "recovery", "batch-timing")
}


def _kept(name: str, table: pd.DataFrame, room: Room) -> pd.DataFrame:
    """Return the rows that the page has room for, those with failures first where there are too many."""
    if name == "flagged-components":
        return table[table["is_flagged"]].head(room.rows)
    if name in _BY_WEEK:
        return table.iloc[::-1]
    if name == "releases":
        if len(table) <= room.releases:
            return table
        words = pd.Series([release_outcome(row) for row in records(table)], index=table.index)
        order = (words == "succeeded").sort_values(kind="stable").index[: room.releases]
        return table.loc[order.sort_values()]
    return table.head(SHOWN_CHANGES if name in RESTATED_CAPTIONS else room.rows)


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
    renamed: Mapping[str, str] = field(default_factory=dict)  # columns that the report's table calls otherwise


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


def release_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the list of releases shows of each."""
    words = [release_outcome(row) for row in records(table[["outcome", "rolled_back", "rollbacks_failed"]])]
    names = ["started_at", "component", "version", "outcome", "plan_id", "batch", "attempts", "recovery_seconds"]
    return table.assign(outcome=words)[[*names, "ended_at", "project_id"]]


_PARTS = {
    "release-failures": _Part(
        "release-rates",
        "Finished component releases that failed in the end, by week",
        _rate_part("failed", "failure_rate", "failure"),
        {"ci_low": "failure_ci_low"},
    ),
    "release-rollbacks": _Part(
        "release-rates",
        "Finished component releases that were rolled back, by week",
        _rate_part("rolled_back", "rollback_rate", "rollback"),
        {"ci_low": "rollback_ci_low"},
    ),
    "verdict": _Part(
        "verdict", "This week and the weeks before, at equal age, with plan-clustered intervals", _verdict
    ),
    "releases": _Part("releases", CAPTIONS["releases"], release_columns),
}
_NOTHING = {
    "rollback-failures": "No rollback of this week failed.",
    "failures": "Nothing failed this week.",
    "flagged-components": "No component changed by more than chance would explain.",
    "failure-rates-by-component": "No attempt of this week is known.",
    "batch-timing-by-batch": "No batch of this week finished.",
    "releases": "No release of this week is known.",
}


# --- what a row is about ----------------------------------------------------------------------------------------


def _about(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Say what a row is of, as the page's filter asks for it; of a release all that a figure can ask for."""
    if name == "releases":
        return about_release(row)
    columns = {"component": "component_id", "plan": "plan_id"}
    about = {key: key_of(row[column]) for key, column in columns.items() if row.get(column) is not None}
    return about | _name(row)


_ABOUT = {
    "component": "component_id",
    "plan": "plan_id",
    "project": "project_id",
    "team": "team",
    "batch": "batch",
    "rank": "batch_rank",
}
ABOUT_COLUMNS = [*_ABOUT.values(), "component", "template_ids", "counts"]


def about_release(row: Mapping[str, Any]) -> dict[str, str]:
    """Say of a release what the filter can ask for, the counts in which it stands as a number. Needs ABOUT_COLUMNS."""
    about = {key: key_of(row[column]) for key, column in _ABOUT.items()}
    templates = {"template": row["template_ids"]} if row["template_ids"] else {}
    return about | _name(row) | templates | {"is": str(row["counts"])}


_SEARCHED = 100


def _name(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a component's name to search for, where it isn't its identifier anyway."""
    name = row.get("component")
    is_another = name is not None and name != row.get("component_id")
    return {"name": clean(str(name))[:_SEARCHED]} if is_another else {}
