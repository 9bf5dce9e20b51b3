"""What people are shown of a report's tables, on the page and in the Markdown file: rows, columns, words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from reports.chart_rows import release_outcomes
from reports.definitions import Definition, definition_of
from reports.marks import UNKNOWN
from reports.shown import CAPTIONS, RESTATED_CAPTIONS, SHOWN_CHANGES, identifiers_last, readable
from reports.tables import NOTHING, Told, told_columns
from reports.verdict import AGE_DAYS
from reports.weekly import WeeklyReport

MESSAGE_LENGTH = 300


@dataclass(frozen=True)
class Room:
    """How much of each table is shown: rows, of the list of releases more, and tips with what was cut short."""

    rows: int = 200
    releases: int = 300
    has_tips: bool = True


# The first that fits into a page is taken.
ROOMS = (
    Room(),
    Room(has_tips=False),
    Room(rows=140, releases=200, has_tips=False),
    Room(rows=80, releases=120, has_tips=False),
)
MARKDOWN_ROOM = Room(rows=25, releases=100, has_tips=False)


@dataclass(frozen=True)
class Shown:
    """A table as people are shown it: the rows of the report's table, and the columns that tell them in words.

    `definitions` are those of the columns, None for one that only names a group. `more` says what is left to the CSV
    file, empty where nothing is; `nothing` why there are no rows.
    """

    rows: pd.DataFrame
    columns: tuple[Told, ...]
    definitions: tuple[Definition | None, ...]
    caption: str
    more: str
    nothing: str


def shown_table(report: WeeklyReport, name: str, room: Room) -> Shown:
    """Show the report's table of that name, or a part of one."""
    part = PARTS.get(name)
    source = part.source if part else name
    whole = releases_of(report) if name == "releases" else report.tables[source]
    kept = kept_rows(name, whole, room)
    more = "" if len(kept) == len(whole) else more_words(name, len(kept), len(whole))
    spans = _unplanned_spans(report, kept) if name in _BY_WEEK else {}
    kept = kept.drop(index=[index for span in spans.values() for index in span[1:]])
    table = (part.columns(kept) if part else readable_columns(name, kept)).reset_index(drop=True)
    renamed = part.renamed if part else {}
    # A table may count nothing of a week of which something is known.
    is_by_week = "week" in table and "coverage" in table
    columns = told_columns(table, table["week"].isin(report.uncollected) if is_by_week else None)
    ends = {whole["week"][span[0]]: whole["week"][span[-1]] for span in spans.values()}
    columns = [
        replace(column, cells=tuple(f"{ends[week]} to {week}" if week in ends else week for week in column.cells))
        if column.name == "week"
        else column
        for column in columns
    ]
    return Shown(
        rows=kept,
        columns=tuple(_without_unknown(report, columns) if name == "verdict" else columns),
        definitions=tuple(definition_of(source, renamed.get(column.name, column.name)) for column in columns),
        caption={**CAPTIONS, **RESTATED_CAPTIONS}[name],
        more=more,
        nothing=nothing_words(report, name),
    )


def _unplanned_spans(report: WeeklyReport, table: pd.DataFrame) -> dict[int, list[int]]:
    """Return the rows of which one is enough: weeks in a row without a night or anything known, newest first."""
    is_nothing = table["week"].isin(report.uncollected) & (table["nights_planned"] == 0)
    number = (is_nothing != is_nothing.shift()).cumsum()
    spans = {int(key): list(rows.index) for key, rows in table[is_nothing].groupby(number)}
    return {key: rows for key, rows in spans.items() if len(rows) > 1}


def _without_unknown(report: WeeklyReport, columns: Sequence[Told]) -> list[Told]:
    """Show no number of the verdict's weeks where none of them was collected, or there is none to compare with."""
    before = report.verdict.weeks_before
    signs = {False: UNKNOWN if report.week.label in report.uncollected else None, True: None}
    if report.uncollected.issuperset(before):
        signs[True] = UNKNOWN if before else NOTHING
    return [
        replace(column, cells=(sign,) * len(column.cells))
        if column.is_number and (sign := signs[column.name.endswith("_before")]) is not None
        else column
        for column in columns
    ]


def releases_of(report: WeeklyReport) -> pd.DataFrame:
    """Return this week's releases, with the counts in which each stands."""
    return report.behind[report.behind["week"] == report.week.label]


def listed_releases(report: WeeklyReport, room: Room) -> pd.DataFrame:
    """Return those of them that the page has room to list."""
    return kept_rows("releases", releases_of(report), room)


def nothing_words(report: WeeklyReport, name: str) -> str:
    """Say why a table is empty: that nothing happened is said only of a week that was looked at."""
    if report.result == "not collected" and name in _NOTHING:
        return "Not known: this week was not collected."
    return _NOTHING.get(name, "Nothing to show.")


# --- what is shown of a table -----------------------------------------------------------------------------------


_BY_WEEK = {
    *("failure-rates", "release-failures", "release-rollbacks", "rollbacks", "delivery", "recovery", "batch-timing")
}


def kept_rows(name: str, table: pd.DataFrame, room: Room) -> pd.DataFrame:
    """Return the rows that the page has room for, those with failures first where there are too many."""
    if name == "flagged-components":
        return table[table["is_flagged"]].head(room.rows)
    if name in _BY_WEEK:
        return table.iloc[::-1]
    if name == "nights" and len(table) > room.rows:
        # Of too many nights those of this week and those that were missed say most.
        is_dull = (table["week"] != table["week"].max()) & (table["state"] == "done")
        chosen = is_dull.sort_values(kind="stable").head(room.rows).index
        return table[table.index.isin(chosen)]
    if name == "releases":
        if len(table) <= room.releases:
            return table
        order = (release_outcomes(table) == "succeeded").sort_values(kind="stable").index[: room.releases]
        return table.loc[order.sort_values()]
    return table.head(SHOWN_CHANGES if name in RESTATED_CAPTIONS else room.rows)


def more_words(name: str, shown: int, count: int) -> str:
    if name == "flagged-components":
        return (
            f"Tested: {count:,} component{'' if count == 1 else 's'} with releases this week; all are in the CSV file."
        )
    if name == "releases":
        return f"{shown:,} of {count:,} releases: what did not simply succeed comes first. All are in the CSV file."
    if name == "nights":
        return f"{shown:,} of {count:,} nights: those missed come before those done. All are in the CSV file."
    return f"The first {shown:,} of {count:,}; all are in the CSV file."


def readable_columns(name: str, table: pd.DataFrame) -> pd.DataFrame:
    if name in RESTATED_CAPTIONS:
        return readable(table)
    for column in ("message", "template"):
        if column in table:
            table = table.assign(**{column: pd.Series(map(_cut, table[column]), index=table.index, dtype="str")})
    if name == "flagged-components":
        table = table.drop(columns=["is_flagged", "is_too_few"])
    if name == "nights":
        first = ["night_date", "state", "outcome"]
        return table[[*first, *table.columns.drop(["week", *first])]]
    if name == "known-failures":
        return table[["plan_id", "project_id", "nights_count", "since_night", "stage", "error_code", "message"]]
    if name == "failures":
        return table[["template", *table.columns.drop(["template", "template_id"]), "template_id"]]
    if name == "rollback-failures":
        first = ["component", "started_at", "message", "batch", "plan_id"]
        return table[[*first, *table.columns.drop([*first, "week"])]]
    return identifiers_last(table)


def _cut(text: object) -> object:
    return f"{text[:MESSAGE_LENGTH]}…" if isinstance(text, str) and len(text) > MESSAGE_LENGTH else text


@dataclass(frozen=True)
class Part:
    source: str
    columns: Callable[[pd.DataFrame], pd.DataFrame]
    renamed: Mapping[str, str] = field(default_factory=dict)  # columns that the report's table calls otherwise


def _rate_part(hits: str, rate: str, stem: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def columns(table: pd.DataFrame) -> pd.DataFrame:
        names = ["week", hits, "finished", "plans", rate, f"{stem}_ci_low", f"{stem}_ci_high"]
        nights = ["nights_planned", "nights_done", "coverage"]
        young = ["provisional"] if hits == "rolled_back" else []
        columns = table[[*names, *young, *nights]]
        return columns.rename(columns={f"{stem}_ci_low": "ci_low", f"{stem}_ci_high": "ci_high"})

    return columns


_MEASURES = {
    "change_failure_rate": f"failed or rolled back within {AGE_DAYS} days",
    "rollback_rate": f"rolled back within {AGE_DAYS} days",
}


def _verdict(table: pd.DataFrame) -> pd.DataFrame:
    names = ["hits", "finished", "plans", "rate", "ci_low", "ci_high"]
    names += ["hits_before", "finished_before", "plans_before", "rate_before", "p_value"]
    return table.assign(measure=table["measure"].map(_MEASURES))[["measure", *names]]


def release_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return what the list of releases shows of each."""
    names = ["started_at", "component", "version", "outcome", "plan_id", "batch", "attempts", "recovery_seconds"]
    return table.assign(outcome=release_outcomes(table))[[*names, "ended_at", "project_id"]]


PARTS = {
    "release-failures": Part(
        "release-rates",
        _rate_part("failed", "failure_rate", "failure"),
        {"ci_low": "failure_ci_low"},
    ),
    "release-rollbacks": Part(
        "release-rates",
        _rate_part("rolled_back", "rollback_rate", "rollback"),
        {"ci_low": "rollback_ci_low"},
    ),
    "verdict": Part("verdict", _verdict),
    "releases": Part("releases", release_columns),
}
_NOTHING = {
    "rollback-failures": "No rollback of this week failed.",
    "failures": "Nothing failed this week.",
    "flagged-components": "No component changed by more than chance would explain.",
    "failure-rates-by-component": "No attempt of this week is known.",
    "batch-timing-by-batch": "No batch of this week finished.",
    "releases": "No release of this week is known.",
    "nights": "No night fell due in these weeks.",
    "known-failures": "No plan failed so.",
}
