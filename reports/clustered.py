"""Rates of component releases by week, with intervals that know that components of one plan fail together."""

from datetime import datetime

import pandas as pd

from reports.columns import Frames
from reports.comparisons import clustered_interval
from reports.delivery import is_change_failure
from reports.groups import Selection, matching, outcome_flags, ratio, summarise, with_coverage
from reports.releases import PLAN, component_releases
from reports.verdict import AGE_DAYS, is_young

_HITS = {"failed": "failure_rate", "rolled_back": "rollback_rate", "change_failures": "change_failure_rate"}


def release_rates(frames: Frames, selection: Selection, *, as_of: datetime | None) -> pd.DataFrame:
    """Return a row a week: finished component releases, their plans, and three rates with plan-clustered intervals.

    Columns: `week, finished, plans, provisional`, then `failed, failure_rate, failure_ci_low, failure_ci_high` and
    likewise `rolled_back, rollback_rate, rollback_…` and `change_failures, change_failure_rate, change_failure_…`,
    `rollbacks_failed`, then the week's nights. The intervals are `clustered_interval`, wider than Wilson's where
    components of one plan fail together. The weeks are compared at equal age, as the verdict does it: only rollbacks
    that began within 7 days of the release's end count, and a week is provisional while it ended less than 7 days
    before `as_of`.
    """
    releases = component_releases(frames.attempts, frames.rollbacks, within_days=AGE_DAYS)
    releases = matching(releases, selection)
    flags = outcome_flags(releases["outcome"])
    releases = releases.assign(
        finished=flags["finished"], failed=flags["failed"], change_failures=is_change_failure(releases).astype("int64")
    )
    releases = releases[releases["finished"] == 1]
    names = ["finished", *_HITS, "rollbacks_failed"]
    table = summarise(releases, selection, counts={name: (name, "sum") for name in names})
    sums = releases.groupby(["week", *PLAN])[names].sum().reset_index()
    by_week = dict(list(sums.groupby("week")))
    none = sums.iloc[:0]
    table.insert(2, "plans", [len(by_week.get(week, none)) for week in table["week"]])
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
    columns = ["week", "finished", "plans", "provisional", *rates, "rollbacks_failed"]
    return with_coverage(table[columns], frames.nights, selection)


def _ends(rate: str) -> tuple[str, str]:
    stem = rate.removesuffix("_rate")
    return f"{stem}_ci_low", f"{stem}_ci_high"
