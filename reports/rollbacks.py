"""Rollbacks: how many of the finished component releases were rolled back, and how long recovery took."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd

from reports.columns import Frames
from reports.failure_rates import with_rate
from reports.groups import Selection, chosen, matching, outcome_flags, summarise, with_coverage
from reports.releases import component_releases
from reports.spread import at_last, by_plan

_COUNTS = ("finished", "rolled_back", "rollbacks", "rollbacks_failed")


def rollback_rates(
    frames: Frames,
    selection: Selection,
    *,
    as_of: datetime | None,
    recheck_days: int,
    within_days: int | None = None,
) -> pd.DataFrame:
    """Return finished, rolled_back, rollback_rate with its interval, rollbacks and recovery a group.

    Every column speaks of the finished releases that started in the group's week, whenever the rollback
    came. A week is provisional while it ended less than `recheck_days` before `as_of` (always, without an
    `as_of`); without a week in the groups, a row is when any week of the selection is. `as_of` is now in
    `reports rollbacks`, which is asked what to expect from here on, and the newest run's end in
    `reports weekly`, which says the same on any day; where nights were missed lately the two differ.
    """
    rows = _finished(frames, selection, within_days)
    table = summarise(
        rows,
        selection,
        counts={name: (name, "sum") for name in _COUNTS},
        measures={
            "recovery_p50_seconds": ("recovery_seconds", 0.5),
            "recovery_p90_seconds": ("recovery_seconds", 0.9),
        },
    )
    table = with_rate(table, part="rolled_back", rate="rollback_rate")
    settled = timedelta(days=recheck_days)
    provisional = {week.label: as_of is None or as_of - week.ends_at < settled for week in selection.weeks}
    table = _with_provisional(table, provisional)
    columns = [
        *("finished", "rolled_back", "rollback_rate", "ci_low", "ci_high", "rollbacks", "rollbacks_failed"),
        *("recovery_p50_seconds", "recovery_p90_seconds", "provisional"),
    ]
    return with_coverage(chosen(table, selection, columns), frames.nights, selection)


@by_plan
def _finished(frames: Frames, selection: Selection, within_days: int | None) -> pd.DataFrame:
    rows = matching(component_releases(frames.attempts, frames.rollbacks, within_days=within_days), selection)
    rows = rows.assign(finished=outcome_flags(rows["outcome"])["finished"])
    told = dict.fromkeys([*selection.columns, *_COUNTS, "recovery_seconds"])
    return rows.loc[rows["finished"] == 1, [*told]]


@at_last
def _with_provisional(table: pd.DataFrame, provisional: Mapping[str, bool]) -> pd.DataFrame:
    if "week" in table:
        return table.assign(provisional=table["week"].map(provisional).astype(bool))
    return table.assign(provisional=any(provisional.values()))
