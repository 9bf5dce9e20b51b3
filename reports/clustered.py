"""Rates of component releases by week, with intervals that know that components of one plan fail together."""

from datetime import datetime

import pandas as pd

from reports.columns import Frames
from reports.comparisons import clustered_interval
from reports.delivery import is_change_failure
from reports.groups import Selection, matching, outcome_flags, ratio, summarise, with_coverage
from reports.releases import PLAN, component_releases
from reports.spread import at_last, by_plan, grouped
from reports.verdict import AGE_DAYS, is_young

_HITS = {"failed": "failure_rate", "rolled_back": "rollback_rate", "change_failures": "change_failure_rate"}
_SUMS = [*_HITS, "rollbacks_failed"]


def release_rates(frames: Frames, selection: Selection, *, as_of: datetime | None) -> pd.DataFrame:
    """Return a row a week: finished component releases, their plans, and three rates with plan-clustered intervals.

    Columns: `week, finished, plans, provisional`, then `failed, failure_rate, failure_ci_low, failure_ci_high` and
    likewise `rolled_back, rollback_rate, rollback_…` and `change_failures, change_failure_rate, change_failure_…`,
    `rollbacks_failed`, then the week's nights. The intervals are `clustered_interval`, wider than Wilson's where
    components of one plan fail together. The weeks are compared at equal age, as the verdict does it: only rollbacks
    that began within 7 days of the release's end count, and a week is provisional while it ended less than 7 days
    before `as_of`.
    """
    names = ["finished", *_SUMS]
    kinds = grouped(_plan_sums(frames, selection), ["week", *names], {"plans": ("finished", "size")}, {})
    return with_coverage(_rates(kinds, selection, as_of), frames.nights, selection)


@by_plan
def _plan_sums(frames: Frames, selection: Selection) -> pd.DataFrame:
    releases = component_releases(frames.attempts, frames.rollbacks, within_days=AGE_DAYS)
    releases = matching(releases, selection)
    flags = outcome_flags(releases["outcome"])
    releases = releases.assign(
        finished=flags["finished"], failed=flags["failed"], change_failures=is_change_failure(releases).astype("int64")
    )
    releases = releases[releases["finished"] == 1]
    return releases.groupby(["week", *PLAN])[["finished", *_SUMS]].sum().reset_index()


@at_last
def _rates(kinds: pd.DataFrame, selection: Selection, as_of: datetime | None) -> pd.DataFrame:
    """Make the table of the plans' sums: `plans` of them are of one kind, and can't be told apart."""
    kinds = kinds.sort_values(["week", "finished", *_SUMS], ignore_index=True)
    sums = kinds.loc[kinds.index.repeat(kinds["plans"])].assign(plans=1)
    table = summarise(sums, selection, counts={name: (name, "sum") for name in ("finished", "plans", *_SUMS)})
    by_week = dict(list(sums.groupby("week")))
    none = sums.iloc[:0]
    table["provisional"] = [is_young(week, as_of) for week in selection.weeks]
    for hits, rate in _HITS.items():
        stem = rate.removesuffix("_rate")
        intervals = [
            clustered_interval(by_week.get(week, none)[hits].to_list(), by_week.get(week, none)["finished"].to_list())
            for week in table["week"]
        ]
        table[rate] = ratio(table[hits], table["finished"]).astype("float64")
        table[f"{stem}_ci_low"] = pd.Series([low for low, _ in intervals], dtype="float64")
        table[f"{stem}_ci_high"] = pd.Series([high for _, high in intervals], dtype="float64")
    rates = [name for hits, rate in _HITS.items() for name in (hits, rate, *_ends(rate))]
    return table[["week", "finished", "plans", "provisional", *rates, "rollbacks_failed"]]


def _ends(rate: str) -> tuple[str, str]:
    stem = rate.removesuffix("_rate")
    return f"{stem}_ci_low", f"{stem}_ci_high"
