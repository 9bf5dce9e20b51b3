"""What a table is asked for (window, groups, filter) and the rows that answer, with the nights behind them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from reports.columns import LABELS
from reports.errors import UsageError
from reports.spread import EVERYTHING, Aggregations, at_last, grouped
from reports.window import Week, Window, parse_week

# What `--by` and `--where` take, and the columns each stands for.
GROUP_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "week": ("week",),
    "component": ("project_id", "component_id", "component"),
    "batch": ("batch",),
    "version": ("version",),
    "creator": ("creator",),
    "action": ("action",),
    "project": ("project_id",),
    "team": ("team",),
    "environment": ("environment",),
    "tier": ("tier",),
}
UNLABELLED = "(unlabelled)"  # how a missing label is shown, and may be asked for
BATCH_KEYS = tuple(key for key in GROUP_COLUMNS if key not in {"component", "version"})

Where = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Selection:
    """One question to a table.

    `by` are keys of GROUP_COLUMNS; no key means one row for all. `where` maps a key to the values that
    pass: any of them for one key, and every key; the empty text stands for a missing value. A key
    without values lets nothing pass, and no nights either if it is the project.
    """

    window: Window
    by: tuple[str, ...] = ("week",)
    where: Where = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The group columns, in the order asked for; `project_id` once."""
        return list(dict.fromkeys(column for key in self.by for column in GROUP_COLUMNS[key]))

    @property
    def weeks(self) -> list[Week]:
        """The weeks of the window that the filter lets pass."""
        wanted = self.where.get("week")
        return [week for week in self.window.weeks if wanted is None or week.label in wanted]


def parse_by(text: str, keys: Sequence[str]) -> tuple[str, ...]:
    """Read `week,component`; a key that is unknown, or there twice, is a UsageError."""
    by = tuple(part.strip() for part in text.split(","))
    for key in by:
        if key not in keys:
            raise UsageError(f"--by {key!r} is not offered here: choose from {', '.join(keys)}")
        if by.count(key) > 1:
            raise UsageError(f"--by names {key} twice: name each once, of {', '.join(keys)}")
    return by


def parse_where(texts: Sequence[str], keys: Sequence[str]) -> Where:
    """Read `k=v` filters; one without `=`, with an unknown key or an unreadable value is a UsageError."""
    where: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--where {text!r} has no '=': write key=value, the key one of {', '.join(keys)}")
        if key not in keys:
            raise UsageError(f"--where {key!r} is not offered here: choose from {', '.join(keys)}")
        if key == "week":
            parse_week(value)
        if key == "batch" and not re.fullmatch(r"(-?[0-9]{1,18})?", value):
            raise UsageError(f"--where batch={value!r} is no batch: write an integer, or nothing for no batch")
        if key in LABELS and value == UNLABELLED:
            value = ""
        where[key] = (*where.get(key, ()), value)
    return where


def matching(rows: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Name each row's week by its `started_at`; keep the rows inside the window that pass the filter."""
    rows = rows.assign(week=selection.window.week_of(rows["started_at"]))
    matches = rows["week"].notna() & passing(rows, selection.where)
    return rows if matches.all() else rows[matches]


def passing(rows: pd.DataFrame, where: Where) -> "pd.Series[bool]":
    """Say which rows pass a filter, whenever they were."""
    is_wanted = pd.Series(data=True, index=rows.index, dtype="bool")
    for key, values in where.items():
        is_wanted &= _passes(rows, key, values)
    return is_wanted


def _passes(rows: pd.DataFrame, key: str, values: tuple[str, ...]) -> "pd.Series[bool]":
    if key == "component":
        return rows["component_id"].isin(values) | rows["component"].isin(values)
    column = rows[GROUP_COLUMNS[key][0]]
    known = [int(value) for value in values if value] if key == "batch" else list(values)
    passes = column.isin(known).fillna(value=False).astype(bool)
    return passes | column.isna() if "" in values else passes


def summarise(
    rows: pd.DataFrame,
    selection: Selection,
    *,
    counts: Aggregations,
    measures: Aggregations | None = None,
) -> pd.DataFrame:
    """Return one row a group: `counts` as integers (0 where nothing is), `measures` as floats (NaN there).

    Both map a new column to (column, aggregation); a number as aggregation is a quantile, interpolated
    linearly. By week, a week in which nothing occurred is one row, its other groups missing; no groups
    at all make one row. Sorted by the groups, missing last.
    """
    measures = measures or {}
    return _every_group(grouped(rows, selection.columns, counts, measures), selection, list(counts), list(measures))


@at_last
def _every_group(
    table: pd.DataFrame, selection: Selection, counts: Sequence[str], measures: Sequence[str]
) -> pd.DataFrame:
    columns, parts = selection.columns, [*counts, *measures]
    if "week" in columns:
        weeks = pd.DataFrame({"week": pd.Series([week.label for week in selection.weeks], dtype="str")})
        table = weeks.merge(table, on="week", how="left")
    elif not columns:
        table = pd.DataFrame({EVERYTHING: [0]}).merge(table, on=EVERYTHING, how="left")
    table = table.astype(dict.fromkeys(parts, "float64"))
    table[counts] = table[counts].fillna(0).astype("int64")
    if columns:
        table = table.sort_values(columns, na_position="last", kind="stable", ignore_index=True)
    return table[[*columns, *parts]]


@at_last
def chosen(table: pd.DataFrame, selection: Selection, columns: Sequence[str]) -> pd.DataFrame:
    """Return the groups and these columns."""
    return table[[*selection.columns, *columns]]


def outcome_flags(outcomes: "pd.Series[str]") -> dict[str, "pd.Series[int]"]:
    """Return 0/1 columns to sum: finished (succeeded or failed), failed, unfinished, aborted, unknown."""
    members = {
        "finished": ("succeeded", "failed"),
        "failed": ("failed",),
        "unfinished": ("running", "pending"),
        "aborted": ("aborted",),
        "unknown": ("unknown",),
    }
    return {name: outcomes.isin(words).astype("int64") for name, words in members.items()}


def ratio(part: "pd.Series[int]", whole: "pd.Series[int]") -> "pd.Series[float]":
    """Divide counts; NaN where the whole is 0."""
    return part / whole.where(whole > 0, np.nan)


@at_last
def with_coverage(table: pd.DataFrame, nights: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Add `is_cut, nights_planned, nights_done, coverage` to a by-week table; leave another as it is.

    A row that names a project carries that project's nights, any other those of every project in scope.
    A night counts in the week of its date, and as done only when its state is; `due` is planned, not done.
    """
    if "week" not in selection.columns:
        return table
    cut = {week.label: week.is_cut for week in selection.window.weeks}
    table = table.assign(is_cut=table["week"].map(cut).astype(bool))
    dates = nights["night_date"].dt.isocalendar()
    nights = pd.DataFrame(
        {
            "week": dates["year"].astype("str").str.zfill(4) + "-W" + dates["week"].astype("str").str.zfill(2),
            "project_id": nights["project_id"],
            "nights_planned": 1,
            "nights_done": (nights["state"] == "done").astype("int64"),
            "nights_partial": (nights["state"] == "partial").astype("int64"),
        }
    )
    if (projects := selection.where.get("project")) is not None:
        nights = nights[nights["project_id"].isin(projects)]
    counts = ["nights_planned", "nights_done", "nights_partial"]
    keys = ["week", "project_id"] if "project_id" in table else ["week"]
    known = nights.groupby(keys)[counts].sum()
    if "project_id" in keys:
        # A week in which nothing occurred names no project: it takes the nights of all.
        overall = nights.groupby("week")[counts].sum().reset_index().assign(project_id=None)
        overall["project_id"] = overall["project_id"].astype("str")
        known = pd.concat([known.reset_index(), overall]).set_index(keys)
    table = table.merge(known.reset_index(), on=keys, how="left")
    table[counts] = table[counts].fillna(0).astype("int64")
    table["coverage"] = coverage_words(table)
    return table.drop(columns="nights_partial")


def coverage_words(counts: pd.DataFrame) -> "pd.Series[str]":
    """Say complete (nights were planned, all are done), none (not one is done, even in part), else partial."""
    is_complete = (counts["nights_planned"] > 0) & (counts["nights_done"] == counts["nights_planned"])
    is_none = counts["nights_done"] + counts["nights_partial"] == 0
    words = np.select([is_complete, is_none], ["complete", "none"], "partial")
    return pd.Series(words, index=counts.index, dtype="str")
