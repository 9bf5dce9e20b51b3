"""The failure rate: how many of the finished attempts, or component releases, failed."""

from typing import Literal

import pandas as pd

from reports.columns import Frames
from reports.groups import Selection, chosen, matching, outcome_flags, ratio, summarise, with_coverage
from reports.releases import component_releases, with_inferred_starts
from reports.spread import at_last, by_plan
from reports.statistics import wilson

Unit = Literal["attempt", "release"]


def failure_rates(frames: Frames, selection: Selection, *, unit: Unit = "attempt") -> pd.DataFrame:
    """Return finished, failed, failure_rate with its 95 % interval, unfinished, aborted and unknown a group.

    Counts attempts by the week they started in, or component releases by the week of their first attempt
    with a start and the outcome of their last, which a rollback does not change. Attempts replaced between two
    observations are unseen: a rate of attempts is a lower bound.

    >>> from datetime import date
    >>> from zoneinfo import ZoneInfo
    >>> from reports.window import Window
    >>> week = Window.of_weeks(date(2026, 11, 16), 1, ZoneInfo("UTC"))
    >>> table = failure_rates(Frames(), Selection(week))
    >>> table[["week", "finished", "failure_rate", "coverage"]].values.tolist()
    [['2026-W47', 0, nan, 'none']]
    """
    rows = _outcomes(frames, selection, unit)
    names = ("finished", "failed", "unfinished", "aborted", "unknown")
    table = summarise(rows, selection, counts={name: (name, "sum") for name in names})
    table = with_rate(table, part="failed", rate="failure_rate")
    columns = ["finished", "failed", "failure_rate", "ci_low", "ci_high", "unfinished", "aborted", "unknown"]
    return with_coverage(chosen(table, selection, columns), frames.nights, selection)


@by_plan
def _outcomes(frames: Frames, selection: Selection, unit: Unit) -> pd.DataFrame:
    if unit == "release":
        rows = component_releases(frames.attempts, frames.rollbacks)
    else:
        rows = with_inferred_starts(frames.attempts)
    rows = matching(rows, selection)
    return rows.assign(**outcome_flags(rows["outcome"]))


@at_last
def with_rate(table: pd.DataFrame, *, part: str, rate: str) -> pd.DataFrame:
    """Add part / finished as `rate`, with `ci_low` and `ci_high`; NaN where nothing finished."""
    pairs = zip(table[part], table["finished"], strict=True)
    intervals = [wilson(int(hits), int(total)) for hits, total in pairs]
    return table.assign(
        **{
            rate: ratio(table[part], table["finished"]).astype("float64"),
            "ci_low": pd.Series([low for low, _ in intervals], index=table.index, dtype="float64"),
            "ci_high": pd.Series([high for _, high in intervals], index=table.index, dtype="float64"),
        }
    )
